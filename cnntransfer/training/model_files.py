"""Writing a bundle's models: the trunk, the head, and the whole for Keras; each is checked."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..data.views import Request, Views
from ..engines.conversion import ConvertedTrunk, convert, in_keras
from ..engines.head_file import write_head
from ..engines.litert import LiteRTEngine
from ..engines.parity import check_parity
from ..models.archive import write_classifier
from ..models.classifier import Trunk, put_head
from ..models.head import HeadModel
from ..parallel import available_cores

_PARITY_IMAGES = 4


def write_frozen_trunk(bundle: Bundle, converted: ConvertedTrunk) -> dict[str, Any]:
    """Write a trunk that was not trained; how its files compare with Keras' model."""
    shutil.copyfile(converted.litert_file, bundle.trunk_file)
    return dict(converted.parity)


def write_trunk(
    trunk: Trunk, bundle: Bundle, views: Views, requests: Sequence[Request]
) -> tuple[NDArray[np.float32], dict[str, Any]]:
    """Write a trunk that was trained.

    Args:
        trunk: As it is now.
        bundle: Where to.
        views: The images.
        requests: Views of them, at least one.

    Returns:
        The features of those views, float32 (len(requests), d); how the file compares with Keras'
        model on some of them.

    Raises:
        TrainingError: the file computes something else.
    """
    convert(trunk.model, bundle.trunk_file)
    probes = np.stack([views.image(request) for request in requests[:_PARITY_IMAGES]])
    parity = {"trunk": check_parity(in_keras(trunk.model), bundle.trunk_file, probes)}
    return features_by(bundle.trunk_file, views, requests), parity


def features_by(trunk: Path, views: Views, requests: Sequence[Request]) -> NDArray[np.float32]:
    """Features of views by a LiteRT file, float32 (len(requests), d)."""
    engine = LiteRTEngine([trunk], available_cores())
    return np.stack([output.features for output in engine.map(views.image, requests)])


def write_classifier_and_head(
    bundle: Bundle,
    head: HeadModel,
    classifier: Any | None,
    converted: ConvertedTrunk,
    rows: NDArray[np.float32],
) -> dict[str, Any]:
    """Write a head, and the whole classifier for Keras.

    Args:
        bundle: Where to.
        head: With its final numbers.
        classifier: Keras' model of the whole, where layers of the trunk were trained; it gets the
            head's numbers.
        converted: The trunk as it was before training.
        rows: Features to check the head on, float32 (n, d).

    Returns:
        How the head's file compares with the head.

    Raises:
        TrainingError: the file computes something else.
    """
    if classifier is None:
        write_classifier(converted.keras_file, head, bundle.keras_file)
    else:
        put_head(classifier, head)
        classifier.save(bundle.keras_file)
    write_head(head, bundle.head_file)
    return check_parity(head, bundle.head_file, rows)
