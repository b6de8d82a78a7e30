"""Peak memory of ``cnntransfer evaluate`` for 500 and for 10,000 photos.

Makes folders of links to the same photos, runs ``cnntransfer evaluate`` on them as a process, and
reads its peak resident memory from the operating system (Linux, macOS).

    python benchmarks/evaluate_memory.py ../shared/data/trashnet
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path

from memory import peak_of
from timing import CNNTRANSFER


def link(photos: Path, target: Path, count: int) -> None:
    """Links to the photos of a folder per class, over and over, until there are so many."""
    files = sorted(path for path in photos.glob("*/*") if path.is_file())
    for number, file in enumerate(itertools.islice(itertools.cycle(files), count)):
        place = target / file.parent.name / f"{number}-{file.name}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(file.resolve())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with one sub-folder per class")
    parser.add_argument("--images", type=int, nargs="+", default=[500, 10000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--backbone", default="mobilenet")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = []
        for preset in ("fast", "balanced"):
            models.append(str(Path(scratch) / preset))
            train = [*CNNTRANSFER, "finetune", str(arguments.photos), "--preset", preset, "-q"]
            peak_of([*train, "--backbone", arguments.backbone, "-o", models[-1]])
        print("| models | photos | peak MB |")
        print("|---|---|---|")
        for count in arguments.images:
            link(arguments.photos, Path(scratch) / str(count), count)
        for chosen, count in itertools.product((models[:1], models), arguments.images):
            peaks = []
            for _ in range(arguments.runs):
                command = [*CNNTRANSFER, "evaluate", *chosen, str(Path(scratch) / str(count))]
                peak, out = peak_of([*command, "--json", "-q"])
                peaks.append(1000 * peak)
                judged = json.loads(out)
                assert judged.get("models", [judged])[0]["images"] == count
            print(f"| {len(chosen)} | {count:,} | {min(peaks):.0f}..{max(peaks):.0f} |", flush=True)


if __name__ == "__main__":
    main()
