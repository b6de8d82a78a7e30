"""The model card is Markdown that no name can break."""

import pytest
from markdown_it import MarkdownIt

from cnntransfer.report import Subject, gather
from cnntransfer.report.card import escape, render_card
from tests.report.synthetic import ODD_NAMES


def tokens(text):
    flat = []
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        flat += [token, *(token.children or ())]
    return flat


@pytest.mark.parametrize("name", ODD_NAMES)
def test_an_escaped_name_is_that_text(name):
    found = [token for token in tokens(f"| x |\n|---|\n| {escape(name)} |\n") if token.content]
    assert {token.type for token in found} <= {"inline", "text", "text_special"}
    shown = "".join(t.content for t in found if t.type in ("text", "text_special"))
    assert shown == f"x{name.strip()}"


def test_a_name_of_several_lines_stays_on_one():
    assert escape("a\n# b\r\n\tc") == "a \\# b c"


def test_the_card_of_a_run(odd):
    card = render_card(gather(Subject.of(odd)))
    found = tokens(card)
    assert not [t for t in found if t.type in ("html_block", "html_inline", "link_open", "image")]
    headings = [line[3:] for line in card.splitlines() if line.startswith("## ")]
    assert headings == [
        "Data",
        "Intended use",
        "Figures",
        "Limits",
        "How to use it",
        "Origin and licences",
    ]
    text = [token.content for token in found if token.type == "inline"]
    for name in ODD_NAMES:
        cells = [content for content in text if content == escape(name).replace("\\|", "|")]
        assert len(cells) == 2  # Photos by class, figures by class.
    metrics = odd.metadata["metrics"]["test"]
    low = metrics["intervals"]["accuracy"]["low"]
    assert f"{100 * metrics['accuracy']:.1f}\N{NO-BREAK SPACE}%" in card
    assert f"95 % interval {100 * low:.1f}\N{NO-BREAK SPACE}% to" in card
    assert "| Their licence | Free |" in card
    assert "Labels that look wrong: 12" in card
    # Where the photos lie on somebody's machine is nobody else's matter.
    assert str(odd.path.parent) not in card


def test_tables_are_whole(odd):
    rows = [line for line in render_card(gather(Subject.of(odd))).splitlines() if line[:1] == "|"]
    open_tables = [token for token in tokens("\n".join(rows)) if token.type == "table_open"]
    assert open_tables
    by_classes = [line for line in rows if "日本語" in line]
    assert [line.count("|") for line in by_classes] == [5, 6]


def test_without_figures(small):
    subject = Subject.of(small)
    metadata = {**subject.metadata, "metrics": {}}
    report = gather(Subject(subject.bundle, metadata, subject.class_names, subject.photos))
    card = render_card(report)
    assert "## Figures" not in card
    assert "## Limits" in card
