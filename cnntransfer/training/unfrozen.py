"""The part of a classifier that a stage unfreezes: its layers, and what they are fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.views import Request, Views
from ..models.backbones import Backbone
from ..models.classifier import Trunk, set_trainable, trained_blocks, waist_below
from ..progress import SILENT, Observer
from ..recipe import Recipe, Stage
from .activations import Activations
from .batch_augmenter import BatchAugmenter
from .network import Network
from .objective import objective
from .sources import Feed, StreamSource


class Unfrozen:
    """The layers that a stage trains, made trainable: they alone, of all the trunk has.

    Args:
        recipe: Whose stage it is.
        stage: It unfreezes layers.
        backbone: Where its blocks begin.
        trunk: The part below the head.
        classifier: The whole.
        views: The images.
        on_pixels: Whether all layers run in every epoch, because the recipe asks for that or there
            is no room for activations.
    """

    def __init__(
        self,
        recipe: Recipe,
        stage: Stage,
        backbone: Backbone,
        trunk: Trunk,
        classifier: Any,
        views: Views,
        *,
        on_pixels: bool,
    ) -> None:
        self._recipe, self._stage = recipe, stage
        self._views, self._classifier = views, classifier
        #: How many of the trunk's layers.
        self.layers = backbone.cut(stage.unfreeze)
        set_trainable(trunk, self.layers, train_batch_normalization=stage.train_batch_normalization)
        self._blocks = trained_blocks(trunk, backbone)
        self._waist = None if on_pixels else waist_below(trunk, self.layers)

    @property
    def is_empty(self) -> bool:
        """Whether none of the layers holds anything to train."""
        return not any(self._blocks)

    def lacks(self, description: Mapping[str, Any], digests: Sequence[str]) -> int:
        """How many activations are yet to be computed; if there is no room, they will not be.

        Args:
            description: See :class:`Activations`.
            digests: See there.
        """
        if self._waist is None:
            return 0
        activations = Activations(self._waist, description, digests, self._views)
        count = activations.lacks(self._requests())
        if count is None:
            self._waist = None
        return count or 0

    def feed(
        self, description: Mapping[str, Any], digests: Sequence[str], observer: Observer = SILENT
    ) -> Feed:
        """Activations of the layers below, which are computed now; else pixels.

        Args:
            description: See :class:`Activations`.
            digests: See there.
            observer: Hears of progress, and why there are no activations.
        """
        if self._waist is not None:
            activations = Activations(self._waist, description, digests, self._views)
            if activations.prepare(self._requests(), observer):
                views = int(self._stage.views)
                parts = self._waist.parts
                return Feed(activations, activations.shape, activations.dtype, views, parts)
            self._waist = None
        return Feed(self._views.image, self._pixels, np.uint8, None)

    def rehearsal(self) -> Feed:
        """What :meth:`feed` will give, to measure with: pixels, or zeros for activations."""
        if self._waist is None:
            return Feed(self._views.image, self._pixels, np.uint8, None)
        shape, dtype = Activations.form(self._waist)
        views, parts = int(self._stage.views), self._waist.parts
        return Feed(lambda _: np.zeros(shape, dtype), shape, dtype, views, parts)

    def learner(self, stage: Stage, feed: Feed) -> Network:
        """What fits the layers and the head in a stage."""
        recipe, dataset = self._recipe, self._views.dataset
        training, validation = (
            StreamSource(feed, dataset, subset, recipe.batch_size, seed)
            for subset, seed in (("train", recipe.seed), ("val", None))
        )
        augmentation = recipe.batch_augmentation
        return Network(
            self._classifier if self._waist is None else self._waist.upper(self._classifier),
            stage,
            training,
            validation,
            objective(recipe, stage, dataset),
            self._blocks,
            BatchAugmenter(augmentation, recipe.seed) if augmentation.names else None,
        )

    def _requests(self) -> list[Request]:
        """All views that the stage sees."""
        views = self._views
        return views.requests(int(self._stage.views), "train") + views.requests(1, "val")

    @property
    def _pixels(self) -> tuple[int, ...]:
        return (*self._views.pixels.spec.image_size, 3)
