"""How often the 95 % intervals of the figures hold the truth.

A classifier is simulated: the logits of a photo are normal noise, to which something is added for
its class, more for one class than for another. What its figures are on very many photos is the
truth, here those of 400,000. On so many simulated test sets the figures are computed with their
intervals as ``cnntransfer evaluate`` does it, and counted is how often an interval holds the truth.

    python benchmarks/intervals.py

``--images``, ``--classes`` and ``--accuracy`` choose other settings; ``--rarest 5`` makes the
rarest class a fifth as frequent as the most frequent, and with ``--confidence 1.5`` the classifier
is too sure. Prints one Markdown row per setting, with percent of the simulations.

    python benchmarks/intervals.py --mixed

simulates evaluations of all kinds instead, and prints one row for all of them: 200 classifiers, of
2 to 50 classes, right on 60 to 98 %, too sure or not sure enough by up to a quarter, each on five
test sets of 60 to 1,000 photos.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cnntransfer.metrics import Evaluation, figures

_TRUTH = 400_000
#: Of one among many classifiers, whose truth may be a little off in either direction.
_MIXED_TRUTH = 100_000
_MIXED_CLASSIFIERS = 200
#: How much harder and easier than on average the hardest and easiest class are.
_UNEVEN = 0.3
FIGURES = (
    "accuracy",
    "top5_accuracy",
    "balanced_accuracy",
    "macro_f1",
    "roc_auc",
    "average_precision",
    "log_loss",
    "calibration_error",
)


@dataclass(frozen=True)
class Classifier:
    """A simulated classifier and the photos it sees.

    Attributes:
        classes: How many there are.
        signal: What the class adds to its logit on average.
        rarest: The most frequent class is so many times as frequent as the rarest.
        confidence: What logits are multiplied by; 1 is about right for the noise.
    """

    classes: int
    signal: float
    rarest: float = 1.0
    confidence: float = 1.0

    def draw(
        self, images: int, random: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Labels, int64 (n,), and probabilities, float32 (n, classes)."""
        shares = np.geomspace(1, 1 / self.rarest, self.classes)
        labels = random.choice(self.classes, images, p=shares / shares.sum())
        logits = random.normal(size=(images, self.classes))
        signals = self.signal * np.linspace(1 - _UNEVEN, 1 + _UNEVEN, self.classes)
        logits[np.arange(images), labels] += signals[labels]
        powers = np.exp(self.confidence * logits)
        return labels, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    def accuracy(self) -> float:
        labels, probabilities = self.draw(20_000, np.random.default_rng(0))
        return float((probabilities.argmax(axis=1) == labels).mean())

    def judge(self, images: int, seed: int, *, with_intervals: bool = True) -> Evaluation:
        names = [str(number) for number in range(self.classes)]
        drawn = self.draw(images, np.random.default_rng(seed))
        return figures(names, *drawn, with_intervals=with_intervals)

    def truth(self, images: int) -> Evaluation:
        return self.judge(images, seed=2**32, with_intervals=False)


def find(classes: int, accuracy: float, rarest: float, confidence: float) -> Classifier:
    """A classifier of an accuracy, so many times as confident as a calibrated one would be."""
    low, high = 0.0, 20.0
    for _ in range(20):
        middle = (low + high) / 2
        if Classifier(classes, middle, rarest).accuracy() < accuracy:
            low = middle
        else:
            high = middle
    # Of equally frequent classes with the same signal, confidence is right at the signal.
    return Classifier(classes, low, rarest, confidence * low)


Held = dict[str, list[bool]]


def count(classifier: Classifier, truth: Evaluation, images: int, seed: int, held: Held) -> None:
    """Note for every figure of a simulated test set whether its interval holds the truth."""
    judged = classifier.judge(images, seed)
    for name, interval in judged.intervals.items():
        held[name].append(interval.low <= getattr(truth, name) <= interval.high)


def coverage(classifier: Classifier, images: int, simulations: int) -> Held:
    truth = classifier.truth(_TRUTH)
    held: Held = {name: [] for name in FIGURES}
    for seed in range(simulations):
        count(classifier, truth, images, seed, held)
    return held


def mixed_coverage(simulations: int) -> Held:
    held: Held = {name: [] for name in FIGURES}
    # Not 0, with which the intervals were made.
    random = np.random.default_rng(1)
    for number in range(_MIXED_CLASSIFIERS):
        found = find(
            classes=int(random.choice([2, 3, 5, 10, 20, 50])),
            accuracy=random.uniform(0.6, 0.98),
            rarest=float(random.choice([1, 2, 5])),
            confidence=math.exp(random.uniform(-1, 1) * math.log(1.25)),
        )
        truth = found.truth(_MIXED_TRUTH)
        for seed in range(simulations // _MIXED_CLASSIFIERS):
            images = int(math.exp(random.uniform(math.log(60), math.log(1000))))
            count(found, truth, images, 10**6 + 1000 * number + seed, held)
    return held


def cells(held: Held) -> str:
    """For every figure how often its interval held the truth, in percent."""
    return " | ".join(f"{100 * np.mean(held[name]):.1f}" if held[name] else "-" for name in FIGURES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[60, 400])
    parser.add_argument("--classes", type=int, nargs="+", default=[2, 10])
    parser.add_argument("--accuracy", type=float, nargs="+", default=[0.8, 0.92])
    parser.add_argument("--rarest", type=float, default=1.0)
    parser.add_argument("--confidence", type=float, default=1.0)
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--mixed", action="store_true", help="simulate evaluations of all kinds")
    arguments = parser.parse_args()
    if arguments.mixed:
        held = mixed_coverage(arguments.simulations)
        print("| evaluations | " + " | ".join(FIGURES) + " |")
        print("|---|" + "---|" * len(FIGURES))
        print(f"| {len(held['accuracy'])} | {cells(held)} |")
        return
    print("| images | classes | accuracy | " + " | ".join(FIGURES) + " |")
    print("|---|---|---|" + "---|" * len(FIGURES))
    for classes, accuracy in product(arguments.classes, arguments.accuracy):
        classifier = find(classes, accuracy, arguments.rarest, arguments.confidence)
        for images in arguments.images:
            row = cells(coverage(classifier, images, arguments.simulations))
            print(f"| {images} | {classes} | {accuracy} | {row} |", flush=True)


if __name__ == "__main__":
    main()
