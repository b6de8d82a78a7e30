"""Gradients of class scores, by Keras."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frameworks import tensorflow
from .subject import BATCH, Subject


def score_gradients(
    subject: Subject, index: int
) -> Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """What gives a class's score, and how every pixel value changes it.

    Args:
        subject: The network.
        index: The class's place in the output.

    Returns:
        A function of images, float32 of shape (n, height, width, 3) with values 0..255, to the
        logits, shape (n,), and their gradients, of the images' shape.
    """
    tf = tensorflow()
    network = subject.part([subject.model.input], [subject.logits])

    def run(images: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        scores, gradients = [], []
        for start in range(0, len(images), BATCH):
            batch = tf.constant(images[start : start + BATCH])
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(batch)
                score = network(batch)[0][:, index]
            # Images do not depend on each other, so the sum's gradient is each one's own.
            gradients.append(tape.gradient(score, batch).numpy())
            scores.append(score.numpy())
        return np.concatenate(scores), np.concatenate(gradients)

    return run


def map_gradients(
    subject: Subject, image: NDArray[np.uint8], maps: Sequence[Any], index: int
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Maps of an image, and how each of their numbers changes a class's score.

    What a map changes by way of another of them is counted there, not here.

    Args:
        subject: The network.
        image: uint8, shape (height, width, 3).
        maps: Keras tensors of shape (batch, h, w, channels).
        index: The class's place in the output.

    Returns:
        Of each map its values and the gradients of the logit, float32, shape (h, w, channels).
    """
    tf = tensorflow()
    model = subject.model
    batch = tf.constant(image[np.newaxis].astype(np.float32))
    values = subject.part([model.input], maps)(batch)
    # What goes around the maps still comes from the image.
    upper = subject.part([*maps, model.input], [subject.logits])
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(values)
        score = upper(*values, batch)[0][0, index]
    gradients = tape.gradient(score, values, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return [(v[0].numpy(), g[0].numpy()) for v, g in zip(values, gradients, strict=True)]
