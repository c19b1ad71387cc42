"""The report: one page that holds everything, and asks for nothing."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
from torch import nn

from autolip import Ball, lipschitz, zoo
from autolip.cli.main import main
from autolip.lower import Random
from autolip.lower.witness import Witness
from autolip.norms import Norm
from autolip.report import page as module
from autolip.report.page import bounds_chart, page
from autolip.result import Result
from tests.report.conftest import row


class Outline(HTMLParser):
    """Tags that were opened and not closed, and what an attribute leads to."""

    VOID = frozenset({"meta", "link", "img", "br", "line", "rect"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.led: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs) -> None:
        self.seen.append(tag)
        self.led += [value for name, value in attrs if name in ("href", "src")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs) -> None:
        assert tag in self.VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def digits() -> Result:
    model, (example,) = zoo.load("digits-conv")
    region = Ball(example, 0.05)
    return lipschitz(model, example, region=region, method="autolip", lower=Random(points=50))


def test_the_page_is_whole_and_leads_nowhere(digits: Result) -> None:
    text = page(digits)
    outline = Outline(text)
    assert outline.open == [] and outline.led
    assert all(target.startswith("data:") for target in outline.led)
    assert not re.search(r"https?:|@import|url\(", text)
    assert text.startswith("<!doctype html>")


def test_the_page_holds_every_part(digits: Result) -> None:
    text = page(digits)
    outline = Outline(text)
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert heads == [
        "Bounds",
        "Layers, and what limits the bound",
        "Neurons on the region",
        "The pair of inputs",
        "What the numbers are about",
        "How to repeat it",
        "Certificate",
    ]
    assert outline.seen.count("img") == 3 and outline.seen.count("svg") == 3
    assert digits.origin()["network"] in text
    certificate = re.search(r'href="data:application/octet-stream;base64,([^"]+)"', text)
    assert base64.b64decode(certificate[1]) == digits.certificate().content()


def test_names_are_text(bracket: Result) -> None:
    text = page(replace(bracket, model="<script>\x1b"))
    assert "&lt;script&gt;\\x1b" in text and "\x1b" not in text


def test_vectors_are_listed_by_how_much_they_differ(bracket: Result) -> None:
    x, y = torch.zeros(1, 20, dtype=torch.float64), torch.zeros(1, 20, dtype=torch.float64)
    y[0, 7], y[0, 3] = 2.0, -5.0
    witness = Witness(x, y, Norm.L2, Norm.L2, 1.0, 1.0, 0.0, "the model")
    lower = replace(row("ascent", "lower", 1.0), answer=row("", "lower", 1.0).answer)
    lower = replace(lower, answer=replace(lower.answer, witness=witness))
    text = page(replace(bracket, lower=lower))
    assert "the 12 of 20 entries that differ most" in text
    assert text.index(">-5<") < text.index(">2<")


def test_a_page_without_bounds_says_so(bracket: Result) -> None:
    text = page(replace(bracket, bounds=(), upper=None, lower=None))
    assert "No finite bound was found" in text and "comes back without a certificate" in text


def test_large_certificates_stay_outside(digits: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_EMBEDDED", 10)
    assert "are too many for a page: write one with -o bound.cert" in page(digits)


def test_bars_end_where_their_values_are(bracket: Result) -> None:
    chart = bounds_chart(bracket)
    assert [bar.name for bar in chart.bars] == ["ascent", "power", "autolip", "lanczos"]
    assert chart.mark == pytest.approx(chart.bars[0].end)
    assert [bar.end for bar in chart.bars] == sorted(bar.end for bar in chart.bars)


def test_the_command_and_the_hash_of_the_file_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).eval()
    program = torch.export.export(model, (torch.zeros(1, 3),))
    torch.export.save(program, tmp_path / "net.pt2")
    monkeypatch.chdir(tmp_path)
    command = ["estimate", "net.pt2", "--method", "autolip", "--lower", "random", "-o", "r.html"]
    assert main(command) == 0
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "autolip " + " ".join(command) in text
    assert re.search(r"<code>net.pt2</code> <code>[0-9a-f]{64}</code>", text)
