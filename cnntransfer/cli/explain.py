"""``cnntransfer explain``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import DataError, ExitCode, ImageError, UsageError, counted
from ..explain import METHODS, Of, Options, get_method
from ..progress import Observer
from .console import Console, echo, percent, print_json, shell_word
from .options import (
    NON_EMPTY,
    SectionedCommand,
    as_json,
    example,
    output_options,
    setting_options,
    with_console,
)

if TYPE_CHECKING:
    from ..data.images import InputSpec
    from ..explain import Method
    from ..explain.explanation import Explanation, Photo
    from ..explain.subject import Subject

OUTPUT = "explanations"
#: Setting of a method -> option.
_NAMES = {name: name.replace("_", "-") for name in vars(Options())} | {"target": "class"}
_WIDEST = max(map(len, METHODS))
_LIST = "\n".join(f"  {name:<{_WIDEST}}  {method.summary}" for name, method in METHODS.items())


_HELP = f"""\
Show what a network looks at, and what its layers react to.

MODEL is a bundle, or a pretrained network by name. IMAGE is a file, a folder or a pattern. Each
explanation is a PNG file with a legend, of the image as the network sees it.

\b
Methods:
{_LIST}
"""


@click.command(
    cls=SectionedCommand,
    help=_HELP,
    epilog=example(
        "cnntransfer explain mobilenet bird.jpg",
        "cnntransfer explain runs/photos-mobilenet bird.jpg --method occlusion --grid 9",
        "cnntransfer explain runs/photos-mobilenet bird.jpg --class cat --npy",
        "cnntransfer explain resnet50 --method filters",
        "cnntransfer explain mobilenet photos/ --method patches --layer conv_pw_5",
    ),
)
@click.argument("model", metavar="MODEL", type=NON_EMPTY)
@click.argument("images", nargs=-1, metavar="[IMAGE]...", type=NON_EMPTY)
@click.option(
    "--method", metavar="NAME", default="gradcam", show_default=True, help="One of those above."
)
@setting_options(Options(), "", _NAMES, "Of some methods")
@click.option("--npy", is_flag=True, help="Also write the raw numbers, as .npy or .npz.")
@output_options(f"Folder for the pictures. [default: {OUTPUT}]")
@as_json
@with_console
def command(
    model: str,
    images: tuple[str, ...],
    method: str,
    npy: bool,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    console: Console,
    **settings: Any,
) -> int:
    """Explain; what ``--help`` says is above, because it lists the methods."""
    from ..explain.files import Folder
    from ..explain.subject import Subject
    from ..predict import expand

    chosen = get_method(method)
    given = {name: value for name, value in settings.items() if value is not None}
    _check_taken(chosen, given)
    chosen.check_images(images)
    options = Options(**given)
    paths = expand(images)
    subject = Subject.open(model, with_classes=chosen.explains_class, observer=console)
    folder = Folder(Path(output or OUTPUT).expanduser(), arrays=npy, overwrite=overwrite)
    rejected: list[ImageError] = []
    photos = _read(paths, subject.input, rejected, console)
    found = []
    for explanation in _explanations(subject, chosen, photos, options, len(paths), console):
        for remark in explanation.remarks:
            console.note(remark)
        files = [str(file) for file in folder.write(explanation)]
        found.append({**explanation.to_dict(), "written": files})
        if not as_json:
            echo(_line(explanation, files))
    if as_json:
        print_json({"model": model, "method": chosen.name, "explanations": found})
    if rejected:
        console.note(f"{len(rejected)} of {counted(len(paths), 'file')} rejected.")
        return ExitCode.PARTIAL
    _say_next(model, chosen, images, console)
    return ExitCode.OK


def _check_taken(method: Method, given: dict[str, Any]) -> None:
    if wrong := [name for name in given if name not in method.takes]:
        takers = [one.name for one in METHODS.values() if wrong[0] in one.takes]
        raise UsageError(
            f"--{_NAMES[wrong[0]]}: expected with --method {' or '.join(takers)}. "
            f"Received: with {method.name}. Leave it out."
        )


def _read(
    paths: Sequence[Path], spec: InputSpec, rejected: list[ImageError], console: Console
) -> Iterator[Photo]:
    """The photos that can be read; of the others a note, or an error if there is no other."""
    from ..data.images import read
    from ..explain.explanation import Photo

    for path in paths:
        try:
            yield Photo(path, read(path, spec))
        except ImageError as error:
            rejected.append(error)
            if len(paths) == 1:
                raise
            console.note(f"Rejected {path}: {error.reason}")
    if paths and len(rejected) == len(paths):
        raise DataError(
            f"Expected readable images. Received: none of {len(paths)} files can be read; "
            f"the first, {rejected[0]}"
        )


def _explanations(
    subject: Subject,
    method: Method,
    photos: Iterator[Photo],
    options: Options,
    total: int,
    observer: Observer,
) -> Iterator[Explanation]:
    if method.of is not Of.EACH_IMAGE:
        together = list(photos)
        with observer.task(f"Looking into {subject.name}"):
            yield method.run(subject, together, options)
        return
    with observer.task("Explaining", total=total) as advance:
        for photo in photos:
            yield method.run(subject, [photo], options)
            advance(1)


def _line(explanation: Explanation, files: Sequence[str]) -> str:
    facts = explanation.facts
    said = f"{percent(facts['probability']):>7}  {facts['class']}\t" if "class" in facts else ""
    return said + "  ".join(files)


def _say_next(model: str, method: Method, images: Sequence[str], console: Console) -> None:
    """Another method of the same kind."""
    others = [one.name for one in METHODS.values() if one.of is method.of and one is not method]
    words = [shell_word(word) for word in (model, *images[:1])]
    if others:
        console.next(f"cnntransfer explain {' '.join(words)} --method {others[0]}")
    else:
        console.next(f"cnntransfer explain {words[0]} IMAGE --method features")
