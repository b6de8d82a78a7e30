"""``cnntransfer explain``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import DataError, ExitCode, ImageError, counted
from ..explain import METHODS, Of, Options, get_method
from ..explain.options import option_name
from .console import Console, echo, percent, print_json, shell_word
from .options import (
    EXPLANATIONS,
    NON_EMPTY,
    SectionedCommand,
    as_json,
    example,
    given_settings,
    output_options,
    setting_options,
    with_console,
)

if TYPE_CHECKING:
    from ..explain import Method
    from ..explain.explanation import Explanation, Photo
    from ..explain.subject import Subject

#: Setting of a method -> option.
_NAMES = {name: option_name(name).removeprefix("--") for name in vars(Options())}
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
@output_options(f"Folder for the pictures. [default: {EXPLANATIONS}]")
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
    options = chosen.options(given_settings(settings))
    chosen.check_images(images)
    paths = expand(images)
    target = Path(output or EXPLANATIONS).expanduser()
    folder = Folder(target, arrays=npy, overwrite=overwrite, sources=images)
    if chosen.of is Of.EACH_IMAGE:
        folder.check(paths, chosen.name)
    subject = Subject.open(model, with_classes=chosen.explains_class, observer=console)
    rejected: list[ImageError] = []
    found = []
    # Methods of all images together print one line, at their end.
    in_turns = chosen.of is Of.EACH_IMAGE and not as_json
    task = console.task_with_lines if in_turns else console.task
    with task(f"Looking into {subject.name}", total=len(paths) or None) as advance:
        photos = _read(subject, paths, rejected, console, advance)
        for explanation in chosen.explanations(subject, photos, options):
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


def _read(
    subject: Subject,
    paths: Sequence[Path],
    rejected: list[ImageError],
    console: Console,
    advance: Callable[[int], None],
) -> Iterator[Photo]:
    """The photos that can be read; of the others a note, or an error if there is no other."""
    for path in paths:
        try:
            yield from subject.photos([path])
        except ImageError as error:
            rejected.append(error)
            if len(paths) == 1:
                raise
            console.note(f"Rejected {path}: {error.reason}")
        advance(1)
    if paths and len(rejected) == len(paths):
        raise DataError(
            f"Expected readable images. Received: none of {len(paths)} files can be read; "
            f"the first, {rejected[0]}"
        )


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
