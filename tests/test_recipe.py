"""The recipe: defaults, YAML, overrides, and what it refuses in which words."""

import dataclasses
import math
import random

import pytest

from cnntransfer.data.fitting import Resize
from cnntransfer.errors import UsageError
from cnntransfer.frameworks import tensorflow
from cnntransfer.recipe import (
    AUGMENTATION_PRESETS,
    FILL_MODES,
    FINETUNE_STAGE,
    HEAD_STAGE,
    PRESETS,
    RESIZES,
    Augmentation,
    BatchAugmentation,
    Head,
    Recipe,
    Stage,
    augmentation,
    preset,
    read_recipe,
)
from cnntransfer.settings import rules


def message(call, *arguments):
    with pytest.raises(UsageError) as caught:
        call(*arguments)
    return str(caught.value)


def load(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path)


# ---- YAML


def test_every_setting_survives_yaml(tmp_path):
    recipe = Recipe(
        data="/photos/Blümchen: 1",
        backbone="resnet50",
        weights="none",
        image_size=(96, 128),
        resize="letterbox",
        pooling="max",
        batch_size=3,
        validation_split=0.25,
        test_split=0.125,
        split_seed=7,
        seed=2**32 - 1,
        augmentation=Augmentation(
            rotation_range=12.5,
            brightness_range=(0.5, 1.5),
            zoom_range=(0.9, 1.3),
            fill_mode="wrap",
            vertical_flip=True,
        ),
        batch_augmentation=BatchAugmentation(rand_augment=0.3, mixup=0.2, cutmix=1.0),
        head=Head(units=(64, 32), activation="gelu", batch_normalization=True, dropout=0, l2=1e-4),
        stages=(
            HEAD_STAGE,
            dataclasses.replace(
                FINETUNE_STAGE,
                unfreeze="20",
                views=5,
                epochs=3,
                warmup=0.25,
                layer_decay=0.5,
                ema_momentum=0.9,
                gradient_accumulation_steps=4,
            ),
        ),
    )
    assert load(tmp_path, recipe.to_yaml()) == recipe


@pytest.mark.parametrize("preset", AUGMENTATION_PRESETS)
def test_defaults_and_presets_survive_yaml(tmp_path, preset):
    recipe = Recipe(augmentation=AUGMENTATION_PRESETS[preset])
    assert load(tmp_path, recipe.to_yaml()) == recipe
    assert load(tmp_path, f"augmentation: {preset}") == recipe


def test_random_recipes_survive_yaml(tmp_path):
    generator = random.Random(0)
    for _ in range(30):
        values = {}
        for section, kind in (("", Recipe), ("augmentation.", Augmentation), ("head.", Head)):
            for name, rule in rules(kind).items():
                if generator.random() < 0.5:
                    continue
                if rule.choices:
                    values[section + name] = generator.choice(rule.choices)
                elif rule.kind is bool:
                    values[section + name] = generator.random() < 0.5
                elif rule.kind is int:
                    values[section + name] = generator.randint(int(rule.minimum), int(rule.maximum))
                elif rule.kind is float:
                    values[section + name] = generator.uniform(rule.minimum, rule.maximum)
        values |= {"validation_split": 0.3, "test_split": generator.random() / 2}
        recipe = Recipe().override(values)
        assert load(tmp_path, recipe.to_yaml()) == recipe


def test_an_empty_file_is_the_default(tmp_path):
    assert load(tmp_path, "# nothing yet\n") == Recipe()


def test_numbers_that_yaml_takes_for_text(tmp_path):
    assert load(tmp_path, "stages: [{learning_rate: 1e-3}]").stages[0].learning_rate == 0.001


def test_files_that_are_no_recipe(tmp_path):
    missing = tmp_path / "none.yaml"
    assert message(read_recipe, missing) == (
        f"--config: expected a recipe, a YAML file. Received: {missing} "
        "(no such file or directory)."
    )
    path = tmp_path / "recipe.yaml"
    assert message(load, tmp_path, "- 1\n").startswith(
        f"{path}: expected a YAML mapping such as 'backbone: resnet50'. Received: [1]"
    )
    for content in (
        b"a: [",
        b"\xff\xfe\x00",
        b"!!python/object:os.system {}",
        b"data: 2023-02-30",
        b"[" * 5000,
    ):
        path.write_bytes(content)
        text = message(read_recipe, path)
        assert text.startswith(f"--config: expected a recipe, a YAML file. Received: {path} (")
        assert "\n" not in text
    assert message(read_recipe, tmp_path).endswith(f"Received: {tmp_path} (is a directory).")


def test_the_file_is_named_in_errors(tmp_path):
    path = tmp_path / "recipe.yaml"
    assert message(load, tmp_path, "backbon: vgg16").startswith(
        f"{path}: unknown key 'backbon'. Did you mean 'backbone'? Known keys: data, backbone, "
    )
    assert message(load, tmp_path, "head: {dropout: 2}") == (
        f"{path}: head: dropout: expected a number from 0 to 0.95. Received: 2.0. "
        "The nearest allowed value is 0.95."
    )
    assert message(load, tmp_path, "stages: [{unfreeze: null}]") == (
        f"{path}: stages[0]: unfreeze: expected none, all, a block such as block5, a number of "
        "layers or a share of them. Received: None."
    )
    assert message(load, tmp_path, "stages: [{}, {name: b, epochs: 0}]") == (
        f"{path}: stages[1]: epochs: expected a whole number from 1 to 100000. Received: 0. "
        "The nearest allowed value is 1."
    )


# ---- Precedence and overrides


def test_later_sources_win(tmp_path):
    recipe = load(tmp_path, "batch_size: 7\nseed: 3\nhead: {dropout: 0.1}")
    changed = recipe.override({"seed": 4, "head.l2": 0.5})
    assert (changed.batch_size, changed.seed) == (7, 4)
    assert changed.head == Head(dropout=0.1, l2=0.5)
    assert changed.split_seed == Recipe().split_seed
    assert recipe.seed == 3


def test_a_partial_augmentation_changes_the_default_and_a_preset_replaces_it(tmp_path):
    assert load(tmp_path, "augmentation: {rotation_range: 33}").augmentation == dataclasses.replace(
        Recipe().augmentation, rotation_range=33.0
    )
    assert load(
        tmp_path, "augmentation: {preset: strong, cval: 9}"
    ).augmentation == dataclasses.replace(AUGMENTATION_PRESETS["strong"], cval=9.0)
    assert Recipe().override({"augmentation": "none"}).augmentation.is_identity


def test_presets():
    fast, balanced, best = (Recipe().override(preset(name)) for name in PRESETS)
    assert balanced == Recipe()
    assert [one.feature_blocks for one in (fast, balanced, best)] == [1, "auto", "auto"]
    assert [stage.unfreeze for stage in best.stages] == ["none", "15%", "40%"]
    rates = [stage.learning_rate for stage in best.stages]
    assert rates == sorted(rates, reverse=True)
    assert all(stage.warmup and stage.ema_momentum for stage in best.stages[1:])
    # What is kept of them has to be clearly better, and the head is the one of the other presets.
    assert all(stage.min_delta > 1 for stage in best.stages[1:])
    assert best.stages[0] == balanced.stages[0]
    assert all(stage.layer_decay < 1 for stage in best.stages[1:])
    with pytest.raises(UsageError, match=r"--preset: expected one of: fast, balanced, best\."):
        preset("bets")


def test_a_stage_is_overridden_by_name_and_finetune_is_added():
    recipe = Recipe().override({"stages.head.epochs": 3, "stages.finetune.unfreeze": "block5"})
    assert recipe.stages == (
        dataclasses.replace(HEAD_STAGE, epochs=3),
        dataclasses.replace(FINETUNE_STAGE, unfreeze="block5"),
    )
    again = recipe.override({"stages.finetune.epochs": 2})
    assert again.stages[1] == dataclasses.replace(recipe.stages[1], epochs=2)


def test_whole_stages_can_be_replaced_and_changed_at_once():
    recipe = Recipe().override(
        {"stages.warmup.epochs": 5, "stages": [{"name": "warmup", "learning_rate": 0.5}]}
    )
    assert recipe.stages == (Stage(name="warmup", learning_rate=0.5, epochs=5),)


def test_a_stage_named_finetune_starts_from_its_own_defaults(tmp_path):
    recipe = load(tmp_path, "stages: [{}, {name: finetune, unfreeze: 3}]")
    assert recipe.stages[1] == dataclasses.replace(FINETUNE_STAGE, unfreeze="3")


def test_unknown_overrides():
    assert "options: unknown key 'sede'. Did you mean 'seed'?" in message(
        Recipe().override, {"sede": 1}
    )
    assert "options: head: unknown key 'drop'." in message(Recipe().override, {"head.drop": 1})
    assert "stages.head: unknown key 'epoch'. Did you mean 'epochs'?" in message(
        Recipe().override, {"stages.head.epoch": 1}
    )
    assert "unknown key 'heads'" in message(Recipe().override, {"heads.dropout": 1})


# ---- Values


@pytest.mark.parametrize(
    ("raw", "size"),
    [
        (224, (224, 224)),
        ("224", (224, 224)),
        ("240x320", (240, 320)),
        ("240X320", (240, 320)),
        ("240×320", (240, 320)),
        ([240, 320], (240, 320)),
        (None, None),
    ],
)
def test_image_size(raw, size):
    assert Recipe.from_dict({"image_size": raw}).image_size == size


@pytest.mark.parametrize(
    "raw", [0, -1, 4097, 224.5, True, math.inf, math.nan, "1x2x3", "", "big", [], [1, 2, 3], {}]
)
def test_what_is_no_image_size(raw):
    assert message(Recipe.from_dict, {"image_size": raw}) == (
        "recipe: image_size: expected an image size in pixels such as 224 or 240x320 "
        f"(height x width). Received: {raw!r}."
    )


@pytest.mark.parametrize(
    ("raw", "units"),
    [
        (256, (256,)),
        ("256,128", (256, 128)),
        ("256 128", (256, 128)),
        ([256, 128], (256, 128)),
        ("none", ()),
        ([], ()),
        (None, ()),
    ],
)
def test_head_units(raw, units):
    assert Recipe.from_dict({"head": {"units": raw}}).head.units == units


@pytest.mark.parametrize("raw", [0, -5, 65537, 2.5, True, math.inf, "a", [1, None], {"a": 1}])
def test_what_are_no_head_units(raw):
    assert message(Recipe.from_dict, {"head": {"units": raw}}) == (
        "recipe: head: units: expected the widths of the hidden dense layers such as 256 or "
        f"256,128, or none. Received: {raw!r}."
    )


@pytest.mark.parametrize(
    ("raw", "zoom"),
    [(0.2, 0.2), ("0.2", 0.2), (0, 0.0), ("0.8,1.2", (0.8, 1.2)), ([0.5, 2], (0.5, 2.0))],
)
def test_zoom(raw, zoom):
    assert augmentation({"zoom_range": raw}).zoom_range == zoom


@pytest.mark.parametrize("raw", [1, -0.1, "nan", math.nan, True, "far", [0.5], [0, 1], None])
def test_what_is_no_zoom(raw):
    assert message(augmentation, {"zoom_range": raw}) == (
        "augmentation: zoom_range: expected a zoom fraction from 0 to 0.9 such as 0.2, or a range "
        f"such as 0.8,1.2. Received: {raw!r}."
    )


def test_brightness():
    assert augmentation({"brightness_range": "0.8,1.2"}).brightness_range == (0.8, 1.2)
    assert augmentation({"brightness_range": None}).brightness_range is None
    assert message(augmentation, {"brightness_range": 0.2}) == (
        "augmentation: brightness_range: expected a brightness range such as 0.8,1.2. "
        "Received: 0.2."
    )


def test_what_is_asked_of_batches():
    settings = Recipe.from_dict({"batch_augmentation": {"cutmix": "1", "mixup": 0}})
    assert settings.batch_augmentation == BatchAugmentation(cutmix=1.0)
    assert settings.batch_augmentation.names == ("cutmix",)
    assert BatchAugmentation().names == ()


@pytest.mark.parametrize("raw", [0.1, -0.2, 1.1, math.nan, True, "much", None, []])
def test_how_strongly_images_cannot_be_mixed(raw):
    for name in ("mixup", "cutmix"):
        assert message(Recipe.from_dict, {"batch_augmentation": {name: raw}}) == (
            f"recipe: batch_augmentation: {name}: expected 0 for none, or a number from 0.2 to 1. "
            f"Received: {raw!r}."
        )


@pytest.mark.parametrize("raw", [3, None, ["light"], True])
def test_an_augmentation_is_a_preset_or_a_mapping(raw):
    assert message(Recipe.from_dict, {"augmentation": raw}) == (
        "recipe: augmentation: expected a preset (none, light, strong) or a mapping. "
        f"Received: {raw!r}."
    )


@pytest.mark.parametrize(
    ("preset", "hint"), [("lihgt", " Did you mean 'light'?"), ("heavy", ""), (["x"], ""), (1, "")]
)
def test_an_unknown_preset(preset, hint):
    assert message(augmentation, {"preset": preset}) == (
        f"augmentation: expected one of: none, light, strong. Received: {preset!r}.{hint}"
    )


@pytest.mark.parametrize("section", ["batch_augmentation", "head", "stages"])
def test_sections_have_their_form(section):
    for raw in (3, "text", None, True):
        assert message(Recipe.from_dict, {section: raw}).startswith(
            f"recipe: {section}: expected a"
        )
    assert "stages[0]: expected a mapping of settings. Received: 'head'." in message(
        Recipe.from_dict, {"stages": ["head"]}
    )


def test_what_no_recipe_can_be():
    assert message(Recipe.from_dict, {"validation_split": 0.6, "test_split": 0.5}) == (
        "validation_split + test_split: expected a sum of at most 0.95, so that training images "
        "remain. Received: 0.6 + 0.5."
    )
    assert message(Recipe.from_dict, {"stages": []}) == (
        "stages: expected at least one stage. Received: none."
    )
    assert message(Recipe.from_dict, {"stages": [{}, {}]}) == (
        "stages: expected different names. Received: head, head."
    )


NUMERIC = [
    (kind, name)
    for kind in (Recipe, Augmentation, BatchAugmentation, Head, Stage)
    for name, rule in rules(kind).items()
    if rule.kind in (int, float)
]


@pytest.mark.parametrize(
    ("kind", "name"), NUMERIC, ids=lambda value: getattr(value, "__name__", value)
)
def test_every_number_has_limits_that_hold(kind, name):
    rule = rules(kind)[name]
    assert rule.parse(name, rule.minimum) == rule.minimum
    assert rule.parse(name, rule.maximum) == rule.maximum
    for raw in (rule.minimum - 1, rule.maximum + 1):
        text = message(rule.parse, name, raw)
        nearest = float(text.partition(" The nearest allowed value is ")[2].removesuffix("."))
        assert nearest == pytest.approx(min(max(raw, rule.minimum), rule.maximum))
    for raw in (math.nan, math.inf, True, "many", None, []):
        assert message(rule.parse, name, raw).endswith(f"Received: {raw!r}.")


def test_every_default_obeys_its_rule():
    for kind in (Recipe, Augmentation, BatchAugmentation, Head, Stage):
        for name, rule in rules(kind).items():
            default = getattr(kind(), name)
            assert rule.parse(name, default) == default
            assert rule.help
            assert rule.help.endswith(".")


# ---- One vocabulary


def test_resize_modes_are_the_decoder_s():
    assert [mode.value for mode in Resize] == list(RESIZES)


def test_augmentation_speaks_image_data_generator():
    import inspect

    generator = tensorflow().keras.preprocessing.image.ImageDataGenerator
    parameters = inspect.signature(generator).parameters
    for field in dataclasses.fields(Augmentation):
        assert field.name in parameters
    assert parameters["fill_mode"].default in FILL_MODES


def test_identity():
    assert Augmentation().is_identity
    assert Augmentation(fill_mode="wrap", cval=3.0).is_identity
    for field in dataclasses.fields(Augmentation):
        if field.name not in ("fill_mode", "cval"):
            changed = {"brightness_range": (0.5, 1.0)}.get(field.name, 0.1)
            assert not dataclasses.replace(Augmentation(), **{field.name: changed}).is_identity


def test_a_finetune_stage_is_added_by_unfreeze_only():
    assert Recipe().override({"stages.finetune.unfreeze": "none"}) == Recipe()
    added = Recipe().override({"stages.finetune.unfreeze": "2", "stages.finetune.epochs": 3})
    assert [(stage.name, stage.epochs) for stage in added.stages][1] == ("finetune", 3)
    with pytest.raises(UsageError, match="Add it with --unfreeze"):
        Recipe().override({"stages.finetune.epochs": 3})
    with pytest.raises(UsageError, match="Received: the stages warmup"):
        Recipe.from_dict({"stages": [{"name": "warmup"}]}).override({"stages.head.epochs": 3})


# ---- Random weights


def test_random_weights_train_all_layers_whatever_the_preset(tmp_path):
    for name in PRESETS:
        recipe = Recipe().override(preset(name)).override({"weights": "none"})
        (stage,) = recipe.stages
        assert (stage.name, stage.unfreeze, stage.learning_rate) == ("finetune", "all", 1e-3)
        assert (recipe.feature_blocks, stage.views, recipe.head.l2) == (1, 1, 0.0)
        assert recipe.fresh_augmentation
    assert load(tmp_path, "weights: none") == Recipe().override({"weights": "none"})
    assert load(tmp_path, recipe.to_yaml()) == recipe


def test_what_is_asked_for_comes_before_what_random_weights_mean(tmp_path):
    asked = {
        "weights": "none",
        "stages.finetune.epochs": 3,
        "stages.finetune.unfreeze": "conv5",
        "feature_blocks": 2,
        "head": {"l2": 0.1},
    }
    recipe = Recipe().override(asked)
    assert (recipe.stages[0].epochs, recipe.stages[0].unfreeze) == (3, "conv5")
    assert (recipe.feature_blocks, recipe.head.l2) == (2, 0.1)
    frozen = Recipe().override({"weights": "none", "stages.finetune.unfreeze": "none"})
    assert frozen == Recipe(weights="none")
    own = load(tmp_path, "stages: [{name: mine, epochs: 7}]")
    assert own.override({"weights": "none"}).stages == own.stages


def test_the_head_s_options_are_those_of_the_only_stage_of_random_weights():
    recipe = Recipe().override({"weights": "none", "stages.head.epochs": 3})
    assert [(stage.name, stage.epochs) for stage in recipe.stages] == [("finetune", 3)]
