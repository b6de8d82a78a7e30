"""A whole ``cnntransfer finetune`` against the tutorial that everyone copies.

Both are whole processes on the same split of the same photos; the tutorial is
``keras_tutorial.py``. Ours starts with an empty cache but for the converted network, which is made
once per machine (``--first-run`` clears that, too), then runs again with a warm cache and
another head. One seed per run: it chooses the split and the initial weights.

    python benchmarks/finetune_speed.py --data ../shared/data/trashnet \
        --weights ../shared/weights --backbones mobilenet_v2 resnet50 vgg16 --runs 5
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from statistics import mean

from timing import CNNTRANSFER, HERE, WEIGHTS, divide, process, ratios, spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="folder of weights files")
    parser.add_argument("--backbones", nargs="+", default=["mobilenet_v2", "resnet50", "vgg16"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--first-run", action="store_true", help="convert in every run, too")
    arguments = parser.parse_args()
    for name in arguments.backbones:
        with tempfile.TemporaryDirectory() as scratch:
            compare(name, arguments, Path(scratch))


def compare(name: str, arguments: argparse.Namespace, scratch: Path) -> None:
    environment = {
        "CNNTRANSFER_CACHE": str(scratch / "cache"),
        "CNNTRANSFER_WEIGHTS": str(arguments.weights.resolve()),
    }

    def ours(split: Path, output: str, *options: str) -> tuple[float, float]:
        command = [*CNNTRANSFER, "finetune", str(split), "--backbone", name, "--json"]
        seconds, out = process([*command, "-o", str(scratch / output), *options], environment)
        return seconds, json.loads(out)["metrics"]["val"]["accuracy"]

    times: dict[str, list[float]] = {"tutorial": [], "finetune": [], "another head": []}
    accuracy: dict[str, list[float]] = {key: [] for key in times}
    for seed in range(arguments.runs):
        split = scratch / f"split{seed}"
        divide(arguments.data, split, seed)
        tutorial = [*CNNTRANSFER[:1], str(HERE / "keras_tutorial.py"), str(split), name]
        weights = str(arguments.weights / WEIGHTS[name])
        clear = "all" if arguments.first_run else "features"
        if seed == 0:  # The converted network is made here.
            ours(split, "warm-up", "--epochs", "1")
        process([*CNNTRANSFER, "cache", "--clear", clear], environment)

        seconds, out = process([*tutorial, weights, str(seed)])
        results = {
            "tutorial": (seconds, json.loads(out.splitlines()[-1])["best_val_accuracy"]),
            "finetune": ours(split, f"a{seed}", "--seed", str(seed)),
            "another head": ours(split, f"b{seed}", "--seed", str(seed), "--head-units", "128"),
        }
        for key, (seconds, value) in results.items():
            times[key].append(seconds)
            accuracy[key].append(value)
            print(f"# {name}, seed {seed}, {key}: {seconds:.1f} s, {value:.3f}", flush=True)
    print("| network | | seconds | validation accuracy | times as fast |\n|---|---|---|---|---|")
    for key in times:
        ratio = ratios(times, "tutorial", key)
        print(f"| {name} | {key} | {spread(times[key])} | {mean(accuracy[key]):.3f} | {ratio} |")


if __name__ == "__main__":
    main()
