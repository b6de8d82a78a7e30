"""How many photos `--unknown` rejects: of known classes, of other data sets, of a left-out class.

For every data set and seed (which chooses the split) a whole run of ``cnntransfer finetune`` with a
test subset kept apart. Then the shares are measured that ``cnntransfer predict --unknown`` calls
unknown: of the test photos, which are to be ``--rate``; and of all photos of every other set, none
of which was seen before. With ``--left-out`` there is also, for every class of a set of at least
three, a run without that class, and the share of its photos that are called unknown: the hardest
case, as they were taken by the same camera of similar things.

    python benchmarks/unknown.py --data ../shared/data/trashnet ../shared/data/eurosat \
        sample_images ../shared/data/brain-mri --others ../shared/data/imagenet-check --left-out
    python benchmarks/unknown.py --backbone resnet50 --data ../shared/data/trashnet ...
    python benchmarks/unknown.py --preset best --data ../shared/data/trashnet ...

Photos go through each trunk once: the features are those that ``predict`` computes, and so is what
follows. Prints one Markdown row per data set: percent, mean over seeds and (lowest..highest); of
the test photos, the percentage of those of all seeds together.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from timing import CNNTRANSFER, process

from cnntransfer.bundle import Bundle
from cnntransfer.data.images import read
from cnntransfer.data.index import list_images
from cnntransfer.engines.litert import LiteRTEngine
from cnntransfer.novelty import Boundary, Novelty, rate_of
from cnntransfer.parallel import available_cores
from cnntransfer.predict import expand

#: From files to the percentage of them that a bundle calls unknown.
Share = Callable[[Sequence[Path]], float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, nargs="+", required=True, help="known, each in turn")
    parser.add_argument("--others", type=Path, nargs="*", default=[], help="never known")
    parser.add_argument("--backbone", default="mobilenet")
    parser.add_argument("--preset", default="balanced")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rate", default="auto")
    parser.add_argument("--left-out", action="store_true", help="also leave out class by class")
    arguments = parser.parse_args()
    sets = [data.resolve() for data in (*arguments.data, *arguments.others)]
    names = [data.name for data in sets]
    print(f"| known | test photos | of them unknown | {' | '.join(names)} | of a left-out class |")
    print("|---|" + "---|" * (len(sets) + 3))
    for data in sets[: len(arguments.data)]:
        print(f"| {data.name} | " + " | ".join(row(data, sets, arguments)) + " |", flush=True)


def row(data: Path, sets: Sequence[Path], arguments: argparse.Namespace) -> list[str]:
    tests, false_rejects = [], []
    rejects: dict[Path, list[float]] = {other: [] for other in sets if other != data}
    left_out: list[float] = []
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as scratch:
            bundle, share = trained(data, Path(scratch) / "run", seed, arguments)
            rows = bundle.read_table("splits", "file", "subset")
            test = [data / one["file"] for one in rows if one["subset"] == "test"]
            tests.append(len(test))
            false_rejects.append(share(test))
            for other, shares in rejects.items():
                shares.append(share(expand([other])))
            if arguments.left_out:
                left_out.append(share_of_left_out(data, Path(scratch), seed, arguments))
            print(f"# {data.name}, seed {seed}: {false_rejects[-1]:.1f} of {len(test)}", flush=True)
    others = [spread(rejects[other]) if other != data else "" for other in sets]
    known = spread(false_rejects, tests)
    return [str(sum(tests)), known, *others, spread(left_out)]


def share_of_left_out(data: Path, scratch: Path, seed: int, arguments: argparse.Namespace) -> float:
    """The mean over classes of what is rejected of a class by a bundle trained without it."""
    by_class: dict[str, list[Path]] = {}
    for entry in list_images(data).entries:
        by_class.setdefault(entry.label, []).append(entry.path)
    if len(by_class) < 3:
        return float("nan")
    shares = []
    for number, name in enumerate(by_class):
        folder = scratch / f"without-{number}"
        for label in by_class:
            if label != name:
                (folder / label).mkdir(parents=True)
                for file in by_class[label]:
                    (folder / label / file.name).symlink_to(file)
        _, share = trained(folder, scratch / f"run-{number}", seed, arguments)
        shares.append(share(by_class[name]))
    return float(np.mean(shares))


def trained(
    data: Path, target: Path, seed: int, arguments: argparse.Namespace
) -> tuple[Bundle, Share]:
    options = ["--seed", str(seed), "--split-seed", str(seed), "--test-split", "0.25", "-q"]
    options += ["--backbone", arguments.backbone, "--preset", arguments.preset]
    process([*CNNTRANSFER, "finetune", str(data), "-o", str(target), *options])
    bundle = Bundle.open(target)
    boundary = Boundary(Novelty.open(bundle), rate_of("--rate", arguments.rate))

    def share(files: Sequence[Path]) -> float:
        distances = boundary.novelty.distances(features(bundle, files))
        return 100 * boundary.rejected(distances)

    return bundle, share


#: Of a file by a trunk, known by its SHA-256.
_kept: dict[tuple[str, Path], NDArray[np.float32]] = {}


def features(bundle: Bundle, files: Sequence[Path]) -> NDArray[np.float32]:
    content = bundle.metadata["files"][bundle.trunk_file.name]["sha256"]
    keys = [(content, file.resolve()) for file in files]
    missing = [key for key in keys if key not in _kept]
    engine = LiteRTEngine([bundle.trunk_file], available_cores())
    outputs = engine.map(lambda key: read(key[1], bundle.input_spec), missing)
    _kept.update({key: output.features for key, output in zip(missing, outputs, strict=True)})
    return np.stack([_kept[key] for key in keys])


def spread(values: Sequence[float], weights: Sequence[int] | None = None) -> str:
    if not values or np.isnan(values).any():
        return ""
    mean = np.average(values, weights=weights)
    return f"{mean:.1f} ({min(values):.1f}..{max(values):.1f})"


if __name__ == "__main__":
    main()
