"""The page in a browser: what can be pressed works, and nothing else happens.

Needs Chromium and its driver (Debian: ``apt-get install chromium chromium-driver``); without them
the tests are skipped, or fail where ``CNNTRANSFER_BROWSER=required`` says so.
"""

from __future__ import annotations

import json
import os
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from cnntransfer.held_out import read_held_out
from cnntransfer.report import Subject, gather, write_page

pytestmark = pytest.mark.slow

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
CONTRAST = 4.5


@pytest.fixture(scope="module")
def browser():
    if not (BROWSER and DRIVER):
        reason = "no Chromium with its driver: apt-get install chromium chromium-driver"
        if os.environ.get("CNNTRANSFER_BROWSER") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1280,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(small, odd, many, tmp_path_factory):
    """The pages of the runs, by name."""
    folder = tmp_path_factory.mktemp("pages")
    for name, bundle in (("small", small), ("odd", odd), ("many", many)):
        write_page(gather(Subject.of(bundle)), folder / f"{name}.html")
    return {path.stem: path.as_uri() for path in folder.iterdir()}


@pytest.fixture
def opened(browser, pages):
    """Open a page by name; afterwards the browser must have nothing to complain of."""

    def open_page(name, width=1280, dark=False, medium="screen"):
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        motion = {"name": "prefers-reduced-motion", "value": "reduce"}
        browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [scheme, motion], "media": medium}
        )
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        browser.get(pages[name])
        # Chromium's driver may return while a page that was open before is still being read.
        whole = "return document.readyState === 'complete' && location.href === arguments[0]"
        WebDriverWait(browser, 30).until(lambda _: browser.execute_script(whole, pages[name]))
        return browser

    yield open_page
    assert browser.get_log("browser") == []


def one(driver, selector):
    return driver.find_element("css selector", selector)


def texts(driver, selector):
    return driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())",
        selector,
    )


def shown_files(driver):
    """The names of the photos in the open dialog."""
    return {
        text.split(" (")[0] for text in texts(driver, "dialog[open] figure:not([hidden]) .file")
    }


def active(driver, attribute):
    return driver.execute_script(
        "return document.activeElement.getAttribute(arguments[0])", attribute
    )


# ---- Nothing else happens


@pytest.mark.parametrize("name", ["small", "odd", "many"])
def test_nothing_is_asked_of_any_network(opened, pages, browser, name):
    browser.get_log("performance")
    opened(name)
    asked = [
        message["params"]["request"]["url"]
        for entry in browser.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    # What a page holds itself is no request, and one that was left may still have been loading it.
    assert [url for url in asked if not url.startswith("data:")] == [pages[name]]


def test_no_name_becomes_a_script(opened):
    driver = opened("odd")
    assert driver.execute_script("return document.scripts.length") == 1
    assert "<script>alert(1)</script>" in texts(driver, ".lead bdi")
    # Had one slipped through, the page's own policy would have stopped it.
    driver.execute_script(
        "const script = document.createElement('script');"
        "script.textContent = 'window.injected = true';"
        "document.body.append(script);"
        "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"injected = true\">');"
    )
    assert driver.execute_script("return window.injected") is None
    complaints = driver.get_log("browser")
    assert complaints
    assert all("Content Security Policy" in entry["message"] for entry in complaints)


def test_every_picture_can_be_decoded(opened):
    broken = opened("odd").execute_async_script(
        """
        const done = arguments[arguments.length - 1];
        const images = [...document.querySelectorAll("image")].map((image) => {
          const copy = new Image();
          copy.src = image.getAttribute("href");
          return copy.decode().then(() => 0, () => 1);
        });
        Promise.all(images).then((all) => done(all.reduce((a, b) => a + b, 0)));
        """
    )
    assert broken == 0


# ---- Sorting


def test_tables_are_sorted(opened):
    driver = opened("odd")
    missed = one(driver, "table.classes thead th:nth-child(5)")

    def column():
        return [int(text) for text in texts(driver, "table.classes tbody td:nth-child(5)")]

    unsorted = column()
    assert unsorted != sorted(unsorted)
    missed.find_element("css selector", "button").click()
    assert column() == sorted(unsorted)
    assert missed.get_attribute("aria-sort") == "ascending"
    missed.find_element("css selector", "button").send_keys(Keys.ENTER)
    assert column() == sorted(unsorted, reverse=True)
    assert missed.get_attribute("aria-sort") == "descending"
    assert len(driver.find_elements("css selector", "table.classes th[aria-sort]")) == 1


@pytest.mark.parametrize("name", ["odd", "many"])
def test_the_matrix_is_sorted(opened, name):
    driver = opened(name)
    is_map = one(driver, "#matrix").tag_name == "svg"

    def diagonal():
        """Classes in the order of the rows, and of the columns."""
        cells = driver.execute_script(
            "return [...document.querySelectorAll('#matrix [data-cell]')].map(e => {"
            " const r = e.getBoundingClientRect(); return [e.dataset.cell, r.left, r.top]; })"
        )
        right = [(c, x, y) for c, x, y in cells if len(set(c.split("-"))) == 1]
        return (
            [c for c, _, _ in sorted(right, key=lambda cell: cell[1])],
            [c for c, _, _ in sorted(right, key=lambda cell: cell[2])],
        )

    buttons = driver.find_elements("css selector", "[data-order]")
    orders = [button.get_attribute("data-order").split(",") for button in buttons]
    there = {cell.split("-")[0] for cell in diagonal()[0]}
    for button, order in zip(reversed(buttons), reversed(orders), strict=True):
        button.click()
        expected = [f"{number}-{number}" for number in order if number in there]
        assert diagonal() == (expected, expected)
        assert button.get_attribute("aria-pressed") == "true"
    assert is_map == (name == "many")
    if not is_map:
        assert texts(driver, "#matrix thead th[data-class]") == texts(driver, "#matrix tbody th")


# ---- Photos


def files_of(bundle, true, predicted):
    held_out = read_held_out(bundle, bundle.class_names).of("test")
    chosen = (held_out.labels == true) & (held_out.predicted == predicted)
    return {file for file, is_chosen in zip(held_out.files, chosen, strict=True) if is_chosen}


@pytest.mark.parametrize(("name", "cell"), [("odd", "button"), ("many", "rect")])
def test_a_cell_opens_its_photos(opened, request, name, cell):
    driver = opened(name)
    bundle = request.getfixturevalue(name)
    wrong = driver.find_elements("css selector", f"#matrix .wrong {cell}, #matrix {cell}.wrong")
    assert wrong
    source = max(wrong, key=lambda element: int(element.get_attribute("data-count")))
    true, predicted = map(int, source.get_attribute("data-cell").split("-"))
    source.click()
    assert shown_files(driver) == files_of(bundle, true, predicted)
    names = bundle.class_names
    count = len(files_of(bundle, true, predicted))
    photos = "1 photo" if count == 1 else f"{count} photos"
    title = f"{names[true]} taken for {names[predicted]}: {photos}"
    assert one(driver, "#photos-title").get_attribute("textContent") == title
    assert texts(driver, "#photos-note") == [""]
    one(driver, "dialog .close").click()
    assert not driver.find_elements("css selector", "dialog[open]")


def test_a_cell_with_too_many_photos_says_so(opened, small):
    driver = opened("small")
    most = max(
        driver.find_elements("css selector", "#matrix .right button"),
        key=lambda cell: int(cell.get_attribute("data-count")),
    )
    most.click()
    assert len(shown_files(driver)) == 6
    count = most.get_attribute("data-count")
    assert texts(driver, "#photos-note") == [f"6 of {count} photos; predictions.csv has all."]


def test_lines_and_classes_open_photos_too(opened, odd):
    driver = opened("odd")
    line = one(driver, ".mixups button")
    true, predicted = map(int, line.get_attribute("data-opens").split("-"))
    line.click()
    assert shown_files(driver) == files_of(odd, true, predicted)
    driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not driver.find_elements("css selector", "dialog[open]")
    missed = one(driver, "table.classes .link")
    true = int(missed.get_attribute("data-opens").rstrip("-"))
    missed.click()
    expected = set().union(*(files_of(odd, true, p) for p in range(6) if p != true))
    assert shown_files(driver) == expected


@pytest.mark.parametrize("name", ["odd", "many"])
def test_the_keyboard_is_enough(opened, name):
    driver = opened(name)
    last_order = driver.find_elements("css selector", "[data-order]")[-1]
    driver.execute_script("arguments[0].focus()", last_order)
    for _ in range(3):  # Past the region that scrolls, if there is one.
        driver.switch_to.active_element.send_keys(Keys.TAB)
        if active(driver, "data-cell"):
            break
    assert active(driver, "data-cell") == "0-0"
    # The whole matrix is one stop.
    assert len(driver.find_elements("css selector", "#matrix [data-opens][tabindex='0']")) == 1
    driver.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    below = active(driver, "data-cell")
    assert int(below.split("-")[0]) > 0
    outline = driver.execute_script(
        "const s = getComputedStyle(document.activeElement);"
        "return [s.outlineStyle, s.strokeWidth, s.stroke]"
    )
    assert outline[0] == "solid" or outline[1] == "2px"
    driver.switch_to.active_element.send_keys(Keys.ENTER)
    assert shown_files(driver)
    assert active(driver, "id") == "photos-title"
    driver.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not driver.find_elements("css selector", "dialog[open]")
    assert active(driver, "data-cell") == below


def test_the_compact_matrix_is_read_out(opened):
    driver = opened("many")
    cell = one(driver, "#matrix rect.wrong")
    driver.execute_script("arguments[0].focus()", cell)
    assert texts(driver, "#readout") == [cell.get_attribute("data-label")]
    # Beside a cell, where a finger may well land.
    driver.execute_script(
        "const r = arguments[0].getBoundingClientRect();"
        "document.querySelector('#matrix .frame').dispatchEvent(new MouseEvent('click',"
        "{bubbles: true, clientX: r.left + r.width / 2 + 2, clientY: r.top + r.height / 2}))",
        cell,
    )
    assert one(driver, "#photos-title").get_attribute("textContent") == cell.get_attribute(
        "data-label"
    )


# ---- Legible everywhere


@pytest.mark.parametrize("width", [360, 768, 1280])
@pytest.mark.parametrize("name", ["small", "odd", "many"])
def test_nothing_is_wider_than_the_screen(opened, name, width):
    driver = opened(name, width)
    assert driver.execute_script("return document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("dark", [False, True])
def test_texts_have_contrast(opened, dark):
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    driver = opened("odd", dark=dark)
    weak = driver.execute_script(
        """
        const settings = { willReadFrequently: true };
        const canvas = document.createElement("canvas").getContext("2d", settings);
        const rgb = (colour) => {
          canvas.clearRect(0, 0, 1, 1);
          canvas.fillStyle = colour;
          canvas.fillRect(0, 0, 1, 1);
          return [...canvas.getImageData(0, 0, 1, 1).data];
        };
        const light = (c) => c.slice(0, 3)
          .map((v) => v / 255)
          .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
          .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        const ground = (element) => {
          for (let e = element; e; e = e.parentElement) {
            const colour = rgb(getComputedStyle(e).backgroundColor);
            if (colour[3] === 255) return colour;
          }
        };
        const weak = [];
        for (const element of document.body.querySelectorAll("*")) {
          const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
          if (!own || element.closest("script, .zero, dialog, svg, .hidden")) continue;
          const style = getComputedStyle(element);
          const [a, b] = [light(rgb(style.color)), light(ground(element))].sort((x, y) => y - x);
          const ratio = (a + 0.05) / (b + 0.05);
          if (ratio < arguments[0]) weak.push([element.className, element.textContent, ratio]);
        }
        return weak;
        """,
        CONTRAST,
    )
    assert weak == []
    background = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, background[4:-1].split(","))) < 200) == dark


def test_on_paper_everything_is_unfolded(opened):
    driver = opened("odd", medium="print")
    driver.execute_script("dispatchEvent(new Event('beforeprint'))")
    assert not driver.find_elements("css selector", "details:not([open])")
    assert not one(driver, "nav").is_displayed()
    assert not one(driver, ".orders").is_displayed()
    driver.execute_script("dispatchEvent(new Event('afterprint'))")
    assert not driver.find_elements("css selector", "details[open]")
