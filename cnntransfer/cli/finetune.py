"""``cnntransfer finetune``."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from .. import recipe as recipes
from ..errors import ExitCode, UsageError
from ..recipe import FINETUNE_STAGE, HEAD_STAGE, Augmentation, BatchAugmentation, Head, Recipe
from .console import Console, echo, print_json, shell_word
from .figures import accuracy_line, calibration_line
from .options import (
    NON_EMPTY,
    SectionedCommand,
    SectionedOption,
    as_json,
    example,
    given_settings,
    output_options,
    setting_options,
    with_console,
)

if TYPE_CHECKING:
    from ..bundle import Bundle

_EXAMPLES = example(
    "cnntransfer finetune photos/",
    "cnntransfer finetune photos/ --backbone resnet50 --augmentation strong",
    "cnntransfer finetune photos/ --preset best",
    "cnntransfer finetune photos/ --unfreeze block5 --backbone vgg16 -o runs/vgg",
    "cnntransfer finetune digits/ --backbone lenet5 --weights none",
    "cnntransfer finetune --config runs/photos-mobilenet/recipe.yaml",
    "cnntransfer finetune --resume runs/vgg",
)


#: What may stand beside ``--resume``.
_BESIDE_RESUME = ("resume", "tensorboard", "as_json", "quiet", "verbose")
_AUGMENTATION = "Augmentation of training images"


@click.command(cls=SectionedCommand, epilog=_EXAMPLES)
@click.argument("data", required=False, metavar="[DATA]", type=NON_EMPTY)
@click.option(
    "--preset",
    cls=SectionedOption,
    section="How much to spend",
    type=click.Choice(list(recipes.PRESETS)),
    help="fast: a head on the frozen backbone's features. balanced: on those of up to three "
    "depths, as validates best. best: as balanced, then the top of the backbone too, block by "
    "block, where that is clearly better. [default: balanced]",
)
@setting_options(
    Recipe(),
    "",
    {
        "backbone": "backbone",
        "weights": "weights",
        "image_size": "image-size",
        "resize": "resize",
        "pooling": "pooling",
        "feature_blocks": "feature-blocks",
        "precision": "precision",
    },
    "The network",
)
@setting_options(
    Head(),
    "head",
    {
        "units": "head-units",
        "activation": "head-activation",
        "batch_normalization": "head-batch-normalization",
        "dropout": "dropout",
        "l2": "l2",
        "ensemble": "ensemble",
        "bagging": "bagging",
    },
    "The head",
)
@setting_options(
    HEAD_STAGE,
    "stages.head",
    {
        "epochs": "epochs",
        "learning_rate": "learning-rate",
        "schedule": "schedule",
        "patience": "patience",
        "label_smoothing": "label-smoothing",
    },
    "Training the head",
)
@setting_options(
    Recipe(),
    "",
    {
        "batch_size": "batch-size",
        "class_weight": "class-weight",
        "seed": "seed",
    },
    "Training the head",
)
@setting_options(
    FINETUNE_STAGE,
    "stages.finetune",
    {
        "unfreeze": "unfreeze",
        "views": "finetune-views",
        "epochs": "finetune-epochs",
        "learning_rate": "finetune-learning-rate",
        "schedule": "finetune-schedule",
        "warmup": "finetune-warmup",
        "patience": "finetune-patience",
        "label_smoothing": "finetune-label-smoothing",
        "min_delta": "finetune-min-delta",
        "layer_decay": "finetune-layer-decay",
        "ema_momentum": "finetune-ema-momentum",
        "train_batch_normalization": "train-batch-normalization",
        "precision": "finetune-precision",
    },
    "Then training the top of the backbone too",
)
@setting_options(
    Recipe(),
    "",
    {"fresh_augmentation": "fresh-augmentation"},
    "Then training the top of the backbone too",
)
@setting_options(
    BatchAugmentation(),
    "batch_augmentation",
    {
        "rand_augment": "rand-augment",
        "random_erasing": "random-erasing",
        "mixup": "mixup",
        "cutmix": "cutmix",
    },
    "Batches of images, with --fresh-augmentation",
    show_defaults=False,
)
@setting_options(
    Recipe(),
    "",
    {
        "validation_split": "validation-split",
        "test_split": "test-split",
        "split_seed": "split-seed",
    },
    "Held-out images, where the data has no val/ or test/ of its own",
)
@click.option(
    "--augmentation",
    "augmentation",
    cls=SectionedOption,
    section=_AUGMENTATION,
    metavar="[none|light|strong]",
    callback=lambda ctx, param, value: (
        None if value is None else recipes.augmentation(value, "--augmentation")
    ),
    help="Preset, which the options below change. [default: light]",
)
@setting_options(HEAD_STAGE, "stages.head", {"views": "views"}, _AUGMENTATION)
@setting_options(
    Augmentation(),
    "augmentation",
    {
        name: name.replace("_", "-")
        for name in (
            "rotation_range",
            "width_shift_range",
            "height_shift_range",
            "brightness_range",
            "shear_range",
            "zoom_range",
            "channel_shift_range",
            "fill_mode",
            "cval",
            "horizontal_flip",
            "vertical_flip",
        )
    },
    _AUGMENTATION,
    show_defaults=False,
)
@click.option(
    "--config", metavar="FILE", type=NON_EMPTY, help="Recipe (YAML) that the options change."
)
@click.option(
    "--resume",
    metavar="FOLDER",
    type=NON_EMPTY,
    help="Go on with the run that was to write this bundle and was stopped; alone, without DATA.",
)
@output_options("The bundle's folder. [default: runs/DATA-BACKBONE]")
@click.option(
    "--show-input",
    metavar="FOLDER",
    type=NON_EMPTY,
    help="Also write what the network sees, views included.",
)
@click.option(
    "--lr-find",
    is_flag=True,
    help="Find the learning rates that no option gives by range tests (Smith 2017), for stages "
    "that learn step by step. The bundle then has the curves in learning_rates.png.",
)
@click.option(
    "--tensorboard",
    is_flag=True,
    help="Also write the figures of every epoch into the bundle for TensorBoard.",
)
@as_json
@functools.partial(with_console, verbose="Say more: the figures of every epoch.")
def command(
    data: str | None,
    config: str | None,
    resume: str | None,
    output: str | None,
    overwrite: bool,
    show_input: str | None,
    lr_find: bool,
    tensorboard: bool,
    as_json: bool,
    console: Console,
    augmentation: str | None,
    preset: str | None,
    **settings: Any,
) -> int:
    """Train a classifier on a folder of images.

    DATA is a folder with one sub-folder of images per class; or a folder with train/, val/ and
    test/ in that form; or one with the IDX files of MNIST or Fashion-MNIST; or a .csv or .tsv
    manifest with the columns file, label and optionally subset. It is only read.

    A pretrained network turns every image into features, once; a new head learns the classes
    from them. With --unfreeze, the network's top layers are then trained too. The result is a
    bundle: a folder with the model, its recipe, its figures and a report to read.

    Unreadable images are left out and listed in rejected.csv; the exit code is then 9. Copies of a
    photo, resized or mirrored too, stay on one side of the split; near_duplicates.csv lists them.
    Images whose label may be wrong are listed in suspects.csv, the most suspect first.

    A run that is stopped while it trains keeps what it has, in OUTPUT.unfinished; --resume goes on.
    """
    if resume is not None:
        _check_alone()
        from ..training.run import resume as go_on

        bundle = go_on(Path(resume).expanduser(), tensorboard=tensorboard, observer=console)
    else:
        recipe = _recipe(data, config, preset, augmentation, settings, lr_find=lr_find)
        # Heavy imports come after the cheap checks.
        from ..training.run import run

        bundle = run(
            recipe,
            Path(output).expanduser() if output else None,
            overwrite=overwrite,
            show_input=Path(show_input).expanduser() if show_input else None,
            tensorboard=tensorboard,
            observer=console,
        )
    target = bundle.path
    if as_json:
        print_json({"bundle": str(bundle.path), **bundle.metadata})
    else:
        console.chart(bundle.read_table("history"))
        for line in _summary(bundle):
            echo(line)
    model = shell_word(target)
    image = _held_out_image(bundle, Path(data or bundle.metadata["dataset"]["source"]).expanduser())
    console.next(
        f"cnntransfer predict -m {model} {shell_word(image)}",
        f"cnntransfer export {model} --format litert",
        *([f"tensorboard --logdir {shell_word(target.parent)}"] if tensorboard else []),
    )
    return ExitCode.PARTIAL if bundle.metadata["dataset"]["rejected"] else ExitCode.OK


def _check_alone() -> None:
    """Check that nothing is given that the run to go on with has settled.

    Raises:
        UsageError: something is.
    """
    context = click.get_current_context()
    given = [
        parameter.opts[0] if isinstance(parameter, click.Option) else "DATA"
        for parameter in context.command.params
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
        and parameter.name not in _BESIDE_RESUME
    ]
    if given:
        raise UsageError(
            "--resume: expected no other settings, because the run goes on with its own. "
            f"Received: {', '.join(given)}. Leave that out, or start a new run without --resume."
        )


def _held_out_image(bundle: Bundle, data: Path) -> Path:
    from ..data.images import is_there

    root = data if data.is_dir() else data.parent
    files = [root / row["file"] for row in bundle.read_table("predictions")]
    return next((file for file in files if is_there(file)), data)


def _recipe(
    data: str | None,
    config: str | None,
    preset: str | None,
    augmentation: str | None,
    settings: dict[str, Any],
    *,
    lr_find: bool,
) -> Recipe:
    recipe = recipes.read_recipe(Path(config).expanduser()) if config else Recipe()
    if preset is not None:
        recipe = recipe.override(recipes.preset(preset))
    if augmentation is not None:
        recipe = recipe.override({"augmentation": augmentation})
    values = given_settings(settings)
    if data is not None:
        values["data"] = data
    recipe = recipe.override(values)
    if lr_find:
        given = {name: value for name, value in values.items() if name.endswith("learning_rate")}
        recipe = recipe.finding_rates().override(given)
    return recipe


def _forecast(metadata: dict[str, Any]) -> str:
    """How long what was foreseen was to take, and how long it took."""
    if "forecast" not in metadata:
        return ""
    forecast = metadata["forecast"]
    return f" ({forecast['took']:.0f} s of it foreseen as {sum(forecast['seconds'].values()):.0f})"


def _summary(bundle: Bundle) -> list[str]:
    metadata, lines = bundle.metadata, []
    for subset, title in (("val", "Validation"), ("test", "Test")):
        if subset in metadata["metrics"]:
            lines.append(accuracy_line(title, metadata["metrics"][subset]))
    lines.append(calibration_line(metadata["calibration"]))
    lines.append(f"Bundle   {bundle.path}")
    lines.append(f"Report   {bundle.report_file}")
    seconds = metadata["seconds"]
    lines.append(
        f"Time     {sum(seconds.values()):.1f} s: "
        + ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
        + _forecast(metadata)
    )
    return lines
