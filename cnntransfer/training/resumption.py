"""Whether a run can go on from its checkpoint, and what to say if not."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..data.dataset import Dataset
from ..errors import DataError, OutputError, UsageError, counted, nearest
from ..recipe import AUTO, Recipe, read_recipe

#: What follows the output's name in the name of the checkpoint's folder.
SUFFIX = ".unfinished"
#: The file for people in it, and the one for the program.
RECIPE = "recipe.yaml"
RUN = "run.npz"


def unfinished(output: Path) -> Path:
    """The folder of an output's checkpoint."""
    return output.parent / (output.name + SUFFIX)


def output_of(path: Path) -> Path:
    """The output that is meant; a shell completes a name to the checkpoint's folder."""
    return path.parent / path.name.removesuffix(SUFFIX)


def resume_command(output: Path) -> str:
    """What goes on with a run."""
    return f"cnntransfer finetune --resume {shlex.quote(str(output))}"


def afresh(output: Path) -> str:
    """What to do when a run cannot go on."""
    config = shlex.quote(str(unfinished(output) / RECIPE))
    return (
        f"To start it again: cnntransfer finetune --config {config} -o {shlex.quote(str(output))}"
    )


def nothing_to_resume(output: Path) -> UsageError | OutputError:
    """The error for an output of which there is no checkpoint."""
    if (output / Bundle.MARKER).is_file():
        return OutputError(
            f"Expected an unfinished run. Received: {output}, which is finished. "
            f"Try: cnntransfer evaluate {shlex.quote(str(output))} photos/"
        )
    others = [folder.parent.name for folder in output.parent.glob(f"*{SUFFIX}/{RUN}")]
    names = [name.removesuffix(SUFFIX) for name in others]
    return UsageError(
        f"--resume: expected the output of a run that was stopped while it trained. Received: "
        f"{output}, of which nothing is kept.{nearest(output.name, names)} Start the run again: "
        "features that were computed are kept."
    )


def check_recipe(recipe: Recipe, output: Path) -> None:
    """Check that nobody has changed the recipe; what it left open may have been settled."""
    file = unfinished(output) / RECIPE
    if not file.exists():
        return
    written = _flat(read_recipe(file).to_dict())
    changed = [
        f"{name} {written.get(name)!r} instead of {value!r}"
        for name, value in _flat(recipe.to_dict()).items()
        if written.get(name) not in (value, AUTO)
    ]
    if changed:
        raise UsageError(
            f"Expected the recipe that the run began with. Received: {file} with "
            f"{', '.join(changed[:3])}. Delete the file to go on without that. {afresh(output)}"
        )


def _flat(values: Any, name: str = "") -> dict[str, Any]:
    """Nested settings by dotted name."""
    if isinstance(values, dict):
        items = {str(key): value for key, value in values.items()}
    elif isinstance(values, list) and name == "stages":
        items = {str(stage["name"]): stage for stage in values}
    else:
        return {name: values}
    flat: dict[str, Any] = {}
    for key, value in items.items():
        flat.update(_flat(value, f"{name}.{key}" if name else key))
    return flat


def images_of(dataset: Dataset) -> list[list[str | None]]:
    """Everything of the images that training depends on, in order."""
    return [
        [dataset.name_of(sample.path), sample.label, sample.subset, sample.digest]
        for sample in dataset.samples
    ]


def check_images(before: list[list[str | None]], now: list[list[str | None]], output: Path) -> None:
    """Check that the images are those that a run began with; both from :func:`images_of`."""
    if before == now:
        return
    gone = {tuple(image) for image in before} - {tuple(image) for image in now}
    new = {tuple(image) for image in now} - {tuple(image) for image in before}
    changes = [
        f"{counted(len(images), 'image')} {what} (such as {min(str(i[0]) for i in images)})"
        for images, what in ((gone, "gone or changed"), (new, "new or changed"))
        if images
    ]
    raise DataError(
        f"Expected the {counted(len(before), 'image')} that the run began with. Received: "
        f"{' and '.join(changes) or 'another order'}. Put them back. {afresh(output)}"
    )
