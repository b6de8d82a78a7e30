"""The families of backbones, each by the member that is built fastest."""

from __future__ import annotations

from cnntransfer.models.backbone import Backbone
from cnntransfer.models.backbones import BACKBONES


def _smallest() -> list[Backbone]:
    families: dict[str, list[Backbone]] = {}
    for backbone in BACKBONES.values():
        families.setdefault(backbone.module, []).append(backbone)
    return [
        min(rows, key=lambda row: (not row.is_pretrained, row.parameters))
        for rows in families.values()
    ]


#: One of every family, those of Keras before the classics.
SMALLEST = _smallest()
