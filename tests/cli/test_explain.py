"""``cnntransfer explain``, ``predict --explain`` and ``report --explain``."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cnntransfer
from cnntransfer.errors import ExitCode, UsageError
from cnntransfer.explain import METHODS, Of, integrated_gradients
from tests.cli.test_startup import imported

BIRD = Path(__file__).parents[2] / "sample_images" / "bird.jpg"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Whether they add up is asked elsewhere.
    monkeypatch.setattr(integrated_gradients, "_MOST", 48)


def written(folder="explanations"):
    return sorted(path.name for path in Path(folder).iterdir())


def test_why_a_bundle_says_what_it_says(cli, bundle, photos):
    image = photos / "red" / "red1.png"
    code, out, err = cli("explain", bundle.path, image)
    assert code == ExitCode.OK
    assert re.fullmatch(r" *[\d.]+ %  red\texplanations/red1-gradcam\.png\n", out)
    assert err == f"Next: cnntransfer explain {bundle.path} {image} --method gradcam++\n"
    with Image.open("explanations/red1-gradcam.png") as picture:
        assert min(picture.size) > 200


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.slow
def test_every_method_of_a_bundle(cli, bundle, photos, name):
    """As pictures, as numbers, and as JSON that says where they are."""
    images = {
        Of.NETWORK: [],
        Of.EACH_IMAGE: [photos / "red" / "red1.png", photos / "blue" / "blue1.png"],
        Of.ALL_IMAGES: [photos],
    }[METHODS[name].of]
    code, out, _ = cli("explain", bundle.path, *images, "--method", name, "--npy", "--json")
    assert code == ExitCode.OK
    said = json.loads(out)
    assert (said["model"], said["method"]) == (str(bundle.path), name)
    assert len(said["explanations"]) == max(1, len(images))
    for one in said["explanations"]:
        picture, numbers = one["written"]
        with Image.open(picture) as image:
            image.verify()
        read = np.load(numbers)
        arrays = dict(read) if numbers.endswith("z") else {next(iter(one["arrays"])): read}
        assert {key: list(array.shape) for key, array in arrays.items()} == one["arrays"]
        if METHODS[name].explains_class:
            assert one["class"] in bundle.class_names
            assert 0 < one["probability"] <= 1


@pytest.mark.slow
def test_of_a_network_by_name(cli):
    code, _, err = cli("explain", "mobilenet", "--method", "filters", "-o", "out")
    assert code == ExitCode.OK
    assert written("out") == ["mobilenet-conv1-filters.png"]
    assert err.endswith("Next: cnntransfer explain mobilenet IMAGE --method features\n")


def test_a_class_of_ones_own(cli, bundle, photos):
    image = photos / "red" / "red1.png"
    _, out, _ = cli("explain", bundle.path, image, "--class", "green", "--method", "occlusion")
    assert "green\t" in out
    code, out, err = cli("explain", bundle.path, image, "--class", "grene")
    assert (code, out) == (ExitCode.USAGE, "")
    assert err == (
        f"Error: --class: expected one of the 3 classes of {bundle.path.name}. "
        "Received: 'grene'. Did you mean 'green'?\n"
    )


@pytest.mark.slow
def test_a_layer_of_ones_own(cli, bundle, photos):
    image = photos / "red" / "red1.png"
    arguments = ("explain", bundle.path, image, "--json", "--overwrite", "--layer")
    by_number, by_name = (json.loads(cli(*arguments, layer)[1]) for layer in (-1, "conv_pw_5"))
    assert by_number["explanations"][0]["layers"] == ["conv_pw_13_relu"]
    assert by_name["explanations"][0]["layers"] == ["conv_pw_5"]
    code, out, err = cli(*arguments, "conv")
    assert (code, out) == (ExitCode.USAGE, "")
    assert re.fullmatch(
        r"Error: --layer: expected a number from 1 to \d+ \(or -1 for the highest\), or a name "
        r"such as preprocessing or conv_pw_13_relu\. Received: 'conv'\. Did you mean 'conv1'\?\n",
        err,
    )


def test_what_cannot_be_read_is_said_and_the_others_go_on(cli, bundle, photos, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes((photos / "red" / "red1.png").read_bytes()[:300])
    code, out, err = cli("explain", bundle.path, broken, photos / "red" / "red2.png")
    assert code == ExitCode.PARTIAL
    assert out.count("\n") == 1
    assert err.startswith(f"Rejected {broken}: is truncated or damaged")
    assert err.endswith("1 of 2 files rejected.\n")
    code, out, err = cli("explain", bundle.path, broken)
    assert (code, out) == (ExitCode.DATA, "")
    assert err.startswith(f"Error: {broken}: is truncated or damaged")
    code, _, err = cli("explain", bundle.path, broken, broken)
    assert code == ExitCode.DATA
    assert "Received: none of 2 files can be read" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("mobilenet", BIRD, "--method", "grad"), 2, "--method: expected one of: gradcam, .*"),
        (("mobilenet", BIRD, "--grid", 5), 2, "--grid: expected with --method occlusion. .*"),
        (("mobilenet", BIRD, "--method", "filters"), 2, "Expected no image with --method .*"),
        (("mobilenet",), 3, "Expected an image behind MODEL with --method gradcam. .*"),
        (("mobilenet", "--method", "embedding"), 3, "Expected a folder of images behind MODEL .*"),
        (("mobilenett", BIRD), 5, ".*Received: 'mobilenett', which is neither. Did you mean .*"),
        (("mobilenet", "no.jpg"), 3, ".*Received: no.jpg, which does not exist."),
    ],
)
def test_wrong_words(cli, arguments, code, message):
    received, out, err = cli("explain", *arguments)
    assert (received, out) == (code, "")
    assert re.fullmatch(f"Error: {message}\n", err), err
    assert not Path("explanations").exists()


@pytest.mark.slow
def test_pictures_are_not_replaced_unasked(cli):
    arguments = ("explain", "mobilenet", "--method", "filters")
    assert cli(*arguments)[0] == ExitCode.OK
    code, out, err = cli(*arguments)
    assert (code, out) == (ExitCode.OUTPUT, "")
    assert "allow it with --overwrite" in err
    assert cli(*arguments, "--overwrite")[0] == ExitCode.OK


@pytest.mark.slow
def test_predict_draws_why(cli, bundle, photos):
    images = [photos / "red" / "red1.png", photos / "red" / "red2.png"]
    code, out, err = cli("predict", "-m", bundle.path, *images, "--explain", "occlusion")
    assert code == ExitCode.OK
    assert out.count("\n") == 2
    assert err == "".join(f"Drawn: explanations/red{n}-occlusion.png\n" for n in (1, 2))
    cli("predict", "-m", bundle.path, images[0], "--explain", "gradcam", "--explain-output", "out")
    assert written("out") == ["red1-gradcam.png"]


def test_predict_draws_nothing_among_the_photos(cli, bundle, photos):
    target = photos / "red" / "why"
    options = ("--explain", "gradcam", "--explain-output", target)
    code, out, err = cli("predict", "-m", bundle.path, photos, *options)
    assert (code, out) == (ExitCode.OUTPUT, "")
    assert err.startswith("Error: Expected an output outside the folder of images")
    assert "Choose another place with --explain-output, such as ../why" in err


def test_predict_checks_what_to_draw_first(cli):
    code, out, err = cli("predict", BIRD, "--explain", "filters")
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith("Error: --explain: expected one of: gradcam, gradcam++, ")
    code, out, err = cli("predict", BIRD, "--explain-output", "out")
    assert (code, out) == (ExitCode.USAGE, "")
    assert "expected with --explain METHOD" in err


@pytest.fixture
def wrong(bundle, tmp_path):
    """A copy of the bundle that was wrong once, and has a suspect."""
    copy = cnntransfer.load(shutil.copytree(bundle.path, tmp_path / "wrong")).bundle
    rows = copy.read_table("predictions")
    rows[0]["label"] = next(name for name in bundle.class_names if name != rows[0]["predicted"])
    copy.write_table("predictions", tuple(rows[0]), rows)
    return copy


def test_a_report_shows_what_it_looked_at(cli, wrong):
    cli("report", wrong.path)
    before = wrong.report_file.read_text(encoding="utf-8")
    code, _, _ = cli("report", wrong.path, "--explain", "gradcam")
    assert code == ExitCode.OK
    after = wrong.report_file.read_text(encoding="utf-8")
    (label,) = set(re.findall(r'aria-label="(what speaks for \w+ in [^"]+)"', after))
    assert label.startswith("what speaks for ")
    assert "(gradcam)" in after
    assert "what speaks for" not in before
    assert after.count("<image ") == before.count("<image ") + 1


def test_a_report_is_explained_by_methods_of_classes_only(cli, wrong, tmp_path):
    code, _, err = cli("report", wrong.path, "--explain", "filters")
    assert code == ExitCode.USAGE
    assert err.startswith("Error: --explain: expected one of: gradcam, ")
    (tmp_path / "evaluation.json").write_text("{}")
    code, _, err = cli("report", tmp_path / "evaluation.json", "--explain", "gradcam")
    assert code == ExitCode.USAGE
    assert err.startswith("Error: --explain: expected with a bundle.")


def test_from_python(bundle, photos):
    run = cnntransfer.load(bundle.path)
    (one,) = run.explain(photos / "red" / "red1.png")
    assert one.arrays["heat"].shape == bundle.input_spec.image_size
    (filters,) = run.explain(method="filters", layer=-1)
    assert filters.arrays["kernel"].ndim == 4
    few = run.explain([photos / "red" / "red1.png", photos / "blue"], "occlusion", grid=2)
    assert len(few) == 11
    with pytest.raises(UsageError, match="--colour: unknown"):
        run.explain(photos / "red" / "red1.png", colour="red")


def test_nothing_heavy_is_imported_for_help_or_a_wrong_word():
    assert imported("explain", "--help") == "code 0 imported"
    assert imported("explain", "mobilenet", BIRD, "--grid", 5) == "code 2 imported"


def test_occlusion_needs_no_tensorflow(bundle, photos):
    image = photos / "red" / "red1.png"
    arguments = ("explain", bundle.path, image, "--method", "occlusion", "--grid", 3)
    assert imported(*arguments) == "code 0 imported"


@pytest.mark.slow
def test_names_are_what_they_are_for_predict(cli, bundle, monkeypatch):
    """Case and dashes do not matter, a folder comes before a network, and slips are named."""
    code, out, _ = cli("explain", "MobileNet", "--method", "filters", "--json", "-o", "network")
    assert code == ExitCode.OK
    assert json.loads(out)["explanations"][0]["network"] == "mobilenet"
    shutil.copytree(bundle.path, "resnet50")
    code, _, _ = cli("explain", "resnet50", "--method", "filters", "-o", "folder")
    assert code == ExitCode.OK  # Of the bundle's MobileNet.
    assert written("folder") == ["resnet50-conv1-filters.png"]
    code, out, err = cli("explain", "mobilenett", "--method", "filters")
    assert (code, out) == (ExitCode.BUNDLE, "")
    assert "Received: 'mobilenett', which is neither. Did you mean 'mobilenet'?" in err
