"""The recipe: everything that decides a run, as one frozen object.

Values come from one place each, the later winning: the defaults below, a YAML file
(``--config``), command-line options. The finished recipe is written into every bundle, and a
bundle's ``recipe.yaml`` given to ``--config`` repeats the run.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .errors import UsageError, nearest
from .settings import Rule, numbers, reject_unknown, rules, setting

Settings = TypeVar("Settings")

FILL_MODES = ("nearest", "constant", "reflect", "wrap")
RESIZES = ("stretch", "crop", "letterbox")
PRECISIONS = ("auto", "float32", "bfloat16", "int8")
AUTO = "auto"
POOLINGS = ("avg", "max")
#: From so many depths features are taken where the backbone stays frozen (docs/accuracy.md).
FEATURE_BLOCKS = 3


def _whole_numbers(parts: list[Any], expected: str) -> list[int]:
    try:
        return [Rule(int).parse("", part) for part in parts]
    except UsageError:
        raise ValueError(expected) from None


def _image_size(raw: Any) -> tuple[int, int]:
    """``224``, ``"224"``, ``"240x320"`` (height x width) or ``[240, 320]``."""
    expected = "an image size in pixels such as 224 or 240x320 (height x width)"
    parts = raw.lower().replace("×", "x").split("x") if isinstance(raw, str) else raw
    parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    sides = _whole_numbers(parts, expected)
    if len(sides) not in (1, 2) or not all(1 <= side <= 4096 for side in sides):
        raise ValueError(expected)
    return sides[0], sides[-1]


def _units(raw: Any) -> tuple[int, ...]:
    """``"256"``, ``"256,128"``, ``256``, ``[256, 128]``; ``"none"`` or ``[]`` for no layer."""
    expected = "the widths of the hidden dense layers such as 256 or 256,128, or none"
    if raw is None or (isinstance(raw, str) and raw.strip().lower() in ("", "none")):
        return ()
    parts = raw.replace(",", " ").split() if isinstance(raw, str) else raw
    parts = list(parts) if isinstance(parts, (list, tuple)) else [parts]
    widths = tuple(_whole_numbers(parts, expected))
    if not all(1 <= width <= 65536 for width in widths):
        raise ValueError(expected)
    return widths


def _count_or_auto(things: str, most: int) -> Callable[[Any], int | str]:
    """A number of things, or ``auto``."""

    def parse(raw: Any) -> int | str:
        if _is_auto(raw):
            return AUTO
        expected = f"a number of {things} from 1 to {most} such as 2, or auto"
        (count,) = _whole_numbers([raw], expected)
        if not 1 <= count <= most:
            raise ValueError(expected)
        return count

    return parse


def _l2(raw: Any) -> float | str:
    """The strength of an L2 penalty, or ``auto``."""
    if _is_auto(raw):
        return AUTO
    expected = "a strength from 0 to 10 such as 0.01, or auto"
    try:
        return float(Rule(float, minimum=0, maximum=10).parse("", raw))
    except UsageError:
        raise ValueError(expected) from None


def _is_auto(raw: Any) -> bool:
    return isinstance(raw, str) and raw.strip().lower() == AUTO


def _zoom(raw: Any) -> float | tuple[float, ...]:
    """A fraction (0.2 is [0.8, 1.2]) or a range, as ``ImageDataGenerator`` takes it."""
    expected = "a zoom fraction from 0 to 0.9 such as 0.2, or a range such as 0.8,1.2"
    if isinstance(raw, str) and "," not in raw and " " not in raw.strip():
        try:
            raw = float(raw)
        except ValueError:
            raise ValueError(expected) from None
    if isinstance(raw, (int, float)) and not isinstance(raw, bool):
        if not 0 <= raw <= 0.9:
            raise ValueError(expected)
        return float(raw)
    return numbers(expected, 0.1, 10, size=2)(raw)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Augmentation:
    """Random changes of training images, in ``ImageDataGenerator``'s own words and units.

    Left out of the generator's vocabulary: what is fitted to the data (``featurewise_*``,
    ``zca_whitening``), what the model does itself (``rescale``, ``preprocessing_function``,
    ``samplewise_*``) and what the data set decides (``validation_split``).
    """

    rotation_range: float = setting(
        0.0, float, "Rotate by up to this many degrees.", minimum=0, maximum=180
    )
    width_shift_range: float = setting(
        0.0, float, "Shift sideways by up to this fraction of the width.", minimum=0, maximum=0.9
    )
    height_shift_range: float = setting(
        0.0, float, "Shift up or down by up to this fraction of the height.", minimum=0, maximum=0.9
    )
    brightness_range: tuple[float, float] | None = setting(
        None,
        numbers("a brightness range such as 0.8,1.2", 0, 10, size=2),
        "Multiply the brightness by a factor in this range.",
        optional=True,
        metavar="LOW,HIGH",
    )
    shear_range: float = setting(
        0.0, float, "Shear by up to this many degrees.", minimum=0, maximum=90
    )
    zoom_range: float | tuple[float, float] = setting(
        0.0, _zoom, "Zoom by up to this fraction (0.2), or in a range (0.8,1.2).", metavar="ZOOM"
    )
    channel_shift_range: float = setting(
        0.0, float, "Add up to this much to each pixel (0..255).", minimum=0, maximum=255
    )
    fill_mode: str = setting(
        "nearest", str, "What fills the corners that come into view.", choices=FILL_MODES
    )
    cval: float = setting(
        0.0, float, "Pixel value for --fill-mode constant.", minimum=0, maximum=255
    )
    horizontal_flip: bool = setting(False, bool, "Mirror half of the images left to right.")
    vertical_flip: bool = setting(False, bool, "Mirror half of the images top to bottom.")

    @property
    def is_identity(self) -> bool:
        """Whether no image is ever changed."""
        neutral = dataclasses.replace(Augmentation(), fill_mode=self.fill_mode, cval=self.cval)
        return self == neutral


def _alpha(raw: Any) -> float:
    """How strongly two images are mixed; 0 for not at all."""
    # Keras divides two random numbers, which may both be 0 when they are drawn with less.
    expected = "0 for none, or a number from 0.2 to 1"
    try:
        alpha = float(Rule(float).parse("", raw))
    except UsageError:
        raise ValueError(expected) from None
    if alpha and not 0.2 <= alpha <= 1:
        raise ValueError(expected)
    return alpha


@dataclass(frozen=True)
class BatchAugmentation:
    """Random changes of a batch on its way into the network, by Keras' layers of these names."""

    rand_augment: float = setting(
        0.0,
        float,
        "Change every batch by two of eleven kinds of transform, each up to this strength.",
        minimum=0,
        maximum=1,
    )
    random_erasing: float = setting(
        0.0,
        float,
        "Replace a rectangle by noise, in this share of the images.",
        minimum=0,
        maximum=1,
    )
    mixup: float = setting(
        0.0,
        _alpha,
        "Blend every image and its label with another's, in shares from Beta(ALPHA, ALPHA), such "
        "as 0.2.",
        metavar="ALPHA",
    )
    cutmix: float = setting(
        0.0,
        _alpha,
        "Paste a rectangle of another image into every image, and mix the labels by area, which is "
        "from Beta(ALPHA, ALPHA), such as 1. With --mixup, every batch gets one of both.",
        metavar="ALPHA",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are asked for."""
        return tuple(name for name, strength in vars(self).items() if strength)


AUGMENTATION_PRESETS: dict[str, Augmentation] = {
    "none": Augmentation(),
    "light": Augmentation(
        rotation_range=10.0,
        width_shift_range=0.05,
        height_shift_range=0.05,
        zoom_range=0.1,
        horizontal_flip=True,
    ),
    "strong": Augmentation(
        rotation_range=25.0,
        width_shift_range=0.15,
        height_shift_range=0.15,
        brightness_range=(0.7, 1.3),
        shear_range=10.0,
        zoom_range=0.25,
        channel_shift_range=20.0,
        fill_mode="reflect",
        horizontal_flip=True,
    ),
}


@dataclass(frozen=True)
class Head:
    """The new layers on top of the backbone: standardisation, hidden dense layers, softmax.

    Without hidden layers it is logistic regression, which is solved instead of trained in small
    steps: learning rate, schedule and batch size have no part in it.
    """

    units: tuple[int, ...] = setting(
        (), _units, "Widths of hidden dense layers (256,128), or none.", metavar="N[,N...]"
    )
    activation: str = setting(
        "relu", str, "Activation of the hidden layers.", choices=("relu", "gelu", "silu", "tanh")
    )
    batch_normalization: bool = setting(
        False, bool, "Batch normalisation after each hidden dense layer."
    )
    dropout: float = setting(
        0.5, float, "Fraction of hidden units dropped while training.", minimum=0, maximum=0.95
    )
    l2: float | str = setting(
        AUTO,
        _l2,
        "L2 penalty on the head's kernels; auto: what validates best, or 0.003 with hidden layers.",
        metavar="X|auto",
    )
    ensemble: int = setting(
        1,
        int,
        "Fit so many heads with hidden layers that differ by chance only, and join them into one, "
        "which averages what they say.",
        minimum=1,
        maximum=50,
    )


@dataclass(frozen=True)
class Stage:
    """One step of training. ``unfreeze`` says how much of the backbone trains with the head."""

    name: str = setting("head", str, "The stage's name in history.csv.")
    unfreeze: str = setting(
        "none",
        str,
        "How much of the backbone trains too: none, all, a block (block5), "
        "a number of top layers (20) or a share of them (20%).",
        metavar="BLOCK|N|N%|all|none",
    )
    learning_rate: float = setting(
        1e-3, float, "Learning rate of the Adam optimiser.", minimum=1e-8, maximum=10
    )
    schedule: str = setting(
        "constant",
        str,
        "How the learning rate goes on: as it is, or down to zero along a cosine.",
        choices=("constant", "cosine"),
    )
    warmup: float = setting(
        0.0,
        float,
        "Let the learning rate rise evenly over this share of the steps first.",
        minimum=0,
        maximum=0.9,
    )
    epochs: int = setting(
        200, int, "At most so many passes over the training images.", minimum=1, maximum=100_000
    )
    patience: int = setting(
        10,
        int,
        "Stop after this many epochs without a lower validation loss.",
        minimum=1,
        maximum=100_000,
    )
    layer_decay: float = setting(
        1.0,
        float,
        "Factor of the learning rate from the head to the top block, and from every block to the "
        "one below it.",
        minimum=0.01,
        maximum=1,
    )
    ema_momentum: float = setting(
        0.0,
        float,
        "Validate and keep a running average of the weights that remembers so much of itself in "
        "every step, such as 0.99.",
        minimum=0,
        maximum=0.9999,
    )
    gradient_accumulation_steps: int = setting(
        1,
        int,
        "Learn from so many batches at once, as from one batch of all their images.",
        minimum=1,
        maximum=1024,
    )
    train_batch_normalization: bool = setting(
        False, bool, "Let unfrozen batch normalisation layers train instead of infer."
    )
    precision: str = setting(
        AUTO,
        str,
        "Arithmetic of convolutions in a stage that unfreezes layers; auto: as --precision.",
        choices=PRECISIONS[:3],
    )
    jit_compile: str = setting(
        AUTO,
        str,
        "Whether XLA compiles the steps of a stage that unfreezes layers; auto: where the stage is "
        "long and that is measured to be faster here.",
        choices=(AUTO, "xla", "none"),
    )


HEAD_STAGE = Stage()
FINETUNE_STAGE = Stage(
    name="finetune", learning_rate=1e-4, schedule="cosine", epochs=10, patience=5
)
#: Layers that were pretrained are changed with care: slowly at first, the deeper the less, and
#: averaged over the steps.
_CAREFUL_STAGE = dataclasses.replace(FINETUNE_STAGE, warmup=0.1, layer_decay=0.8, ema_momentum=0.99)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a run. See ``docs/recipe.md`` for the YAML form."""

    data: str | None = setting(
        None, str, "Folder or manifest of the images.", optional=True, metavar="DATA"
    )
    backbone: str = setting("mobilenet", str, "Pretrained network.", metavar="NAME")
    weights: str = setting(
        "auto", str, "Weights file, 'auto' to look it up, 'none' for random.", metavar="FILE|none"
    )
    image_size: tuple[int, int] | None = setting(
        None,
        _image_size,
        "Pixels the network sees, such as 224 or 240x320 (height x width); "
        "default: the backbone's own.",
        optional=True,
        metavar="SIZE",
    )
    resize: str = setting("stretch", str, "How a photo is fitted to that size.", choices=RESIZES)
    pooling: str = setting("avg", str, "Pooling of feature maps.", choices=POOLINGS)
    feature_blocks: int | str = setting(
        AUTO,
        _count_or_auto("blocks", 30),
        "Features from the ends of so many of the top blocks, side by side; auto: 3 where the "
        "backbone stays frozen, else 1.",
        metavar="N|auto",
    )
    views: int | str = setting(
        AUTO,
        _count_or_auto("views", 1000),
        "Versions of each training image that are learned from: the image itself and N - 1 "
        "augmented ones; auto: fewer the more images there are.",
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
    label_smoothing: float = setting(
        0.0,
        float,
        "Spread so much of every label evenly over the classes while training.",
        minimum=0,
        maximum=0.5,
    )
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
        return _merge(cls(), raw, where)

    def override(self, values: Mapping[str, Any]) -> Recipe:
        """A copy with dotted settings replaced, such as ``{"head.dropout": 0.5}``.

        ``stages.NAME.SETTING`` changes the stage of that name. Setting ``unfreeze`` of the
        ``finetune`` stage adds that stage when it is not there yet.

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
        changed = _merge(self, nested, "options")
        stages = {stage.name: stage for stage in changed.stages}
        unfreeze = {name: value for name, key, value in staged if key == "unfreeze"}
        if str(unfreeze.get("finetune", "none")).strip().lower() != "none":
            stages.setdefault("finetune", FINETUNE_STAGE)
        for name, key, value in staged:
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


#: How much is spent on a run: what each of them changes in a recipe.
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"feature_blocks": 1, "stages": (HEAD_STAGE,)},
    "balanced": {"feature_blocks": AUTO, "stages": (HEAD_STAGE,)},
    "best": {
        "feature_blocks": AUTO,
        # From the top downwards, the deeper the more carefully (Howard & Ruder 2018,
        # arXiv:1801.06146).
        "stages": (
            HEAD_STAGE,
            dataclasses.replace(_CAREFUL_STAGE, name="top", unfreeze="15%"),
            dataclasses.replace(_CAREFUL_STAGE, name="deeper", unfreeze="40%", learning_rate=3e-5),
        ),
    },
}


def preset(name: str) -> dict[str, Any]:
    """What a preset changes in a recipe, for :meth:`Recipe.override`.

    Raises:
        UsageError: there is no such preset.
    """
    return PRESETS[Rule(str, choices=tuple(PRESETS)).parse("--preset", name)]


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


def read_recipe(path: Path) -> Recipe:
    """Read a YAML recipe, complete or partial.

    Raises:
        UsageError: the file is missing, is no YAML mapping, or holds a wrong key or value.
    """
    import yaml

    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
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
