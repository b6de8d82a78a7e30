"""Options that commands share, and options made from a recipe's settings."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..errors import UsageError
from ..settings import Rule, rules
from .console import Console

Function = TypeVar("Function", bound=Callable[..., Any])

#: Where explanations are written, if nothing else is said.
EXPLANATIONS = "explanations"
#: Width of the options' names in ``--help``; longer ones get a line of their own.
_FIRST_COLUMN = 30


class SectionedCommand(click.Command):
    """A command whose ``--help`` shows its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections, the one called Options last."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                heading = getattr(parameter, "section", "Options")
                sections.setdefault(heading, []).append(record)
        general = sections.pop("Options", [])
        for heading, records in [*sections.items(), ("Options", general)]:
            # The same left edge of the texts in every section.
            widest = min(_FIRST_COLUMN, max(len(name) for name, _ in records))
            with formatter.section(heading):
                formatter.write_dl(records, _FIRST_COLUMN, _FIRST_COLUMN + 2 - widest)


class SectionedOption(click.Option):
    """An option under a heading of its own."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


def example(*lines: str) -> str:
    """An epilog with examples that can be copied."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


class NonEmpty(click.ParamType[str]):
    """Text that is not empty: what a shell makes of a variable that is not set."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text itself.

        Raises:
            UsageError: it is empty.
        """
        if not value.strip():
            raise UsageError(
                f"{_name(param)}: expected a name. Received: an empty text. "
                "Is a variable of the shell not set?"
            )
        return value


NON_EMPTY = NonEmpty()


def _name(param: click.Parameter | None) -> str:
    if isinstance(param, click.Option):
        return param.opts[-1]
    return str(param.metavar).strip("[].") if param else "Argument"


def checked(name: str, rule: Rule) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A callback that holds an option's value against a rule, in the option's own name."""

    def check(ctx: click.Context, param: click.Parameter, value: Any) -> Any:
        return None if value is None else rule.parse(name, value)

    return check


def with_console(function: Function, *, verbose: str = "") -> Function:
    """Add ``-v`` and ``-q``, and pass the :class:`Console` they make as ``console``.

    Args:
        function: The command.
        verbose: What ``-v`` adds; a command with nothing to add takes it silently.
    """

    @click.option("-q", "--quiet", is_flag=True, help="Say only errors.")
    @click.option("-v", "--verbose", is_flag=True, help=verbose, hidden=not verbose)
    @functools.wraps(function)
    def wrapped(*args: Any, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        return function(*args, console=Console(-1 if quiet else int(verbose)), **kwargs)

    return wrapped  # type: ignore[return-value]


as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def output_options(what: str, metavar: str = "FOLDER") -> Callable[[Function], Function]:
    """``--output`` and ``--overwrite``."""

    def decorate(function: Function) -> Function:
        overwrite = click.option("--overwrite", is_flag=True, help="Replace what is there already.")
        output = click.option("-o", "--output", metavar=metavar, type=NON_EMPTY, help=what)
        return output(overwrite(function))

    return decorate


def setting_options(
    settings: Any,
    path: str,
    names: dict[str, str],
    section: str,
    *,
    show_defaults: bool = True,
) -> Callable[[Function], Function]:
    """Options for some settings of a recipe, made from their rules.

    Args:
        settings: The dataclass instance that holds the defaults.
        path: Dotted place in the recipe, such as ``head``; empty for the top.
        names: Setting -> option name without dashes, in the order of ``--help``.
        section: Heading in ``--help``.
        show_defaults: Whether ``--help`` names the defaults.

    The command receives each under the keyword :func:`keyword` gives; ``None`` when not given.
    """

    def decorate(function: Function) -> Function:
        for setting, name in reversed(list(names.items())):
            rule = rules(type(settings))[setting]
            default = getattr(settings, setting)
            declaration, extra = _declaration(name, rule)
            decorator = click.option(
                declaration,
                keyword(f"{path}.{setting}" if path else setting),
                cls=SectionedOption,
                section=section,
                default=None,
                callback=checked(f"--{name}", rule),
                help=_help(rule, default if show_defaults else None),
                **extra,
            )
            function = decorator(function)
        return function

    return decorate


_SEPARATOR = "__"


def keyword(dotted: str) -> str:
    """A recipe's dotted setting as a Python name."""
    return dotted.replace(".", _SEPARATOR)


def given_settings(keywords: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, by dotted setting."""
    return {
        name.replace(_SEPARATOR, "."): value
        for name, value in keywords.items()
        if value is not None
    }


def _declaration(name: str, rule: Rule) -> tuple[str, dict[str, Any]]:
    if rule.kind is bool:
        return f"--{name}/--no-{name}", {}
    if rule.choices:
        # Not click.Choice: the recipe's own check names the nearest choice.
        return f"--{name}", {"metavar": "[" + "|".join(rule.choices) + "]"}
    metavar = rule.metavar or {int: "N", float: "X", str: "TEXT"}.get(rule.kind, "VALUE")  # type: ignore[call-overload]
    return f"--{name}", {"metavar": metavar}


def _help(rule: Rule, default: object) -> str:
    if default is None:
        return rule.help
    if isinstance(default, bool):
        shown = "yes" if default else "no"
    elif isinstance(default, tuple):
        shown = ",".join(map(str, default)) or "none"
    else:
        shown = f"{default:g}" if isinstance(default, float) else str(default)
    return f"{rule.help} [default: {shown}]"
