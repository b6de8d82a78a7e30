"""Options that commands share, and options made from a recipe's settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..settings import Rule, rules
from .console import Console

Function = TypeVar("Function", bound=Callable[..., Any])


class SectionedCommand(click.Command):
    """A command whose ``--help`` shows its options under headings."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                heading = getattr(parameter, "section", "Options")
                sections.setdefault(heading, []).append(record)
        general = sections.pop("Options", [])
        for heading, records in [*sections.items(), ("Options", general)]:
            with formatter.section(heading):
                formatter.write_dl(records)


class SectionedOption(click.Option):
    """An option under a heading of its own."""

    def __init__(self, *args: Any, section: str = "Options", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


def example(*lines: str) -> str:
    """An epilog with examples that can be copied."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def with_console(function: Function) -> Function:
    """Add ``-v`` and ``-q``, and pass the :class:`Console` they make as ``console``."""
    import functools

    @click.option("-q", "--quiet", is_flag=True, help="Say only errors.")
    @click.option("-v", "--verbose", is_flag=True, help="Say more, such as every epoch.")
    @functools.wraps(function)
    def wrapped(*args: Any, quiet: bool, verbose: bool, **kwargs: Any) -> Any:
        return function(*args, console=Console(-1 if quiet else int(verbose)), **kwargs)

    return wrapped  # type: ignore[return-value]


as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")


def output_options(what: str) -> Callable[[Function], Function]:
    """``--output`` and ``--overwrite``."""

    def decorate(function: Function) -> Function:
        overwrite = click.option("--overwrite", is_flag=True, help="Replace what is there already.")
        output = click.option("-o", "--output", metavar="FOLDER", help=what)
        return output(overwrite(function))

    return decorate


def setting_options(
    settings: Any, path: str, names: dict[str, str], section: str
) -> Callable[[Function], Function]:
    """Options for some settings of a recipe, made from their rules.

    Args:
        settings: The dataclass instance that holds the defaults.
        path: Dotted place in the recipe, such as ``head``; empty for the top.
        names: Setting -> option name without dashes, in the order of ``--help``.
        section: Heading in ``--help``.

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
                help=_help(rule, default),
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
