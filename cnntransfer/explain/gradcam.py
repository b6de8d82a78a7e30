"""Grad-CAM and Grad-CAM++: where in the image a class's evidence lies.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", arXiv:1610.02391. Chattopadhay et al. 2018, "Grad-CAM++", arXiv:1710.11063.

Without ``layer``, of the maps that the head stands on: those of several depths are added up, each
as much as it adds to the score.

Arrays: ``heat``, float32, shape (height, width), at least 0. Before what is below 0 is cut off,
Grad-CAM's mean is what the class's logit has from those maps where they are averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from .explanation import Explanation, Photo
from .gradients import map_gradients
from .heat import Heat, enlarged, explanation
from .layers import choose, topmost_maps, with_maps
from .options import Options
from .subject import Subject

Array = NDArray[np.float32]
#: From a map and its gradients, both (h, w, channels), to the weight of each channel, (channels,).
Weighting = Callable[[Array, Array], Array]

#: A class may be the most probable one because more speaks against the others.
_NOTHING = "nowhere does the map speak for {!r}, so its heat is 0. Ask with --method occlusion."


def gradcam_weights(values: Array, gradients: Array) -> Array:
    """Grad-CAM's: how much a channel changes the score if it changes everywhere (equation 1)."""
    weights: Array = gradients.sum(axis=(0, 1))
    return weights


def gradcam_plus_plus_weights(values: Array, gradients: Array) -> Array:
    """Grad-CAM++'s: places where a channel raises the score, those that are few count more.

    Equations 10 and 19 of the paper, for the score's exponential.
    """
    squares, cubes = gradients**2, gradients**3
    below = 2 * squares + values.sum(axis=(0, 1)) * cubes
    shares = np.divide(squares, below, out=np.zeros_like(squares), where=below != 0)
    raising: Array = (shares * np.maximum(gradients, 0)).sum(axis=(0, 1)) * gradients[..., 0].size
    return raising


def explain(subject: Subject, photo: Photo, options: Options) -> Explanation:
    """Where the evidence for a class lies, by Grad-CAM.

    Raises:
        UsageError: there is no such layer or class.
    """
    return _explain(subject, photo, options, "gradcam", gradcam_weights)


def explain_plus_plus(subject: Subject, photo: Photo, options: Options) -> Explanation:
    """The same by Grad-CAM++.

    Raises:
        UsageError: there is no such layer or class.
    """
    return _explain(subject, photo, options, "gradcam++", gradcam_plus_plus_weights)


def _explain(
    subject: Subject, photo: Photo, options: Options, method: str, weighting: Weighting
) -> Explanation:
    found = subject.scores(photo.pixels, options.target)
    layers = _layers(subject, options.layer)
    maps = [layer.output for layer in layers]
    heat = np.zeros(photo.pixels.shape[:2], np.float32)
    for values, gradients in map_gradients(subject, photo.pixels, maps, found.index):
        weighted = values @ weighting(values, gradients)
        heat += enlarged(weighted, heat.shape)
    heat = np.maximum(heat, 0)
    evidence = Heat(heat, "evidence for the class, logit")
    facts = {"layers": [layer.name for layer in layers]}
    remarks = () if heat.any() else (f"{photo.path}: {_NOTHING.format(found.label)}",)
    return explanation(method, photo, found, evidence, {"heat": heat}, facts, remarks)


def _layers(subject: Subject, wanted: str | None) -> list[Any]:
    """The layers whose maps are looked at."""
    if wanted is not None:
        return [choose("--layer", with_maps(subject), wanted)]
    if layers := topmost_maps(subject):
        return layers
    raise UsageError(
        f"Expected a network with maps of more than one place. Received: {subject.name} at "
        f"{'x'.join(map(str, subject.input.image_size))} pixels. Take a larger --image-size."
    )
