"""``cnntransfer report``."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import OutputError, UsageError, counted
from ..explain.methods import class_method
from ..storage import check_target
from .console import Console, echo, print_json, shell_word
from .options import NON_EMPTY, as_json, example, output_options, with_console

if TYPE_CHECKING:
    from ..bundle import Bundle
    from ..explain import Method
    from ..report import Look, Report

#: What opens a file with the program that is meant for it, by platform.
_OPENERS = {"darwin": "open", "win32": "start"}


@click.command(
    epilog=example(
        "cnntransfer report runs/photos-mobilenet",
        "cnntransfer report runs/photos-mobilenet --data /media/usb/photos -o for_ada.html",
        "cnntransfer report runs/photos-mobilenet --explain gradcam",
        "cnntransfer report evaluation.json",
    )
)
@click.argument("source", metavar="RUN", type=NON_EMPTY)
@click.option(
    "--data", metavar="FOLDER", type=NON_EMPTY, help="Where the photos lie now, if elsewhere."
)
@click.option(
    "--explain",
    metavar="METHOD",
    type=NON_EMPTY,
    help="Also show what it looked at where it was wrong, such as gradcam; "
    "see 'cnntransfer explain'.",
)
@output_options("Page to write. [default: report.html in RUN, which is replaced]", "FILE")
@as_json
@with_console
def command(
    source: str,
    data: str | None,
    explain: str | None,
    output: str | None,
    overwrite: bool,
    as_json: bool,
    console: Console,
) -> None:
    """Write what a run came to as one page with photos.

    RUN is a bundle: its figures with intervals, what it mixes up, the photos of its mistakes, how
    it was trained, on what. The page needs no network and no other file; photos that are not
    there any more are named. Without --output the bundle's MODEL_CARD.md is written anew too.

    RUN may also be a file with what 'cnntransfer evaluate MODEL DATA --json' printed; the page
    then has its name and ends in .html. More mistakes in it, more photos: see its --mistakes.
    """
    from .. import report as reports

    method = None if explain is None else class_method(explain)
    path = Path(source).expanduser()
    photos = Path(data).expanduser() if data else None
    target = Path(output).expanduser() if output else None
    if target is not None:
        _check_is_no_folder(target)
        check_target(target, overwrite=overwrite)
    if path.is_file():
        _check_is_no_page(path)
        if explain:
            raise UsageError(
                "--explain: expected with a bundle. Received: with a file of 'cnntransfer evaluate'"
                ". Leave it out."
            )
        report = reports.gather_evaluation(path, photos)
        target = target or path.with_suffix(".html")
    else:
        from ..bundle import Bundle

        bundle = Bundle.open(path)
        look = None if method is None else _look(bundle, method)
        with console.task("Reading photos"):
            report = reports.gather(reports.Subject.of(bundle, photos), look)
        if target is None:
            reports.write_into(bundle, report)
    if target is None:
        target = bundle.report_file
    else:
        reports.write_page(report, target, overwrite=overwrite)
    _note_missing(report, data, console)
    size = target.stat().st_size
    if as_json:
        missing = list(report.missing)
        print_json({"report": str(target), "bytes": size, "missing": missing})
    else:
        echo(f"Report   {target}  ({size / 1e6:.1f} MB)")
    console.next(f"{_OPENERS.get(sys.platform, 'xdg-open')} {shell_word(target)}")


def _look(bundle: Bundle, method: Method) -> Look:
    from ..explain.overlays import look
    from ..explain.subject import Subject

    return look(Subject.of_bundle(bundle), method)


def _check_is_no_page(path: Path) -> None:
    if path.suffix.lower() == ".html":
        raise UsageError(
            f"RUN: expected a bundle, a folder that 'cnntransfer finetune' wrote. Received: {path},"
            f" a page. Try: cnntransfer report {shell_word(path.parent)}"
        )


def _check_is_no_folder(target: Path) -> None:
    if target.is_dir():
        raise OutputError(
            f"--output: expected a file to write. Received: {target}, a folder. "
            f"Try: --output {shell_word(target / 'report.html')}"
        )


def _note_missing(report: Report, data: str | None, console: Console) -> None:
    missing = report.missing
    if not missing:
        return
    reason, _ = Counter(missing.values()).most_common(1)[0]
    file = next(name for name, problem in missing.items() if problem == reason)
    shown = len({photo.file for photo in report.galleries.all}) if report.galleries else 0
    hint = "" if data else " If they lie elsewhere now, say where with --data FOLDER."
    console.note(
        f"{len(missing)} of {counted(shown, 'photo')} cannot be shown, such as {file}: {reason}."
        f"{hint}"
    )
