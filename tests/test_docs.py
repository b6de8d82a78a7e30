"""The documents hold no leftovers and name only what exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_placeholder_is_left(document):
    assert not re.findall(r"@[A-Z]+@|TODO|FIXME", document.read_text(encoding="utf-8"))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_to_files(document):
    links = re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize("package", ["data", "engines", "explain", "inspect", "report", "training"])
def test_the_architecture_names_every_module(package):
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text[text.index("## Modules") : text.index("## Decisions")]
    files = (ROOT / "cnntransfer" / package).glob("*.py")
    modules = {path.stem for path in files if path.stem != "__init__"}
    assert modules - set(re.findall(r"\w+", table)) == set()
