"""The reports in headless Chromium, each kind of page at two widths, in light and dark, sorted,
printed.  Skipped where there is no Chromium."""

import base64
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from autolip import Ball, lipschitz, zoo
from autolip.lower import Random
from autolip.result import Result
from tests.robustness.test_page import certified
from tests.sweeping.test_page import swept

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
DRIVER = shutil.which("chromedriver")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no Chromium: apt-get install chromium chromium-driver"
    ),
]

WIDTHS = (390, 1280)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.execute_cdp_cmd("Network.enable", {})
    driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["http://*", "https://*"]})
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """One result for each kind of page."""
    torch.manual_seed(0)
    dense = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    point = torch.zeros(1, 6)
    quick: dict[str, Any] = {"method": ["autolip", "frobenius"], "lower": Random(points=50)}
    digits, (image,) = zoo.load("digits-conv")
    found = {
        "vector": lipschitz(dense, point, **quick),
        "image": lipschitz(digits, image, region=Ball(image, 0.05), **quick),
        "pairs": lipschitz(dense, point, output="pairs", norm="linf:l2", **quick),
        "constant": lipschitz(lambda x: torch.ones(2), point),
    }
    return found | {
        "loaded": Result.from_dict(found["vector"].to_dict()),
        "samples": certified(),
        "sweep": swept(),
    }


@pytest.fixture(params=["vector", "image", "pairs", "constant", "loaded", "samples", "sweep"])
def opened(
    request: pytest.FixtureRequest, browser: Any, results: dict[str, Any], tmp_path: Path
) -> Callable[[int, str], Any]:
    """A function that opens one kind of page at a width, in a colour scheme."""
    results[request.param].save(tmp_path / "report.html")

    def open_page(width: int, scheme: str = "light") -> Any:
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.get((tmp_path / "report.html").as_uri())
        return browser

    return open_page


@pytest.mark.parametrize("width", WIDTHS)
def test_no_error_and_nothing_is_wider_than_the_screen(opened, width: int) -> None:
    page = opened(width)
    assert page.get_log("browser") == []
    assert page.execute_script("return document.documentElement.scrollWidth") <= width
    texts = page.execute_script(
        "return [...document.querySelectorAll('h1, h2, p, li')].map(e => e.getBoundingClientRect())"
        ".filter(box => box.right > innerWidth + 1).length"
    )
    assert texts == 0


def test_light_and_dark_are_legible(opened) -> None:
    script = "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    for scheme in ("light", "dark"):
        paper, ink = opened(390, scheme).execute_script(script)
        assert contrast(paper, ink) >= 7, f"{scheme}: {ink} on {paper}"
    assert paper != "rgb(255, 255, 255)"


def contrast(first: str, second: str) -> float:
    """The ratio of WCAG 2.1 of two colours as rgb(r, g, b)."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[4:-1].split(",")]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_tables_sort_by_a_click(opened) -> None:
    page = opened(1280)
    tables = page.find_elements("css selector", "table.sortable")
    for table in tables:
        heads = table.find_elements("css selector", "th")
        for column, head in enumerate(heads):
            if not head.text:
                continue
            head.find_element("css selector", "button").click()
            up = cells(table, column)
            head.find_element("css selector", "button").click()
            down = cells(table, column)
            assert sorted(up) == sorted(down)
            numbers = [float(text) for text in up if is_number(text)]
            if len(numbers) == len(up):
                assert numbers == sorted(numbers)
                assert [float(text) for text in down] == sorted(numbers, reverse=True)


def cells(table: Any, column: int) -> list[str]:
    return [
        row.find_elements("css selector", "td")[column].text
        for row in table.find_elements("css selector", "tbody tr")
    ]


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def test_the_order_of_headings_and_the_names_of_pictures(opened) -> None:
    page = opened(390)
    heads = page.find_elements("css selector", "h1, h2")
    assert next(head.tag_name for head in heads) == "h1"
    assert {head.tag_name for head in heads[1:]} == {"h2"}
    assert all(image.get_attribute("alt") for image in page.find_elements("css selector", "img"))
    drawn = page.find_elements("css selector", "svg:not([aria-hidden])")
    assert all(svg.get_attribute("aria-label") for svg in drawn)
    assert all(
        head.get_attribute("scope") == "col" for head in page.find_elements("css selector", "th")
    )


def test_it_prints(opened) -> None:
    printed = opened(1280).execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")
