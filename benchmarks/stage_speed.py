"""The fine-tuning stage from kept activations against the same stage end to end.

"kept" is ``cnntransfer finetune --unfreeze``; what counts is the time of the stage, computing the
activations included. "fresh" is the same with ``--fresh-augmentation``: all layers in every epoch.
"keras" is ``keras_tutorial.py``: the same layers unfrozen in ``fit``, images from
``ImageDataGenerator``; what counts is the time of that ``fit``. All on the same split, ten epochs.

    python benchmarks/stage_speed.py --data ../shared/data/trashnet \\
        --weights ../shared/weights --backbones resnet50 vgg16 --seeds 0 1 2
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from timing import CNNTRANSFER, HERE, WEIGHTS, divide, process, ratios, spread

EPOCHS = 10
#: The block that is unfrozen, and its first layer.
BLOCKS = {"resnet50": ("conv5", "conv5_block1_1_conv"), "vgg16": ("block5", "block5_conv1")}
SIDES = {"kept": (), "fresh": ("--fresh-augmentation", "--finetune-precision", "float32")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder of weights files")
    parser.add_argument("--backbones", nargs="+", default=list(BLOCKS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sides", nargs="+", default=[*SIDES, "keras"])
    arguments = parser.parse_args()
    for name in arguments.backbones:
        with tempfile.TemporaryDirectory() as scratch:
            compare(name, arguments, Path(scratch))


def compare(name: str, arguments: argparse.Namespace, scratch: Path) -> None:
    block, layer = BLOCKS[name]
    weights = arguments.weights.resolve()
    environment = {
        "CNNTRANSFER_CACHE": str(scratch / "cache"),
        "CNNTRANSFER_WEIGHTS": str(weights),
    }
    seconds: dict[str, list[float]] = {side: [] for side in arguments.sides}
    accuracy: dict[str, list[float]] = {side: [] for side in ("head", *arguments.sides)}
    for seed in arguments.seeds:
        split = scratch / f"split{seed}"
        divide(arguments.data, split, seed)

        def ours(*options: str, split: Path = split, seed: int = seed) -> dict:
            output = Path(tempfile.mkdtemp(dir=scratch)) / "run"
            command = [*CNNTRANSFER, "finetune", str(split), "--backbone", name, "--json"]
            command += ["--preset", "fast", "--seed", str(seed), "-o", str(output)]
            return json.loads(process([*command, *options], environment)[1])

        head = ours()
        accuracy["head"].append(100 * head["metrics"]["val"]["accuracy"])
        for side in arguments.sides:
            if side == "keras":
                script = [*CNNTRANSFER[:1], str(HERE / "keras_tutorial.py"), str(split), name]
                out = process([*script, str(weights / WEIGHTS[name]), str(seed), layer])[1]
                done = json.loads(out.splitlines()[-1])
                took, right = done["seconds"], done["best_val_accuracy"]
            else:
                stage = ("--unfreeze", block, "--finetune-epochs", str(EPOCHS))
                done = ours(*stage, "--finetune-patience", str(EPOCHS), *SIDES[side])
                took = done["seconds"]["train"] - head["seconds"]["train"]
                took += done["seconds"]["forecast"]  # Where its arithmetic was chosen.
                right = done["metrics"]["val"]["accuracy"]
            seconds[side].append(took)
            accuracy[side].append(100 * right)
            print(f"# {name}, seed {seed}, {side}: {took:.1f} s, {100 * right:.1f} %", flush=True)
    print("| network | | seconds | accuracy, mean (by seed) | times as fast |")
    print("|---|---|---|---|---|")
    for side, values in accuracy.items():
        mean, each = sum(values) / len(values), ", ".join(f"{value:.1f}" for value in values)
        time = spread(seconds[side]) if side in seconds else ""
        ratio = ratios(seconds, side, "kept") if side in seconds else ""
        print(f"| {name} {block} | {side} | {time} | {mean:.1f} ({each}) | {ratio} |")


if __name__ == "__main__":
    main()
