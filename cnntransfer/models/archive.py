"""``model.keras`` without Keras: a trunk's archive with a head put on it.

A ``.keras`` file is a zip archive of three members: ``config.json``, the graph; ``metadata.json``,
who wrote it; ``model.weights.h5``, the arrays, in a group ``layers/<class>_<n>/vars`` per layer.
Importing Keras takes longer than training a head does. So Keras writes the trunk's archive once
per machine, and what a head adds to it is known here: the same file as Keras would have written.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import IO, Any

from ..storage import atomic_file
from .classifier import CLASSIFIER_NAME
from .head import HeadModel, Layer

_METADATA, _CONFIG, _WEIGHTS = "metadata.json", "config.json", "model.weights.h5"
_BLOCK = 1 << 20

Json = dict[str, Any]
Version = tuple[int, int]


@dataclass(frozen=True)
class _Class:
    """What Keras writes of the objects of one of its classes.

    Attributes:
        module: Where it is public.
        config: The arguments that are written, in order, with the values that they have unless
            told otherwise.
        since: The version of Keras that began to write ``newer``. An older one refuses them.
        newer: More arguments, which come last.
        is_built: Whether the shape of the input is written: the layers that make their weights
            when they first see it.
        call: How it is called in a graph, besides its input.
    """

    module: str
    config: Json
    since: Version = (3, 0)
    newer: Json = field(default_factory=dict)
    is_built: bool = False
    call: Json = field(default_factory=dict)


def _described(class_name: str) -> Json:
    return {"class_name": class_name, "config": {}}


_ZEROS, _ONES = _described("Zeros"), _described("Ones")

#: Every class that a head is made of. The order of the arguments is Keras', too, so that files
#: can be compared as they are.
_CLASSES: Mapping[str, _Class] = {
    "Zeros": _Class("keras.initializers", {}),
    "Ones": _Class("keras.initializers", {}),
    "GlorotUniform": _Class(
        "keras.initializers",
        {"seed": None},
        since=(3, 15),
        newer={"input_axes": None, "output_axes": None},
    ),
    "L2": _Class("keras.regularizers", {"l2": None}),
    "Activation": _Class("keras.layers", {"activation": None}),
    "Dropout": _Class(
        "keras.layers",
        # Its random generator has a state that Keras does not write.
        {"rate": None, "seed": None, "noise_shape": None},
        call={"training": False},
    ),
    "Dense": _Class(
        "keras.layers",
        {
            "units": None,
            "activation": "linear",
            "use_bias": True,
            "kernel_initializer": _described("GlorotUniform"),
            "bias_initializer": _ZEROS,
            "kernel_regularizer": None,
            "bias_regularizer": None,
            "kernel_constraint": None,
            "bias_constraint": None,
        },
        since=(3, 13),
        newer={"quantization_config": None},
        is_built=True,
    ),
    "BatchNormalization": _Class(
        "keras.layers",
        {
            "axis": -1,
            "momentum": 0.99,
            "epsilon": 1e-3,
            "center": True,
            "scale": True,
            "beta_initializer": _ZEROS,
            "gamma_initializer": _ONES,
            "moving_mean_initializer": _ZEROS,
            "moving_variance_initializer": _ONES,
            "beta_regularizer": None,
            "gamma_regularizer": None,
            "beta_constraint": None,
            "gamma_constraint": None,
            "synchronized": False,
        },
        since=(3, 14),
        newer={"renorm": False, "renorm_clipping": None, "renorm_momentum": 0.99},
        is_built=True,
        call={"mask": None},
    ),
}


def read_graph(file: Path) -> Json:
    """The graph of a functional model in a ``.keras`` archive, as Keras wrote it down.

    Raises:
        KeyError: The archive lacks its graph.
        TypeError, ValueError: The graph is no JSON object.
        zipfile.BadZipFile: The archive is damaged.
        OSError: The archive cannot be read.
    """
    with zipfile.ZipFile(file) as archive:
        graph: Json = json.loads(archive.read(_CONFIG))["config"]
    return graph


def write_classifier(trunk_file: Path, head: HeadModel, target: Path) -> None:
    """Write a whole classifier, image -> probabilities, as Keras would save it.

    The trunk's layers are trainable or not as they were when Keras saved them. The trunk's bytes
    are copied twice and never held in memory.

    Args:
        trunk_file: A ``.keras`` archive of a trunk (:func:`.classifier.build_trunk`): a
            functional model, image -> features (batch, d).
        head: From d features to probabilities.
        target: The ``.keras`` archive, replaced when it exists.

    Raises:
        KeyError: The trunk's archive lacks a member, or the head has a kind of layer that this
            module does not know.
        zipfile.BadZipFile: The trunk's archive is damaged.
        OSError: The trunk's archive cannot be read.
        OutputError: The target cannot be written.
    """
    with zipfile.ZipFile(trunk_file) as trunk:
        metadata = json.loads(trunk.read(_METADATA))
        model = json.loads(trunk.read(_CONFIG))
        major, minor = metadata["keras_version"].split(".")[:2]
        _extend(model["config"], head, (int(major), int(minor)))
        metadata["date_saved"] = datetime.now().strftime("%Y-%m-%d@%H:%M:%S")
        with (
            atomic_file(target) as draft,
            # HDF5 files grow at places of their choice; those of an archive cannot.
            tempfile.TemporaryFile(dir=draft.parent) as weights,
        ):
            with trunk.open(_WEIGHTS) as source:
                shutil.copyfileobj(source, weights, _BLOCK)
            _add_weights(weights, head)
            with zipfile.ZipFile(draft, "w") as archive:
                archive.writestr(_METADATA, json.dumps(metadata))
                archive.writestr(_CONFIG, json.dumps(model))
                member = zipfile.ZipInfo(_WEIGHTS)
                # Known beforehand, so that zipfile makes room for sizes above 2 GiB.
                member.file_size = weights.seek(0, 2)
                weights.seek(0)
                with archive.open(member, "w") as sink:
                    shutil.copyfileobj(weights, sink, _BLOCK)


def _extend(graph: Json, head: HeadModel, version: Version) -> None:
    """Put the head's layers on a trunk's graph, the ``config`` of a functional model."""
    # The flags of the layers are kept, but a model's own would freeze the head.
    graph.update(name=CLASSIFIER_NAME, trainable=True)
    last = graph["layers"][-1]
    # The trunk's last layer shares its type of numbers with all layers that ask for none.
    dtype = last["config"]["dtype"]
    below, width = last["name"], head.features
    for layer in head.layers:
        graph["layers"].append(_layer_entry(layer, dtype, below, width, version))
        below, width = layer.name, layer.config.get("units", width)
    output = [below, 0, 0]
    # Keras 3.10 nests it once more.
    is_nested = isinstance(graph["output_layers"][0], list)
    graph["output_layers"] = [output] if is_nested else output


def _layer_entry(layer: Layer, dtype: Json, below: str, width: int, version: Version) -> Json:
    """A layer of the head, as it is written in a graph.

    Args:
        layer: What is written.
        dtype: The type of its numbers, as it is written.
        below: The name of the layer that it stands on.
        width: How many numbers that one gives.
        version: Of Keras.
    """
    known, shape = _CLASSES[layer.kind], [None, width]
    entry = _entry(layer.kind, layer.config, version)
    first = {"name": layer.name, "trainable": True, "dtype": dtype}
    entry["config"] = {**first, **entry["config"]}
    if known.is_built:
        entry["build_config"] = {"input_shape": shape}
    tensor = {"shape": shape, "dtype": "float32", "keras_history": [below, 0, 0]}
    arguments = [{"class_name": "__keras_tensor__", "config": tensor}]
    entry["name"] = layer.name
    entry["inbound_nodes"] = [{"args": arguments, "kwargs": known.call}]
    return entry


def _entry(class_name: str, given: Mapping[str, Any], version: Version) -> Json:
    """An object of Keras with all its arguments, and theirs."""
    known = _CLASSES[class_name]
    newer = known.newer if version >= known.since else {}
    config = {**known.config, **newer, **given}
    return {
        "module": known.module,
        "class_name": class_name,
        "config": {
            name: _entry(value["class_name"], value["config"], version)
            if isinstance(value, Mapping)
            else value
            for name, value in config.items()
        },
        "registered_name": None,
    }


def _add_weights(file: IO[bytes], head: HeadModel) -> None:
    """Add the head's arrays to a trunk's HDF5 file."""
    import h5py

    with h5py.File(file, "r+") as content:
        content["vars"].attrs["name"] = CLASSIFIER_NAME
        groups = content["layers"]
        for layer in head.layers:
            name = next(name for name in _group_names(layer.kind) if name not in groups)
            # Layers without arrays have a group, too.
            arrays = groups.create_group(name).create_group("vars")
            arrays.attrs["name"] = layer.name
            for number, array in enumerate(head.weights.get(layer.name, ())):
                arrays[str(number)] = array


def _group_names(kind: str) -> Iterator[str]:
    """The names of the groups of layers of a class, from the first layer on."""
    base = re.sub("([a-z])([A-Z])", r"\1_\2", kind).lower()
    yield base
    yield from (f"{base}_{number}" for number in count(1))
