"""What a bundle's ``predictions.csv`` says of the images that were held out of its training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .bundle import Bundle


@dataclass(frozen=True)
class HeldOut:
    """Predictions of the held-out images of a run.

    Attributes:
        files: Names as all tables of the bundle have them.
        subsets: ``val`` or ``test``.
        labels: int64, shape (n,): the right classes.
        predicted: int64, shape (n,): the most probable classes.
        probabilities: float64, shape (n, classes).
    """

    files: tuple[str, ...]
    subsets: tuple[str, ...]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    probabilities: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.files)

    def of(self, subset: str) -> HeldOut:
        """Those of one subset."""
        places = [i for i, name in enumerate(self.subsets) if name == subset]
        return HeldOut(
            tuple(self.files[i] for i in places),
            tuple(self.subsets[i] for i in places),
            self.labels[places],
            self.predicted[places],
            self.probabilities[places],
        )


def read_held_out(bundle: Bundle, class_names: Sequence[str]) -> HeldOut:
    """Read a bundle's held-out predictions.

    Raises:
        BundleError: the table is missing or damaged.
    """
    index = {name: number for number, name in enumerate(class_names)}
    columns = [f"p_{name}" for name in class_names]
    rows = bundle.read_table("predictions", "file", "subset", "label", "predicted", *columns)
    labels = np.empty(len(rows), np.int64)
    predicted = np.empty(len(rows), np.int64)
    probabilities = np.empty((len(rows), len(columns)), np.float64)
    for place, row in enumerate(rows):
        try:
            labels[place], predicted[place] = index[row["label"]], index[row["predicted"]]
            probabilities[place] = [float(row[column]) for column in columns]
        except KeyError as error:
            raise bundle.damaged_table(
                "predictions", f"line {place + 2} has the unknown class {error.args[0]!r}"
            ) from None
        except ValueError:
            probabilities[place] = np.nan
        if not np.isfinite(probabilities[place]).all():
            raise bundle.damaged_table("predictions", f"line {place + 2} lacks a probability")
    return HeldOut(
        tuple(row["file"] for row in rows),
        tuple(row["subset"] for row in rows),
        labels,
        predicted,
        probabilities,
    )
