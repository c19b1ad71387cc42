"""The checker's own reader of ONNX initialisers: every way of storing them, and files that are made
to hurt."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autolip_check.container import NotACertificate, content
from autolip_check.onnx import initializers, numbers_of

onnx = pytest.importorskip("onnx")

FIRST = np.arange(6, dtype="f4").reshape(2, 3)
SECOND = np.linspace(0, 1, 4)


def saved(path: Path, *tensors: Any, **options: Any) -> Path:
    shapes = [onnx.helper.make_tensor_value_info(n, 1, [1, 3]) for n in "xy"]
    nodes = [onnx.helper.make_node("Relu", ["x"], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", shapes[:1], shapes[1:], list(tensors))
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]),
        path,
        **options,
    )
    return path


def stored(array: np.ndarray, name: str) -> Any:
    return onnx.numpy_helper.from_array(array, name)


@pytest.mark.parametrize("external", [False, True])
def test_raw_typed_and_external_data(tmp_path: Path, external: bool) -> None:
    typed = onnx.helper.make_tensor("typed", 11, SECOND.shape, SECOND)
    more = (
        {"save_as_external_data": True, "location": "m.data", "size_threshold": 0}
        if external
        else {}
    )
    whole = saved(
        tmp_path / "m.onnx", stored(FIRST, "raw"), typed, stored(np.arange(3), "integers"), **more
    )
    found = initializers(whole)
    assert found[content(FIRST)].name == found[content(np.ascontiguousarray(FIRST.T))].name == "raw"
    assert found[content(SECOND)].name == "typed"
    np.testing.assert_array_equal(found[content(FIRST)].values, FIRST)


def external(**entries: str) -> Any:
    tensor = onnx.TensorProto(dims=[2, 3], data_type=1, name="far", data_location=1)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return tensor


def test_external_data_by_offset(tmp_path: Path) -> None:
    (tmp_path / "d").write_bytes(b"12345678" + FIRST.tobytes() + b"1234")
    model = saved(tmp_path / "m.onnx", external(location="d", offset="8", length="24"))
    assert initializers(model)[content(FIRST)].name == "far"


@pytest.mark.parametrize(
    "entries",
    [
        {"location": "../d"},
        {"location": "/etc/hostname"},
        {"location": "link"},
        {"location": "none"},
        {"location": "d", "offset": "16"},
        {"location": "d", "offset": "-8"},
        {"location": "d", "length": "8"},
        {"location": "d", "length": "10000000000000"},
        {"location": "d", "offset": "x"},
        {"offset": "0"},
    ],
)
def test_external_data_that_is_not_there_or_not_its_own(
    tmp_path: Path, entries: dict[str, str]
) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    for place in (folder, tmp_path):
        (place / "d").write_bytes(FIRST.tobytes())
    (folder / "link").symlink_to(tmp_path / "d")
    model = saved(folder / "m.onnx", external(**entries))
    with pytest.raises(NotACertificate):
        initializers(model)


def test_sizes_are_compared_before_memory_is_taken(tmp_path: Path) -> None:
    for dims in ([10**9, 10**9], [2, 4], [7]):
        tensor = onnx.TensorProto(dims=dims, data_type=1, name="w", raw_data=FIRST.tobytes())
        with pytest.raises(NotACertificate, match="not of the size"):
            initializers(saved(tmp_path / "m.onnx", tensor))


@pytest.mark.parametrize(
    "data", [b"", b"\x3a", b"\x3a\xff", b"\xff" * 100, b"\x3a\x04\x2a\x02\x08\x01", b"hello"]
)
def test_damaged_files(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    with pytest.raises(NotACertificate):
        initializers(tmp_path / "m.onnx")


def test_every_number_is_said(tmp_path: Path) -> None:
    """A weight of the file by its name, others as none of it; a number that is not 1 as well."""
    known = initializers(saved(tmp_path / "m.onnx", stored(FIRST, "raw\n")))

    def edge(weight: Any) -> dict[str, Any]:
        return {"source": "x", "kind": "exact", "map": {"op": "dense", "weight": weight}}

    gather = {"source": "x", "kind": "exact", "map": {"op": "gather"}}
    edges = [
        edge(content(FIRST)),
        edge("0" * 40),
        edge(2.0**-20),
        edge(1.0),
        edge(-1.0),
        gather,
        {"kind": "between"},
    ]
    assert numbers_of({"vertices": [{"name": "y", "edges": edges}]}, known) == [
        "the weight of 'y' is 'raw\\n' of the model file, bit for bit",
        "the weight of 'y' is not stored in the model file",
        "the number 9.5367431640625e-07 of 'y' is not stored in the model file",
        "the number -1.0 of 'y' is not stored in the model file",
    ]
