"""How the runs of models split their images, and which of other images those are, by content."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from .bundle import Bundle
from .data.index import SUBSET_NAMES
from .errors import DataError, counted, nearest
from .progress import Observer

#: Model -> the subsets that its run had an image in: none, one, or for copies that the user put
#: into several, all of them. Models that do not tell are not in it.
Known = Mapping[str, frozenset[str]]

_SUBSETS = ("train", "val", "test")


class OwnSplits:
    """How the run of every model split its images.

    Args:
        bundles: The models by name. A bundle without a list of its run's images does not tell.

    Raises:
        BundleError: a list is damaged.
    """

    def __init__(self, bundles: Mapping[str, Bundle]) -> None:
        self.models = tuple(bundles)
        self._splits = {
            name: _read(bundle) for name, bundle in bundles.items() if bundle.has_table("splits")
        }

    def __bool__(self) -> bool:
        return bool(self._splits)

    @property
    def whose(self) -> str:
        """``"the model's"``, or of several ``"the models'"``."""
        return "the model's" if len(self.models) == 1 else "the models'"

    def tells(self, model: str) -> bool:
        """Whether a model tells what it was trained on."""
        return model in self._splits

    @cached_property
    def common(self) -> frozenset[str]:
        """The subsets that the runs of all models had; none if one does not tell."""
        if not self._splits or len(self._splits) < len(self.models):
            return frozenset()
        return frozenset.intersection(
            *(frozenset().union(*split.values()) for split in self._splits.values())
        )

    def look_up(self, data: bytes) -> Known:
        """The runs' subsets of an image, by the bytes of its file."""
        if not self:
            return {}
        digest = hashlib.sha256(data).hexdigest()
        return {name: split.get(digest, frozenset()) for name, split in self._splits.items()}

    def subset(self, wanted: str, source: Path) -> str:
        """The subset of all models' runs that is meant, for a source that has none.

        Raises:
            DataError: a model does not tell, or there is no such subset in all of them.
        """
        if silent := [name for name in self.models if not self.tells(name)]:
            raise DataError(
                f"--subset: expected models with a split of their own, because {source} has none. "
                f"Received: {', '.join(silent)}, without one. Leave --subset or "
                f"{'that model' if len(silent) == 1 else 'those models'} out."
            )
        name = SUBSET_NAMES.get(wanted.lower())
        if name is None or name not in self.common:
            names = [known for known in _SUBSETS if known in self.common]
            raise DataError(
                f"--subset: expected one of {self.whose} own subsets ({', '.join(names)}), because "
                f"{source} has none. Received: {wanted!r}.{nearest(wanted, names)}"
            )
        return name


class Tally:
    """Which images the models' runs have seen, counted while they are judged.

    Args:
        splits: The runs' splits.
        wanted: The runs' subset whose images are judged; ``None``: images are judged whatever
            the runs had them in.
    """

    def __init__(self, splits: OwnSplits, wanted: str | None) -> None:
        self._splits = splits
        self._wanted = wanted
        self._trained_on: Counter[str] = Counter()
        #: How many images were looked at; are in the wanted subset of all models; of some models
        #: only; are in no subset of any model.
        self._images = self._chosen = self._of_some = self._unseen = 0
        #: The subsets that any image is in for all models.
        self._common: set[str] = set()

    def chooses(self, known: Known) -> bool:
        """Whether an image is to be judged."""
        if self._wanted is None:
            return True
        return bool(known) and all(self._wanted in names for names in known.values())

    def add(self, known: Known, *, is_judged: bool) -> None:
        """Count an image.

        Args:
            known: What the runs had it in; empty for a file that cannot be read.
            is_judged: Whether it was wanted and readable.
        """
        has_it = [self._wanted in names for names in known.values()]
        self._images += 1
        self._chosen += any(has_it) and all(has_it)
        self._of_some += any(has_it) and not all(has_it)
        self._unseen += not any(known.values())
        if len(known) == len(self._splits.models):  # Else no --subset is one of all models.
            self._common |= frozenset.intersection(*known.values())
        if is_judged:
            self._trained_on.update(name for name, names in known.items() if "train" in names)

    def trained_on(self, model: str) -> int | None:
        """How many judged images a model's run had trained on; ``None`` where it does not tell."""
        return self._trained_on[model] if self._splits.tells(model) else None

    def report_left_out(self, source: Path, observer: Observer) -> None:
        """Say which images of a source are not in the wanted subset.

        Raises:
            DataError: none of them is.
        """
        whose = self._splits.whose
        if not self._chosen:
            raise DataError(
                f"--subset: expected images of {whose} own subset {self._wanted!r} in {source}. "
                f"Received: {counted(self._images, 'image')}, none of them one of those, byte for "
                "byte. To measure on all of them, leave --subset out."
            )
        if self._unseen:
            observer.note(
                f"{counted(self._unseen, 'image')} left out: in none of {whose} own subsets"
            )
        if self._of_some:
            observer.note(
                f"{counted(self._of_some, 'image')} left out: in {self._wanted!r} of some of the "
                "models, but not of all, as their own splits differ"
            )

    def report_training(self, judged: int, observer: Observer, *, can_choose: bool) -> None:
        """Say how many of the judged images every model was trained on, and what to do about it.

        Args:
            judged: How many images were judged.
            observer: Hears of it.
            can_choose: Whether ``--subset`` could choose one of the runs' subsets instead.
        """
        choices = self._common if can_choose else ()
        better = next((name for name in ("test", "val") if name in choices), None)
        advice = (
            f"For the held-out images only: --subset {better}"
            if better
            else "Measure on images that the model has not seen."
        )
        for model in self._splits.models:
            if number := self._trained_on[model]:
                prefix = f"{model}: " if len(self._splits.models) > 1 else ""
                observer.note(
                    f"{prefix}{number} of {counted(judged, 'image')} "
                    f"{'was' if number == 1 else 'were'} trained on, so the figures flatter. "
                    f"{advice}"
                )


def _read(bundle: Bundle) -> dict[str, frozenset[str]]:
    """Digest of an image's file -> its subsets."""
    split: dict[str, set[str]] = {}
    for row in bundle.read_table("splits", "subset", "digest"):
        split.setdefault(row["digest"], set()).add(row["subset"])
    return {digest: frozenset(names) for digest, names in split.items()}
