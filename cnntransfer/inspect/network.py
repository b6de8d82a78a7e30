"""The anatomy of a backbone or of a bundle's classifier, with what is trained of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..errors import BundleError, UsageError, nearest
from ..models.anatomy import Anatomy, measure
from ..models.anatomy.keras_graph import BATCH_NORMALIZATION, graph_of, layer_entries, placed
from ..models.backbones import BACKBONES, Backbone, get_backbone
from ..models.preprocessing import LAYER_NAME

Json = Mapping[str, Any]
#: (How many of the backbone's top layers, whether batch normalisation among them trains too.)
_Trained = tuple[int, bool]


def inspect(
    subject: str,
    *,
    image_size: tuple[int, int] | None = None,
    include_top: bool = False,
    unfreeze: str | None = None,
    words: Iterable[str] = (),
) -> Anatomy:
    """The anatomy of a network by its name, or of a bundle by its folder.

    Args:
        subject: The name or the folder.
        image_size: (height, width) that a network by name is built for; default: its own.
        include_top: Whether a network by name is to have its own classifier.
        unfreeze: What of a network by name would be trained, in the words of ``finetune``.
        words: What else the caller would have taken, to suggest the nearest.

    Raises:
        BundleError: it is neither a network nor a bundle, or the bundle is damaged.
        UsageError: the image size is too small, or an option is not for a bundle.
    """
    path = Path(subject).expanduser()
    if path.exists() or path.name != subject:
        given = {"image_size": image_size, "include_top": include_top, "unfreeze": unfreeze}
        if wrong := [name for name, value in given.items() if value]:
            option = wrong[0].replace("_", "-")
            raise UsageError(
                f"--{option}: expected with a network by name, such as 'resnet50'. "
                f"Received: with {subject}, a folder, whose network is as its run made it. "
                f"Leave --{option} out."
            )
        return of_bundle(Bundle.open(path))
    try:
        backbone = get_backbone(subject)
    except UsageError:
        words = tuple(words)
        raise BundleError(
            "Expected a network that 'cnntransfer backbones' lists, a bundle's folder"
            + (f" or one of the layers {', '.join(words)}" if words else "")
            + f". Received: {subject!r}.{nearest(subject, [*BACKBONES, *words])}"
        ) from None
    return of_backbone(backbone, image_size, include_top=include_top, unfreeze=unfreeze)


def of_backbone(
    backbone: Backbone,
    image_size: tuple[int, int] | None = None,
    *,
    include_top: bool = False,
    unfreeze: str | None = None,
) -> Anatomy:
    """The anatomy of a backbone, which Keras builds; it needs no weights.

    Args:
        backbone: The row of the table.
        image_size: (height, width); default: the backbone's own.
        include_top: Whether with its own classifier.
        unfreeze: What would be trained; default: nothing, or all where there are no weights.

    Raises:
        UsageError: the image size is below the backbone's minimum, or ``unfreeze`` is wrong.
    """
    top_layers = backbone.cut(unfreeze or ("none" if backbone.is_pretrained else "all"))
    if unfreeze and top_layers and include_top:
        raise UsageError(
            "Expected --unfreeze or --include-top. Received: both. A network that is trained "
            "further gets a head of its own instead of that top. Leave one out."
        )
    from ..frameworks import keras
    from ..models.classifier import INPUT_NAME, check_image_size

    size = image_size or (backbone.default_size, backbone.default_size)
    check_image_size(backbone, size)
    # What is only described needs no numbers, which would be up to 1.4 GB.
    with keras().StatelessScope(initialize_variables=False):
        image = keras().Input((*size, 3), name=INPUT_NAME, dtype="float32")
        graph = graph_of(backbone.full(image) if include_top else backbone.trunk(image))
    if include_top:
        marks = _nothing if backbone.is_pretrained else _everything
        return measure(backbone.name, placed(graph, marks))
    trained = [(top_layers, not backbone.is_pretrained)]
    return measure(backbone.name, placed(graph, _marks(graph, backbone, trained)))


def of_bundle(bundle: Bundle) -> Anatomy:
    """The anatomy of a bundle's classifier, without importing Keras.

    What is marked as trained of the backbone is what any stage of the recipe unfroze that was not
    undone; of a bare pretrained network nothing is.

    Raises:
        BundleError: it is damaged.
    """
    graph = bundle.graph()
    name, backbone = bundle.path.resolve().name, get_backbone(bundle.metadata["backbone"])
    if not bundle.recipe_file.is_file():
        return measure(name, placed(graph, _nothing))
    undone = bundle.metadata.get("undone_stages", ())
    stages = [
        (backbone.cut(stage.unfreeze), stage.train_batch_normalization)
        for stage in bundle.recipe().stages
        if stage.name not in undone
    ]
    return measure(name, placed(graph, _marks(graph, backbone, stages)))


def _marks(graph: Json, backbone: Backbone, stages: Sequence[_Trained]) -> Callable[[Json], bool]:
    """What says of an entry of the graph whether it is trained.

    The backbone's layers stand lowest but for the preprocessing, in the order in which ``unfreeze``
    counts them. Those above them are the head's, which say it themselves.
    """
    entries = [entry for entry in layer_entries(graph) if _name(entry) != LAYER_NAME]
    own = [_name(entry) for entry in entries[: backbone.layers]]
    kinds = {_name(entry): entry["class_name"] for entry in entries}
    trained = {
        name
        for top_layers, batch_normalization in stages
        for name in own[len(own) - top_layers :]
        if batch_normalization or kinds[name] != BATCH_NORMALIZATION
    }

    def is_trained(entry: Json) -> bool:
        name = _name(entry)
        return name in trained if name in own else bool(entry["config"].get("trainable", False))

    return is_trained


def _nothing(entry: Json) -> bool:
    """Of a pretrained network with its own top nothing is trained."""
    return False


def _everything(entry: Json) -> bool:
    """Of a network without weights, all is."""
    return True


def _name(entry: Json) -> str:
    name: str = entry["config"]["name"]
    return name
