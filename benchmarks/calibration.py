"""What temperature scaling does to the calibration error on photos that were kept apart.

For every data set, head and seed (which chooses the split), a whole run of ``cnntransfer
finetune`` with half of the photos kept apart for the test (``--test-split 0.5``) and a fifth for
validation, on which the temperature is fitted. The calibration error is that of 15 bins of the same
number of photos.

    python benchmarks/calibration.py --data ../shared/data/eurosat fashion-mnist-2000
    python benchmarks/calibration.py --data ../shared/data/trashnet ../shared/data/brain-mri
    python benchmarks/calibration.py --data ../shared/data/eurosat --validation-split 0.05

``fashion_mnist.py`` makes the second data set. Prints one Markdown row per run.
"""

from __future__ import annotations

import argparse
import json
import shlex
import tempfile
from pathlib import Path

from timing import CNNTRANSFER, process

#: What is chosen beside the defaults.
_HEADS = ("", "--label-smoothing 0.1", "--head-units 256")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--heads", nargs="+", default=_HEADS, help="options of finetune, quoted")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--validation-split", default="0.2")
    arguments = parser.parse_args()
    print("| data | options | seed | val, test photos | test accuracy | temperature ", end="")
    print("| calibration error before | after | 95 % interval |")
    print("|---|---|---|---|---|---|---|---|---|")
    worst, highest = float("-inf"), 0.0
    for data in arguments.data:
        for head in arguments.heads:
            for seed in arguments.seeds:
                found = measure(data.resolve(), head, seed, arguments.validation_split)
                test, error = found["metrics"]["test"], found["calibration"]["test"]
                interval = test["intervals"]["calibration_error"]
                cells = (
                    data.name,
                    f"`{head}`" if head else "",
                    seed,
                    f"{found['metrics']['val']['images']}, {test['images']}",
                    f"{100 * test['accuracy']:.1f} %",
                    f"{found['calibration']['temperature']:.2f}",
                    f"{error['before']:.4f}",
                    f"{error['after']:.4f}",
                    f"{interval['low']:.3f}..{interval['high']:.3f}",
                )
                print(f"| {' | '.join(map(str, cells))} |", flush=True)
                worst = max(worst, error["after"] - error["before"])
                highest = max(highest, error["after"])
    print(f"\nAt most {highest:.4f} after scaling; changed by at most {worst:+.4f}.")


def measure(data: Path, head: str, seed: int, validation: str) -> dict:
    """The metadata of one run."""
    with tempfile.TemporaryDirectory() as scratch:
        seeds = ["--seed", str(seed), "--split-seed", str(seed)]
        splits = ["--test-split", "0.5", "--validation-split", validation]
        command = [*CNNTRANSFER, "finetune", str(data), "-o", f"{scratch}/bundle", "--json"]
        _, out = process([*command, *seeds, *splits, *shlex.split(head)])
        return json.loads(out)


if __name__ == "__main__":
    main()
