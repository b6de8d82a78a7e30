"""The first Fashion-MNIST images of every class as a folder of PNG files: 200, or so many.

apt-get download dataset-fashion-mnist && dpkg -x dataset-fashion-mnist*.deb debian
python benchmarks/fashion_mnist.py debian/usr/share/datasets/fashion-mnist fashion-mnist-2000
python benchmarks/fashion_mnist.py debian/usr/share/datasets/fashion-mnist fashion-mnist-2500 250
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main() -> None:
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 200
    images = gzip.decompress((source / "train-images-idx3-ubyte.gz").read_bytes())[16:]
    labels = gzip.decompress((source / "train-labels-idx1-ubyte.gz").read_bytes())[8:]
    pixels = np.frombuffer(images, np.uint8).reshape(-1, 28, 28)
    for label in range(10):
        folder = target / str(label)
        folder.mkdir(parents=True)
        for number in np.flatnonzero(np.frombuffer(labels, np.uint8) == label)[:count]:
            Image.fromarray(pixels[number]).save(folder / f"{number}.png")


if __name__ == "__main__":
    main()
