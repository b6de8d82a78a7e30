"""The recipe as one frozen object, and how values are put into it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ..errors import UsageError, nearest
from ..settings import reject_unknown, rules, setting
from .parts import (
    AUGMENTATION_PRESETS,
    FINETUNE_STAGE,
    HEAD_STAGE,
    OF_HIDDEN_LAYERS,
    PRECISIONS,
    SCRATCH_STAGE,
    Augmentation,
    BatchAugmentation,
    Head,
    Stage,
)
from .presets import FROM_SCRATCH, is_preset
from .values import AUTO, count_or_auto, image_size

Settings = TypeVar("Settings")

RESIZES = ("stretch", "crop", "letterbox")
POOLINGS = ("avg", "max")
#: The word for weights that are random.
RANDOM = "none"


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run. See ``docs/recipe.md`` for the YAML form."""

    data: str | None = setting(
        None, str, "Folder or manifest of the images.", optional=True, metavar="DATA"
    )
    backbone: str = setting("mobilenet", str, "Pretrained network.", metavar="NAME")
    weights: str = setting(
        "auto",
        str,
        "Weights file, 'auto' to look it up, 'none' for random ones, all of which train.",
        metavar="FILE|none",
    )
    image_size: tuple[int, int] | None = setting(
        None,
        image_size,
        "Pixels the network sees, such as 224 or 240x320 (height x width); "
        "default: the backbone's own.",
        optional=True,
        metavar="SIZE",
    )
    resize: str = setting("stretch", str, "How a photo is fitted to that size.", choices=RESIZES)
    pooling: str = setting("avg", str, "Pooling of feature maps.", choices=POOLINGS)
    feature_blocks: int | str = setting(
        AUTO,
        count_or_auto("blocks", 30),
        "Features from the ends of so many of the top blocks, side by side; auto: what validates "
        "best of 1, 2 and 3, or 3 with hidden layers or many validation images.",
        metavar="N|auto",
    )
    fresh_augmentation: bool = setting(
        False,
        bool,
        "With --unfreeze: a new view of every image in every epoch, through all layers, instead "
        "of kept activations of a few views.",
    )
    precision: str = setting(
        AUTO,
        str,
        "Arithmetic of the frozen layers while training; auto: bfloat16 where that is faster "
        "here and measured to be as good on your images, else float32.",
        choices=PRECISIONS,
    )
    batch_size: int = setting(32, int, "Images per step of training.", minimum=1, maximum=65536)
    class_weight: str = setting(
        "none",
        str,
        "balanced: rare classes count as much as frequent ones.",
        choices=("none", "balanced"),
    )
    validation_split: float = setting(
        0.2, float, "Fraction held out for validation.", minimum=0.01, maximum=0.9
    )
    test_split: float = setting(
        0.0, float, "Fraction held out for the final test.", minimum=0, maximum=0.9
    )
    split_seed: int = setting(
        0, int, "Chooses another split of the same photos.", minimum=0, maximum=2**32 - 1
    )
    seed: int = setting(
        0, int, "Seed of initial weights, augmentation and order.", minimum=0, maximum=2**32 - 1
    )
    augmentation: Augmentation = field(default=AUGMENTATION_PRESETS["light"])
    batch_augmentation: BatchAugmentation = field(default=BatchAugmentation())
    head: Head = field(default=Head())
    stages: tuple[Stage, ...] = field(default=(HEAD_STAGE,))

    def __post_init__(self) -> None:
        if self.validation_split + self.test_split > 0.95:
            raise UsageError(
                "validation_split + test_split: expected a sum of at most 0.95, so that training "
                f"images remain. Received: {self.validation_split:g} + {self.test_split:g}."
            )
        if not self.stages:
            raise UsageError("stages: expected at least one stage. Received: none.")
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise UsageError(f"stages: expected different names. Received: {', '.join(names)}.")

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain dicts, lists and numbers (what ``recipe.yaml`` holds)."""
        return _plain(dataclasses.asdict(self))  # type: ignore[no-any-return]

    def to_yaml(self) -> str:
        """The recipe as YAML text; :func:`read_recipe` reads it back to an equal recipe."""
        import yaml

        return yaml.safe_dump(self.to_dict(), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any], where: str = "recipe") -> Recipe:
        """A recipe from (part of) what :meth:`to_dict` gives; what is missing is the default.

        Raises:
            UsageError: an unknown key or a value out of range, named with the nearest right one.
        """
        is_new = "stages" not in raw and raw.get("weights") == RANDOM
        return _merge(cls()._from_scratch() if is_new else cls(), raw, where)

    def _from_scratch(self) -> Recipe:
        """A copy that trains all layers from random weights."""
        # The penalty that suits a head on pretrained features holds all other layers back.
        head = dataclasses.replace(self.head, l2=0.0) if self.head.l2 == AUTO else self.head
        return dataclasses.replace(self, **FROM_SCRATCH, head=head)

    def is_in_steps(self, stage: Stage) -> bool:
        """Whether a stage learns step by step, from batches, rather than being solved."""
        return bool(self.head.units) or stage.unfreeze != "none"

    def finding_rates(self) -> Recipe:
        """A copy in which the learning rate of every stage that learns step by step is ``auto``.

        Raises:
            UsageError: none does.
        """
        stages = tuple(
            dataclasses.replace(stage, learning_rate=AUTO) if self.is_in_steps(stage) else stage
            for stage in self.stages
        )
        if not any(stage.learning_rate == AUTO for stage in stages):
            raise UsageError(
                "--lr-find: expected something that learns step by step. Received: a head without "
                "hidden layers, which is solved. Add --unfreeze, --preset best or --head-units 256"
            )
        return dataclasses.replace(self, stages=stages)

    def override(self, values: Mapping[str, Any]) -> Recipe:
        """A copy with dotted settings replaced, such as ``{"head.dropout": 0.5}``.

        ``stages.NAME.SETTING`` changes the stage of that name. Setting ``unfreeze`` of the
        ``finetune`` stage adds that stage when it is not there yet. Setting ``weights`` to ``none``
        makes one stage of all layers of a preset's stages, unless ``unfreeze`` is ``none``, too.
        ``stages.head`` then means that one.

        Raises:
            UsageError: an unknown setting, a value out of range, or no stage of that name.
        """
        nested: dict[str, Any] = {}
        staged: list[tuple[str, str, Any]] = []
        for dotted, value in values.items():
            section, _, key = dotted.rpartition(".")
            if section.startswith("stages."):
                staged.append((section.removeprefix("stages."), key, value))
            elif section:
                nested.setdefault(section, {})[key] = value
            else:
                nested[key] = value
        unfreeze = {name: value for name, key, value in staged if key == "unfreeze"}
        unfreezes = str(unfreeze.get("finetune", "none")).strip().lower() != "none"
        is_new = nested.get("weights") == RANDOM and is_preset(self.stages)
        starts_afresh = is_new and (unfreezes or "finetune" not in unfreeze)
        changed = _merge(self._from_scratch() if starts_afresh else self, nested, "options")
        head = nested.get("head", {})
        if isinstance(head, Mapping) and "units" in head and not changed.head.units:
            # With the hidden layers goes what was set for them.
            rest = {name: getattr(Head(), name) for name in OF_HIDDEN_LAYERS if name not in head}
            changed = dataclasses.replace(changed, head=dataclasses.replace(changed.head, **rest))
        stages = {stage.name: stage for stage in changed.stages}
        if unfreezes:
            stages.setdefault("finetune", FINETUNE_STAGE)
        for name, key, value in staged:
            if name == HEAD_STAGE.name and set(stages) == {SCRATCH_STAGE.name}:
                name = SCRATCH_STAGE.name  # It trains the head, too.
            if name not in stages:
                if key == "unfreeze":
                    continue  # "none": no such stage is what was asked for.
                hint = " Add it with --unfreeze." if name == "finetune" else ""
                raise UsageError(
                    f"{key}: expected a recipe with a stage {name!r}. Received: the stages "
                    f"{', '.join(stages)}.{hint}"
                )
            stages[name] = _merge(stages[name], {key: value}, f"stages.{name}")
        return dataclasses.replace(changed, stages=tuple(stages.values()))


def augmentation(raw: object, where: str = "augmentation") -> Augmentation:
    """An augmentation from a preset's name, or from a mapping with an optional ``preset`` key."""
    if isinstance(raw, str):
        raw = {"preset": raw}
    if not isinstance(raw, Mapping):
        raise UsageError(
            f"{where}: expected a preset ({', '.join(AUGMENTATION_PRESETS)}) or a mapping. "
            f"Received: {raw!r}."
        )
    settings = dict(raw)
    preset = settings.pop("preset", "none")
    if not isinstance(preset, str) or preset not in AUGMENTATION_PRESETS:
        raise UsageError(
            f"{where}: expected one of: {', '.join(AUGMENTATION_PRESETS)}. "
            f"Received: {preset!r}.{nearest(preset, AUGMENTATION_PRESETS)}"
        )
    return _merge(AUGMENTATION_PRESETS[preset], settings, where)


def _merge(base: Settings, raw: Mapping[str, Any], where: str) -> Settings:
    """A copy of a settings dataclass with the raw values checked and put in."""
    fields = [f.name for f in dataclasses.fields(base)]  # type: ignore[arg-type]
    reject_unknown(where, raw, fields)
    checks = rules(type(base))
    values = {}
    for key in raw:
        name = f"{where}: {key}"
        if key in checks:
            values[key] = checks[key].parse(name, raw[key])
        else:
            values[key] = _SECTIONS[key](getattr(base, key), raw[key], name)
    return dataclasses.replace(base, **values)  # type: ignore[type-var]


def _merge_section(base: Any, raw: object, where: str) -> Any:
    if dataclasses.is_dataclass(raw):
        return raw
    if not isinstance(raw, Mapping):
        raise UsageError(f"{where}: expected a mapping of settings. Received: {raw!r}.")
    return _merge(base, raw, where)


def _merge_augmentation(base: Augmentation, raw: object, where: str) -> Augmentation:
    if isinstance(raw, Augmentation):
        return raw
    if isinstance(raw, Mapping) and "preset" not in raw:
        return _merge(base, raw, where)
    return augmentation(raw, where)


def _merge_stages(base: tuple[Stage, ...], raw: object, where: str) -> tuple[Stage, ...]:
    if not isinstance(raw, (list, tuple)):
        raise UsageError(f"{where}: expected a list of stages. Received: {raw!r}.")
    return tuple(
        _merge_section(
            FINETUNE_STAGE
            if isinstance(item, Mapping) and item.get("name") == "finetune"
            else HEAD_STAGE,
            item,
            f"{where}[{number}]",
        )
        for number, item in enumerate(raw)
    )


_SECTIONS = {
    "augmentation": _merge_augmentation,
    "batch_augmentation": _merge_section,
    "head": _merge_section,
    "stages": _merge_stages,
}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
