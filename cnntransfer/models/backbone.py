"""A backbone: what there is to know of a convolutional network before it is built.

Importing this module imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import importlib
import math
import re
from dataclasses import dataclass
from typing import Any

from .. import frameworks
from ..errors import UsageError, nearest
from .blocks import Block
from .preprocessing import Preprocessing, preprocess


@dataclass(frozen=True)
class Backbone:
    """One row of the table: a convolutional network, for most of which Keras has ImageNet weights.

    "Headless" means built without its classifier (``include_top=False``) and without pooling.
    """

    #: Snake-case name, the one that recipes and commands use, such as 'mobilenet_v2'.
    name: str
    #: Attribute of ``keras.applications``, such as 'MobileNetV2', or of a classic's module.
    constructor: str
    #: Submodule of ``keras.applications`` that holds the matching ``preprocess_input``; of a
    #: classic, the module of ``classics`` that holds its constructor.
    module: str
    preprocessing: Preprocessing
    #: Side in pixels of the images that the ImageNet weights were made for, or of the paper's.
    default_size: int
    #: Side in pixels of the smallest images that the headless model accepts.
    minimum_size: int
    #: Number of weights of the headless model, moving averages included.
    parameters: int
    #: From the top downwards.
    blocks: tuple[Block, ...]
    #: Name of the file that Keras downloads for ``include_top=True`` and its default size; empty
    #: for classics, of which there is none.
    official_top: str
    #: Name of the file that Keras downloads for ``include_top=False``; empty for classics.
    official_notop: str
    #: Licence of the official weights and their owner, as far as Keras or the owner say it.
    weights_license: str
    #: Of its own classifier.
    classes: int = 1000
    #: Whether hidden dense layers belong to it, which fit images of ``default_size`` only.
    is_one_size: bool = False

    @property
    def is_pretrained(self) -> bool:
        """Whether Keras has weights of it; there are none of the classics."""
        return bool(self.official_notop)

    @property
    def features(self) -> int:
        """Channels of the last convolutional map."""
        return self.blocks[0].channels

    @property
    def layers(self) -> int:
        """How many layers :meth:`own_layers` returns, known without building them."""
        return self.blocks[-1].layers

    def trunk(self, images: Any) -> Any:
        """Build the headless model with random weights, preprocessing included.

        Args:
            images: Keras tensor of shape (batch, height, width, 3), RGB, values 0..255. Height
                and width are known and at least ``minimum_size``.

        Returns:
            A flat Functional ``keras.Model`` from the input behind ``images`` to the last
            convolutional map, of shape (batch, map height, map width, ``features``).
        """
        return self._build(images, include_top=False, pooling=None)

    def full(self, images: Any) -> Any:
        """Build the model with its own classifier, of ImageNet mostly, with random weights.

        Args:
            images: As for :meth:`trunk`, but of ``default_size``: VGG's classifier has one
                weight per pixel of the last map, so its weights fit no other size.

        Returns:
            A model as from :meth:`trunk`, to probabilities of shape (batch, ``classes``); GoogLeNet
            has those of its auxiliary classifiers besides.
        """
        return self._build(
            images, include_top=True, classes=self.classes, classifier_activation="softmax"
        )

    def own_layers(self, trunk: Any) -> tuple[Any, ...]:
        """The layers of a model from :meth:`trunk` that :meth:`cut` counts, lowest first.

        These are the backbone's own: not the input and not the preprocessing added to it.
        """
        return tuple(trunk.layers[-self.layers :])

    def block_outputs(self, trunk: Any) -> tuple[Any, ...]:
        """The Keras tensors at the ends of the blocks of a model from :meth:`trunk`, as blocks."""
        own = self.own_layers(trunk)
        above = (0, *(block.layers for block in self.blocks[:-1]))
        return tuple(own[-1 - layers].output for layers in above)

    def widths(self, blocks: int) -> tuple[int, ...]:
        """How many features come from each of so many top blocks, the topmost first."""
        return tuple(block.channels for block in self.blocks[:blocks])

    def _build(self, images: Any, **options: Any) -> Any:
        keras = frameworks.keras()
        x = preprocess(images, self.preprocessing)
        constructor = getattr(self._library(), self.constructor)
        # The shape is passed as well because without it Keras does not check the size.
        shape = tuple(x.shape[1:])
        model = constructor(weights=None, input_tensor=x, input_shape=shape, **options)
        if self.module == "efficientnet":
            model = _with_second_scale(model)
        # Most constructors return a model of a list of one input, which warns when it is
        # called on a tensor. This one takes a tensor.
        outputs = model.outputs if len(model.outputs) > 1 else model.outputs[0]
        return keras.Model(model.inputs[0], outputs, name=self.name)

    def _library(self) -> Any:
        """What holds the constructor."""
        if self.is_pretrained:
            return frameworks.keras().applications
        return importlib.import_module(f"{__package__}.classics.{self.module}")

    def cut(self, unfreeze: str) -> int:
        """Say how many of the trunk's top layers ``unfreeze`` means.

        Args:
            unfreeze: 'none', 'all', a whole number of layers such as '20', the name of a
                block such as 'block5' (which means it and everything above it), or a share such
                as '20%' (as few blocks as make up so much of the layers).

        Returns:
            A number from 0 (train nothing) to ``layers`` (train everything).

        Raises:
            UsageError: ``unfreeze`` is none of these.
        """
        text = unfreeze.strip()
        if re.fullmatch(r"[+-]?[0-9]{1,9}", text):
            if text[0] in "+-" or int(text) > self.layers:
                raise UsageError(
                    f"Wrong number of layers to unfreeze in {self.name}. Expected a whole number "
                    f"from 0 to {self.layers}, without a sign. Received: {unfreeze!r}."
                )
            return int(text)
        if share := re.fullmatch(r"([0-9]{1,3})\s*%", text):
            return self._share(int(share[1]), unfreeze)
        counts = {"none": 0, "all": self.layers}
        counts |= {block.name: block.layers for block in self.blocks}
        if folded(text) not in counts:
            blocks = ", ".join(block.name for block in self.blocks)
            raise UsageError(
                f"Unknown block of {self.name}. Expected 'none', 'all', a number of layers from "
                f"0 to {self.layers}, a share such as 20%, or one of its blocks: {blocks}. "
                f"Received: {unfreeze!r}.{nearest(folded(text), counts)}"
            )
        return counts[folded(text)]

    def _share(self, percent: int, unfreeze: str) -> int:
        """The layers of as few top blocks as make up a share of all layers."""
        if not 1 <= percent <= 100:
            raise UsageError(
                f"Wrong share of {self.name} to unfreeze. Expected 1% to 100%. "
                f"Received: {unfreeze!r}."
            )
        counts = (block.layers for block in self.blocks)
        return next(layers for layers in counts if 100 * layers >= percent * self.layers)


def folded(name: str) -> str:
    """A name without what does not matter: case and the characters '_', '-', ' '."""
    return re.sub(r"[_\- ]", "", name.lower())


def _with_second_scale(model: Any) -> Any:
    """Rebuild an EfficientNet (version 1) with the layer that its ImageNet weights need.

    The variances in the official files are deviations, so the division by their root has to
    be done twice. Keras adds the layer for that only where it loads the weights itself
    (``weights="imagenet"``); without it the same weights compute nonsense.
    See https://github.com/tensorflow/tensorflow/issues/49930.
    """
    keras = frameworks.keras()
    scale = [1 / math.sqrt(deviation) for deviation in (0.229, 0.224, 0.225)]

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        x = layer(*args, **kwargs)
        if isinstance(layer, keras.layers.Normalization):
            x = keras.layers.Rescaling(scale, name="second_scale")(x)
        return x

    return keras.models.clone_model(model, input_tensors=model.input, call_function=call)
