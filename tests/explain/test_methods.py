"""What each method computes, against what must come out."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from cnntransfer.errors import DataError, MissingDependencyError, UsageError
from cnntransfer.explain import METHODS, Of, Options, get_method, gradcam, occlusion
from cnntransfer.explain import integrated_gradients as ig
from cnntransfer.explain.explanation import Photo
from cnntransfer.explain.gradcam import gradcam_plus_plus_weights, gradcam_weights
from cnntransfer.explain.gradients import score_gradients
from cnntransfer.explain.patches import _channels
from cnntransfer.frameworks import keras
from tests.explain.conftest import image_input, subject_of


def explained(method, subject, photos, **options):
    chosen = get_method(method)
    (explanation,) = chosen.explanations(subject, photos, chosen.options(options))
    return explanation


def some_photos(count, seed=0):
    random = np.random.default_rng(seed)
    return [
        Photo(Path(f"folder/{n}.jpg"), random.integers(0, 256, (12, 12, 3), np.uint8))
        for n in range(count)
    ]


class TestGradCam:
    def test_weights_are_the_paper_s(self):
        random = np.random.default_rng(0)
        values, gradients = random.normal(size=(2, 4, 5, 3))
        for channel in range(3):
            total = alphas = 0.0
            below = values[..., channel].sum()
            for i in range(4):
                for j in range(5):
                    g = gradients[i, j, channel]
                    total += g
                    alphas += g**2 / (2 * g**2 + below * g**3) * max(g, 0)
            assert gradcam_weights(values, gradients)[channel] == pytest.approx(total)
            plus_plus = gradcam_plus_plus_weights(values, gradients)[channel]
            assert plus_plus == pytest.approx(20 * alphas)

    def test_no_gradient_gives_no_weight(self):
        nothing = np.zeros((2, 2, 1), np.float32)
        assert gradcam_plus_plus_weights(nothing + 1, nothing) == [0]

    def test_heat_is_where_the_channel_is(self):
        """A network that looks for red, and a picture that is red in one corner."""
        k = keras()
        image = image_input(k)
        x = k.layers.Conv2D(2, 1, name="colours")(image)
        x = k.layers.GlobalAveragePooling2D()(x)
        x = k.layers.Dense(2, activation="softmax")(x)
        model = k.Model(image, x)
        colours = np.array([[1, 0], [-1, 0], [0, 1]], np.float32).reshape(1, 1, 3, 2)
        model.set_weights([colours, np.zeros(2), np.eye(2, dtype=np.float32), np.zeros(2)])
        pixels = np.zeros((12, 12, 3), np.uint8)
        pixels[:4, :4, 0] = 200
        pixels[8:, 8:, 1] = 200
        subject = subject_of(model, ("red", "blue"))
        result = explained("gradcam", subject, [Photo(Path("x.png"), pixels)])
        heat = result.arrays["heat"]
        assert result.facts["class"] == "red"
        assert result.facts["layers"] == ["colours"]
        np.testing.assert_allclose(heat, np.where(pixels[..., 0] > 0, 200, 0), rtol=1e-5)

    def test_its_mean_is_the_score(self, two_depths, photo):
        """Where nothing is below zero, so that nothing is cut off."""
        model = keras().models.clone_model(two_depths.model)
        weights = two_depths.model.get_weights()
        model.set_weights([*weights[:-2], np.abs(weights[-2]), np.zeros(3)])
        subject = subject_of(model)
        heat = explained("gradcam", subject, [photo], target="dog").arrays["heat"]
        (score,), _ = score_gradients(subject, 1)(photo.pixels[np.newaxis].astype(np.float32))
        assert heat.mean() == pytest.approx(score, rel=0.03)  # Enlarging moves a little.

    def test_a_layer_can_be_chosen(self, plain, photo):
        result = explained("gradcam++", plain, [photo], layer="low")
        assert result.facts["layers"] == ["low"]
        assert result.arrays["heat"].shape == (12, 12)
        assert result.arrays["heat"].min() >= 0

    def test_no_evidence_is_said(self, plain, photo, monkeypatch):
        """A class may be likely because more speaks against the others."""
        maps = [(np.ones((3, 3, 5), np.float32), np.full((3, 3, 5), -1, np.float32))]
        monkeypatch.setattr(gradcam, "map_gradients", lambda *_: maps)
        result = explained("gradcam", plain, [photo], target="owl")
        assert not result.arrays["heat"].any()
        (remark,) = result.remarks
        assert "nowhere does the map speak for 'owl'" in remark
        assert explained("gradcam++", plain, [photo]).remarks

    def test_without_maps_there_is_nothing_to_see(self, linear, photo):
        with pytest.raises(UsageError, match="maps of more than one place"):
            explained("gradcam", linear, [photo])


class TestOcclusion:
    def test_is_the_loop_over_all_places(self, plain, photo):
        result = explained("occlusion", plain, [photo], grid=4, square=5, target="owl")
        places = [0, 2, 5, 7]  # Of 0, 2.33, 4.67, 7.
        assert result.arrays["tops"].tolist() == result.arrays["lefts"].tolist() == places
        for row, top in enumerate(places):
            for column, left in enumerate(places):
                pixels = photo.pixels.copy()
                pixels[top : top + 5, left : left + 5] = 128
                probability = np.asarray(plain.model(pixels[np.newaxis].astype(np.float32)))[0, 2]
                assert result.arrays["probability"][row, column] == pytest.approx(
                    probability, abs=1e-6
                )
        assert result.facts["lowest"] == result.arrays["probability"].min()

    def test_no_place_is_computed_twice(self, plain, photo):
        result = explained("occlusion", plain, [photo], grid=100, square=10)
        assert result.arrays["probability"].shape == (3, 3)

    def test_a_square_must_fit(self, plain, photo):
        with pytest.raises(UsageError, match="--square: expected at most 12 pixels"):
            explained("occlusion", plain, [photo], square=13)
        assert explained("occlusion", plain, [photo], square=12).arrays["tops"].tolist() == [0]

    def test_heat_is_the_mean_of_the_squares_there(self):
        arrays = {
            "probability": np.array([[0.2, 0.6]]),
            "tops": np.array([0]),
            "lefts": np.array([0, 1]),
        }
        heat = occlusion._spread((2, 4), arrays, 2)
        np.testing.assert_allclose(heat[0], [0.2, 0.4, 0.6, np.nan], rtol=1e-6)


class TestSaliency:
    def test_one_sample_is_the_gradient(self, linear, photo):
        kernel = linear.model.get_layer("probabilities").get_weights()[0]
        result = explained("saliency", linear, [photo], samples=1, target="dog")
        expected = np.abs(kernel[:, 1].reshape(12, 12, 3)).max(axis=-1)
        np.testing.assert_allclose(result.arrays["saliency"], expected, rtol=1e-5)

    def test_a_seed_gives_the_same_noise(self, plain, photo):
        first, again, other = (
            explained("saliency", plain, [photo], samples=20, seed=seed).arrays["saliency"]
            for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, again)
        assert np.abs(first - other).max() > 0

    def test_all_samples_count(self, plain, photo):
        """18 of them: a batch of 16 and one of 2."""
        random = np.random.default_rng(3)
        run = score_gradients(plain, 0)
        image = photo.pixels.astype(np.float32)
        noise = [random.normal(0, 25.5, (n, 12, 12, 3)) for n in (16, 2)]
        gradients = np.concatenate([run((image + n).astype(np.float32))[1] for n in noise])
        result = explained("saliency", plain, [photo], samples=18, noise=0.1, seed=3, target="cat")
        expected = np.abs(gradients.mean(axis=0)).max(axis=-1)
        np.testing.assert_allclose(result.arrays["saliency"], expected, rtol=1e-4, atol=1e-9)


class TestIntegratedGradients:
    def test_of_a_linear_network_they_are_weight_times_value(self, linear, photo):
        kernel = linear.model.get_layer("probabilities").get_weights()[0]
        result = explained("integrated-gradients", linear, [photo], target="owl")
        expected = kernel[:, 2].reshape(12, 12, 3) * photo.pixels
        np.testing.assert_allclose(result.arrays["attributions"], expected, rtol=1e-4)
        assert result.facts["steps"] == 48
        assert result.remarks == ()

    @pytest.mark.parametrize("label", ["cat", "dog", "owl"])
    def test_they_add_up(self, plain, photo, label):
        result = explained("integrated-gradients", plain, [photo], target=label)
        run = score_gradients(plain, plain.index_of(label))
        image = photo.pixels.astype(np.float32)
        (black, full), _ = run(np.stack([0 * image, image]))
        total = result.arrays["attributions"].sum()
        assert total == pytest.approx(full - black, rel=ig.TOLERANCE)
        assert result.facts["score_difference"] == pytest.approx(full - black, rel=1e-4)

    def test_steps_are_added_where_they_are_needed(self):
        """A score that rises in a small part of the way only."""
        counted = []

        def gradients(images):
            shares = images[:, 0, 0, 0] / 255
            counted.extend(shares.tolist())
            scores = np.clip((shares - 0.31) * 100, 0, 1)
            slopes = np.where((shares > 0.31) & (shares < 0.32), 100 / 255, 0)
            return scores, slopes[:, None, None, None] * np.ones_like(images)

        image = np.full((1, 1, 1), 255, np.float32)
        attributions, difference, steps = ig.integrate(gradients, image)
        assert difference == 1
        assert attributions.sum() == pytest.approx(1, abs=0.01)
        near = [share for share in counted if 0.25 <= share <= 0.375]
        assert len(near) > 0.6 * len(counted)
        assert steps == len(counted) - 17

    def test_what_does_not_add_up_is_said(self, linear, photo, monkeypatch):
        def never(gradients, image):
            return np.ones_like(image), 1.0, 3000

        monkeypatch.setattr(ig, "integrate", never)
        (remark,) = explained("integrated-gradients", linear, [photo]).remarks
        assert remark.endswith("add up to 432.000 instead of 1.000, even after 3000 steps.")


class TestFeatures:
    def test_are_what_the_layers_give(self, plain, photo):
        result = explained("features", plain, [photo])
        assert list(result.arrays) == ["low", "pool", "high"]
        assert [array.shape for array in result.arrays.values()] == [
            (10, 10, 4),
            (5, 5, 4),
            (5, 5, 5),
        ]
        low = result.arrays["low"]
        np.testing.assert_allclose(result.arrays["pool"][0, 0], low[:2, :2].max(axis=(0, 1)))

    def test_one_layer_or_channel(self, plain, photo):
        assert list(explained("features", plain, [photo], layer="-1").arrays) == ["high"]
        with pytest.raises(UsageError, match="--channel: expected a number from 0 to 3 for low"):
            explained("features", plain, [photo], channel=4)

    @pytest.mark.parametrize(("channels", "shown"), [(None, 4), (2, 2)])
    def test_so_many_channels_of_a_layer(self, plain, photo, channels, shown):
        drawn = explained("features", plain, [photo], layer="low", channels=channels).draw
        assert [len(row.captions) for row in drawn.keywords["rows"]] == [shown]


class TestFilters:
    def test_are_the_kernel(self, plain):
        result = explained("filters", plain, [])
        expected = plain.model.get_layer("low").get_weights()[0]
        np.testing.assert_array_equal(result.arrays["kernel"], expected)
        assert result.facts == {"network": "tiny", "layer": "low"}

    def test_a_network_that_is_given_bgr_is_turned_round(self, plain):
        turned = subject_of(plain.model, backbone="vgg16")
        expected = plain.model.get_layer("low").get_weights()[0][:, :, ::-1]
        np.testing.assert_array_equal(explained("filters", turned, []).arrays["kernel"], expected)
        high = explained("filters", turned, [], layer="2").arrays["kernel"]
        np.testing.assert_array_equal(high, plain.model.get_layer("high").get_weights()[0])

    def test_so_many_kernels_in_colour_strongest_first(self, plain):
        kernel = plain.model.get_layer("low").get_weights()[0]
        order = np.argsort(-np.square(kernel).sum(axis=(0, 1, 2)))
        for channels, shown in ((None, range(4)), (3, order[:3])):
            drawn = explained("filters", plain, [], channels=channels).draw
            (row,) = drawn.keywords["rows"]
            assert list(row.captions) == [str(number) for number in shown]


class TestPatches:
    @pytest.fixture
    def red(self):
        """Finds red: 3 x 3 pixels summed up, every second pixel."""
        k = keras()
        image = image_input(k)
        x = k.layers.Conv2D(2, 3, strides=2, use_bias=False, name="red_green")(image)
        x = k.layers.Dense(2, activation="softmax")(k.layers.GlobalAveragePooling2D()(x))
        model = k.Model(image, x)
        kernel = np.zeros((3, 3, 3, 2), np.float32)
        kernel[..., 0, 0] = kernel[..., 1, 1] = 1
        model.get_layer("red_green").set_weights([kernel])
        return subject_of(model, ("a", "b"))

    def test_the_crop_is_the_receptive_field_of_the_largest_number(self, red):
        photos = []
        for n, strength in enumerate((100, 250, 200)):
            pixels = np.zeros((12, 12, 3), np.uint8)
            pixels[2 * n : 2 * n + 3, 4:7, 0] = strength
            photos.append(Photo(Path(f"{n}.png"), pixels))
        result = explained("patches", red, photos, channel=0, top=2)
        assert result.arrays["channels"].tolist() == [0]
        assert result.arrays["images"].tolist() == [[1, 2]]
        assert result.arrays["activations"].tolist() == [[9 * 250, 9 * 200]]
        assert result.arrays["boxes"].tolist() == [[[2, 4, 5, 7], [4, 4, 7, 7]]]
        assert result.facts["receptive_field"] == [3, 3]

    def test_enough_photos_are_needed(self, red):
        with pytest.raises(DataError, match="Expected at least 9 photos"):
            explained("patches", red, some_photos(8))

    def test_a_channel_must_be_there(self, red):
        with pytest.raises(UsageError, match="--channel: expected a number from 0 to 1"):
            explained("patches", red, some_photos(9), channel=2)


class TestEmbedding:
    def test_principal_components_are_scikit_learn_s(self, plain):
        from sklearn.decomposition import PCA

        photos = some_photos(20)
        k = keras()
        features = k.Model(plain.model.input, plain.model.get_layer("features").output)
        images = np.stack([photo.pixels for photo in photos]).astype(np.float32)
        expected = PCA(2).fit_transform(np.asarray(features(images), np.float64))
        points = explained("embedding", plain, photos).arrays["points"]
        np.testing.assert_allclose(np.abs(points), np.abs(expected), atol=1e-4)
        largest = points[np.abs(points).argmax(axis=0), [0, 1]]
        assert (largest > 0).all()

    def test_neighbours_stay_neighbours(self, plain):
        photos = some_photos(12)
        photos += [Photo(Path(f"{p.path}-again"), p.pixels) for p in photos]
        points = explained("embedding", plain, photos, projection="tsne").arrays["points"]
        assert points.shape == (24, 2)
        distances = np.linalg.norm(points[:, None] - points[None], axis=-1)
        np.fill_diagonal(distances, np.inf)
        nearest = distances.argmin(axis=1)
        assert np.mean(nearest == (np.arange(24) + 12) % 24) > 0.8

    def test_two_photos_have_no_shape(self, plain):
        with pytest.raises(DataError, match="at least 3 photos"):
            explained("embedding", plain, some_photos(2))

    def test_equal_photos_lie_on_one_point(self, plain):
        photos = some_photos(1) * 4
        points = explained("embedding", plain, photos).arrays["points"]
        np.testing.assert_allclose(points, 0, atol=1e-5)

    def test_scikit_learn_may_be_missing(self, plain, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "sklearn", None)
        with pytest.raises(MissingDependencyError, match=r"pip install 'cnntransfer\[tsne\]'"):
            explained("embedding", plain, some_photos(5), projection="tsne")


@pytest.mark.parametrize("name", METHODS)
def test_every_method_draws_what_it_found(plain, name):
    """And says plain values."""
    import json

    method = METHODS[name]
    count = {Of.NETWORK: 0, Of.EACH_IMAGE: 1, Of.ALL_IMAGES: 9}[method.of]
    result = explained(name, plain, some_photos(count))
    assert result.method == name
    assert all(np.isfinite(array).all() for array in result.arrays.values())
    described = json.loads(json.dumps(result.to_dict()))
    assert described["arrays"] == {n: list(a.shape) for n, a in result.arrays.items()}
    figure = Figure(dpi=50)
    result.draw(figure)
    figure.canvas.draw()
    assert (result.overlay is not None) == method.explains_class
    if result.overlay:
        assert result.overlay().shape == (12, 12, 3)
        assert result.overlay().dtype == np.uint8


@pytest.mark.parametrize("name", [m.name for m in METHODS.values() if m.explains_class])
def test_an_unknown_class_is_an_error(plain, photo, name):
    message = (
        "--class: expected one of the 3 classes of tiny. Received: 'catt'. Did you mean 'cat'?"
    )
    with pytest.raises(UsageError) as caught:
        explained(name, plain, [photo], target="catt")
    assert str(caught.value) == message


def test_the_most_probable_class_is_explained(plain, photo):
    row = np.asarray(plain.model(photo.pixels[np.newaxis].astype(np.float32)))[0]
    facts = explained("gradcam", plain, [photo]).facts
    assert facts["class"] == plain.class_names[row.argmax()]
    assert facts["probability"] == pytest.approx(row.max())


def test_methods_take_their_own_options_only():
    with pytest.raises(UsageError) as caught:
        get_method("gradcam").options({"grid": 3})
    assert str(caught.value) == (
        "--grid: expected with --method occlusion. Received: with gradcam. Leave it out."
    )
    with pytest.raises(UsageError, match="--class: expected with --method gradcam or "):
        get_method("filters").options({"target": "cat"})
    with pytest.raises(UsageError, match="--grid: expected a whole number from 2 to 512"):
        get_method("occlusion").options({"grid": 1})
    assert get_method("occlusion").options({"grid": "9"}) == Options(grid=9)


def test_an_unknown_method_is_an_error():
    with pytest.raises(UsageError, match=r"Received: 'grad-cam'. Did you mean 'gradcam'\?"):
        get_method("grad-cam")


def test_every_option_is_taken_by_some_method():
    taken = {name for method in METHODS.values() for name in method.takes}
    assert taken == set(vars(Options()))


def test_channels_of_patches_are_those_that_several_photos_excite():
    """Not one that is silent but for a single photo."""
    peaks = np.zeros((12, 3), np.float32)
    peaks[0, 0] = 9
    peaks[:3, 1] = 5
    assert _channels(peaks, "layer", Options(top=3, channels=1)) == [1]
    assert _channels(peaks, "layer", Options(top=1, channels=1)) == [0]
