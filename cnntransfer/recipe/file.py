"""Recipes as YAML files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import UsageError
from .recipe import Recipe


def read_recipe(path: Path) -> Recipe:
    """Read a YAML recipe, complete or partial.

    Raises:
        UsageError: the file is missing, is no YAML mapping, or holds a wrong key or value.
    """
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:  # No such date, too.
        raise UsageError(
            f"--config: expected a recipe, a YAML file. Received: {path} ({_reason(error)})."
        ) from None
    if raw is None:
        raw = {}
    if not isinstance(raw, Mapping):
        raise UsageError(
            f"{path}: expected a YAML mapping such as 'backbone: resnet50'. Received: {raw!r}."
        )
    return Recipe.from_dict(raw, where=str(path))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return (error.strerror or str(error)).lower()
    mark = getattr(error, "problem_mark", None)
    if mark is not None:
        return f"line {mark.line + 1}: {getattr(error, 'problem', None) or 'syntax error'}"
    return " ".join(str(error).split())
