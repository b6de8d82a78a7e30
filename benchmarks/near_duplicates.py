"""Near-duplicates: how many planted copies are found, what else is, and how long it takes.

python benchmarks/near_duplicates.py copies FOLDER...
python benchmarks/near_duplicates.py features FOLDER... --sheet pairs.png
python benchmarks/near_duplicates.py groups FOLDER... --sheet groups.png
python benchmarks/near_duplicates.py crops FOLDER... --sheet crops.png
python benchmarks/near_duplicates.py time
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.data.duplicates import Pictures, near_duplicates
from cnntransfer.data.fitting import InputSpec
from cnntransfer.data.images import load, read, resize
from cnntransfer.data.index import image_files
from cnntransfer.data.thumbnails import SIDE, thumbnail
from cnntransfer.errors import ImageError
from cnntransfer.models.weights import find_weights
from cnntransfer.parallel import Later
from cnntransfer.recipe import Recipe
from cnntransfer.training.extraction import LiteRTTrunk, TrunkSpec
from cnntransfer.training.features import Features
from cnntransfer.training.near_duplicates import across_the_split
from cnntransfer.training.plan import input_spec, resolve

_SPEC = InputSpec((224, 224))
_TILE = 96
#: Pictures and what is written below them.
_Row = list[tuple[np.ndarray, str]]


def _encoded(image: Image.Image, form: str, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def _half(image: Image.Image) -> Image.Image:
    size = (max(1, image.width // 2), max(1, image.height // 2))
    return image.resize(size, Image.Resampling.BICUBIC)


def _cropped(image: Image.Image, share: float) -> Image.Image:
    x, y = round(image.width * share / 2), round(image.height * share / 2)
    return image.crop((x, y, image.width - x, image.height - y))


def _brighter(image: Image.Image, factor: float, levels: float) -> Image.Image:
    pixels = np.asarray(image, np.float32) * factor + levels
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


#: What a copy is made by: name -> from the photo to the copy's file.
_COPIES: dict[str, Callable[[Image.Image], bytes]] = {
    "PNG": lambda image: _encoded(image, "PNG"),
    "JPEG quality 60": lambda image: _encoded(image, "JPEG", quality=60),
    "half size": lambda image: _encoded(_half(image), "PNG"),
    "half size, quality 60": lambda image: _encoded(_half(image), "JPEG", quality=60),
    "mirrored": lambda i: _encoded(i.transpose(Image.Transpose.FLIP_LEFT_RIGHT), "JPEG"),
    "10 % brighter, + 5": lambda image: _encoded(_brighter(image, 1.1, 5), "JPEG", quality=90),
    "30 % brighter": lambda image: _encoded(_brighter(image, 1.3, 0), "JPEG", quality=90),
    "grey": lambda image: _encoded(image.convert("L"), "JPEG", quality=90),
    "5 % cropped": lambda image: _encoded(_cropped(image, 0.05), "JPEG", quality=90),
    "10 % cropped": lambda image: _encoded(_cropped(image, 0.1), "JPEG", quality=90),
    "turned by 3 degrees": lambda image: _encoded(
        image.rotate(3, Image.Resampling.BILINEAR), "JPEG", quality=90
    ),
    "turned by 90 degrees": lambda i: _encoded(i.transpose(Image.Transpose.ROTATE_90), "JPEG"),
}


def _photos(folder: Path) -> Iterator[tuple[Path, np.ndarray]]:
    for path in image_files(folder):
        try:
            yield path, load(path)
        except ImageError as error:
            print(error)


class _Given:
    """Thumbnails that are known by digest."""

    def __init__(self, pictures: dict[str, np.ndarray]) -> None:
        self._pictures = pictures

    def of(self, digests: list[str]) -> np.ndarray:
        return np.stack([self._pictures[digest] for digest in digests])


def _dataset(paths: list[Path], subsets: list[str] | None = None) -> Dataset:
    samples = tuple(
        Sample(path, path.parent.name, f"{n:064x}", subsets[n] if subsets else None)
        for n, path in enumerate(paths)
    )
    return Dataset(Path(), tuple(sorted({s.label for s in samples})), samples)


def _thumbnails(dataset: Dataset, pictures: np.ndarray) -> _Given:
    return _Given(dict(zip((s.digest for s in dataset.samples), pictures, strict=True)))


def copies(folders: list[Path]) -> None:
    """For every kind of copy, the share that is found to be the same picture as its original."""
    print("| set | with detail | " + " | ".join(_COPIES) + " |")
    for folder in folders:
        thumbnails, copied = [], {name: [] for name in _COPIES}
        for _, pixels in _photos(folder):
            thumbnails.append(thumbnail(read(_encoded(Image.fromarray(pixels), "PNG"), _SPEC)))
            for name, make in _COPIES.items():
                copied[name].append(thumbnail(read(make(Image.fromarray(pixels)), _SPEC)))
        originals = np.stack(thumbnails)
        known = np.flatnonzero(Pictures(originals).have_detail)
        shares = []
        for made in copied.values():
            both = Pictures(np.concatenate([originals, np.stack(made)]))
            shares.append(both.are_same(known, known + len(originals)).mean())
        cells = " | ".join(f"{100 * share:.1f}" for share in shares)
        print(f"| {folder.name} | {len(known)} of {len(originals)} | {cells} |", flush=True)


def groups(folders: list[Path], sheet: Path | None) -> None:
    """All groups that are found in sets as they are; a row of pictures for each."""
    rows: list[_Row] = []
    for folder in folders:
        paths, pictures = [], []
        for path, _ in _photos(folder):
            paths.append(path)
            pictures.append(thumbnail(read(path, _SPEC)))
        found = _groups(folder.name, np.stack(pictures))
        rows += [[(load(paths[p]), f"{d:.4f}") for p, d in group] for group in found]
    _draw(rows, sheet)


def crops(folders: list[Path], sheet: Path | None) -> None:
    """The same of squares of 64 pixels that photos are cut into: board, sky and wall, mostly."""
    rows: list[_Row] = []
    for folder in folders:
        squares = [
            pixels[y : y + 64, x : x + 64]
            for _, pixels in _photos(folder)
            for y in range(0, pixels.shape[0] - 63, 64)
            for x in range(0, pixels.shape[1] - 63, 64)
        ]
        pictures = [thumbnail(resize(square, _SPEC)) for square in squares]
        found = _groups(f"crops of {folder.name}", np.stack(pictures))
        rows += [[(squares[p], f"{d:.4f}") for p, d in group] for group in found]
    _draw(rows, sheet)


def _groups(name: str, pictures: np.ndarray) -> list[list[tuple[int, float]]]:
    dataset = _dataset([Path(str(number)) for number in range(len(pictures))])
    found = near_duplicates(dataset, _thumbnails(dataset, pictures))
    members = sum(len(group.positions) for group in found)
    print(f"{name}: {len(pictures)} photos, {len(found)} groups of {members}", flush=True)
    return [list(zip(g.positions, g.distances, strict=True)) for g in found]


def features(folders: list[Path], sheet: Path | None, backbone: str, planted: int) -> None:
    """Planted copies that features find among the whole set, and what they find without any."""
    row, recipe = resolve(Recipe(data=".", backbone=backbone))
    spec = TrunkSpec(
        row,
        input_spec(recipe),
        recipe.pooling,
        find_weights(row, recipe.weights, seed=0),
        int(recipe.feature_blocks),
    )
    engine = LiteRTTrunk(spec, Later(spec.build)).engine()

    def seen(files: list[bytes]) -> tuple[np.ndarray, np.ndarray]:
        outputs = engine.map(lambda data: read(data, spec.input), files)
        values = np.stack([output.features for output in outputs])
        return values, np.stack([thumbnail(read(data, spec.input)) for data in files])

    rows: list[_Row] = []
    print("| set | found as it is | " + " | ".join(_COPIES) + " |")
    for folder in folders:
        paths, pixels = zip(*_photos(folder), strict=True)
        values, pictures = seen([path.read_bytes() for path in paths])
        # As it is: every fifth is held out once, and groups are on one side as in a run.
        dataset = _dataset(list(paths))
        known = near_duplicates(dataset, _thumbnails(dataset, pictures))
        sides = {p: group.positions[0] for group in known for p in group.positions}
        fold = np.random.default_rng(0).integers(0, 5, len(paths))
        fold = fold[[sides.get(p, p) for p in range(len(paths))]]
        found = {}
        for number in range(5):
            held_out, rest = np.flatnonzero(fold == number), np.flatnonzero(fold != number)
            for pair in _across(list(paths), pictures, values, held_out, rest):
                found[tuple(sorted(pair[:2]))] = pair.distance
        for pair, distance in found.items():
            rows.append([(pixels[position], f"{distance:.4f}") for position in pair])
        shares = []
        chosen = np.random.default_rng(1).permutation(len(paths))[:planted]
        for make in _COPIES.values():
            new_values, new = seen([make(Image.fromarray(pixels[i])) for i in chosen])
            everything = (
                [*paths, *(paths[i] for i in chosen)],
                np.concatenate([pictures, new]),
                np.concatenate([values, new_values]),
            )
            planted_at = np.arange(len(paths), len(paths) + len(chosen))
            pairs = _across(*everything, planted_at, np.arange(len(paths)))
            hits = sum(chosen[pair.held_out - len(paths)] == pair.training for pair in pairs)
            shares.append(100 * hits / len(chosen))
        cells = " | ".join(f"{share:.0f}" for share in shares)
        print(f"| {folder.name} | {len(found)} | {cells} |", flush=True)
    _draw(rows, sheet)


def _across(
    paths: list[Path],
    pictures: np.ndarray,
    values: np.ndarray,
    held_out: np.ndarray,
    training: np.ndarray,
) -> list:
    dataset = _dataset(paths)
    sides = [
        Features(values[places], places, np.zeros_like(places)) for places in (training, held_out)
    ]
    return across_the_split(dataset, _thumbnails(dataset, pictures), *sides)


def timed() -> None:
    """Seconds of processor time (all threads) for thumbnails and for the search."""
    random = np.random.default_rng(0)
    for side in (224, 299):
        image = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        thumbnail(image)
        started = time.process_time()
        for _ in range(1000):
            thumbnail(image)
        print(f"thumbnail of {side} x {side}: {time.process_time() - started:.3f} ms")
    for count in (1000, 10_000, 50_000):
        pictures = random.integers(0, 256, (count, SIDE, SIDE, 3), dtype=np.uint8)
        dataset = _dataset([Path(str(n)) for n in range(count)])
        given = _thumbnails(dataset, pictures)
        began, started = time.perf_counter(), time.process_time()
        near_duplicates(dataset, given)
        print(
            f"{count} photos: {time.perf_counter() - began:.2f} s, "
            f"{time.process_time() - started:.2f} s of processor time",
            flush=True,
        )


def _draw(rows: list[_Row], sheet: Path | None) -> None:
    if sheet is None or not rows:
        return
    cells: list[tuple[np.ndarray, str] | None] = []
    for row in rows:
        # Long groups are cut: they are all alike.
        cells += [*row[:6], None]
    across = 18
    down = -(-len(cells) // across)
    image = Image.new("RGB", (across * _TILE, down * (_TILE + 12)), "white")
    draw = ImageDraw.Draw(image)
    for number, cell in enumerate(cells):
        if cell is not None:
            x, y = number % across * _TILE, number // across * (_TILE + 12)
            image.paste(Image.fromarray(cell[0]).resize((_TILE - 2, _TILE - 2)), (x, y))
            draw.text((x, y + _TILE - 2), cell[1], fill=0)
    image.save(sheet)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("copies", "groups", "crops", "features", "time"))
    parser.add_argument("folders", nargs="*", type=Path)
    parser.add_argument("--sheet", type=Path, help="picture of what was found")
    parser.add_argument("--backbone", default="mobilenet")
    parser.add_argument("--planted", type=int, default=60, help="copies of each kind, for features")
    arguments = parser.parse_args()
    if arguments.what == "copies":
        copies(arguments.folders)
    elif arguments.what == "groups":
        groups(arguments.folders, arguments.sheet)
    elif arguments.what == "crops":
        crops(arguments.folders, arguments.sheet)
    elif arguments.what == "features":
        features(arguments.folders, arguments.sheet, arguments.backbone, arguments.planted)
    else:
        timed()


if __name__ == "__main__":
    main()
