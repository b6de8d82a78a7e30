"""The page: one file, nothing foreign in it, whatever names hold."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from cnntransfer.metrics import figures
from cnntransfer.report import Subject, gather, write_page
from cnntransfer.report.card import render_card
from cnntransfer.report.page import probability, render
from tests.report.synthetic import ODD_NAMES, make_run


class Page(HTMLParser):
    """Elements and texts of a page."""

    def __init__(self, source):
        super().__init__()
        self.elements, self.texts, self.raw = [], [], {}
        self._inside = None
        self.feed(source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._inside = tag

    def handle_data(self, data):
        if self._inside in ("script", "style"):
            self.raw.setdefault(self._inside, []).append(data)
        else:
            self.texts.append(data.strip())

    def handle_endtag(self, tag):
        self._inside = None

    def of(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def source(odd):
    return render(gather(Subject.of(odd)))


@pytest.fixture(scope="module")
def page(source):
    return Page(source)


def test_names_are_text(page):
    for name in ODD_NAMES:
        assert page.texts.count(name.strip()) > 3, name
    assert len(page.raw["script"]) == len(page.raw["style"]) == 1
    assert not page.of("b") or all(not a for a in page.of("b"))
    assert "alert" not in page.raw["script"][0]


def test_nothing_comes_from_elsewhere(page):
    for tag, attributes in page.elements:
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, value)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
    assert not re.search(r"url\(|@import", page.raw["style"][0])
    assert not re.search(r"fetch|XMLHttp|import\(|innerHTML|eval", page.raw["script"][0])


def test_the_policy_allows_its_own_style_and_script_only(page):
    (policy,) = [m["content"] for m in page.of("meta") if "http-equiv" in m]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert rules["img-src"] == "data:"
    for kind in ("style", "script"):
        digest = hashlib.sha256(page.raw[kind][0].encode()).digest()
        assert rules[f"{kind}-src"] == f"'sha256-{base64.b64encode(digest).decode()}'"


def test_every_picture_is_there_once_and_is_used(page):
    pictures = page.of("image")
    assert len({picture["href"] for picture in pictures}) == len(pictures)
    used = {use["href"] for use in page.of("use")}
    assert used == {f"#{picture['id']}" for picture in pictures}
    for picture in pictures:
        jpeg = base64.b64decode(picture["href"].removeprefix("data:image/jpeg;base64,"))
        assert jpeg.startswith(b"\xff\xd8")


def test_what_is_a_picture_says_what_it_shows(page):
    for attributes in page.of("svg"):
        assert attributes.get("aria-hidden") == "true" or (
            attributes["role"] in ("img", "group")
            and (attributes.get("aria-label") or attributes.get("aria-labelledby"))
        )


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [link["href"] for link in page.of("a")]
    targets += [f"#{a['aria-labelledby']}" for _, a in page.elements if "aria-labelledby" in a]
    assert {target.removeprefix("#") for target in targets} <= set(ids)


def test_what_is_absent_has_no_section(small, page):
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert {"suspects-title", "views-title", "time-title", "trust"} <= ids
    without = Page(render(gather(Subject.of(small))))
    there = {attributes.get("id") for _, attributes in without.elements}
    assert "suspects-title" not in there
    assert "trust" in there


def test_no_figures_no_result(small):
    subject = Subject.of(small)
    metadata = {**subject.metadata, "metrics": {}}
    report = gather(Subject(subject.bundle, metadata, subject.class_names, subject.photos))
    page = Page(render(report))
    ids = {attributes.get("id") for _, attributes in page.elements}
    assert not {"matrix", "mistakes", "trust"} & ids
    assert "data" in ids


def test_nearly_certain_is_not_certain():
    shown = [probability(p) for p in (0.0, 0.001, 0.006, 0.5, 0.994, 0.9999, 1.0)]
    assert [text.replace("\N{NO-BREAK SPACE}", "") for text in shown] == [
        "0%",
        "<1%",
        "1%",
        "50%",
        "99%",
        ">99%",
        "100%",
    ]


def test_the_same_run_gives_the_same_page(odd, source):
    assert render(gather(Subject.of(odd))) == source


@pytest.mark.slow
def test_200_classes_weigh_at_most_10_mb(tmp_path):
    """With more photos than there is room for."""
    names = [f"species {number:03} {'x' * 60}" for number in range(200)]
    bundle = make_run(
        tmp_path, names, train=200, val=200, test=1800, accuracy=0.5, suspects=200, groups=50
    )
    report = gather(Subject.of(bundle))
    assert len(report.pictures) > 700
    target = tmp_path / "report.html"
    write_page(report, target)
    # The pictures here weigh little: what they may weigh at most is counted instead.
    pictures = sum(len(picture.data) for picture in report.pictures)
    from cnntransfer.report.photos import MOST_CHARACTERS

    assert target.stat().st_size - pictures + MOST_CHARACTERS < 10e6


def test_a_name_of_odd_bytes_can_be_written(small, tmp_path):
    subject = Subject.of(small)
    metadata = {**subject.metadata, "weights": {"file": "caf\udce9.h5"}}
    report = gather(Subject(subject.bundle, metadata, subject.class_names, subject.photos))
    write_page(report, tmp_path / "x.html")
    assert "caf\\udce9.h5" in (tmp_path / "x.html").read_text(encoding="utf-8")


def test_what_no_photo_tells_of_a_class_is_a_dash(small):
    """Nothing was taken for the second class; of the third there is no photo."""
    subject = Subject.of(small)
    chances = np.zeros((6, 3), np.float32)
    chances[range(6), [0, 0, 0, 0, 2, 2]] = 1
    judged = figures(subject.class_names, np.array([0, 0, 0, 1, 0, 0]), chances).to_dict()
    metadata = {**subject.metadata, "metrics": {"test": judged}}
    report = gather(Subject(subject.bundle, metadata, subject.class_names, subject.photos))
    rows = re.findall(r"<tr[^>]*>\s*<th.*?</tr>", render(report), re.DOTALL)
    by_class = [row for row in rows if 'class="whisker"' in row or "–" in row]
    cells = [re.findall(r'<td data-value="([^"]*)"[^>]*>(–?)', row)[:3] for row in by_class]
    assert cells == [
        [("0.6", ""), ("0.75", ""), (str(2 / 3), "")],
        [("0.0", ""), ("2", "–"), ("0.0", "")],
        [("2", "–"), ("0.0", ""), ("0.0", "")],
    ]
    _, second, third = subject.class_names
    lines = [line for line in render_card(report).splitlines() if line.count("|") == 6]
    assert next(line for line in lines if second in line).split(" | ")[2] == "–"
    assert next(line for line in lines if third in line).split(" | ")[1] == "–"
