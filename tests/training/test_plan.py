"""What a run is to do, settled before it begins."""

import pytest

from cnntransfer.errors import UsageError
from cnntransfer.recipe import FEATURE_BLOCKS, Recipe
from cnntransfer.training.extraction import feature_blocks
from cnntransfer.training.plan import resolve


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
