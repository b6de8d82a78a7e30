"""Whole processes: ``cnntransfer predict`` against Keras, and both against their imports alone.

python benchmarks/predict_speed.py --model runs/photos-resnet50 --runs 5
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from timing import CNNTRANSFER, in_turns, process, ratios, spread

BIRD = Path(__file__).parents[1] / "sample_images" / "bird.jpg"
#: As Keras' documentation writes it.
KERAS_SCRIPT = """
import sys
import keras
import numpy as np
model = keras.models.load_model(sys.argv[1])
image = keras.utils.load_img(sys.argv[2], target_size=model.input_shape[1:3])
array = np.expand_dims(keras.utils.img_to_array(image), 0)
print(model.predict(array, verbose=0))
"""
COMMANDS = ("finetune", "predict", "evaluate", "export", "backbones", "weights", "cache")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help="a bundle")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    python = sys.executable
    predict = [*CNNTRANSFER, "predict", "-m", str(arguments.model), str(BIRD)]
    script = [python, "-c", KERAS_SCRIPT, str(arguments.model / "model.keras"), str(BIRD)]
    sides = {
        "keras": script,
        "predict": predict,
        "predict --unknown": [*predict, "--unknown", "auto"],
        "import numpy, PIL": [python, "-c", "import numpy, PIL"],
        "import click": [python, "-c", "import click"],
        **{f"{name} --help": [*CNNTRANSFER, name, "--help"] for name in COMMANDS},
    }
    # Once for the disk's sake; twice, as the second prediction keeps the network's packed weights.
    for number in ("first", "second"):
        seconds = {name: process(command)[0] for name, command in sides.items()}
        print(f"{number} predict {seconds['predict']:.2f} s")
    measured = in_turns(
        {name: lambda command=command: process(command)[0] for name, command in sides.items()},
        arguments.runs,
    )
    for name, seconds in measured.items():
        print(f"{name:20} {spread(seconds)} s")
    print(f"keras / predict: {ratios(measured, 'keras', 'predict')}")
    pairs = {"predict": "import numpy, PIL", "predict --unknown": "predict"} | {
        f"{c} --help": "import click" for c in COMMANDS
    }
    for name, base in pairs.items():
        more = [a - b for a, b in zip(measured[name], measured[base], strict=True)]
        print(f"{name} - {base}: {spread(more)} s")


if __name__ == "__main__":
    main()
