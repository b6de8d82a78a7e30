"""Whether the pixels that Grad-CAM marks are those that the network's answer rests on.

The most marked pixels become grey first, step by step, and the area under the curve of the class's
probability says how fast it falls: the smaller, the better the order (deletion: Petsiuk, Das and
Saenko 2018, "RISE", arXiv:1806.07421). The same is done in other orders, by single pixels and by
blocks: scattered pixels destroy an image in another way than areas do, so that only orders of the
same grain compare.

    CNNTRANSFER_WEIGHTS=../shared/weights python benchmarks/faithfulness.py \\
        --data ../shared/data/imagenet-check --models mobilenet resnet50
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnntransfer.explain import Options, get_method
from cnntransfer.explain.explanation import Photo
from cnntransfer.explain.occlusion import GREY
from cnntransfer.explain.subject import Subject
from cnntransfer.predict import expand

#: Steps from nothing deleted to all.
STEPS = 10
#: Sides of the areas that are deleted at once, in pixels: a place of the topmost maps is 32.
GRAINS = (1, 32)
RESAMPLES = 10_000

Scores = NDArray[np.float64]
#: Of a subject, a photo and a generator: a number for every pixel, (h, w), largest deleted first.
Order = Callable[[Subject, Photo, np.random.Generator], Scores]


def gradcam(subject: Subject, photo: Photo, random: np.random.Generator) -> Scores:
    """What ``cnntransfer explain --method gradcam`` marks."""
    found = get_method("gradcam").run(subject, [photo], Options())
    return np.asarray(found.arrays["heat"], np.float64)


def edges(subject: Subject, photo: Photo, random: np.random.Generator) -> Scores:
    """Sobel's gradient of the brightness."""
    grey = np.pad(photo.pixels.mean(axis=-1), 1, mode="edge")
    smooth = grey[:-2] + 2 * grey[1:-1] + grey[2:]
    across = smooth[:, 2:] - smooth[:, :-2]
    smooth = grey[:, :-2] + 2 * grey[:, 1:-1] + grey[:, 2:]
    down = smooth[2:] - smooth[:-2]
    return np.hypot(across, down)


def centre(subject: Subject, photo: Photo, random: np.random.Generator) -> Scores:
    """The middle of the picture first, where photographers put things."""
    height, width = photo.pixels.shape[:2]
    down, across = np.ogrid[:height, :width]
    return -np.hypot(down - (height - 1) / 2, across - (width - 1) / 2)


def at_random(subject: Subject, photo: Photo, random: np.random.Generator) -> Scores:
    """No order."""
    return random.random(photo.pixels.shape[:2])


ORDERS: Mapping[str, Order] = {
    "gradcam": gradcam,
    "edges": edges,
    "centre": centre,
    "random": at_random,
}


def in_blocks(scores: Scores, grain: int, random: np.random.Generator) -> NDArray[np.int64]:
    """The rank of every pixel, (h, w), 0 first: blocks by their mean, equal ones by chance."""
    height, width = scores.shape
    rows, columns = np.arange(height) // grain, np.arange(width) // grain
    block = rows[:, None] * (columns[-1] + 1) + columns
    count = np.bincount(block.ravel())
    means = np.bincount(block.ravel(), weights=scores.ravel()) / count
    order = np.lexsort((random.random(len(means)), -means))
    ranks = np.empty(len(means), np.int64)
    ranks[order] = np.arange(len(means))
    return ranks[block]


def deletion_areas(
    subject: Subject, photos: Sequence[Photo], orders: Mapping[str, Order], grains: Sequence[int]
) -> dict[tuple[str, int], NDArray[np.float64]]:
    """The area under each photo's deletion curve, in 0..1, by order and grain; shape (photos,).

    The class is the most probable one of the whole photo.
    """
    found: dict[tuple[str, int], list[float]] = {(o, g): [] for o in orders for g in grains}
    for number, photo in enumerate(photos):
        random = np.random.default_rng(number)
        images = [photo.pixels, np.full_like(photo.pixels, GREY)]
        for order in orders.values():
            scores = order(subject, photo, random)
            for grain in grains:
                ranks = in_blocks(scores, grain, random)
                blocks = ranks.max() + 1
                for step in range(1, STEPS):
                    deleted = ranks < round(blocks * step / STEPS)
                    images.append(np.where(deleted[..., None], np.uint8(GREY), photo.pixels))
        rows = np.stack(list(subject.probabilities(images)))
        curve = rows[:, rows[0].argmax()]
        start, end, *inner = np.split(curve, [1, 2, *range(2 + STEPS - 1, len(curve), STEPS - 1)])
        for key, values in zip(found, inner, strict=True):
            whole = np.concatenate([start, values, end]).astype(np.float64)
            found[key].append(float(np.trapezoid(whole, dx=1 / STEPS)))
    return {key: np.array(areas) for key, areas in found.items()}


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean, and the ends of its 95 % interval from bootstrap resamples of the photos."""
    random = np.random.default_rng(0)
    chosen = random.integers(0, len(values), (RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


def photos_of(subject: Subject, folder: Path, every: int = 1) -> list[Photo]:
    """The photos of a folder as the network sees them, in order of their names."""
    return list(subject.photos(expand([str(folder)])[::every]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="a folder of photos")
    parser.add_argument("--models", nargs="+", default=["mobilenet", "resnet50"])
    parser.add_argument("--every", type=int, default=1, help="only every nth photo")
    arguments = parser.parse_args()
    print("| network | pixels at once | order | area under the curve | Grad-CAM less, per photo |")
    print("|---|---|---|---|---|")
    for name in arguments.models:
        subject = Subject.open(name)
        photos = photos_of(subject, arguments.data, arguments.every)
        started = time.perf_counter()
        areas = deletion_areas(subject, photos, ORDERS, GRAINS)
        for (order, grain), values in areas.items():
            less = _text(interval(values - areas["gradcam", grain])) if order != "gradcam" else ""
            size = f"{grain}×{grain}"
            print(f"| {name} | {size} | {order} | {_text(interval(values))} | {less} |", flush=True)
        seconds = time.perf_counter() - started
        print(f"# {name}: {len(photos)} photos, {seconds:.0f} s")


def _text(figures: tuple[float, float, float]) -> str:
    return "{:.3f} ({:.3f}..{:.3f})".format(*figures)


if __name__ == "__main__":
    main()
