"""A folder's photos in two dimensions: those that look alike to the network lie together.

Principal components, or t-SNE (van der Maaten and Hinton 2008, "Visualizing Data using t-SNE").

Arrays: ``points``, float32, shape (n, 2), in the order of the files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..data.images import read_bytes
from ..engines.keras import KerasEngine
from ..engines.litert import LiteRTEngine
from ..errors import DataError, ImageError, MissingDependencyError
from ..frameworks import keras
from ..parallel import available_cores
from ..rows import RowStore
from ..training.extraction import kept_features
from .explanation import Explanation, Photo
from .layers import topmost_maps
from .options import PCA, TSNE, Options
from .subject import Subject

#: Fewer have no shape.
_LEAST = 3
#: More thumbnails would hide each other; other photos are dots.
_THUMBNAILS = 150
_INCHES, _THUMBNAIL = 9.0, 34
#: Okabe and Ito's colours, which colour-blind people tell apart; more folders get none.
_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#F0E442", "#000000")


def explain(subject: Subject, photos: Sequence[Photo], options: Options) -> Explanation:
    """Lay photos out by their features.

    Raises:
        DataError: there are fewer than three photos.
        MissingDependencyError: t-SNE was asked for and scikit-learn is not installed.
    """
    if len(photos) < _LEAST:
        raise DataError(
            f"Expected at least {_LEAST} photos to lay out. Received: {len(photos)}. "
            "Give a folder of photos."
        )
    project = _PROJECTIONS[options.projection]
    points, axes = project(_features(subject, photos), options.seed)
    facts = {
        "network": subject.name,
        "projection": options.projection,
        "files": [str(photo.path) for photo in photos],
    }
    title = f"{subject.name}: {len(photos)} photos by their features"
    draw = partial(_draw, photos=photos, points=points, title=title, labels=axes)
    return Explanation("embedding", subject.name, {"points": points}, draw, facts)


def _features(subject: Subject, photos: Sequence[Photo]) -> NDArray[np.float32]:
    """What the head stands on, shape (n, d): kept ones, where a run has left them."""
    kept = None if subject.bundle is None else kept_features(subject.bundle)
    rows = [None if kept is None else _kept_row(kept, photo) for photo in photos]
    missing = [photo for photo, row in zip(photos, rows, strict=True) if row is None]
    computed = _computed(subject, missing) if missing else iter(())
    return np.stack([next(computed) if row is None else row for row in rows])


def _computed(subject: Subject, photos: Sequence[Photo]) -> Iterator[NDArray[np.float32]]:
    """From LiteRT where the bundle is split there, else from Keras."""
    bundle = subject.bundle
    if bundle is not None and bundle.trunk_file.is_file():
        engine: Any = LiteRTEngine([bundle.trunk_file], available_cores())
    else:
        k = keras()
        maps = [layer.output for layer in topmost_maps(subject)]
        pooled = [k.layers.GlobalAveragePooling2D()(tensor) for tensor in maps]
        features = pooled[0] if len(pooled) == 1 else k.layers.Concatenate()(pooled)
        engine = KerasEngine(k.Model(subject.model.input, features))
    return (output.features for output in engine.map(lambda photo: photo.pixels, photos))


def _kept_row(kept: RowStore, photo: Photo) -> NDArray[np.float32] | None:
    """The kept features of a photo, known by its file's content; ``None`` where there are none."""
    try:
        data = read_bytes(photo.path)
    except ImageError:  # Its pixels came from elsewhere, or the file is gone by now.
        return None
    return kept.find((hashlib.sha256(data).hexdigest(), 0))


def _principal_components(
    features: NDArray[np.float32], seed: int
) -> tuple[NDArray[np.float32], tuple[str, str]]:
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    variances = singular**2
    shares = variances[:2] / (variances.sum() or 1)
    points = (left[:, :2] * singular[:2]).astype(np.float32)
    # A component's sign is arbitrary: the same photos are to lie the same way everywhere.
    points *= np.where(points[np.abs(points).argmax(axis=0), [0, 1]] < 0, -1, 1)
    first, second = (f"{100 * share:.0f} % of the variance" for share in shares)
    return points, (f"first principal component, {first}", f"second, {second}")


def _neighbours(
    features: NDArray[np.float32], seed: int
) -> tuple[NDArray[np.float32], tuple[str, str]]:
    try:
        from sklearn import manifold
    except ImportError as error:
        raise MissingDependencyError(
            f"--projection tsne: expected scikit-learn, which cannot be imported ({error}). "
            "Install it with: pip install 'cnntransfer[tsne]'"
        ) from error
    # Neighbours that count must be fewer than there are photos.
    perplexity = min(30.0, (len(features) - 1) / 3)
    embedding = manifold.TSNE(perplexity=perplexity, random_state=seed, init="pca")
    points: NDArray[np.float32] = embedding.fit_transform(features).astype(np.float32)
    return points, ("t-SNE, without unit: only neighbours mean something", "")


_PROJECTIONS = {PCA: _principal_components, TSNE: _neighbours}


def _draw(
    figure: Any,
    *,
    photos: Sequence[Photo],
    points: NDArray[np.float32],
    title: str,
    labels: tuple[str, str],
) -> None:
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    figure.set_size_inches(_INCHES, _INCHES * 0.8)
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    folders = _folders([photo.path for photo in photos])
    colours = dict(zip(folders, _COLOURS, strict=False)) if len(folders) <= len(_COLOURS) else {}
    owners = [colours.get(photo.path.parent.name, "0.5") for photo in photos]
    axes.scatter(points[:, 0], points[:, 1], s=14, c=owners, zorder=1)
    step = max(1, -(-len(photos) // _THUMBNAILS))
    # By chance, else the last folder would lie on all others.
    for number in np.random.default_rng(0).permutation(np.arange(0, len(photos), step)):
        small = Image.fromarray(photos[number].pixels)
        small.thumbnail((_THUMBNAIL, _THUMBNAIL))
        frame = {"edgecolor": owners[number], "linewidth": 2}
        axes.add_artist(
            AnnotationBbox(
                OffsetImage(np.asarray(small)), points[number], pad=0.05, bboxprops=frame
            )
        )
    for name, colour in colours.items():
        axes.scatter([], [], s=40, c=colour, marker="s", label=name)
    if len(colours) > 1:
        legend = axes.legend(title="folder")
        for text in legend.get_texts():
            text.set_parse_math(False)
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.margins(0.08)
    axes.set_title(title, loc="left", parse_math=False)


def _folders(paths: Sequence[Path]) -> list[str]:
    return sorted({path.parent.name for path in paths})
