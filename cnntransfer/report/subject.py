"""What a report is about: a bundle, and where the photos of its run lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..bundle import Bundle
from ..data.index import MANIFEST_SUFFIXES
from ..errors import BundleError


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    Attributes:
        bundle: Where the tables are.
        metadata: What its metadata says, or is going to say.
        class_names: In the order of the model's output.
        photos: Folder that file names are relative to; ``None`` where it is not known.
    """

    bundle: Bundle
    metadata: Mapping[str, Any]
    class_names: Sequence[str]
    photos: Path | None

    @classmethod
    def of(cls, bundle: Bundle, photos: Path | None = None) -> Subject:
        """A complete bundle.

        Args:
            bundle: What a run wrote.
            photos: Folder or manifest of its photos, where they lie elsewhere now.

        Raises:
            BundleError: no run wrote it.
        """
        if "dataset" not in bundle.metadata:
            raise BundleError(
                "Expected a bundle that 'cnntransfer finetune' wrote. Received: "
                f"{bundle.path}, a bare pretrained network, which was not trained here. "
                "Train one first: cnntransfer finetune photos/"
            )
        source = photos or bundle.metadata["dataset"].get("source")
        root = None if source is None else root_of(Path(source))
        return cls(bundle, bundle.metadata, bundle.class_names, root)

    def rows(self, table: str, *columns: str) -> list[dict[str, str]]:
        """The rows of a table; none if the bundle lacks it.

        Raises:
            BundleError: the table is damaged.
        """
        return self.bundle.read_table(table, *columns) if self.has(table) else []

    def has(self, table: str) -> bool:
        """Whether the bundle has a table."""
        return self.bundle.has_table(table)


def root_of(source: Path) -> Path:
    """The folder that the file names of a folder or manifest are relative to."""
    return source.parent if source.suffix.lower() in MANIFEST_SUFFIXES else source


def name_of(source: Path) -> str:
    """What a folder or manifest of photos is called."""
    is_manifest = source.suffix.lower() in MANIFEST_SUFFIXES
    return (source.stem if is_manifest else source.name) or str(source)
