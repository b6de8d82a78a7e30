"""``cnntransfer predict``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import DataError, ExitCode, ImageError, UsageError, counted
from ..settings import Rule
from ..storage import check_apart
from .console import Console, echo, json_text, percent, visible
from .options import EXPLANATIONS, NON_EMPTY, as_json, checked, example, with_console

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..explain import Method
    from ..explain.files import Folder
    from ..novelty import Boundary
    from ..predict import Prediction


@click.command(
    epilog=example(
        "cnntransfer predict bird.jpg",
        "cnntransfer predict -m runs/photos-mobilenet new/ 'more/*.png'",
        "cnntransfer predict -m runs/photos-mobilenet --unknown auto new/",
        "cnntransfer predict -m runs/photos-mobilenet bird.jpg --explain gradcam",
        "cnntransfer predict -m resnet50 --csv holiday/ > holiday.csv",
    )
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=NON_EMPTY)
@click.option(
    "-m",
    "--model",
    metavar="MODEL",
    type=NON_EMPTY,
    help="A bundle, or a pretrained network by name. [default: mobilenet]",
)
@click.option(
    "--top",
    metavar="N",
    callback=checked("--top", Rule(int, minimum=1)),
    help="Classes per image. [default: 5 for one image and with --json, else 1]",
)
@click.option(
    "--unknown",
    metavar="RATE|auto",
    help="Answer 'unknown' to images that are far from the training photos. RATE is the share of "
    "photos like those that may be called so, too: from 0 to 1; auto is 0.05. [default: off]",
)
@as_json
@click.option("--csv", "as_csv", is_flag=True, help="Print one CSV row per image.")
@click.option(
    "--show-input", metavar="FOLDER", type=NON_EMPTY, help="Also write what the network sees."
)
@click.option(
    "--explain",
    metavar="METHOD",
    type=NON_EMPTY,
    help="Also draw why, such as gradcam; see 'cnntransfer explain'.",
)
@click.option(
    "--explain-output",
    metavar="FOLDER",
    type=NON_EMPTY,
    help=f"Folder for these pictures. [default: {EXPLANATIONS}]",
)
@with_console
def command(
    images: tuple[str, ...],
    model: str | None,
    top: int | None,
    unknown: str | None,
    as_json: bool,
    as_csv: bool,
    show_input: str | None,
    explain: str | None,
    explain_output: str | None,
    console: Console,
) -> int:
    """Say what is on images.

    IMAGE is a file, a folder (with all images below it) or a pattern; an IDX file stands for all
    images in it, and train-images-idx3-ubyte.gz/00017 for one. Without --model, MobileNet
    answers with the 1000 classes of ImageNet.

    A model knows nothing but its classes and names one of them whatever it is shown. With --unknown
    it answers 'unknown' to images that are unlike its training photos, and says how far from those
    an image is: 1 is typical of photos like them. --json and --csv give "unknown", "distance" and
    the probabilities of the classes as well.

    A file that is no readable image is reported and the others go on; the exit code is then 9,
    or 3 if no file can be read.
    """
    if as_json and as_csv:
        raise UsageError("Expected --json or --csv. Received: both. Choose one.")
    from ..predict import engine_for, expand, predict
    from ..pretrained import DEFAULT, open_model

    if explain_output and not explain:
        raise UsageError(
            f"--explain-output: expected with --explain METHOD. Received: {explain_output} without."
        )
    drawing = None if explain is None else _drawing(explain, explain_output, images)
    rate = None if unknown is None else _rate(unknown)
    paths = expand(images)
    if show_input:
        for source in images:
            check_apart(Path(show_input).expanduser(), Path(source), "--show-input")
    bundle = open_model(model or DEFAULT, console)
    boundary = None if rate is None else _boundary(bundle, rate, console)
    if show_input:
        from ..data.show import write_inputs

        write_inputs(paths, bundle.input_spec, Path(show_input).expanduser())
    rejected: list[ImageError] = []
    readable: list[Path] = []
    beyond = 0

    def watched() -> Iterator[Prediction]:
        nonlocal beyond
        with console.task_with_lines("Predicting", total=len(paths)) as advance:
            engine = engine_for(bundle, len(paths), packed=True)
            for prediction in predict(bundle, paths, engine, boundary):
                advance(1)
                beyond += bool(prediction.unknown)
                if prediction.rejected is not None:
                    rejected.append(ImageError(prediction.rejected, prediction.path))
                    if len(paths) == 1:
                        raise rejected[0]
                    console.note(f"Rejected {prediction.path}: {prediction.rejected}")
                else:
                    readable.append(prediction.path)
                yield prediction

    if as_json:
        _print_json(watched(), top or 5, model or DEFAULT)
    elif as_csv:
        _print_csv(watched(), top or 1, judged=boundary is not None)
    else:
        _print_text(watched(), top or (5 if len(paths) == 1 else 1), single=len(paths) == 1)
    if boundary is not None and len(paths) > 1:
        console.note(f"{beyond} of {counted(len(paths), 'file')} unknown.")
    if drawing is not None:
        _draw(bundle, model or DEFAULT, *drawing, readable, console)
    if rejected and len(rejected) == len(paths):
        # After the output: rows and JSON say of every file what is wrong with it.
        raise DataError(
            f"Expected readable images. Received: none of {len(paths)} files can be read; "
            f"the first, {rejected[0]}"
        )
    if rejected:
        console.note(f"{len(rejected)} of {counted(len(paths), 'file')} rejected.")
        return ExitCode.PARTIAL
    if model is None:
        console.next("cnntransfer finetune FOLDER    (your own classes)")
    if len(paths) == 1:
        from ..engines.packed import keep_packed

        for file in bundle.litert_files:  # Now that nobody waits for an answer.
            keep_packed(file)
    return ExitCode.OK


def _drawing(method: str, output: str | None, images: Sequence[str]) -> tuple[Method, Folder]:
    """How answers are explained, and where to; pictures that are there already are replaced."""
    from ..explain.files import Folder
    from ..explain.methods import class_method

    chosen = class_method(method)
    target = Path(output or EXPLANATIONS).expanduser()
    return chosen, Folder(target, overwrite=True, sources=images, option="--explain-output")


def _draw(
    bundle: Bundle,
    name: str,
    method: Method,
    folder: Folder,
    paths: Sequence[Path],
    console: Console,
) -> None:
    from ..explain.subject import Subject

    subject = Subject.of_bundle(bundle, Path(name).name)
    with console.task("Explaining", total=len(paths)) as advance:
        explanations = method.explanations(subject, subject.photos(paths), method.options({}))
        for explanation in explanations:
            for remark in explanation.remarks:
                console.note(remark)
            for file in folder.write(explanation):
                console.note(f"Drawn: {file}")
            advance(1)


def _rate(text: str) -> float:
    from ..novelty import rate_of

    return rate_of("--unknown", text)


def _boundary(bundle: Bundle, rate: float, console: Console) -> Boundary:
    from ..novelty import Boundary, Novelty

    boundary = Boundary(Novelty.open(bundle), rate)
    for remark in boundary.remarks():
        console.note(remark)
    return boundary


def _print_text(predictions: Iterable[Prediction], top: int, *, single: bool) -> None:
    for prediction in predictions:
        best = prediction.top(top)
        if not best:
            continue
        if single or top > 1:
            echo(visible(prediction.path))
            if prediction.unknown:
                echo(f"  unknown  at a distance of {prediction.distance:.2f}")
                continue
            for label, probability in best:
                echo(f"  {percent(probability):>7}  {label}")
        else:
            shown = "" if prediction.unknown else percent(best[0][1])
            echo(f"{shown:>7}  {prediction.label}\t{visible(prediction.path)}")


def _print_csv(predictions: Iterable[Prediction], top: int, *, judged: bool) -> None:
    """One row per image; where the unknown is ``judged``, the answer comes before the classes."""
    columns = [f"{name}{rank}" for rank in range(1, top + 1) for name in ("label", "probability")]
    if judged:
        columns = ["label", "unknown", "distance", *columns]
    elif top == 1:
        columns = ["label", "probability"]
    for number, prediction in enumerate(predictions):
        if number == 0:
            echo(_csv_line(["file", *columns, "rejected"]))
        best = prediction.top(top)
        cells = [cell for label, value in best for cell in (label, f"{value:.6f}")]
        if judged:
            cells = [*_answer(prediction), *cells]
        cells += [""] * (len(columns) - len(cells))
        echo(_csv_line([prediction.path, *cells, prediction.rejected or ""]))


def _answer(prediction: Prediction) -> list[str]:
    if prediction.distance is None:
        return ["", "", ""]
    unknown = "true" if prediction.unknown else "false"
    return [prediction.label or "", unknown, f"{prediction.distance:.4f}"]


def _csv_line(cells: Sequence[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(cells)
    return line.getvalue()


def _print_json(predictions: Iterable[Prediction], top: int, model: str) -> None:
    """One JSON object, written as the predictions come; nothing when there is an error at once."""
    separator = '{\n  "model": ' + json_text(model) + ',\n  "predictions": ['
    for prediction in predictions:
        echo(f"{separator}\n    {json_text(prediction.to_dict(top))}", nl=False)
        separator = ","
    echo("\n  ]\n}")
