"""The network to look into: a bundle's classifier, or a bare backbone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundle import Bundle
from ..data.fitting import InputSpec, Resize
from ..data.images import read
from ..engines.litert import LiteRTEngine
from ..errors import UsageError, nearest
from ..frameworks import keras
from ..models.backbones import Backbone, get_backbone
from ..models.classifier import build_trunk
from ..models.preprocessing import Preprocessing
from ..models.weights import WeightsFile, find_weights
from ..parallel import ordered_map
from ..predict import engine_for, workers_for
from ..pretrained import named_network, open_model
from ..progress import SILENT, Observer
from .explanation import Photo

#: Images through Keras at once.
BATCH = 16


@dataclass(frozen=True)
class Scores:
    """What a classifier says of one image.

    Attributes:
        label: The class in question.
        index: Its place in the output.
        probability: In 0..1.
    """

    label: str
    index: int
    probability: float


class Subject:
    """A network, opened.

    Args:
        name: What it is called.
        backbone: The row of the table that it was made from.
        input: The images that it takes.
        class_names: In the order of its output; none for a network without classifier.
        load: Gives the Keras model, from images float32 (batch, height, width, 3), 0..255.
        bundle: The bundle that it is; ``None`` for a network without classifier.
    """

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        input: InputSpec,
        class_names: Sequence[str],
        load: Callable[[], Any],
        bundle: Bundle | None = None,
    ) -> None:
        self.name, self.backbone, self.input = name, backbone, input
        self.class_names = tuple(class_names)
        self.bundle = bundle
        self._load = load
        self._engines: dict[int, LiteRTEngine] = {}
        self._parts: dict[tuple[int, ...], Any] = {}

    @classmethod
    def of_bundle(cls, bundle: Bundle, name: str | None = None) -> Subject:
        """The classifier of a bundle."""
        backbone = get_backbone(bundle.metadata["backbone"])
        name = name or bundle.path.resolve().name
        names = bundle.class_names
        return cls(name, backbone, bundle.input_spec, names, bundle.load_keras, bundle)

    @classmethod
    def of_trunk(cls, backbone: Backbone, weights: WeightsFile) -> Subject:
        """A backbone without classifier, at its own size."""
        size = (backbone.default_size, backbone.default_size)
        spec = InputSpec(size, Resize.CROP)
        return cls(
            backbone.name,
            backbone,
            spec,
            (),
            lambda: build_trunk(backbone, size, "avg", weights).model,
        )

    @classmethod
    def open(
        cls, name: str | Path, *, with_classes: bool = True, observer: Observer = SILENT
    ) -> Subject:
        """Open a bundle by its folder, or a pretrained network by its name.

        Args:
            name: The folder or the name.
            with_classes: Whether its classifier is needed. A network by name is opened without it
                if not, as its weights without are found more often.
            observer: Hears of what takes time.

        Raises:
            BundleError: it is neither.
            WeightsError: the network's weights are not found.
        """
        if not with_classes and (backbone := named_network(name)) is not None:
            return cls.of_trunk(backbone, find_weights(backbone, observer=observer))
        return cls.of_bundle(open_model(name, observer), Path(name).name)

    @cached_property
    def model(self) -> Any:
        """The Keras model, loaded when it is first asked for.

        Raises:
            BundleError: its file is damaged.
        """
        return self._load()

    @cached_property
    def logits(self) -> Any:
        """The output before softmax, a Keras tensor of shape (batch, classes).

        Gradients are taken of it, because those of a probability vanish where the network is sure.
        """
        last = self.model.layers[-1]
        layers = keras().layers
        if isinstance(last, (layers.Activation, layers.Softmax)):
            return last.input
        if not isinstance(last, layers.Dense) or last.get_config()["activation"] != "softmax":
            raise TypeError(f"{self.name} ends in {last.name}, which is no softmax")
        linear = layers.Dense.from_config(
            {**last.get_config(), "activation": "linear", "name": "logits"}
        )
        output = linear(last.input)
        linear.set_weights(last.get_weights())
        return output

    def part(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> Callable[..., list[Any]]:
        """A part of the network, in inference mode, made once.

        Args:
            inputs: Keras tensors of the model.
            outputs: Likewise.

        Returns:
            A function of a batch for each input to the list of outputs, TensorFlow tensors.
        """
        key = (*map(id, inputs), 0, *map(id, outputs))
        if key not in self._parts:
            self._parts[key] = keras().Model(list(inputs), list(outputs))
        model = self._parts[key]

        def run(*batches: Any) -> list[Any]:
            results = model(list(batches), training=False)
            return list(results) if isinstance(results, (list, tuple)) else [results]

        return run

    @property
    def is_bgr(self) -> bool:
        """Whether the first convolution is given blue, green, red."""
        return self.backbone.preprocessing is Preprocessing.CAFFE

    def probabilities(self, images: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """What the classifier says of images, one after another, as ``predict`` does.

        Args:
            images: uint8, each of shape (height, width, 3).

        Returns:
            float32 vectors of shape (classes,), in order.
        """
        if self.bundle is None:
            model = self.model
            return (model(image[np.newaxis].astype(np.float32))[0].numpy() for image in images)
        workers = workers_for(len(images))
        if workers not in self._engines:
            self._engines[workers] = engine_for(self.bundle, len(images))
        engine = self._engines[workers]
        return ordered_map(lambda image: engine.run(image).probabilities, images, workers)

    def photos(self, paths: Iterable[Path]) -> Iterator[Photo]:
        """Read photos as the network sees them.

        Raises:
            ImageError: one cannot be read.
        """
        return (Photo(path, read(path, self.input)) for path in paths)

    def scores(self, image: NDArray[np.uint8], target: str | None) -> Scores:
        """The class to explain, and how probable it is.

        Args:
            image: uint8, shape (height, width, 3).
            target: The class by name; ``None`` is the most probable.

        Raises:
            UsageError: there is no such class.
        """
        index = None if target is None else self.index_of(target)
        (row,) = self.probabilities([image])
        index = int(row.argmax()) if index is None else index
        return Scores(self.class_names[index], index, float(row[index]))

    def index_of(self, label: str) -> int:
        """The place of a class in the output.

        Raises:
            UsageError: there is no such class.
        """
        if label not in self.class_names:
            raise UsageError(
                f"--class: expected one of the {len(self.class_names)} classes of {self.name}. "
                f"Received: {label!r}.{nearest(label, self.class_names)}"
            )
        return self.class_names.index(label)
