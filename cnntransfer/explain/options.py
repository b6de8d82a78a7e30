"""What may be asked of an explanation, whatever the method."""

from __future__ import annotations

from dataclasses import dataclass

from ..settings import setting

#: Settings whose option has another name; it is no name in Python.
_OPTIONS = {"target": "class"}
#: How features are laid out in two dimensions.
PCA, TSNE = "pca", "tsne"
#: So many channels are drawn where there may be many layers or crops.
CHANNELS = 8


@dataclass(frozen=True)
class Options:
    """The settings of all methods; each takes some of them."""

    layer: str | None = setting(
        None,
        str,
        "By name, or by number among those the method can show: 1 is the lowest, -1 the highest. "
        "[default: filters 1, patches -1, Grad-CAM what the head stands on, features all]",
        optional=True,
        metavar="NAME|N",
    )
    target: str | None = setting(
        None, str, "The class to explain. [default: the most probable]", optional=True
    )
    channels: int | None = setting(
        None,
        int,
        "How many channels are drawn, or filters, strongest first. [default: 8; of the maps of one "
        "layer, and of kernels in colour, all]",
        minimum=1,
        maximum=256,
        optional=True,
    )
    channel: int | None = setting(
        None, int, "Draw this channel only, counted from 0.", minimum=0, optional=True
    )
    grid: int = setting(15, int, "Places of the grey square along a side.", minimum=2, maximum=512)
    square: int | None = setting(
        None,
        int,
        "Side of the grey square in pixels of the network's image. [default: a fifth of it]",
        minimum=1,
        optional=True,
    )
    samples: int = setting(
        25,
        int,
        "Noisy copies that SmoothGrad averages over; 1 is a plain gradient.",
        minimum=1,
        maximum=10_000,
    )
    noise: float = setting(
        0.15, float, "Deviation of that noise, as a share of 255.", minimum=0, maximum=1
    )
    top: int = setting(9, int, "Crops of each channel.", minimum=1, maximum=100)
    projection: str = setting(
        PCA,
        str,
        "How features become two numbers; tsne needs the extra of that name.",
        choices=(PCA, TSNE),
    )
    seed: int = setting(0, int, "Decides noise, and where t-SNE begins.", minimum=0)


def option_name(setting: str) -> str:
    """A setting as it is typed."""
    return "--" + _OPTIONS.get(setting, setting).replace("_", "-")
