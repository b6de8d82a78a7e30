"""The fine-tuning stage from kept activations against the same stage end to end.

Both are ``cnntransfer finetune`` with the same recipe, features kept already; the second with
``--fresh-augmentation --finetune-precision float32``, which runs all layers in every epoch. What is
compared is the time of the stage, computing the activations included, and the accuracy.

    CNNTRANSFER_WEIGHTS=../shared/weights python benchmarks/stage_speed.py \
        --data ../shared/data/eurosat --backbone resnet50 --unfreeze conv5 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from timing import CNNTRANSFER, process, ratios, spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", required=True)
    parser.add_argument("--unfreeze", required=True)
    parser.add_argument("--image-size", default="224")
    parser.add_argument("--epochs", default="10")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    sides = {"kept": (), "end to end": ("--fresh-augmentation", "--finetune-precision", "float32")}
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    accuracy: dict[str, list[float]] = {name: [] for name in ("head", *sides)}
    with tempfile.TemporaryDirectory() as scratch:
        environment = {"CNNTRANSFER_CACHE": str(Path(scratch) / "cache")}
        for seed in arguments.seeds:
            command = [
                *(*CNNTRANSFER, "finetune", str(arguments.data), "--json"),
                *("--backbone", arguments.backbone, "--image-size", arguments.image_size),
                *("--seed", str(seed), "--split-seed", str(seed), "--views", "2"),
            ]

            def finetune(*options: str, command: list[str] = command) -> dict:
                output = Path(tempfile.mkdtemp(dir=scratch)) / "run"
                _, out = process([*command, "-o", str(output), *options], environment)
                return json.loads(out)

            head = finetune()
            accuracy["head"].append(100 * head["metrics"]["val"]["accuracy"])
            stage = ("--unfreeze", arguments.unfreeze, "--finetune-epochs", arguments.epochs)
            for name, options in sides.items():
                done = finetune(*stage, "--finetune-patience", arguments.epochs, *options)
                seconds[name].append(done["seconds"]["train"] - head["seconds"]["train"])
                accuracy[name].append(100 * done["metrics"]["val"]["accuracy"])
            latest = {name: values[-1] for name, values in {**accuracy}.items()}
            times = {name: round(values[-1], 1) for name, values in seconds.items()}
            print(f"# seed {seed}: accuracy {latest}, seconds {times}", flush=True)
    for name, values in accuracy.items():
        time = spread(seconds[name]) if name in seconds else "-"
        print(f"| {name} | {spread(values)} | mean {sum(values) / len(values):.1f} | {time} s |")
    print(f"end to end / kept: {ratios(seconds, 'end to end', 'kept')}")


if __name__ == "__main__":
    main()
