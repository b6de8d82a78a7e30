"""``cnntransfer inspect``."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..inspect.question import Question
from ..recipe import Recipe, Stage
from .columns import fitting, terminal_width
from .console import Console, echo, print_json, print_table, shell_word
from .options import (
    NON_EMPTY,
    SectionedCommand,
    SectionedOption,
    as_json,
    example,
    setting_options,
    with_console,
)

if TYPE_CHECKING:
    from ..inspect.formulas import Worked
    from ..inspect.textbook import Answer
    from ..models.anatomy import Anatomy

_NETWORK, _LAYER = "Of a network", "Of a layer"
_QUESTION = {name: name.replace("_", "-") for name in vars(Question())}


@click.command(
    cls=SectionedCommand,
    epilog=example(
        "cnntransfer inspect resnet50 --png resnet50.png",
        "cnntransfer inspect alexnet --include-top",
        "cnntransfer inspect mobilenet --unfreeze block13 --csv > mobilenet.csv",
        "cnntransfer inspect runs/photos-mobilenet",
        "cnntransfer inspect conv --input 32x32x3 --filters 10 --kernel 5 --stride 1 --padding 2",
        "cnntransfer inspect pool --input 55x55x96 --kernel 3 --stride 2",
    ),
)
@click.argument("subject", metavar="NAME|MODEL|LAYER", type=NON_EMPTY)
@setting_options(Recipe(), "", {"image_size": "image-size"}, _NETWORK)
@click.option(
    "--include-top",
    is_flag=True,
    cls=SectionedOption,
    section=_NETWORK,
    help="With its own classifier, of ImageNet's 1000 classes for most.",
)
@setting_options(Stage(), "", {"unfreeze": "unfreeze"}, _NETWORK)
@click.option(
    "--png",
    metavar="FILE",
    type=NON_EMPTY,
    cls=SectionedOption,
    section=_NETWORK,
    help="Also draw it.",
)
@click.option(
    "--svg",
    metavar="FILE",
    type=NON_EMPTY,
    cls=SectionedOption,
    section=_NETWORK,
    help="Also draw it, to be enlarged.",
)
@click.option(
    "--overwrite",
    is_flag=True,
    cls=SectionedOption,
    section=_NETWORK,
    help="Replace drawings that are there already.",
)
@setting_options(Question(), "", _QUESTION, _LAYER)
@as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print one CSV row per layer.")
@with_console
def command(
    subject: str,
    image_size: tuple[int, int] | None,
    include_top: bool,
    unfreeze: str | None,
    png: str | None,
    svg: str | None,
    overwrite: bool,
    as_json: bool,
    as_csv: bool,
    console: Console,
    **settings: Any,
) -> None:
    """Show what a network, or a textbook's layer, is made of.

    NAME is a network that 'backbones' lists, as 'finetune' sees it: from pixels to the last map.
    MODEL is a bundle. Of each layer: window, output, parameters, multiply-adds, bytes of its
    output for one image, receptive field and jump (its stride) in pixels, and whether its weights
    are trained. No weights are needed.

    LAYER is conv, depthwise, separable, pool or dense: what comes out, and the formulas with your
    numbers in them.
    """
    if as_json and as_csv:
        raise UsageError("Expected --json or --csv. Received: both. Choose one.")
    from ..inspect.textbook import WORDS, answer, options_of

    asked = {name: value for name, value in settings.items() if value is not None}
    network = {
        "--image-size": image_size,
        "--include-top": include_top,
        "--unfreeze": unfreeze,
        "--png": png,
        "--svg": svg,
        "--overwrite": overwrite,
    }
    if subject in WORDS:
        if wrong := [option for option, value in network.items() if value]:
            raise UsageError(
                f"{wrong[0]}: expected with a network or a bundle. Received: with {subject}. "
                f"What {subject} takes: {options_of(subject)}."
            )
        result = answer(subject, Question(**asked))
        if as_json:
            print_json(result.to_dict())
        elif as_csv:
            _print_csv(result.anatomy)
        else:
            _print_answer(result)
        return
    if asked:
        option = _QUESTION[next(iter(asked))]
        raise UsageError(
            f"--{option}: expected with one of {', '.join(WORDS)}. Received: with {subject}. "
            f"Try: cnntransfer inspect conv {WORDS['conv'].example}"
        )
    from ..inspect.drawing import check_target, draw
    from ..inspect.network import inspect

    targets = [
        check_target(f"--{kind}", file, f".{kind}", overwrite=overwrite)
        for kind, file in (("png", png), ("svg", svg))
        if file
    ]
    with console.task(f"Building {subject}"):
        anatomy = inspect(
            subject, image_size=image_size, include_top=include_top, unfreeze=unfreeze, words=WORDS
        )
    for target in targets:
        draw(anatomy, target)
        console.note(f"Drawing {target}")
    if as_json:
        print_json(anatomy.to_dict())
    elif as_csv:
        _print_csv(anatomy)
    else:
        _print_anatomy(anatomy, console)
        if not targets:
            console.next(f"cnntransfer inspect {shell_word(subject)} --png {anatomy.name}.png")


def _print_answer(result: Answer) -> None:
    from ..inspect.tables import times

    parameters = result.facts.parameters
    remarks = {"parameters": f"{parameters.weights:,} weights, {parameters.biases:,} biases"}
    rows = [("output", times(result.facts.output))]
    rows += [(one.quantity, _worked(one, remarks.get(one.quantity, ""))) for one in result.formulas]
    if result.facts.jump is not None:
        vertical, horizontal = result.facts.jump
        rows.append(("jump", str(vertical) if vertical == horizontal else times(result.facts.jump)))
    width = max(len(quantity) for quantity, _ in rows)
    for quantity, text in rows:
        echo(f"{quantity:<{width}}  {text}")


def _worked(worked: Worked, remark: str) -> str:
    if worked.formula == "0":
        return "0"
    if worked.exact != worked.value:
        return f"{worked.formula} = {float(worked.exact):g}, rounded down {worked.value:,}"
    return f"{worked.formula} = {worked.value:,}" + (f"   ({remark})" if remark else "")


def _print_anatomy(anatomy: Anatomy, console: Console) -> None:
    from ..inspect.tables import COLUMNS, DISPENSABLE

    cells = {title: [cell(facts) for facts in anatomy.layers] for title, cell in COLUMNS.items()}
    columns = fitting(cells, DISPENSABLE, terminal_width())
    print_table(columns, list(zip(*(cells[title] for title in columns), strict=True)))
    echo()
    largest = max(anatomy.layers, key=lambda facts: facts.activation_bytes)
    for quantity, text in (
        ("layers", f"{len(anatomy.layers):,}"),
        (
            "parameters",
            f"{anatomy.parameters:,}   ({anatomy.trained:,} trained, {anatomy.frozen:,} frozen, "
            f"{anatomy.statistics:,} statistics)",
        ),
        ("multiply-adds", f"{anatomy.multiply_adds:,} for an image"),
        (
            "activations",
            f"{anatomy.activation_bytes:,} bytes for an image in float32   "
            f"(largest: {largest.name}, {largest.activation_bytes:,})",
        ),
    ):
        echo(f"{quantity:<13}  {text}")
    if lacking := [title for title in DISPENSABLE if title not in columns]:
        console.note(f"No room here for: {', '.join(lacking)}. A wider terminal or --csv has them")
    if any(facts.field.has_gates for facts in anatomy.layers):
        console.note("+: and, through squeeze-and-excite, the mean of the whole image")


def _print_csv(anatomy: Anatomy) -> None:
    from ..inspect.tables import CSV_COLUMNS

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([cell(facts) for cell in CSV_COLUMNS.values()] for facts in anatomy.layers)
