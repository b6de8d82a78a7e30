"""Networks by name and bundles: what is trained of them, and what is no network."""

import json
import shutil
import zipfile

import pytest

from cnntransfer.bundle import Bundle
from cnntransfer.errors import BundleError, UsageError
from cnntransfer.inspect.network import inspect, of_backbone, of_bundle
from cnntransfer.models.backbones import get_backbone
from cnntransfer.models.classifier import build_trunk, set_trainable
from cnntransfer.models.weights import WeightsFile
from cnntransfer.recipe import Recipe

MOBILENET = get_backbone("mobilenet")


def trained(anatomy):
    return {facts.name for facts in anatomy.layers if facts.trained and facts.parameters.total}


def edited(bundle, folder, stages):
    """A copy of a bundle whose recipe has other stages."""
    copy = Bundle(shutil.copytree(bundle.path, folder))
    recipe = copy.recipe().to_dict()
    recipe["stages"] = [{**recipe["stages"][0], **stage} for stage in stages]
    copy.write_recipe(Recipe.from_dict(recipe).to_yaml())
    return copy


def test_a_backbone_is_frozen_and_counted_as_in_the_table():
    anatomy = of_backbone(MOBILENET, (64, 48))
    assert anatomy.layers[0].output == (64, 48, 3)
    assert anatomy.layers[-1].output == (2, 1, 1024)
    assert anatomy.parameters == MOBILENET.parameters
    assert (anatomy.trained, anatomy.statistics) == (0, 21_888)
    assert anatomy.frozen == MOBILENET.parameters - 21_888


def test_include_top_is_keras_own_network():
    anatomy = of_backbone(MOBILENET, include_top=True)
    assert anatomy.parameters == 4_253_864
    assert anatomy.layers[-1].output == (1000,)
    assert anatomy.trained == 0


@pytest.mark.parametrize("unfreeze", ["block13", "5", "all"])
@pytest.mark.slow
def test_unfreeze_marks_what_finetune_would_train(unfreeze):
    trunk = build_trunk(MOBILENET, (32, 32), "avg", WeightsFile(None, "random"))
    set_trainable(trunk, MOBILENET.cut(unfreeze), train_batch_normalization=False)
    expected = {layer.name for layer in trunk.layers if layer.trainable_weights}
    assert expected
    assert trained(of_backbone(MOBILENET, (32, 32), unfreeze=unfreeze)) == expected


@pytest.mark.slow
def test_the_order_that_unfreeze_counts_is_the_graph_s():
    """Also where branches run side by side, and features are pooled from several depths."""
    check_order("inception_v3")


def check_order(name):
    from cnntransfer.inspect.network import _marks
    from cnntransfer.models.anatomy.keras_graph import graph_of, layer_entries

    backbone = get_backbone(name)
    side = backbone.minimum_size
    trunk = build_trunk(backbone, (side, side), "avg", WeightsFile(None, "random"), 3)
    graph = graph_of(trunk.model)
    top_layers = backbone.layers // 2
    is_trained = _marks(graph, backbone, [(top_layers, True)])
    own = {layer.name for layer in trunk.layers}
    entries = [entry for entry in layer_entries(graph) if entry["config"]["name"] in own]
    marked = [entry["config"]["name"] for entry in entries if is_trained(entry)]
    assert set(marked) == {layer.name for layer in trunk.layers[-top_layers:]}


def test_a_bundle_s_head_is_trained_and_its_trunk_is_not(bundle):
    anatomy = of_bundle(bundle)
    assert trained(anatomy) == {"probabilities"}
    model = bundle.load_keras()
    assert anatomy.parameters == model.count_params()
    assert anatomy.layers[-1].output == (3,)
    assert anatomy.trained == (1024 + 1024 + 512 + 1) * 3
    assert anatomy.name == bundle.path.name


def test_a_bundle_s_trained_layers_are_those_of_all_stages_of_its_recipe(bundle, tmp_path):
    stages = [{"name": "one", "unfreeze": "block13"}, {"name": "two", "unfreeze": "2"}]
    tuned = edited(bundle, tmp_path / "tuned", stages)
    assert trained(of_bundle(tuned)) == {"conv_dw_13", "conv_pw_13", "probabilities"}
    with_bn = edited(
        bundle, tmp_path / "bn", [{"unfreeze": "2", "train_batch_normalization": True}]
    )
    assert trained(of_bundle(with_bn)) == {"conv_pw_13_bn", "probabilities"}


def test_a_damaged_model_is_one_line(bundle, tmp_path):
    copy = Bundle(shutil.copytree(bundle.path, tmp_path / "copy"))
    copy.keras_file.write_bytes(b"not an archive")
    with pytest.raises(BundleError, match=r"model\.keras is damaged \(File is not a zip file\)"):
        of_bundle(copy)
    with zipfile.ZipFile(copy.keras_file, "w") as archive:
        archive.writestr("config.json", json.dumps([]))
    with pytest.raises(BundleError, match=r"model\.keras is damaged"):
        of_bundle(copy)


def test_a_name_that_is_none_gets_the_nearest():
    with pytest.raises(BundleError) as caught:
        inspect("resnet5", words=("conv", "pool"))
    assert str(caught.value) == (
        "Expected a network that 'cnntransfer backbones' lists, a bundle's folder or one of the "
        "layers conv, pool. Received: 'resnet5'. Did you mean 'resnet50'?"
    )


@pytest.mark.parametrize(
    ("options", "option"),
    [
        ({"image_size": (64, 64)}, "image-size"),
        ({"include_top": True}, "include-top"),
        ({"unfreeze": "all"}, "unfreeze"),
    ],
)
def test_options_of_networks_are_refused_for_a_bundle(bundle, options, option):
    with pytest.raises(UsageError, match=f"^--{option}: expected with a network by name"):
        inspect(str(bundle.path), **options)


def test_what_a_network_cannot_be_is_refused():
    with pytest.raises(UsageError, match="--image-size: expected at least 32 pixels a side"):
        inspect("mobilenet", image_size=(16, 16))
    with pytest.raises(UsageError, match="Unknown block of mobilenet"):
        inspect("mobilenet", unfreeze="block99")
    with pytest.raises(UsageError, match=r"Expected --unfreeze or --include-top\. Received: both"):
        inspect("mobilenet", unfreeze="all", include_top=True)
