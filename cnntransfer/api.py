"""The same verbs from Python: ``finetune``, ``load``, and what a run can do."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from .bundle import Bundle
from .evaluate import MISTAKES
from .progress import SILENT, Observer
from .recipe import Recipe
from .recipe import preset as preset_settings

if TYPE_CHECKING:
    from .comparison import Comparison
    from .engines.litert import LiteRTEngine
    from .evaluate import BundleEvaluation
    from .explain.explanation import Explanation
    from .explain.subject import Subject
    from .export import Export
    from .models.anatomy import Anatomy
    from .novelty import Novelty
    from .predict import Prediction
    from .reproduction import Reproduction

PathLike = str | os.PathLike[str]


class Run:
    """A classifier that was trained, or opened from its bundle.

    Attributes:
        bundle: The folder it lives in.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r}, {len(self.class_names)} classes)"

    @property
    def path(self) -> Path:
        """The bundle's folder."""
        return self.bundle.path

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the probabilities."""
        return self.bundle.class_names

    @property
    def metrics(self) -> Mapping[str, Any]:
        """Figures of the held-out subsets, such as ``run.metrics["val"]["accuracy"]``."""
        figures: Mapping[str, Any] = self.bundle.metadata.get("metrics", {})
        return figures

    @overload
    def predict(  # type: ignore[overload-overlap]
        self, images: PathLike, *, unknown: float | str | None = None
    ) -> Prediction: ...
    @overload
    def predict(
        self, images: Iterable[PathLike], *, unknown: float | str | None = None
    ) -> list[Prediction]: ...
    def predict(
        self, images: PathLike | Iterable[PathLike], *, unknown: float | str | None = None
    ) -> Prediction | list[Prediction]:
        """Predict one image file, or several files, folders and globs.

        Args:
            images: The files.
            unknown: Call images ``"unknown"`` that are far from the training images: the share
                of images like those, in 0..1, that may be called so, too; ``"auto"`` is 0.05.

        Returns:
            One :class:`~cnntransfer.predict.Prediction` for one file, else a list of them; an
            unreadable image among several is a prediction with ``rejected``.

        Raises:
            ImageError: the one image cannot be read.
            DataError: something does not exist.
            UsageError: ``unknown`` is no such share.
            BundleError: the bundle has nothing to tell the unknown by.
        """
        from .errors import ImageError
        from .novelty import Boundary, rate_of
        from .predict import expand, predict

        boundary = None if unknown is None else Boundary(self._novelty, rate_of("unknown", unknown))
        if isinstance(images, (str, os.PathLike)):
            path = Path(images).expanduser()
            if not path.is_dir():
                (prediction,) = predict(self.bundle, [path], self._engine, boundary)
                if prediction.rejected is not None:
                    raise ImageError(prediction.rejected, path)
                return prediction
            images = [path]
        paths = expand(Path(image).expanduser() for image in images)
        return list(predict(self.bundle, paths, self._engine, boundary))

    @cached_property
    def _novelty(self) -> Novelty:
        """Loaded once, when it is first asked for."""
        from .novelty import Novelty

        return Novelty.open(self.bundle)

    @cached_property
    def _engine(self) -> LiteRTEngine:
        """Loaded once, however often :meth:`predict` is called."""
        from .engines.litert import LiteRTEngine
        from .parallel import available_cores

        return LiteRTEngine(self.bundle.litert_files, available_cores())

    def evaluate(
        self, data: PathLike, subset: str | None = None, *, mistakes: int = MISTAKES
    ) -> BundleEvaluation:
        """Measure on labelled images; see :func:`cnntransfer.evaluate.evaluate`."""
        from .evaluate import evaluate

        return evaluate(self.bundle, Path(data).expanduser(), subset, mistakes=mistakes)

    def explain(
        self,
        images: PathLike | Iterable[PathLike] = (),
        method: str = "gradcam",
        **options: Any,
    ) -> list[Explanation]:
        """Look into the network; see :mod:`cnntransfer.explain`.

        Args:
            images: Files, folders and globs; none for ``filters``.
            method: One of :data:`cnntransfer.explain.METHODS`.
            **options: See :class:`cnntransfer.explain.Options`; ``target`` is the class.

        Returns:
            One explanation per image, or a single one where the method takes all together. Their
            numbers are in ``arrays``; :class:`cnntransfer.explain.files.Folder` writes them.

        Raises:
            UsageError: there is no such method, option, class or layer.
            DataError: something does not exist, or an image cannot be read.
        """
        from .explain import get_method
        from .predict import expand

        chosen = get_method(method)
        wanted = chosen.options(options)
        given = [images] if isinstance(images, (str, os.PathLike)) else list(images)
        chosen.check_images(given)
        paths = expand(Path(image).expanduser() for image in given)
        return list(chosen.explanations(self._subject, self._subject.photos(paths), wanted))

    @cached_property
    def _subject(self) -> Subject:
        """Loaded once, when it is first looked into."""
        from .explain.subject import Subject

        return Subject.of_bundle(self.bundle)

    def report(
        self,
        output: PathLike | None = None,
        data: PathLike | None = None,
        *,
        explain: str | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write the report anew: one page of HTML that needs nothing else.

        Args:
            output: The page; default: the bundle's own, and its model card.
            data: Folder or manifest of the photos, where they lie elsewhere now.
            explain: Show what it looked at where it was wrong, by a method such as ``gradcam``.
            overwrite: Whether a page at ``output`` may be replaced.

        Returns:
            The page.

        Raises:
            UsageError: there is no such method.
            BundleError: no run wrote the bundle, or it is damaged.
            OutputError: the page exists and may not be replaced, cannot be written, or would lie
                among the photos.
        """
        from .explain.methods import class_method
        from .explain.overlays import look
        from .report import Subject, gather, write_into, write_page

        photos = None if data is None else Path(data).expanduser()
        way = None if explain is None else look(self._subject, class_method(explain))
        report = gather(Subject.of(self.bundle, photos), way)
        if output is None:
            write_into(self.bundle, report)
            return self.bundle.report_file
        target = Path(output).expanduser()
        write_page(report, target, overwrite=overwrite)
        return target

    def export(self, format: str, output: PathLike, *, overwrite: bool = False) -> Export:
        """Write for another runtime; see :func:`cnntransfer.export.export`."""
        from .export import export

        target = Path(output).expanduser()
        return export(self.bundle, format, target, overwrite=overwrite)

    def inspect(self) -> Anatomy:
        """Take the classifier apart, layer by layer; see :mod:`cnntransfer.models.anatomy`."""
        from .inspect.network import of_bundle

        return of_bundle(self.bundle)

    def reproduce(
        self,
        data: PathLike | None = None,
        output: PathLike | None = None,
        *,
        overwrite: bool = False,
        observer: Observer = SILENT,
    ) -> Reproduction:
        """Train again as it was trained; see :func:`cnntransfer.reproduce.reproduce`."""
        from .reproduce import reproduce

        return reproduce(
            self.bundle,
            None if data is None else Path(data).expanduser(),
            None if output is None else Path(output).expanduser(),
            overwrite=overwrite,
            observer=observer,
        )


def finetune(
    data: PathLike | None = None,
    output: PathLike | None = None,
    *,
    recipe: Recipe | None = None,
    preset: str | None = None,
    overwrite: bool = False,
    lr_find: bool = False,
    tensorboard: bool = False,
    observer: Observer = SILENT,
    **settings: Any,
) -> Run:
    """Train a classifier on a folder of images, as ``cnntransfer finetune`` does.

    Args:
        data: Folder with one sub-folder per class, or a manifest.
        output: The bundle's folder; default: ``runs/DATA-BACKBONE``.
        recipe: Where to start from; default: the defaults.
        preset: How much to spend: ``fast``, ``balanced`` or ``best``.
        overwrite: Whether an existing folder may be replaced.
        lr_find: Whether to find the learning rates of all stages that learn step by step.
        tensorboard: Whether the bundle is to hold the history for TensorBoard, too.
        observer: Hears of progress.
        **settings: Settings of the recipe by name, such as ``backbone="resnet50"`` or
            ``augmentation="strong"``; those of its parts as mappings, such as
            ``head={"dropout": 0.5}``.

    Raises:
        CnnTransferError: one of its kinds.

    >>> run = finetune("photos/", backbone="mobilenet")      # doctest: +SKIP
    >>> run.predict("bird.jpg").label                        # doctest: +SKIP
    'birds'
    """
    from .training.run import run as run_recipe

    if data is not None:
        settings["data"] = os.fspath(data)
    start = (recipe or Recipe()).override({} if preset is None else preset_settings(preset))
    wanted = start.override(settings)
    bundle = run_recipe(
        wanted.finding_rates() if lr_find else wanted,
        Path(output).expanduser() if output else None,
        overwrite=overwrite,
        tensorboard=tensorboard,
        observer=observer,
    )
    return Run(bundle)


def resume(output: PathLike, *, tensorboard: bool = False, observer: Observer = SILENT) -> Run:
    """Go on with a run that was stopped while it trained.

    What comes out is what would have come out without the interruption.

    Args:
        output: The bundle's folder that the run was given.
        tensorboard: See :func:`finetune`.
        observer: Hears of progress.

    Raises:
        UsageError: nothing is kept of such a run, or its recipe was changed.
        DataError: its images are not the same any more.
        CnnTransferError: another of its kinds, as for :func:`finetune`.
    """
    from .training.run import resume as go_on

    return Run(go_on(Path(output).expanduser(), tensorboard=tensorboard, observer=observer))


def load(model: PathLike) -> Run:
    """Open a bundle by its folder, or a pretrained network by its name.

    Raises:
        BundleError: it is neither.
    """
    from .pretrained import open_model

    return Run(open_model(os.fspath(model)))


def compare(
    models: Iterable[PathLike | Run],
    data: PathLike,
    subset: str | None = None,
    *,
    mistakes: int = MISTAKES,
    vote: bool = False,
    observer: Observer = SILENT,
) -> Comparison:
    """Measure several models on the same labelled images; see :mod:`cnntransfer.comparison`.

    Args:
        models: Bundles, names of pretrained networks, or runs. Results call them by their names
            as given; a run by its path.
        data: Folder with one sub-folder per class, or a manifest.
        subset: Which of the images.
        mistakes: How many of the most confident mistakes of every model to name.
        vote: Whether to judge what they say together, too, by mean and by majority.
        observer: Hears of progress.

    Raises:
        UsageError: no model, one of them twice, or they cannot vote.
        CnnTransferError: another of its kinds, as for :meth:`Run.evaluate`.

    >>> result = compare(["runs/fast", "runs/best"], "new_photos/")      # doctest: +SKIP
    >>> result.tests[0].p_value                                          # doctest: +SKIP
    0.25
    """
    from .comparison import compare as compare_bundles
    from .comparison import distinct

    runs = [
        (str(model.path), model) if isinstance(model, Run) else (os.fspath(model), load(model))
        for model in models
    ]
    bundles = distinct((name, run.bundle) for name, run in runs)
    source = Path(data).expanduser()
    return compare_bundles(bundles, source, subset, observer, mistakes, vote=vote)
