"""The checkpoint of a run: what it needs to go on after it was stopped.

A folder beside the output, there only while the run is not finished::

    runs/x.unfinished/recipe.yaml   for reading, and for starting again
    runs/x.unfinished/run.npz       the recipe with everything settled, the images, the weights
    runs/x.unfinished/stage1.npz    how far a stage is, or what came out of it

Every file is complete or absent. A stage's file that is damaged counts as absent: that stage is
done again, with the same result. Features and activations are not here, they are in the cache.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from numpy.typing import NDArray

from ..data.dataset import Dataset
from ..errors import OutputError, TrainingError, UsageError, WeightsError
from ..progress import SILENT, Observer
from ..recipe import Recipe, Stage
from ..storage import atomic_folder, discard
from .checkpoint import Checkpoint, FitState, Rows, StageCheckpoint
from .checkpoint_file import DAMAGE, Arrays, read_arrays, write_arrays
from .learner import MODEL, Holder
from .precision import Choice
from .resumption import (
    RECIPE,
    RUN,
    afresh,
    check_images,
    check_recipe,
    images_of,
    nothing_to_resume,
    output_of,
    resume_command,
    unfinished,
)

#: A stage is not written more often than that ...
INTERVAL = 5.0
#: ... and writing takes at most this share of the time.
_SHARE = 0.05

_BEST = "best"


class CheckpointFolder(Checkpoint):
    """The checkpoint of one output. As a context, it goes when the run in the block has finished.

    Nothing is written before there is something to keep; that then replaces the checkpoint of an
    earlier run with the same output.

    Args:
        output: The run's output.
        overwrite: Whether the run may replace it.
        observer: Hears of what is kept and what cannot be.
    """

    def __init__(
        self, output: Path, *, overwrite: bool = False, observer: Observer = SILENT
    ) -> None:
        self.output = output
        self.overwrite = overwrite
        #: The one that training began with, with everything settled so far.
        self.recipe = Recipe()
        #: What the arithmetic of a run that goes on was compared on.
        self.choice: Choice | None = None
        #: Whether the run goes on from what was kept of it.
        self.is_resumed = False
        #: The range tests of its stages, see :data:`cnntransfer.training.rates.RATE_COLUMNS`.
        self.rates: Rows = []
        self._folder = unfinished(output)
        self._observer = observer
        self._facts: dict[str, Any] = {}
        self._is_written = False
        self._reached = ""
        self._failed = False
        self._made: list[Path] = []

    @classmethod
    def open(cls, output: Path, observer: Observer = SILENT) -> CheckpointFolder:
        """The checkpoint that a run was stopped at.

        Args:
            output: The run's output, or the checkpoint's folder.
            observer: See the class.

        Raises:
            UsageError: there is none, or its recipe was changed.
            OutputError: the run has finished, or the checkpoint is damaged.
        """
        output = output_of(output)
        checkpoint = cls(output, observer=observer)
        folder = checkpoint._folder
        if not (folder / RUN).is_file():
            raise nothing_to_resume(output)
        try:
            facts, arrays = read_arrays(folder / RUN)
            recipe = Recipe.from_dict(facts["recipe"])
            checkpoint.overwrite, checkpoint.rates = facts["overwrite"], facts["rates"]
            if facts["sample"]:
                choice = Choice(recipe.precision, tuple(facts["sample"]), arrays["features"])
                checkpoint.choice = choice
        except (*DAMAGE, UsageError):
            raise OutputError(
                f"Expected what a run needs to go on. Received: {folder / RUN}, which is damaged "
                f"or of another version. {afresh(output)}"
            ) from None
        if output.exists() and not checkpoint.overwrite:
            raise OutputError(
                f"Expected an unfinished run. Received: {output}, which is there already: finished "
                f"or made by another run. Use it, and delete {folder}; or move it away."
            )
        check_recipe(recipe, output)
        checkpoint.recipe = recipe
        checkpoint._facts = facts
        checkpoint.is_resumed = checkpoint._is_written = True
        checkpoint._reached = checkpoint._last_reached() or "the beginning of training"
        return checkpoint

    def __enter__(self) -> CheckpointFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or (self._is_written and isinstance(error, TrainingError)):
            self._remove()  # After an error too: it would come again.
        elif self._reached and isinstance(error, (KeyboardInterrupt, OutputError)):
            error.args = (
                f"{str(error) or 'Interrupted.'} Training is kept up to {self._reached}; go on "
                f"with: {resume_command(self.output)}",
            )

    def check(self, dataset: Dataset, trunk: Mapping[str, Any]) -> None:
        """Check that a run that goes on has the images and the network it began with.

        Args:
            dataset: The images with their subsets.
            trunk: What decides the network's numbers, as plain values.

        Raises:
            DataError: the images are others.
            WeightsError: the pretrained weights are.
        """
        facts = {"images": images_of(dataset), "trunk": json.loads(json.dumps(trunk))}
        if self._is_written:
            check_images(self._facts["images"], facts["images"], self.output)
            before, now = self._facts["trunk"], facts["trunk"]
            if before["weights"] != now["weights"]:
                raise WeightsError(
                    "Expected the pretrained weights that the run began with (SHA-256 "
                    f"{before['weights'][:12]}...). Received: others ({now['weights'][:12]}...). "
                    f"Put them back. {afresh(self.output)}"
                )
            if before != now:
                self._observer.note(
                    "Other versions of TensorFlow, Keras, LiteRT or Pillow than the run began "
                    "with: its figures may differ slightly from those without an interruption."
                )
            self._observer.note(f"Going on after {self._reached}")
        elif (self._folder / RUN).is_file():
            self._observer.note(
                f"{self._folder} holds an unfinished run, which this one replaces. To "
                f"go on with that one instead: {resume_command(self.output)}"
            )
        self._facts = facts

    def begin(self, recipe: Recipe, choice: Choice) -> None:
        """Training begins; or goes on, if it is with the recipe that the checkpoint has.

        Args:
            recipe: With everything settled but what a stage settles itself.
            choice: The arithmetic of the features, and what it was compared on.
        """
        before = self.choice or Choice(self.recipe.precision)
        if (recipe, choice.sample) != (self.recipe, before.sample):
            self.recipe, self.choice, self.rates = recipe, choice, []
            self._is_written = False
            self._reached = ""

    def settle_stage(self, stage: Stage, rates: Rows) -> None:
        """See :class:`Checkpoint`."""
        self.rates += rates
        stages = tuple(stage if s.name == stage.name else s for s in self.recipe.stages)
        self._settle(dataclasses.replace(self.recipe, stages=stages))

    def stage(self, stage: Stage) -> StageCheckpoint:
        """See :class:`Checkpoint`."""
        number = [s.name for s in self.recipe.stages].index(stage.name) + 1
        file = self._folder / f"stage{number}.npz"
        return _StageFile(self, stage.name, file, self._observer, is_begun=self._is_written)

    def write(self, file: Path, meta: Mapping[str, Any], arrays: Arrays, reached: str) -> None:
        """Write a file of the checkpoint. A disk that is full or read-only does not stop the run.

        Args:
            file: Where to.
            meta: Plain values.
            arrays: What else.
            reached: Up to where training is kept then, for people.
        """

        def write() -> None:
            if not self._is_written:
                self._made = [place for place in self._folder.parents if not place.exists()]
                with atomic_folder(self._folder, overwrite=True, marker=RUN) as draft:
                    (draft / RECIPE).write_text(self.recipe.to_yaml(), encoding="utf-8")
                    self._write_run(draft)
                self._is_written = True
            write_arrays(file, meta, arrays)

        self._keep(write, reached)

    def _settle(self, recipe: Recipe) -> None:
        is_news = recipe != self.recipe
        self.recipe = recipe
        if is_news and self._is_written:
            self._keep(lambda: self._write_run(self._folder), self._reached)

    def _keep(self, write: Callable[[], None], reached: str) -> None:
        try:
            write()
        except (OSError, OutputError) as error:
            if not self._failed:
                self._observer.note(f"An interruption would lose what is trained now: {error}")
            self._failed = True
        else:
            self._reached = reached

    def _write_run(self, folder: Path) -> None:
        choice = self.choice or Choice(self.recipe.precision)
        facts = {
            **self._facts,
            "recipe": self.recipe.to_dict(),
            "overwrite": self.overwrite,
            "sample": list(choice.sample),
            "rates": self.rates,
        }
        write_arrays(
            folder / RUN, facts, {} if choice.features is None else {"features": choice.features}
        )

    def _last_reached(self) -> str:
        reached = ""
        for file in sorted(self._folder.glob("stage*.npz")):
            with suppress(*DAMAGE):
                reached = str(read_arrays(file, only_meta=True)[0]["reached"])
        return reached

    def _remove(self) -> None:
        if (self._folder / RUN).is_file():
            discard(self._folder)
            for place in self._made:
                with suppress(OSError):  # Something else is in it: the output.
                    place.rmdir()


class _StageFile(StageCheckpoint):
    """A stage's file. What it holds is read when it is first needed."""

    def __init__(
        self,
        checkpoint: CheckpointFolder,
        name: str,
        file: Path,
        observer: Observer,
        *,
        is_begun: bool,
    ) -> None:
        self._checkpoint = checkpoint
        self._name = name
        self._file = file
        self._observer = observer
        self._next = time.monotonic() + INTERVAL
        self._meta: dict[str, Any] = {}
        self._arrays: Arrays = {}
        if is_begun and file.is_file():
            try:
                self._meta, self._arrays = read_arrays(file)
            except DAMAGE:
                self._begin_again("is damaged")

    @property
    def model_name(self) -> str:
        return "" if self._meta.get("finished", True) else str(self._meta["model"])

    def restore(self, holder: Holder) -> FitState | None:
        if not self.model_name:
            return None
        if self.model_name != holder.name:
            raise OutputError(
                f"Expected room in the cache for the activations that stage {self._name!r} began "
                "with. Received: no room. Make room, or raise CNNTRANSFER_CACHE_LIMIT."
            )
        best = self._take(_BEST)
        if not self._put(holder, self._meta["groups"]):
            return None
        return FitState(**self._meta["state"], best_weights=best)

    def save(self, holder: Holder, state: FitState) -> None:
        started = time.monotonic()
        if started < self._next:
            return
        values = {name: value for name, value in vars(state).items() if name != "best_weights"}
        reached = f"epoch {len(state.history)} of stage {self._name!r}"
        groups = holder.arrays()
        self._write(
            {"finished": False, "model": holder.name, "state": values, "groups": list(groups)},
            {**groups, _BEST: state.best_weights},
            reached,
        )
        now = time.monotonic()
        self._next = now + max(INTERVAL, (now - started) / _SHARE)

    def once(self, holder: Holder, work: Callable[[], Rows]) -> Rows:
        if self._meta.get("finished") and self._put(holder, [MODEL]):
            return list(self._meta["history"])
        rows = work()
        self._write(
            {"finished": True, "history": rows},
            {MODEL: holder.arrays()[MODEL]},
            f"the end of stage {self._name!r}",
        )
        return rows

    def _write(
        self, meta: Mapping[str, Any], lists: Mapping[str, Sequence[Any]], reached: str
    ) -> None:
        arrays = {f"{name}{i}": array for name in lists for i, array in enumerate(lists[name])}
        self._checkpoint.write(self._file, {**meta, "reached": reached}, arrays, reached)

    def _put(self, holder: Holder, groups: Sequence[str]) -> bool:
        """Give the holder the numbers that were kept; whether these are its own."""
        if not holder.put({name: self._take(name) for name in groups}):
            self._begin_again("is of another version of Keras")
            return False
        self._arrays = {}
        return True

    def _begin_again(self, reason: str) -> None:
        self._meta, self._arrays = {}, {}
        self._observer.note(f"{self._file} {reason}: stage {self._name!r} is done once more.")

    def _take(self, name: str) -> list[NDArray[Any]]:
        count = sum(key.rstrip("0123456789") == name for key in self._arrays)
        return [self._arrays[f"{name}{number}"] for number in range(count)]
