"""Bundles as runs write them, without the run: any classes, photos and predictions, no models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnntransfer.bundle import Bundle
from cnntransfer.metrics import figures
from cnntransfer.recipe import Recipe

#: Names that would break a page or a table that does not expect them.
ODD_NAMES = (
    "<script>alert(1)</script>",
    "日本語",
    "a|b *c* _d_ [e](http://f) `g`",
    "\"quoted' & <b>bold</b>",
    "long " * 16,
    "قطة",
)

#: Makes the picture of a photo, given its number and the number of its class.
Draw = Callable[[int, int], Image.Image]


def draw(number: int, label: int) -> Image.Image:
    """A small picture, another one for every number."""
    random = np.random.default_rng(number)
    colour = np.random.default_rng(label).integers(60, 200, 3)
    coarse = random.normal(0, 30, (6, 8, 3)) + colour
    return Image.fromarray(np.clip(coarse, 0, 255).astype(np.uint8)).resize((80, 60))


def make_run(
    folder: Path,
    class_names: Sequence[str] = ("bee", "fly", "wasp"),
    *,
    train: int = 30,
    val: int = 20,
    test: int = 40,
    accuracy: float = 0.8,
    suspects: int = 0,
    groups: int = 0,
    rejected: int = 0,
    recipe: Recipe | None = None,
    draw: Draw = draw,
    seed: int = 0,
) -> Bundle:
    """Write photos and the bundle of a run over them, as far as a report reads it.

    Args:
        folder: Gets ``photos/`` and ``run/``.
        class_names: The classes; photos lie in folders by number, so that any name will do.
        train: Photos of that subset; likewise the next two.
        val: Validation photos.
        test: Test photos.
        accuracy: Share of held-out photos that are right, about.
        suspects: Rows of suspects.csv, a fifth of them doubtful; 0 for no such file.
        groups: Groups of near_duplicates.csv; 0 for no such file.
        rejected: Rows of rejected.csv.
        recipe: Settings of the run.
        draw: Makes the photos.
        seed: Other predictions.
    """
    random = np.random.default_rng(seed)
    photos, names = folder / "photos", list(class_names)
    subsets = ["train"] * train + ["val"] * val + ["test"] * test
    labels = np.arange(len(subsets)) % len(names)
    rows = []
    for number, (subset, label) in enumerate(zip(subsets, labels, strict=True)):
        path = photos / f"{label}" / f"photo{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(number, int(label)).save(path, quality=85)
        rows.append(
            {
                "file": path.relative_to(photos).as_posix(),
                "label": names[label],
                "subset": subset,
                "digest": hashlib.sha256(path.read_bytes()).hexdigest(),
            }
        )
    bundle = Bundle(folder / "run")
    bundle.path.mkdir()
    recipe = recipe or Recipe(image_size=(64, 64)).override({"stages.head.views": 1})
    recipe = recipe.override({"data": str(photos)})
    held_out = np.flatnonzero(np.array(subsets) != "train")
    probabilities = _probabilities(labels[held_out], len(names), accuracy, random)
    metrics = {}
    for subset in ("val", "test"):
        chosen = np.array([subsets[i] == subset for i in held_out], dtype=bool)
        if chosen.any():
            judged = figures(names, labels[held_out][chosen], probabilities[chosen])
            metrics[subset] = judged.to_dict()
    bundle.write_labels(names)
    bundle.write_recipe(recipe.to_yaml())
    bundle.write_table("history", _HISTORY, _history())
    bundle.write_table("splits", ("file", "label", "subset", "digest"), rows)
    bundle.write_table(
        "rejected",
        ("file", "reason"),
        [{"file": f"broken{i}.jpg", "reason": "is empty (0 bytes)"} for i in range(rejected)],
    )
    bundle.write_table(
        "predictions",
        ("file", "subset", "label", "predicted", *(f"p_{name}" for name in names)),
        [
            {
                **{key: rows[place][key] for key in ("file", "subset", "label")},
                "predicted": names[int(p.argmax())],
                **{f"p_{name}": f"{value:.6g}" for name, value in zip(names, p, strict=True)},
            }
            for place, p in zip(held_out, probabilities, strict=True)
        ],
    )
    if suspects:
        bundle.write_table(
            "suspects",
            ("file", "label", "subset", "suggested", "p_label", "p_suggested", "confident"),
            [
                {
                    **{key: row[key] for key in ("file", "label", "subset")},
                    "suggested": names[(i + 1) % len(names)],
                    "p_label": "0.02",
                    "p_suggested": "0.93",
                    "confident": "no" if i % 5 == 4 else "yes",
                }
                for i, row in enumerate(rows[:suspects])
            ],
        )
    if groups:
        bundle.write_table(
            "near_duplicates",
            ("group", "file", "label", "subset", "distance", "by"),
            [
                {
                    "group": i // 2,
                    **{key: row[key] for key in ("file", "label", "subset")},
                    "distance": i % 2,
                    "by": "pixels",
                }
                for i, row in enumerate(rows[: 2 * groups])
            ],
        )
    bundle.write_metadata(_metadata(names, rows, metrics, recipe, rejected))
    return Bundle.open(bundle.path)


def _probabilities(
    labels: NDArray[np.int64], classes: int, accuracy: float, random: np.random.Generator
) -> NDArray[np.float32]:
    """Rows of probabilities; a wrong answer is mostly the next class."""
    said = labels.copy()
    wrong = random.random(len(labels)) > accuracy
    said[wrong] = (labels[wrong] + random.geometric(0.6, wrong.sum())) % classes
    logits = random.normal(0, 1, (len(labels), classes))
    logits[np.arange(len(labels)), said] = logits.max(axis=1) + random.exponential(3, len(labels))
    odds = np.exp(logits)
    return (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32)


_HISTORY = (
    "stage",
    "epoch",
    "loss",
    "accuracy",
    "val_loss",
    "val_accuracy",
    "learning_rate",
    "l2",
    "seconds",
)


def _history() -> list[dict[str, Any]]:
    return [
        {
            "stage": "head" if epoch < 12 else "finetune",
            "epoch": epoch + 1 if epoch < 12 else epoch - 11,
            "loss": 1.6 * 0.87**epoch,
            "accuracy": 1 - 0.6 * 0.85**epoch,
            "val_loss": 1.5 * 0.9**epoch + 0.25,
            "val_accuracy": 0.82 - 0.45 * 0.85**epoch,
            "learning_rate": 0.001,
            "l2": 0.0,
            "seconds": 0.1,
        }
        for epoch in range(20)
    ]


def _metadata(
    names: Sequence[str],
    rows: Sequence[dict[str, Any]],
    metrics: dict[str, Any],
    recipe: Recipe,
    rejected: int,
) -> dict[str, Any]:
    counts: dict[str, dict[str, int]] = {}
    for row in rows:
        by_class = counts.setdefault(row["subset"], {})
        by_class[row["label"]] = by_class.get(row["label"], 0) + 1
    return {
        "created": "2026-01-02T03:04:05+00:00",
        "backbone": "mobilenet",
        "weights": {"source": "built-in", "file": "x.h5", "sha256": "0" * 64, "license": "Free"},
        "input": {"height": 64, "width": 64, "resize": "stretch"},
        "output": {"classes": len(names)},
        "versions": {"cnntransfer": "0.1.0", "python": "3.11.7"},
        "dataset": {
            "source": recipe.data,
            "fingerprint": "1" * 64,
            "images": counts,
            "rejected": rejected,
            "ignored": 0,
        },
        "metrics": metrics,
        "calibration": {"temperature": 1.4, "test": {"before": 0.081, "after": 0.032}},
        "seconds": {"read images": 0.8, "compute features": 2.5, "train": 0.4, "evaluate": 0.1},
    }
