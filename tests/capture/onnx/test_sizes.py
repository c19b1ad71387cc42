"""Files that ask for more memory than they are worth are refused before it is taken."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from autolip.capture.checks import LARGEST  # noqa: E402
from autolip.capture.onnx.reading import load_onnx  # noqa: E402
from autolip.capture.onnx.sizes import GROWTH, LEAST, Sizes  # noqa: E402
from autolip.errors import InputError  # noqa: E402


def doublings(count: int, first: str, path: Path) -> Path:
    """A file that concatenates one row with itself again and again, and adds the sum of the result
    to its input."""
    names = [first, *(f"v{k}" for k in range(count))]
    nodes = [
        helper.make_node("Concat", [old, old], [new], axis=0)
        for old, new in itertools.pairwise(names)
    ]
    nodes.append(helper.make_node("ReduceSum", [names[-1]], ["s"], keepdims=0))
    nodes.append(helper.make_node("Add", ["x", "s"], ["y"]))
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 4))
    stored = numpy_helper.from_array(np.ones((1, 4), np.float32), "c")
    graph = helper.make_graph(nodes, "g", [given], [onnx.ValueInfoProto(name="y")], [stored])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


@pytest.mark.parametrize(("first", "kind"), [("c", "constants"), ("x", "values")])
def test_what_doubles_is_refused_in_time(
    first: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each result alone is within its limit."""
    monkeypatch.setattr("autolip.capture.onnx.sizes.LEAST", 1000)
    monkeypatch.setattr("autolip.capture.onnx.sizes.LARGEST", 1000)
    load_onnx(doublings(6, first, tmp_path / "few.onnx"))
    with pytest.raises(InputError, match=f"with 'Concat_v6'.* the {kind} that the ONNX file"):
        load_onnx(doublings(8, first, tmp_path / "many.onnx"))


def test_a_file_may_make_as_much_as_it_stores_several_times() -> None:
    sizes = Sizes(stored=LEAST)
    for _ in range(GROWTH):
        sizes.add("a node", [torch.Size([LEAST])], constant=True)
    with pytest.raises(InputError, match="the constants"):
        sizes.add("a node", [torch.Size([1])], constant=True)


def test_values_have_a_limit_of_their_own() -> None:
    sizes = Sizes(stored=LARGEST)
    sizes.add("a node", [torch.Size([LARGEST])], constant=False)
    with pytest.raises(InputError, match="the values"):
        sizes.add("a node", [torch.Size([1])], constant=False)
    sizes.add("a node", [torch.Size([LARGEST])], constant=True)


def test_one_tensor_is_limited_by_its_shape() -> None:
    with pytest.raises(InputError, match=r"makes a tensor of shape \(2, 268435457\)"):
        Sizes().add("a node", [torch.Size([2, LARGEST // 2 + 1])], constant=False)
