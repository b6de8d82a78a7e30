"""Export to a TensorFlow SavedModel, which runs without Keras and without cnntransfer.

Signatures:

- ``serving_default``: ``image`` float32 (n, height, width, 3), 0..255 -> ``probabilities``
  float32 (n, classes). It is the function ``serve`` of the loaded object, too.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..frameworks import quiet, tensorflow
from ..models.classifier import INPUT_NAME
from ..models.head import OUTPUT_NAME


def write(bundle: Bundle, target: Path) -> None:
    """Write the SavedModel folder."""
    tf = tensorflow()
    model = bundle.load_keras()
    spec = tf.TensorSpec([None, *bundle.input_spec.image_size, 3], tf.float32, INPUT_NAME)
    # Not Keras' ExportArchive, which takes three times as long and writes all weights twice.
    module = tf.Module()
    module.weights = [variable.value for variable in model.variables]
    module.serve = tf.function(
        lambda image: {OUTPUT_NAME: model(image, training=False)},
        input_signature=[spec],
        autograph=False,
    )
    with quiet():
        tf.saved_model.save(module, str(target), signatures={"serving_default": module.serve})


def run(target: Path, images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of images, float32 (n, height, width, 3), shape (n, classes)."""
    tf = tensorflow()
    with quiet():
        loaded = tf.saved_model.load(str(target))
    outputs = loaded.signatures["serving_default"](**{INPUT_NAME: tf.constant(images)})
    return np.asarray(outputs[OUTPUT_NAME])
