"""The command line: one module per command, imported when it is called.

This package is the only place that prints, and :func:`run` the only one that turns errors into
exit codes.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from .. import __version__
from ..errors import CnnTransferError, ExitCode, nearest
from . import interruption

#: Command -> its summary. The module of the same name here holds it as ``command``; the summary
#: stands here so that ``--help`` needs to import none of them.
COMMANDS = {
    "finetune": "Train a classifier on a folder of images.",
    "predict": "Say what is on images.",
    "evaluate": "Measure a classifier on labelled images.",
    "report": "Write what a run came to as one page with photos.",
    "export": "Write a classifier for TensorFlow, Keras or LiteRT.",
    "reproduce": "Repeat a run and compare the predictions.",
    "explain": "Show what a network looks at, and what its layers react to.",
    "inspect": "Show what a network, or a textbook's layer, is made of.",
    "backbones": "List the networks.",
    "weights": "List and verify the pretrained weights on this machine.",
    "benchmark": "Measure what to expect on this machine.",
    "cache": "Show or clear what is kept to save time.",
    "completion": "Print the shell's completion script.",
}


_EPILOG = """\b
Start here:
  cnntransfer predict bird.jpg              what ImageNet's 1000 classes say
  cnntransfer finetune photos/              one sub-folder per class
  cnntransfer predict -m runs/photos-mobilenet new.jpg

\b
Exit codes:
  0 fine             4 weights      8 no package              130 interrupted
  1 a bug            5 bundle       9 some inputs rejected
  2 wrong usage      6 output      10 not reproduced
  3 data             7 training    11 accuracy below --assert
"""


class _LazyGroup(click.Group):
    """Commands by name, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f".{cmd_name}", __name__).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise click.UsageError(
                f"Expected one of the commands {', '.join(COMMANDS)}. Received: {args[0]!r}."
                f"{nearest(args[0], COMMANDS)}",
                ctx,
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="cnntransfer")
def main() -> None:
    """Transfer learning for image classification with pretrained Keras networks."""


def run(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code and raises nothing."""
    interruption.expect()
    try:
        result = main.main(list(arguments), prog_name="cnntransfer", standalone_mode=False)
        code = int(result) if isinstance(result, int) else ExitCode.OK
    except click.exceptions.Exit as request:
        code = request.exit_code
    except click.exceptions.NoArgsIsHelpError as request:
        click.echo(request.format_message(), err=True)
        code = ExitCode.USAGE
    except click.ClickException as error:
        code = _complain(error.format_message(), ExitCode.USAGE, _hint(error, arguments))
    except CnnTransferError as error:
        code = _complain(str(error), error.exit_code)
    except (KeyboardInterrupt, click.Abort) as error:
        # Click makes the one into the other; training says in it how to go on.
        said = str(error.__cause__ or error)
        code = _complain(
            said or "Interrupted. Nothing was left half-written.", ExitCode.INTERRUPTED
        )
    except (BrokenPipeError, SystemExit):
        # The reader (head, less) has seen enough; Click turns that into SystemExit.
        _drop_stdout()
        code = ExitCode.OK
    except OSError as error:
        _drop_stdout()
        code = _complain(
            f"Cannot read or write {error.filename or 'the output'}: "
            f"{(error.strerror or str(error)).lower()}.",
            ExitCode.OUTPUT,
        )
    except MemoryError:
        code = _complain(
            "Out of memory. Try a smaller --batch-size or --image-size.", ExitCode.FAILURE
        )
    except Exception as error:
        if os.environ.get("CNNTRANSFER_DEBUG"):
            raise
        code = _complain(
            f"Unexpected {type(error).__name__}: {' '.join(str(error).split())[:300]} "
            "This is a bug: please report it with the output of the same command after "
            "setting CNNTRANSFER_DEBUG=1.",
            ExitCode.FAILURE,
        )
    return int(code)


def _complain(message: str, code: int, hint: str = "") -> int:
    # Imported here, where nothing is fast any more: see stderr() there.
    from .console import complain

    complain(f"Error: {message}{hint}")
    return code


def _drop_stdout() -> None:
    from .console import drop_stdout

    drop_stdout()


def _hint(error: click.ClickException, arguments: Sequence[str]) -> str:
    if isinstance(error, click.NoSuchOption):
        for argument in arguments:
            if argument.startswith("-") and Path(argument).exists():
                return f" For the file of that name, write ./{argument}"
    context: Any = getattr(error, "ctx", None)
    if context is None:
        return ""
    stop = "" if error.format_message().endswith((".", "?")) else "."
    return f"{stop} Try: {context.command_path} --help"
