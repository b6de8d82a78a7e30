"""Feature extraction: ``finetune``'s engines against TensorFlow's ``model.predict``.

Images are decoded beforehand for both. "auto" is what ``--precision auto`` takes when there are
many images. The machine's float32 peak is that of a product of two 4096 x 4096 matrices in NumPy
or TensorFlow, whichever is faster, measured in the same turns; VGG16 at 224 pixels is 30.7 GFLOP an
image.

    CNNTRANSFER_WEIGHTS=../shared/weights python benchmarks/features_speed.py \
        --backbones mobilenet_v2 resnet50 vgg16 inception_v3 --runs 5
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from timing import in_turns, ratios, spread

from cnntransfer.benchmark import noise
from cnntransfer.data.fitting import InputSpec
from cnntransfer.frameworks import tensorflow
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.weights import find_weights
from cnntransfer.parallel import Later
from cnntransfer.training.extraction import Extractor, TrunkSpec
from cnntransfer.training.precision import run

_FLOPS = {"vgg16": 30.7e9}
_SIDE = 4096


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbones", nargs="+", required=True)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    for name in arguments.backbones:
        compare(name, arguments.images, arguments.runs)


def compare(name: str, images: int, runs: int) -> None:
    backbone = get_backbone(name)
    size = (backbone.default_size, backbone.default_size)
    spec = TrunkSpec(backbone, InputSpec(size), "avg", find_weights(backbone), 1)
    trunk = Later(spec.build)
    views = noise(size, images)
    extractor = Extractor(spec, views, trunk)
    requests = [(position, 0) for position in range(images)]
    arrays = np.stack([views.image(request) for request in requests]).astype(np.float32)
    model = trunk.result().model
    tf = tensorflow()
    matrix = np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)
    tensor = tf.constant(matrix)

    def timed(function) -> float:  # type: ignore[no-untyped-def]
        started = time.perf_counter()
        function()
        return (time.perf_counter() - started) / images

    def by_predict() -> None:
        model.predict(arrays, batch_size=32, verbose=0)

    engines = {p: extractor.engine(p) for p in ("float32", "bfloat16")}
    sides = {
        "model.predict": lambda: timed(by_predict),
        "float32": lambda: timed(lambda: run(engines["float32"], views, requests)),
        "bfloat16": lambda: timed(lambda: run(engines["bfloat16"], views, requests)),
        "NumPy's product": lambda: timed(lambda: matrix @ matrix),
        "TensorFlow's product": lambda: timed(lambda: tf.linalg.matmul(tensor, tensor).numpy()),
    }
    for measure in sides.values():
        measure()
    measured = in_turns(sides, runs)
    for side in ("model.predict", "float32", "bfloat16"):
        rate = [1 / seconds for seconds in measured[side]]
        print(f"| {name} | {side} | {spread(rate)} images/s | "
              f"{ratios(measured, 'model.predict', side)} |")  # fmt: skip
    if name in _FLOPS:
        product = 2 * _SIDE**3 / images
        pairs = zip(measured["NumPy's product"], measured["TensorFlow's product"], strict=True)
        products = [min(pair) for pair in pairs]
        for side in ("float32", "bfloat16"):
            shares = [
                (_FLOPS[name] / seconds) / (product / reference)
                for seconds, reference in zip(measured[side], products, strict=True)
            ]
            print(f"{name} {side}: {spread(shares)} of the FLOP rate of the faster float32 product")


if __name__ == "__main__":
    main()
