"""What a run is to do, settled before it begins."""

from pathlib import Path

import pytest

from cnntransfer.data.dataset import Dataset, Sample
from cnntransfer.errors import UsageError
from cnntransfer.recipe import FEATURE_BLOCKS, Augmentation, Recipe, preset
from cnntransfer.training.extraction import feature_blocks
from cnntransfer.training.plan import resolve, with_views


@pytest.mark.parametrize(
    ("settings", "blocks"),
    [
        ({}, FEATURE_BLOCKS),
        # A stage that unfreezes layers keeps beside its activations what is pooled below them.
        ({"stages.finetune.unfreeze": "block13"}, FEATURE_BLOCKS),
        ({"stages.finetune.unfreeze": "block13", "feature_blocks": 2}, 2),
        ({"feature_blocks": "5"}, 5),
        ({"backbone": "vgg16", "feature_blocks": "5"}, 5),
    ],
)
def test_how_many_blocks_give_features(settings, blocks):
    backbone, recipe = resolve(Recipe(data="photos").override(settings))
    assert feature_blocks(recipe, backbone) == blocks


def test_a_backbone_with_fewer_blocks():
    with pytest.raises(UsageError, match=r"at most 5, the blocks of vgg16\. Received: 6\."):
        resolve(Recipe(data="photos", backbone="vgg16", feature_blocks=6))


@pytest.mark.parametrize(
    ("name", "settings", "images", "views"),
    [
        ("balanced", {}, 100, [4]),
        ("balanced", {}, 101, [1]),
        ("balanced", {"stages.head.views": 3}, 100, [3]),
        ("balanced", {"augmentation": "none", "stages.head.views": 3}, 100, [1]),
        ("balanced", {"stages.finetune.unfreeze": "block13"}, 500, [1, 2]),
        # Otherwise an augmentation that somebody asks for would have no effect.
        ("balanced", {"augmentation": "strong"}, 500, [4]),
        ("balanced", {"augmentation": {"rotation_range": 5}}, 500, [4]),
        ("balanced", {"augmentation": "strong", "stages.head.views": 1}, 500, [1]),
        (
            "balanced",
            {"augmentation": "strong", "stages.finetune.unfreeze": "block13"},
            500,
            [4, 4],
        ),
        # A head begins as that of the other presets does.
        ("best", {}, 500, [1, 4, 4]),
        ("best", {"weights": "none"}, 500, [1]),
    ],
)
def test_how_many_views_every_stage_learns_from(name, settings, images, views):
    recipe = Recipe(data="photos").override(preset(name)).override(settings)
    backbone, recipe = resolve(recipe)
    samples = (Sample(Path(f"{i}"), "a", f"{i:064x}", "train") for i in range(images))
    dataset = Dataset(Path(), ("a",), tuple(samples))
    settled = with_views(recipe, backbone, dataset)
    assert [stage.views for stage in settled.stages] == views
    assert with_views(settled, backbone, dataset) == settled


def test_a_recipe_from_python_is_checked_like_one_from_a_file():
    recipe = Recipe(data="photos", augmentation=Augmentation(width_shift_range=20))
    with pytest.raises(UsageError, match=r"width_shift_range: expected a number from 0 to 0\.9"):
        resolve(recipe)
