"""A run: a recipe goes in, a bundle comes out."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np

from .. import cache
from ..bundle import Bundle
from ..data.augment import Augmenter
from ..data.dataset import read_dataset
from ..data.duplicates import near_duplicates
from ..data.index import Listing, list_images
from ..data.remarks import remarks, size_remarks
from ..data.show import SHOW_INPUT, write_views
from ..data.split import split
from ..data.views import Views
from ..engines.litert import LiteRTEngine
from ..frameworks import has_gpu
from ..models.weights import find_weights
from ..parallel import Later, start
from ..progress import SILENT, Observer
from ..recipe import AUTO, Recipe
from ..report import prepare as prepare_report
from ..storage import (
    CACHE_VARIABLE,
    atomic_folder,
    cache_folder,
    check_apart,
    check_target,
    sweep,
)
from .checkpoint_folder import CheckpointFolder
from .checks import without_effect
from .clock import Clock
from .extraction import (
    REFERENCE,
    Extractor,
    FirstLook,
    LiteRTTrunk,
    TrunkSpec,
    feature_blocks,
)
from .features import Features
from .forecast import settle
from .heads import FittedHead, HeadData, fit_head
from .outcome import Outcome, write
from .plan import (
    auto_views,
    default_name,
    input_spec,
    is_augmentation_chosen,
    resolve,
    with_views,
)
from .precision import Choice, choose_precision, is_short, may_be_faster
from .reservation import reserved, reserved_default
from .resumption import output_of
from .stages import fit_unfrozen, frozen_stages, head_views
from .tensorboard import write_events

#: So many images take minutes: what is to be said of their size is said before they are read.
#: Else nothing comes before an error about them.
_MANY = 5000


def run(
    recipe: Recipe,
    output: Path | None = None,
    *,
    overwrite: bool = False,
    show_input: Path | None = None,
    tensorboard: bool = False,
    observer: Observer = SILENT,
    listing: Listing | None = None,
) -> Bundle:
    """Train a classifier and write its bundle.

    Args:
        recipe: What to do; ``recipe.data`` names the images.
        output: The bundle's folder; default: a new one, ``runs/DATA-BACKBONE``.
        overwrite: Whether an existing folder may be replaced.
        show_input: Folder to write what the network sees to, as pictures.
        tensorboard: Whether the bundle is to hold the history for TensorBoard, too.
        observer: Hears of progress.
        listing: The images, where not all that lie there are meant; their subsets are kept.

    Raises:
        CnnTransferError: one of its kinds; nothing is left at ``output`` then, and what was
            trained in a checkpoint beside it.
    """
    _, recipe = resolve(recipe)
    name = default_name(recipe)
    with reserved(output) if output else reserved_default(name, observer) as place:
        checkpoint = CheckpointFolder(place, overwrite=overwrite, observer=observer)
        return _guarded(recipe, checkpoint, show_input, tensorboard, observer, listing)


def resume(output: Path, *, tensorboard: bool = False, observer: Observer = SILENT) -> Bundle:
    """Go on with a run that was stopped while it trained, and write its bundle.

    Args:
        output: The bundle's folder that the run was given.
        tensorboard: See :func:`run`.
        observer: Hears of progress.

    Raises:
        UsageError: nothing is kept of such a run, or its recipe was changed.
        DataError: its images are not the same any more.
        CnnTransferError: another of its kinds, as for :func:`run`.
    """
    with reserved(output_of(output)) as place:
        checkpoint = CheckpointFolder.open(place, observer)
        return _guarded(checkpoint.recipe, checkpoint, None, tensorboard, observer)


def _guarded(
    recipe: Recipe,
    checkpoint: CheckpointFolder,
    show_input: Path | None,
    tensorboard: bool,
    observer: Observer,
    listing: Listing | None = None,
) -> Bundle:
    """Run; the generators and the checkpoint are as they should be afterwards."""
    # Keras seeds and draws from the generators that belong to the caller.
    states = random.getstate(), np.random.get_state()
    try:
        with checkpoint:
            return _run(recipe, checkpoint, show_input, tensorboard, observer, listing)
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def _run(
    recipe: Recipe,
    checkpoint: CheckpointFolder,
    show_input: Path | None,
    tensorboard: bool,
    observer: Observer,
    listing: Listing | None = None,
) -> Bundle:
    output, overwrite = checkpoint.output, checkpoint.overwrite
    cache.limit()  # A wrong one is said at once.
    backbone, recipe = resolve(recipe)
    check_target(output, overwrite=overwrite, marker=Bundle.MARKER)
    check_apart(output, Path(str(recipe.data)))
    check_apart(cache_folder(), Path(str(recipe.data)), CACHE_VARIABLE, may_surround=True)
    sweep(output)
    if show_input:
        check_target(show_input, overwrite=False, option=SHOW_INPUT)
        check_apart(show_input, Path(str(recipe.data)), SHOW_INPUT)
    for remark in without_effect(recipe):
        observer.note(remark)
    clock = Clock()
    templates_ready = start(prepare_report)
    weights = find_weights(backbone, recipe.weights, seed=recipe.seed, observer=observer)
    blocks = feature_blocks(recipe, backbone)
    spec = TrunkSpec(backbone, input_spec(recipe), recipe.pooling, weights, blocks)
    listing = listing or list_images(Path(str(recipe.data)))
    # They are about networks that were trained on photos; those of textbooks are made for less.
    hints = list(size_remarks(listing, spec.input)) if weights.path is not None else []
    if are_many := len(listing.entries) >= _MANY:
        for hint in hints:
            observer.note(hint)
    trunk = Later(spec.build)
    litert = LiteRTTrunk(spec, trunk, observer)
    unfreezes = any(backbone.cut(stage.unfreeze) for stage in recipe.stages)
    if unfreezes or recipe.precision == "bfloat16" or not litert.is_ready or has_gpu():
        # Importing TensorFlow takes seconds; images are read meanwhile.
        trunk.begin()

    with clock.step("read images"):
        engine = _first_engine(recipe, litert, spec, len(listing.entries))
        more_views = (
            unfreezes
            # Of more than half of them: some are held out.
            or auto_views(len(listing.entries) // 2) > 1
            or is_augmentation_chosen(recipe)
            or any(stage.views != AUTO for stage in recipe.stages)
        )
        with FirstLook(spec, engine, keep_pixels=more_views) as look:
            dataset, pixels = read_dataset(listing, spec.input, observer, look.knows, look)
        groups = near_duplicates(dataset, look.thumbnails)
        dataset = dataclasses.replace(dataset, groups=groups)
        dataset = split(dataset, recipe.validation_split, recipe.test_split, recipe.split_seed)
    clock.move(look.seconds, "read images", "compute features")
    checkpoint.check(dataset, spec.description(REFERENCE))
    is_in_steps = any(recipe.is_in_steps(stage) for stage in recipe.stages)
    for remark in remarks(listing, dataset, recipe.batch_size if is_in_steps else 0):
        observer.note(remark)
    if not are_many:
        for hint in hints:
            observer.note(hint)
    recipe = with_views(recipe, backbone, dataset)
    views = Views(dataset, pixels, Augmenter(recipe.augmentation, recipe.seed))
    if show_input:
        shown = max(int(stage.views) for stage in recipe.stages)
        write_views(dataset, pixels, views.augmenter, shown, show_input)

    extractor = Extractor(spec, views, trunk, observer, litert)
    with clock.step("prepare the backbone"):
        litert.converted()
    requests = views.requests(head_views(recipe, backbone), "train")
    forecast: dict[str, Any] | None = None
    if unfreezes:
        with clock.step("load TensorFlow"):
            trunk.result()
        if not checkpoint.is_resumed:
            with clock.step("forecast"):
                recipe, foreseen = settle(recipe, extractor, trunk.result(), observer)
                forecast = {"seconds": dict(foreseen.seconds)}
    began = clock.total
    with clock.step("compute features"):
        held_out = extractor.features(views.requests(1, "val", "test"))
        choice = checkpoint.choice or choose_precision(
            recipe.precision, extractor, requests, held_out, observer
        )
        recipe = dataclasses.replace(recipe, precision=choice.precision)
        training = extractor.to_learn_from(requests, recipe.precision)
    # Not while training: an import keeps Python's lock from hundreds of short operations.
    templates_ready.result()
    with clock.step("train"):
        fitted = _fit_head(recipe, extractor, choice, held_out, training, observer, checkpoint)
        trained = fit_unfrozen(
            checkpoint.recipe,
            backbone,
            trunk.result,
            fitted,
            views,
            spec.description,
            observer,
            checkpoint,
        )
        recipe = checkpoint.recipe
    if forecast is not None:
        forecast["took"] = round(clock.total - began, 3)

    outcome = Outcome(
        recipe,
        spec,
        views,
        look.thumbnails,
        training,
        held_out,
        trained,
        litert.still_converted(),
        forecast,
        checkpoint.rates,
    )
    with atomic_folder(output, overwrite=overwrite, marker=Bundle.MARKER) as draft:
        bundle = Bundle(draft)
        write(outcome, bundle, trunk.result, clock, observer)
        if tensorboard:
            write_events(bundle.tensorboard_folder, trained.history)
    return Bundle.open(output)


def _first_engine(
    recipe: Recipe, litert: LiteRTTrunk, spec: TrunkSpec, images: int
) -> LiteRTEngine | None:
    """What computes features while images are read, where it is sure that they will be used."""
    if not litert.is_ready or has_gpu():
        return None
    if may_be_faster(recipe.precision) and not (
        recipe.precision == AUTO and is_short(images, litert.engine(), spec.input)
    ):
        return None
    return litert.engine()


def _fit_head(
    recipe: Recipe,
    extractor: Extractor,
    choice: Choice,
    held_out: Features,
    training: Features,
    observer: Observer,
    checkpoint: CheckpointFolder,
) -> FittedHead:
    """Fit the head; once more in float32 should the faster arithmetic not be as good as it seemed.

    What was settled by then is in the checkpoint's recipe.
    """
    views, spec = extractor.views, extractor.spec
    checkpoint.begin(recipe, choice)
    stages = frozen_stages(recipe, spec.backbone)
    starts_from_scratch = spec.weights.path is None and not stages
    data = HeadData(views, training, held_out, spec.widths, standardise=not starts_from_scratch)
    fitted = fit_head(recipe, stages, data, observer, checkpoint)
    if choice.features is None:
        return fitted
    labels = views.dataset.labels()[list(choice.sample)]
    faster, reference = (
        int((fitted.model(rows).argmax(axis=1) == labels).sum())
        for rows in (choice.features, held_out.of(choice.sample))
    )
    if reference >= faster:  # It is in float32 that the head will be used.
        return fitted
    observer.note(
        f"Of {len(labels)} validation images {faster} are right in {recipe.precision}, and "
        f"{reference} in {REFERENCE}: learning from {REFERENCE} features instead."
    )
    # Learning rates that were found with the others are to be found again.
    tested = {row["stage"] for row in checkpoint.rates}
    again = tuple(
        dataclasses.replace(stage, learning_rate=AUTO) if stage.name in tested else stage
        for stage in recipe.stages
    )
    recipe = dataclasses.replace(recipe, precision=REFERENCE, stages=again)
    requests = views.requests(head_views(recipe, spec.backbone), "train")
    training = extractor.to_learn_from(requests, REFERENCE)
    choice = Choice(REFERENCE)
    return _fit_head(recipe, extractor, choice, held_out, training, observer, checkpoint)
