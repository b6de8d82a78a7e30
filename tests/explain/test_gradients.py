"""Gradients of scores, and of maps without what goes through other maps."""

import numpy as np
import pytest

from cnntransfer.explain.gradients import map_gradients, score_gradients
from cnntransfer.explain.layers import topmost_maps


def logit(subject, pixels, index):
    """From the probabilities, up to a constant that all classes share."""
    row = np.asarray(subject.model(pixels[np.newaxis].astype(np.float32)))[0].astype(np.float64)
    return np.log(row[index])


def test_a_linear_network_s_gradients_are_its_weights(linear, photo):
    kernel = linear.model.get_layer("probabilities").get_weights()[0]
    scores, gradients = score_gradients(linear, 1)(photo.pixels[np.newaxis].astype(np.float32))
    np.testing.assert_allclose(gradients[0].reshape(-1), kernel[:, 1], rtol=1e-6)
    flat = photo.pixels.reshape(-1).astype(np.float32)
    bias = linear.model.get_layer("probabilities").get_weights()[1][1]
    assert scores[0] == pytest.approx(flat @ kernel[:, 1] + bias, rel=1e-4)


def test_gradients_are_finite_differences(plain, photo):
    pixels = photo.pixels.astype(np.float32)
    run = score_gradients(plain, 2)
    (_,), (gradient,) = run(pixels[np.newaxis])
    for place in ((2, 3, 0), (7, 7, 1), (11, 0, 2)):
        step = np.zeros_like(pixels)
        step[place] = 0.5
        (higher, lower), _ = run(np.stack([pixels + step, pixels - step]))
        assert gradient[place] == pytest.approx(float(higher - lower), rel=0.02, abs=1e-5)


def test_many_images_are_the_same_as_one_by_one(plain):
    images = np.random.default_rng(0).uniform(0, 255, (37, 12, 12, 3)).astype(np.float32)
    run = score_gradients(plain, 0)
    together = run(images)
    alone = [run(image[np.newaxis]) for image in images]
    np.testing.assert_allclose(together[0], [score[0] for score, _ in alone], atol=1e-5)
    np.testing.assert_allclose(together[1], [gradient[0] for _, gradient in alone], atol=1e-7)


def test_the_score_of_averaged_maps_is_the_sum_of_what_they_give(two_depths, photo):
    """Of both depths, with nothing counted twice: the lower map leads to the upper one, too."""
    maps = [layer.output for layer in topmost_maps(two_depths)]
    kernel, bias = two_depths.model.get_layer("probabilities").get_weights()
    features = np.concatenate(
        [values.mean(axis=(0, 1)) for values, _ in map_gradients(two_depths, photo.pixels, maps, 0)]
    )
    given = sum(
        float((values * gradients).sum())
        for values, gradients in map_gradients(two_depths, photo.pixels, maps, 2)
    )
    assert given == pytest.approx(float(features @ kernel[:, 2]), rel=1e-4)
    differences = [
        logit(two_depths, photo.pixels, i) - logit(two_depths, photo.pixels, 0) for i in range(3)
    ]
    scores = features @ kernel + bias
    np.testing.assert_allclose(scores - scores[0], differences, atol=1e-4)


def test_a_map_that_others_go_around_is_counted_for_itself(two_depths, photo):
    """``--layer high`` where the head also stands on a lower map."""
    high = two_depths.model.get_layer("high").output
    ((values, gradients),) = map_gradients(two_depths, photo.pixels, [high], 1)
    kernel = two_depths.model.get_layer("probabilities").get_weights()[0][:5, 1]
    places = values.shape[0] * values.shape[1]
    np.testing.assert_allclose(gradients, np.broadcast_to(kernel / places, values.shape), rtol=1e-5)


def test_a_lower_map_counts_by_every_way(two_depths, photo):
    low = two_depths.model.get_layer("low").output
    ((values, gradients),) = map_gradients(two_depths, photo.pixels, [low], 1)
    kernel = two_depths.model.get_layer("probabilities").get_weights()[0][5:, 1]
    direct = np.broadcast_to(kernel / (values.shape[0] * values.shape[1]), values.shape)
    assert np.abs(gradients - direct).max() > 0.1 * np.abs(direct).max()
