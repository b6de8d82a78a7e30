"""Fitting a Keras network, for the stages that unfreeze layers."""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frameworks import tensorflow
from ..progress import SILENT, Observer
from ..recipe import AUTO, Stage
from .accumulation import Accumulation
from .batch_augmenter import BatchAugmenter
from .learner import MODEL, Arrays, same_shapes
from .objective import Objective
from .optimizer import Optimizer
from .sources import Step, StreamSource

#: A stage is compiled only if it takes so long without: compiling takes 5 s.
_WORTH_SECONDS = 60.0
_LEAST_RATIO = 1.1
#: The fastest of so many steps is taken for how long one takes; of few if they are that long.
_TIMED_STEPS, _TIMED_SECONDS = 3, 1.0
#: What logits are divided by for validation, and the smallest probability that they are taken of.
_TEMPERATURES = (0.7, 0.85, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0, 6.0)
_TINY = 1e-30

#: Takes the mean gradients over a batch, and how many examples it has.
Take = Callable[[Sequence[Any], Any], None]


class Variables:
    """The variables of Keras objects: a :class:`cnntransfer.training.learner.Holder`.

    Args:
        name: See there.
        groups: By name, what has ``variables``.
    """

    def __init__(self, name: str, **groups: Any) -> None:
        self.name = name
        self._groups = groups

    def arrays(self) -> Arrays:
        """See :class:`cnntransfer.training.learner.Holder`."""
        return {
            name: [variable.numpy() for variable in group.variables]
            for name, group in self._groups.items()
        }

    def put(self, arrays: Arrays) -> bool:
        """See :class:`cnntransfer.training.learner.Holder`."""
        if not same_shapes(self.arrays(), arrays):
            return False
        for name, given in arrays.items():
            for variable, array in zip(self._groups[name].variables, given, strict=True):
                variable.assign(array)
        return True


class Network(Variables):
    """A Keras model with Adam: a :class:`cnntransfer.training.learner.Learner`.

    Args:
        model: It ends in probabilities; its ``trainable`` flags are respected.
        stage: How to train.
        training: What to learn from.
        validation: What to stop by.
        objective: What is lowered.
        blocks: Trained variables by block, from the top downwards; see :class:`Optimizer`.
        augmenter: Changes batches of images before they are learned from.
    """

    def __init__(
        self,
        model: Any,
        stage: Stage,
        training: StreamSource,
        validation: StreamSource,
        objective: Objective,
        blocks: Sequence[Sequence[Any]] = (),
        augmenter: BatchAugmenter | None = None,
    ) -> None:
        self._model = model
        self._training, self._validation = training, validation
        variables, batches = model.trainable_variables, stage.gradient_accumulation_steps
        updates = math.ceil(training.steps / batches)
        self._optimizer = Optimizer(stage, variables, blocks, updates)
        random = {} if augmenter is None else {"augmenter": augmenter}
        super().__init__(model.name, **{MODEL: model}, optimizer=self._optimizer, **random)
        self._accumulation: Accumulation | None = None
        take: Take = lambda gradients, _: self._optimizer.apply(gradients)  # noqa: E731
        if batches > 1:
            self._accumulation = Accumulation(self._optimizer, variables, batches)
            take = self._accumulation.add
        step = _training_step(model, take, objective)
        jit = stage.jit_compile == "xla"
        if augmenter is not None:
            # XLA does not know all that it consists of.
            step = augmenter.before(tensorflow().function(step, jit_compile=jit))
            jit = False
        classes = model.output_shape[-1]
        self._learn = training.compile(_of_labels(step, classes), jit=jit)
        judge = _of_labels(_validation_step(model, objective), classes)
        self._judge = validation.compile(judge)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return self._optimizer.learning_rate

    @property
    def l2(self) -> float:
        """See :class:`cnntransfer.training.learner.Learner`."""
        return float(getattr(self._model.layers[-1].kernel_regularizer, "l2", 0.0))

    def train_epoch(self, epoch: int) -> tuple[float, float]:
        """See :class:`cnntransfer.training.learner.Learner`."""
        learn = self._learn
        if self._accumulation is not None:
            learn = self._accumulation.through(learn, self._training.steps)
        loss, right = self._training.epoch(learn, epoch)
        return loss, right

    def validate(self) -> tuple[float, float]:
        """See :class:`cnntransfer.training.learner.Learner`.

        The loss is that at the temperature which suits the examples best (Guo 2017,
        arXiv:1706.04599): layers that are trained on few images are soon too sure of themselves,
        and still get better at telling classes apart.
        """
        right, losses = self._judged()
        return float(losses.mean()), float(right.mean())

    def losses(self) -> NDArray[np.float64]:
        """The loss of every validation example, nats, shape (n,); their mean is the lowest."""
        return self._judged()[1]

    def _judged(self) -> tuple[NDArray[Any], NDArray[np.float64]]:
        """Of every validation example: whether the guess is right, and the loss."""
        with self._optimizer.averaged():
            right, losses = self._validation.every(self._judge)
        losses = losses.astype(np.float64)
        return right, losses[:, losses.mean(axis=0).argmin()]

    def seconds_per_epoch(self) -> float:
        """How long training and validating take; nothing is learned from it."""
        before = self.arrays()
        seconds = self._training.steps * self._seconds(self._learn, self._training)
        self.put(before)
        return seconds + self._validation.steps * self._seconds(self._judge, self._validation)

    def step_losses(self) -> Generator[float, None, None]:
        """See :class:`cnntransfer.training.rates.Stepper`; ends with the numbers it began with."""
        before = self.arrays()
        try:
            for epoch in itertools.count():
                for arrays, labels in self._training.batches(epoch):
                    yield float(self._learn(arrays, labels)[0]) / len(labels)
        finally:
            self.put(before)

    @staticmethod
    def _seconds(run: Step, source: StreamSource) -> float:
        """How long a step takes, the fastest of some: what else the machine does passes by."""
        started = time.perf_counter()
        batch = next(source.batches(0))
        fetching = time.perf_counter() - started
        run(*batch)  # Builds the graph.
        seconds: list[float] = []
        while len(seconds) < _TIMED_STEPS and sum(seconds) < _TIMED_SECONDS:
            started = time.perf_counter()
            run(*batch)
            seconds.append(time.perf_counter() - started)
        return min(seconds) + fetching

    def get_weights(self) -> list[NDArray[Any]]:
        """Those that :meth:`validate` judges: where an average is kept, its."""
        with self._optimizer.averaged():
            weights: list[NDArray[Any]] = self._model.get_weights()
        return weights

    def set_weights(self, weights: Sequence[NDArray[Any]]) -> None:
        """Put back what :meth:`get_weights` gave; an average begins there."""
        self._model.set_weights(weights)
        self._optimizer.start_average()


def choose_jit(
    stage: Stage, learner: Callable[[Stage], Network], observer: Observer = SILENT
) -> tuple[Stage, float]:
    """Settle a stage's ``jit_compile``: XLA where the stage is long and that is faster here.

    Args:
        stage: See there.
        learner: Makes what is fitted in it.
        observer: Hears of XLA.

    Returns:
        The stage, and how many seconds all of its epochs will take.
    """
    how = "none" if stage.jit_compile == AUTO else stage.jit_compile
    chosen, compiled = (dataclasses.replace(stage, jit_compile=one) for one in (how, "xla"))
    seconds = stage.epochs * learner(chosen).seconds_per_epoch()
    # XLA has other arithmetic for what bfloat16 is used for.
    is_worth_it = seconds >= _WORTH_SECONDS and stage.precision == "float32"
    if stage.jit_compile == AUTO and is_worth_it:
        faster = stage.epochs * learner(compiled).seconds_per_epoch()
        ratio = seconds / faster
        if ratio >= _LEAST_RATIO:
            observer.note(f"Stage {stage.name!r} compiled by XLA: {ratio:.1f} times as fast here.")
            return compiled, faster
    return chosen, seconds


def _of_labels(step: Step, classes: int) -> Step:
    """A step function of labels, int64 (n,), from one of the classes' shares, (n, classes)."""
    return lambda inputs, labels: step(inputs, tensorflow().one_hot(labels, classes))


def _training_step(model: Any, take: Take, objective: Objective) -> Step:
    tf = tensorflow()
    variables = [variable.value for variable in model.trainable_variables]

    def step(inputs: Any, shares: Any) -> tuple[Any, Any]:
        with tf.GradientTape() as tape:
            probabilities = model(inputs, training=True)
            loss = tf.reduce_mean(objective.of_training(shares, probabilities))
            if model.losses:
                loss += tf.add_n(model.losses)
        size = tf.cast(tf.shape(shares)[0], tf.float32)
        take(tape.gradient(loss, variables), size)
        return loss * size, tf.reduce_sum(_hits(probabilities, shares))

    return step


def _validation_step(model: Any, objective: Objective) -> Step:
    """Of every example whether the guess is right, and the losses at some temperatures."""
    tf = tensorflow()

    def step(inputs: Any, shares: Any) -> tuple[Any, ...]:
        probabilities = model(inputs, training=False)
        logits = tf.math.log(tf.maximum(probabilities, _TINY))
        softened = (tf.nn.softmax(logits / temperature) for temperature in _TEMPERATURES)
        losses = [objective.of_validation(shares, each) for each in softened]
        return _hits(probabilities, shares), tf.stack(losses, axis=1)

    return step


def _hits(probabilities: Any, shares: Any) -> Any:
    """1 where the class with the greatest share is the most probable one, else 0."""
    tf = tensorflow()
    hits = tf.equal(tf.argmax(probabilities, axis=-1), tf.argmax(shares, axis=-1))
    return tf.cast(hits, tf.float32)
