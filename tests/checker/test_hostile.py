"""Files that are no certificates, or are made to hurt: a sentence, an exit code, no traceback, no
waiting.

Covers autolip_check.container and the exit codes of autolip_check.__main__.
"""

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autolip_check import container
from autolip_check.__main__ import main
from autolip_check.container import canonical, content
from tests.checker.conftest import Forgery
from tests.checker.test_admission import network, scaled, vertex

HOLDS, REJECTED, UNREADABLE = 0, 1, 2


def header(data: dict[str, Any] | str) -> bytes:
    text = (data if isinstance(data, str) else json.dumps(data)).encode()
    return len(text).to_bytes(8, "little") + text


def document(graph: Any, value: float = 1.0, **more: Any) -> dict[str, Any]:
    digest = hashlib.sha256(canonical(graph).encode()).hexdigest()
    claim = {
        "value": value,
        "norms": ["l2", "l2"],
        "certainty": "proved",
        "delta": 0.0,
        "network": digest,
    }
    head = {"format": "autolip certificate", "version": 1, "provenance": {}}
    return head | {"claim": claim, "graph": graph, "proof": []} | more


RELU = {"source": "x", "kind": "between", "lo": 0.0, "hi": 1.0}
GOOD = document(network(vertex("x", [2]), vertex("y", [2], RELU, operation="aten.relu.default")))


def judged(
    data: bytes | dict[str, Any], folder: Path, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str]:
    """Exit code and sentence, within ten seconds."""
    file = folder / "x.cert"
    if isinstance(data, dict):
        Forgery(data, {}).write(file, careful=False)
    else:
        file.write_bytes(data)
    capsys.readouterr()
    started = time.monotonic()
    code = main([str(file)])
    assert time.monotonic() - started < 10
    out, err = capsys.readouterr()
    assert (out == "") == (code != HOLDS) and (err == "") == (code == HOLDS)
    assert code == HOLDS or (err.count("\n") == 1 and len(err) < 500)
    return code, out + err


def test_the_good_one_holds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert judged(GOOD, tmp_path, capsys)[0] == HOLDS
    assert main([str(tmp_path / "x.cert"), "--json"]) == HOLDS
    assert json.loads(capsys.readouterr().out)["region"] == {"kind": "everywhere"}


WITHIN = canonical(GOOD)
FILES = {
    "nothing": b"",
    "short": b"\x00" * 7,
    "no header": b"\xff" * 64,
    "longer than the file": (10**12).to_bytes(8, "little") + b"{}",
    "a list": header("[]"),
    "no document": header({}),
    "two documents": header({"__metadata__": {"certificate": WITHIN, "other": "{}"}}),
    "the document is a number": header({"__metadata__": {"certificate": "3"}}),
    "the document is none": header({"__metadata__": {"certificate": None}}),
    "nested": header("[" * 200_000),
    "nested within": header({"__metadata__": {"certificate": "[" * 200_000}}),
    "NaN": header({"__metadata__": {"certificate": WITHIN.replace('"value":1.0', '"value":NaN')}}),
    "infinity": header(
        {"__metadata__": {"certificate": WITHIN.replace('"value":1.0', '"value":1e999')}}
    ),
    "digits": header(
        {"__metadata__": {"certificate": WITHIN.replace('"value":1.0', '"value":' + "9" * 100_000)}}
    ),
    "spaces": header({"__metadata__": {"certificate": WITHIN.replace(":", ": ")}}),
    "other format": header(
        {"__metadata__": {"certificate": WITHIN.replace("autolip c", "other c")}}
    ),
    "other version": header(
        {"__metadata__": {"certificate": WITHIN.replace('"version":1', '"version":2')}}
    ),
    "not UTF-8": (4).to_bytes(8, "little") + b"\xff\xfe{}",
    "two headers": header(
        json.dumps({"__metadata__": {"certificate": WITHIN}})[:-1] + ', "__metadata__": {}}'
    ),
    "a claim twice": header({"__metadata__": {"certificate": WITHIN[:-1] + ',"claim":{}}'}}),
    "bytes left over": header({"__metadata__": {"certificate": WITHIN}}) + b"xx",
    "a zip": b"PK\x03\x04" + b"\x00" * 100,
}
TENSORS: dict[str, Any] = {
    "extent": {"dtype": "F64", "shape": [2], "data_offsets": [0, 8]},
    "larger than the file": {
        "dtype": "F64",
        "shape": [10**9, 10**2],
        "data_offsets": [0, 8 * 10**11],
    },
    "huge": {"dtype": "F64", "shape": [10**30], "data_offsets": [0, 8 * 10**30]},
    "negative": {"dtype": "F64", "shape": [-1], "data_offsets": [0, -8]},
    "backwards": {"dtype": "F64", "shape": [0], "data_offsets": [8, 8]},
    "type": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]},
    "type of a type": {"dtype": ["F64"], "shape": [1], "data_offsets": [0, 8]},
    "shape": {"dtype": "F64", "shape": 1, "data_offsets": [0, 8]},
    "axes": {"dtype": "F64", "shape": [1] * 80, "data_offsets": [0, 8]},
    "offsets": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8, 8]},
    "fields": {"dtype": "F64", "shape": [1], "data_offsets": [0, 8], "more": 1},
    "no object": 3,
}


@pytest.mark.parametrize("name", FILES)
def test_what_is_no_certificate(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = judged(FILES[name], tmp_path, capsys)
    assert code == UNREADABLE and said.startswith("not checked: ")


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_are_not_there(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = header({"__metadata__": {"certificate": WITHIN}, "a" * 40: TENSORS[name]}) + b"\x00" * 8
    code, _ = judged(data, tmp_path, capsys)
    assert code == UNREADABLE


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_tensors_without_values_are_rejected(
    value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensor = np.array([1.0, value])
    Forgery(GOOD, {content(tensor): tensor}).write(tmp_path / "t.cert", careful=False)
    assert judged((tmp_path / "t.cert").read_bytes(), tmp_path, capsys) == (
        REJECTED,
        "rejected: a tensor holds infinite or undefined numbers\n",
    )


def test_a_tensor_under_another_name_is_rejected(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Forgery(GOOD, {"a" * 40: np.ones(2)}).write(tmp_path / "t.cert", careful=False)
    code, said = judged((tmp_path / "t.cert").read_bytes(), tmp_path, capsys)
    assert code == REJECTED and "not what its name says" in said


def broad(shape: list[int], **changes: Any) -> dict[str, Any]:
    edge = scaled("x", 1.0, shape)
    edge["map"] |= changes
    return document(network(vertex("x", shape), vertex("y", shape, edge)))


ABSURD = {
    "a huge input": broad([10**9, 10**9]),
    "large values together": document(
        network(vertex("x", [2**27]), vertex("y", [2**27], RELU), vertex("z", [1]))
    ),
    "a huge gather": broad([4], op="gather", out=[10**10], index=[0, 0]),
    "padding": broad([1, 4, 4], op="convolution"),
    "a deep tree": document(
        GOOD["graph"],
        proof=[
            {
                "step": "cases",
                "source": "x",
                "sink": "y",
                "norms": ["l2", "l2"],
                "value": 1.0,
                "by": "cholesky",
                "tree": 0,
            }
        ],
    ),
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_sizes_are_rejected_before_they_are_made(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judged(ABSURD[name], tmp_path, capsys)[0] == REJECTED


def test_padding_is_bounded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kernel = np.ones((1, 1, 1))
    entry = {
        "op": "convolution",
        "weight": content(kernel),
        "in": [1, 4],
        "error": 0.0,
        "stride": [10**8],
    }
    entry |= {"padding": [10**8 * 2], "dilation": [1], "groups": 1, "adjoint": False}
    y = vertex("y", [1, 5], {"source": "x", "kind": "exact", "map": entry})
    forged = Forgery(document(network(vertex("x", [1, 4]), y)), {content(kernel): kernel})
    forged.write(tmp_path / "t.cert", careful=False)
    code, said = judged((tmp_path / "t.cert").read_bytes(), tmp_path, capsys)
    assert code == REJECTED and "too large" in said


def test_what_is_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (
        tmp_path,
        tmp_path / "none",
        tmp_path / "pipe",
        Path("/dev/zero"),
        tmp_path / ("x" * 5000),
    ):
        assert main([str(path)]) == UNREADABLE
        assert "cannot be read" in capsys.readouterr().err


def test_large_files_are_refused_by_their_size(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2**36)
    assert main([str(tmp_path / "sparse")]) == UNREADABLE
    assert "larger than" in capsys.readouterr().err
    monkeypatch.setattr(container, "LARGEST_HEADER", 10)
    assert judged(GOOD, tmp_path, capsys)[0] == UNREADABLE


@pytest.mark.parametrize("field", ["claim", "graph", "proof", "provenance", "more"])
@pytest.mark.parametrize("value", [None, 3, "x", [], {}, [[]], {"a": 1}])
def test_other_documents_are_rejected(
    field: str, value: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their fields are none, or of another kind."""
    harmless = (field == "proof" and value == []) or (
        field == "provenance" and isinstance(value, dict)
    )
    code, said = judged(GOOD | {field: value}, tmp_path, capsys)
    assert code == (HOLDS if harmless else REJECTED)
    assert harmless or said.startswith("rejected: ")


def test_a_full_or_closed_output_is_no_traceback(tmp_path: Path) -> None:
    Forgery(GOOD, {}).write(tmp_path / "x.cert", careful=False)
    asked = [sys.executable, "-m", "autolip_check", str(tmp_path / "x.cert")]
    with open("/dev/full", "w", encoding="utf-8") as full:
        done = subprocess.run(asked, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (UNREADABLE, "")
