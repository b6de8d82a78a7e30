"""``cnntransfer benchmark``."""

from __future__ import annotations

from pathlib import Path

import click

from .console import Console, echo, print_json, print_table, shell_word
from .options import NON_EMPTY, as_json, example, with_console

#: What a run takes beside the features: TensorFlow's import, the head, the bundle.
_FIXED_SECONDS = 6.0


@click.command(
    epilog=example(
        "cnntransfer benchmark",
        "cnntransfer benchmark mobilenet resnet50 --data photos/",
    )
)
@click.argument("backbones", nargs=-1, metavar="[BACKBONE]...")
@click.option("--data", metavar="DATA", type=NON_EMPTY, help="Estimate the time for these images.")
@as_json
@with_console
def command(backbones: tuple[str, ...], data: str | None, as_json: bool, console: Console) -> None:
    """Measure what to expect on this machine.

    Images per second by engine and arithmetic; the seconds to the first image once everything
    is prepared; how similar the features are to the float32 ones (1: the same direction); and
    about how long 'cnntransfer finetune' would take for 1000 images, or for those of --data.
    Without a name: the two built-in networks.
    """
    from ..models.backbones import get_backbone

    chosen = [get_backbone(name) for name in backbones or ("mobilenet", "mobilenet_v2")]
    images = 1000
    if data is not None:
        from ..data.index import list_images

        images = len(list_images(Path(data).expanduser()).entries)
    from ..benchmark import measure
    from ..recipe import Recipe
    from ..training.plan import auto_views

    share = Recipe().validation_split
    passes = images * (share + (1 - share) * auto_views(int(images * (1 - share))))
    rows = []
    for backbone in chosen:
        for speed in measure(backbone, console):
            estimate = _FIXED_SECONDS + passes / speed.images_per_second
            rows.append({**speed.to_dict(), "images": images, "finetune_seconds": estimate})
    if as_json:
        print_json(rows)
        return
    print_table(
        ("network", "engine", "precision", "images/s", "first image", "cosine", "finetune"),
        [
            (
                row["backbone"],
                row["engine"],
                row["precision"],
                round(row["images_per_second"], 1),
                f"{row['first_image_seconds']:.2f} s",
                f"{row['cosine']:.4f}",
                f"{row['finetune_seconds']:.0f} s",
            )
            for row in rows
        ],
    )
    echo(f"finetune: the head on {images:,} images, {passes:,.0f} passes through the network")
    console.next(
        f"cnntransfer finetune {shell_word(data or 'photos/')} --backbone {chosen[0].name}"
    )
