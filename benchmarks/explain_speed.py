"""Seconds of explanations in a running process, after a first one.

Grad-CAM of a photo is compared with Keras' own way forward and back, from the photo to a class's
score and its gradients; occlusion with 15 x 15 places with nothing.

    CNNTRANSFER_WEIGHTS=../shared/weights python benchmarks/explain_speed.py --runs 5
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from timing import in_turns, ratios, spread

from cnntransfer.explain import Options, get_method
from cnntransfer.explain.explanation import DPI, Explanation
from cnntransfer.explain.subject import Subject
from cnntransfer.frameworks import tensorflow

BIRD = Path(__file__).parents[1] / "sample_images" / "bird.jpg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gradcam", default="resnet50", help="the network of Grad-CAM")
    parser.add_argument("--occlusion", default="mobilenet", help="the network of occlusion")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    deep, light = Subject.open(arguments.gradcam), Subject.open(arguments.occlusion)
    sides = {
        "keras": forward_and_back(deep),
        "gradcam": explaining(deep, "gradcam"),
        "gradcam, drawn": explaining(deep, "gradcam", drawn=True),
        "occlusion": explaining(light, "occlusion"),
        "occlusion, drawn": explaining(light, "occlusion", drawn=True),
    }
    for function in sides.values():
        function()
    measured = in_turns(
        {name: lambda function=function: timed(function) for name, function in sides.items()},
        arguments.runs,
    )
    for name, seconds in measured.items():
        print(f"{name:18} {spread(seconds)} s")
    for name in ("gradcam", "gradcam, drawn"):
        print(f"{name} / keras: {ratios(measured, name, 'keras')}")


def timed(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


def forward_and_back(subject: Subject) -> Callable[[], object]:
    """As Keras' documentation does it, from the image to its gradients."""
    tf, model = tensorflow(), subject.model
    (photo,) = subject.photos([BIRD])

    def run() -> object:
        batch = tf.constant(photo.pixels[np.newaxis].astype(np.float32))
        with tf.GradientTape() as tape:
            tape.watch(batch)
            probabilities = model(batch, training=False)
            score = probabilities[0, int(np.argmax(probabilities[0]))]
        return tape.gradient(score, batch).numpy()

    return run


def explaining(subject: Subject, name: str, *, drawn: bool = False) -> Callable[[], object]:
    method, options = get_method(name), Options()
    (photo,) = subject.photos([BIRD])

    def run() -> object:
        found = method.run(subject, [photo], options)
        return draw(found) if drawn else found

    return run


def draw(found: Explanation) -> bytes:
    """As the command draws it, without a file."""
    from matplotlib.figure import Figure

    figure, file = Figure(dpi=DPI, facecolor="white"), io.BytesIO()
    found.draw(figure)
    figure.savefig(file, dpi=DPI, format="png")
    return file.getvalue()


if __name__ == "__main__":
    main()
