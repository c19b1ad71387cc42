"""From an ONNX file to a module: what is folded, what nodes are called, what is refused, what
cannot be read.

Covers autolip.capture.onnx.control, autolip.capture.onnx.translation and autolip.capture.onnx.graph
too.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

onnx = pytest.importorskip("onnx")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from autolip.capture.onnx.reading import OnnxModel, load_onnx  # noqa: E402
from autolip.errors import InputError, UnsupportedOperation  # noqa: E402

Array = np.ndarray
RNG = np.random.default_rng(7)


def normal(*shape: int) -> Array:
    return RNG.standard_normal(shape).astype(np.float32)


def scalar(value: float) -> Array:
    return np.array(value, dtype=np.float32)


@dataclass(frozen=True)
class Network:
    """A file under construction: nodes, stored tensors, and inputs of fixed shapes."""

    nodes: Sequence[onnx.NodeProto]
    inputs: Mapping[str, tuple[object, ...]]
    stored: Mapping[str, Array]
    outputs: Sequence[str]
    opset: int = 21
    element: int = TensorProto.FLOAT

    def save(self, path: Path) -> Path:
        onnx.save(self.proto(), str(path))
        return path

    def proto(self) -> onnx.ModelProto:
        given = [
            helper.make_tensor_value_info(n, self.element, shape)
            for n, shape in self.inputs.items()
        ]
        stored = [numpy_helper.from_array(array, name) for name, array in self.stored.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs]
        graph = helper.make_graph(self.nodes, "network", given, outputs, stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        model.ir_version = 10 if self.opset < 23 else 11
        return model


def random_inputs(model: OnnxModel) -> dict[str, Array]:
    return {name: normal(*shape) for name, shape in model.inputs.items()}


def run(module: torch.nn.Module, inputs: Mapping[str, Array]) -> list[Array]:
    outputs = module(*(torch.from_numpy(array) for array in inputs.values()))
    return [output.numpy() for output in (outputs if isinstance(outputs, tuple) else (outputs,))]


def check(model: OnnxModel) -> None:
    inputs = random_inputs(model)
    for ours, theirs in zip(run(model.module, inputs), model.reference(inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def loaded(network: Network, path: Path, **shapes: tuple[int, ...]) -> OnnxModel:
    return load_onnx(network.save(path / "network.onnx"), shapes or None)


def node(
    op: str, inputs: str, outputs: str, name: str = "", **attributes: object
) -> onnx.NodeProto:
    return helper.make_node(op, inputs.split(), outputs.split(), name=name, **attributes)


SHAPES = Network(
    [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "batch", axis=0),
        node("Unsqueeze", "batch axes", "batch1"),
        node("Concat", "batch1 minus", "target", axis=0),
        node("Cast", "batch", "float_batch", to=TensorProto.FLOAT),
        node("Div", "float_batch two", "factor"),
        node("Reshape", "x target", "flat", "/flatten/Reshape"),
        node("Mul", "flat factor", "y", "/scale/Mul"),
    ],
    {"x": (1, 3, 4)},
    {"zero": np.array(0), "axes": np.array([0]), "minus": np.array([-1]), "two": scalar(2)},
    ["y"],
)


def targets(module: torch.nn.Module, *shape: int) -> list[str]:
    program = torch.export.export(module, (torch.ones(shape),)).run_decompositions({})
    return [str(n.target) for n in program.graph.nodes if n.op == "call_function"]


def test_what_depends_on_shapes_alone_is_folded(tmp_path: Path) -> None:
    model = loaded(SHAPES, tmp_path)
    check(model)
    assert targets(model.module, 1, 3, 4) == [
        "aten.div.Tensor",
        "aten.view.default",
        "aten.mul.Tensor",
    ]


def test_a_node_is_a_submodule_of_its_name(tmp_path: Path) -> None:
    module = loaded(SHAPES, tmp_path).module
    assert [name for name, _ in module.named_children()] == [
        "Div_factor",
        "flatten_Reshape",
        "scale_Mul",
    ]
    program = torch.export.export(module, (torch.ones(1, 3, 4),))
    stacks = [
        n.meta["nn_module_stack"].values() for n in program.graph.nodes if n.op == "call_function"
    ]
    assert [list(stack)[-1][0] for stack in stacks] == [
        "Div_factor",
        "flatten_Reshape",
        "scale_Mul",
    ]


def test_names_that_collide_or_are_no_identifiers(tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "a", "forward"),
        node("Neg", "a", "b", "1"),
        node("Abs", "b", "y", "/1/"),
    ]
    module = loaded(Network(nodes, {"x": (3,)}, {}, ["y"]), tmp_path).module
    assert [name for name, _ in module.named_children()] == ["forward_2", "node_1", "node_1_2"]


def test_arithmetic_on_weights_follows_the_precision_of_the_module(tmp_path: Path) -> None:
    weight = normal(3, 3)
    nodes = [node("Exp", "w", "e"), node("MatMul", "x e", "y")]
    module = loaded(Network(nodes, {"x": (1, 3)}, {"w": weight}, ["y"]), tmp_path).module.double()
    x = RNG.standard_normal((1, 3))
    np.testing.assert_allclose(
        run(module, {"x": x})[0], x @ np.exp(weight.astype(np.float64)), rtol=1e-14
    )


def test_a_shared_weight_is_one_buffer(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "z"), node("MatMul", "z w", "y")]
    module = loaded(Network(nodes, {"x": (1, 3)}, {"w": normal(3, 3)}, ["y"]), tmp_path).module
    assert [name for name, _ in module.named_buffers()] == ["w"]
    assert not module.training


def test_nodes_that_reach_no_output_are_left_out(tmp_path: Path) -> None:
    nodes = [node("Relu", "x", "y"), node("Exp", "x", "unused")]
    module = loaded(Network(nodes, {"x": (3,)}, {}, ["y"]), tmp_path).module
    assert len(list(module.children())) == 1


def test_half_and_mixed_precision_are_widened(tmp_path: Path) -> None:
    weight = normal(3, 3).astype(np.float16)
    half = Network(
        [node("MatMul", "x w", "y")], {"x": (1, 3)}, {"w": weight}, ["y"], 21, TensorProto.FLOAT16
    )
    model = loaded(half, tmp_path)
    assert model.dtypes == {"x": torch.float32}
    x = normal(1, 3).astype(np.float16).astype(np.float32)
    np.testing.assert_allclose(
        run(model.module, {"x": x})[0], model.reference({"x": x})[0], rtol=5e-3, atol=5e-3
    )
    nodes = [node("Cast", "x", "z", to=TensorProto.DOUBLE), node("MatMul", "z w", "y")]
    mixed = Network(nodes, {"x": (1, 3)}, {"w": RNG.standard_normal((3, 3))}, ["y"])
    model = loaded(mixed, tmp_path)
    assert model.dtypes == {"x": torch.float64}
    np.testing.assert_allclose(
        run(model.module, {"x": x.astype(np.float64)})[0], model.reference({"x": x})[0]
    )


def branching(condition: str) -> Network:
    branches = {
        f"{name}_branch": helper.make_graph(
            [node(op, "x", "out")], name, [], [onnx.ValueInfoProto(name="out")]
        )
        for name, op in {"then": "Squeeze", "else": "Identity"}.items()
    }
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "size", axis=0),
        node("Equal", "size one", "known"),
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum limit", "unknown"),
        node("If", condition, "z", "choice", **branches),
        node("Relu", "z", "y"),
    ]
    stored = {"zero": np.array(0), "one": np.array(1), "limit": scalar(0)}
    return Network(nodes, {"x": ("batch", 3)}, stored, ["y"])


def test_a_branch_on_a_shape_is_taken(tmp_path: Path) -> None:
    assert run(loaded(branching("known"), tmp_path).module, {"x": normal(1, 3)})[0].shape == (3,)
    assert run(loaded(branching("known"), tmp_path, x=(2, 3)).module, {"x": normal(2, 3)})[
        0
    ].shape == (2, 3)


def test_a_branch_on_a_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        UnsupportedOperation, match=r"'choice' \(If\): its condition depends on the values"
    ):
        loaded(branching("unknown"), tmp_path)


def test_all_that_is_unsupported_is_named_at_once(tmp_path: Path) -> None:
    nodes = [
        node("NonZero", "x", "a", "first"),
        node("Relu", "a", "b"),
        node("Multinomial", "b", "c", "second"),
        node("Cast", "x", "e", to=TensorProto.INT64),
        node("Reshape", "x e", "d", "third"),
        node("Elu", "x", "f", "fourth", beta=2.0),
        helper.make_node("FusedConv", ["x"], ["g"], name="fifth", domain="com.microsoft"),
        node("MaxPool", "x", "h indices", "sixth", kernel_shape=[1]),
        node("Cast", "indices", "y", "seventh", to=TensorProto.FLOAT),
    ]
    with pytest.raises(UnsupportedOperation) as refusal:
        loaded(Network(nodes, {"x": (1, 1, 3)}, {"s": scalar(1)}, ["y"]), tmp_path)
    lines = str(refusal.value).splitlines()[1:]
    assert [line.split("'")[1] for line in lines] == [
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "seventh",
    ]
    assert "'shape' depends on the values" in lines[2] and "attribute 'beta'" in lines[3]


LOCAL = [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)]


def local(name: str, inputs: str, outputs: str) -> onnx.NodeProto:
    return helper.make_node(name, inputs.split(), outputs.split(), domain="local")


def function(name: str, *body: onnx.NodeProto) -> onnx.FunctionProto:
    """A function of the file, from a to b."""
    return helper.make_function("local", name, ["a"], ["b"], body, LOCAL)


def calling(folder: Path, *functions: onnx.FunctionProto) -> Path:
    """A network that is a call of the first of these."""
    call = local(functions[0].name, "x", "y")
    proto = Network([call], {"x": (3,)}, {}, ["y"]).proto()
    model = helper.make_model(proto.graph, opset_imports=LOCAL, functions=functions, ir_version=10)
    onnx.save(model, str(folder / "network.onnx"))
    return folder / "network.onnx"


def test_functions_of_the_file_are_inlined(tmp_path: Path) -> None:
    inner = function("Inner", node("Neg", "a", "b"))
    outer = function("Outer", node("Relu", "a", "r"), local("Inner", "r", "b"))
    check(load_onnx(calling(tmp_path, outer, inner)))


def test_functions_that_call_themselves_or_double_without_end_are_refused(tmp_path: Path) -> None:
    recursive = function("F", local("G", "a", "b")), function("G", local("F", "a", "b"))
    with pytest.raises(InputError, match="function 'F' of the ONNX file calls itself"):
        load_onnx(calling(tmp_path, *recursive))
    twice = [
        function(f"F{k}", local(f"F{k + 1}", "a", "c"), local(f"F{k + 1}", "c", "b"))
        for k in range(40)
    ]
    with pytest.raises(InputError, match="stand for more than 131072 nodes: export it without"):
        load_onnx(calling(tmp_path, *twice, function("F40", node("Relu", "a", "b"))))


def test_integer_inputs_look_up_an_embedding(tmp_path: Path) -> None:
    nodes = [node("Gather", "table ids", "z"), node("Relu", "z", "y")]
    table = normal(7, 4)
    model = loaded(
        Network(nodes, {"ids": (1, 3)}, {"table": table}, ["y"], 21, TensorProto.INT64), tmp_path
    )
    assert model.dtypes == {"ids": torch.int64}
    ids = np.array([[5, 0, 6]])
    np.testing.assert_array_equal(run(model.module, {"ids": ids})[0], np.maximum(table[ids], 0))


ADD = [node("Add", "a b", "y"), node("Identity", "a", "z")]


def test_open_shapes(tmp_path: Path) -> None:
    network = Network(ADD, {"a": ("N", 3), "b": (0, "length")}, {}, ["y", "z"])
    with pytest.raises(InputError, match="input 'b' open"):
        loaded(network, tmp_path)
    model = loaded(network, tmp_path, b=(2, 3))
    assert model.inputs == {"a": (1, 3), "b": (2, 3)}
    assert model.outputs == ("y", "z")
    assert [y.shape for y in run(model.module, random_inputs(model))] == [(2, 3), (1, 3)]


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"a": (1, 4)}, r"'a' of the ONNX file has shape \('\?', 3\), not \(1, 4\)"),
        ({"a": (1, 3, 1)}, "'a' of the ONNX file has shape"),
        ({"c": (1, 3)}, "no input 'c'; it has a, b"),
    ],
)
def test_shapes_that_do_not_fit_the_file(
    shapes: dict[str, tuple[int, ...]], message: str, tmp_path: Path
) -> None:
    network = Network(ADD, {"a": ("N", 3), "b": (1, 3)}, {}, ["y", "z"])
    with pytest.raises(InputError, match=message):
        loaded(network, tmp_path, **shapes)


def test_inputs_with_a_stored_value_are_weights(tmp_path: Path) -> None:
    network = Network([node("Add", "a b", "y")], {"a": (3,), "b": (3,)}, {"b": normal(3)}, ["y"])
    assert list(loaded(network, tmp_path).inputs) == ["a"]


RELU = Network([node("Relu", "x", "y")], {"x": (3,)}, {}, ["y"])


@pytest.mark.parametrize(
    "content", [b"", b"not an ONNX file", RELU.proto().SerializeToString()[:40], b"\0" * 100]
)
def test_a_file_that_is_no_network(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(content)
    with pytest.raises(InputError, match="not an ONNX file"):
        load_onnx(path)


def test_a_file_that_is_missing_or_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "missing.onnx", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            load_onnx(path)


def test_a_graph_that_does_not_hold_together(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"'Relu_y' \(Relu\) of the ONNX file reads 'z', which nothing computes"
    ):
        loaded(Network([node("Relu", "z", "y")], {"x": (3,)}, {}, ["y"]), tmp_path)
    with pytest.raises(InputError, match="computes its output 'w'"):
        loaded(Network([node("Relu", "x", "y")], {"x": (3,)}, {}, ["w"]), tmp_path)
    with pytest.raises(
        InputError, match=r"'MatMul_y' \(MatMul\) cannot be evaluated on inputs of shape \(1, 3\)"
    ):
        loaded(
            Network([node("MatMul", "x w", "y")], {"x": (1, 3)}, {"w": normal(4, 2)}, ["y"]),
            tmp_path,
        )


@pytest.mark.parametrize("nodes", ["twice", "stored", "given", "body"])
def test_a_value_that_is_given_twice_is_refused(nodes: str, tmp_path: Path) -> None:
    """By two nodes, or by one and the file, or the input, also in the body of a loop."""
    made = {
        "twice": [node("Relu", "x", "y"), node("Abs", "x", "y")],
        "stored": [node("Relu", "x", "w"), node("Add", "x w", "y")],
        "given": [node("Relu", "x", "x"), node("Abs", "x", "y")],
    }
    network = looped("three", "", [*STEP, node("Abs", "h", "h1"), node("Identity", "go", "on")])
    if nodes in made:
        network = Network(made[nodes], {"x": (1, 3)}, {"w": normal(1, 3)}, ["y"])
    with pytest.raises(InputError, match=r"gives its value '[xywh]1?' twice: export it again"):
        loaded(network, tmp_path)


def test_an_unknown_element_type_is_named(tmp_path: Path) -> None:
    cast = node("Cast", "x", "y", to=999)
    with pytest.raises(UnsupportedOperation, match=r"'Cast_y' \(Cast\): the element type 999"):
        loaded(Network([cast], {"x": (3,)}, {}, ["y"]), tmp_path)


def test_a_stored_tensor_with_too_few_numbers(tmp_path: Path) -> None:
    proto = Network([node("Add", "x w", "y")], {"x": (3,)}, {"w": normal(3)}, ["y"]).proto()
    proto.graph.initializer[0].raw_data = b"\0" * 5
    onnx.save(proto, str(tmp_path / "network.onnx"))
    with pytest.raises(InputError, match="tensor 'w' of the ONNX file is corrupt"):
        load_onnx(tmp_path / "network.onnx")


@pytest.mark.parametrize("opset", [5, 25])
def test_an_opset_out_of_range(opset: int, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"uses opset {opset}; export it again"):
        loaded(Network(RELU.nodes, RELU.inputs, {}, ["y"], opset), tmp_path)


def test_an_input_that_is_no_tensor_of_numbers(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="input 'x' of the ONNX file is not a tensor of numbers"):
        loaded(Network(RELU.nodes, RELU.inputs, {}, ["y"], 21, TensorProto.STRING), tmp_path)


def externally(folder: Path, location: str) -> Path:
    """A network whose weights are stored in `location`."""
    proto = Network(
        [node("MatMul", "x w", "y")], {"x": (1, 40)}, {"w": normal(40, 40)}, ["y"]
    ).proto()
    path = folder / "network.onnx"
    onnx.save(
        proto, str(path), save_as_external_data=True, location="weights.bin", size_threshold=0
    )
    stored = onnx.load(str(path), load_external_data=False)
    for entry in stored.graph.initializer[0].external_data:
        entry.value = location if entry.key == "location" else entry.value
    onnx.save(stored, str(path))
    return path


def test_weights_beside_the_file(tmp_path: Path) -> None:
    check(load_onnx(externally(tmp_path, "weights.bin")))


@pytest.mark.parametrize("location", ["../weights.bin", "link.bin", "/etc/hostname"])
def test_weights_outside_the_folder_are_refused(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    path = externally(folder, location)
    (tmp_path / "weights.bin").write_bytes((folder / "weights.bin").read_bytes())
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(InputError, match="outside its own folder; refused"):
        load_onnx(path)


@pytest.mark.parametrize("content", [None, b"\0" * 10])
def test_weights_that_are_missing_or_too_short(content: bytes | None, tmp_path: Path) -> None:
    path = externally(tmp_path, "other.bin")
    if content is not None:
        (tmp_path / "other.bin").write_bytes(content)
    with pytest.raises(InputError, match=r"'w' in other\.bin, which cannot be read"):
        load_onnx(path)


def test_without_the_package_onnx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(InputError, match=r"pip install autolip\[onnx\]"):
        load_onnx(tmp_path / "network.onnx")


def test_the_reference_without_onnxruntime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model = loaded(RELU, tmp_path)
    np.testing.assert_array_equal(model.reference({"x": np.array([-1, 0, 2])})[0], [0, 0, 2])


def looped(trips: str, condition: str, body: Sequence[onnx.NodeProto]) -> Network:
    """`for i in range(trips) while condition`: h = relu(h w), its rows stacked as s."""
    kinds = {
        "i": (TensorProto.INT64, []),
        "go": (TensorProto.BOOL, []),
        "on": (TensorProto.BOOL, []),
        "h": (TensorProto.FLOAT, [1, 3]),
        "h1": (TensorProto.FLOAT, [1, 3]),
        "s": (TensorProto.FLOAT, [1, 3]),
    }
    infos = {name: helper.make_tensor_value_info(name, *kind) for name, kind in kinds.items()}
    inner = helper.make_graph(
        body, "body", [infos[n] for n in ("i", "go", "h")], [infos[n] for n in ("on", "h1", "s")]
    )
    nodes = [
        node("ReduceSum", "x", "sum", keepdims=0),
        node("Greater", "sum limit", "unknown"),
        helper.make_node("Loop", [trips, condition, "x"], ["y", "rows"], "repeat", body=inner),
        node("Identity", "rows", "z"),
    ]
    stored = {
        "three": np.array(3),
        "five": np.array(5),
        "true": np.array(True),
        "limit": scalar(0),
        "w": normal(3, 3),
    }
    return Network(nodes, {"x": (1, 3)}, stored, ["y", "z"])


STEP = [node("MatMul", "h w", "g"), node("Relu", "g", "h1"), node("Identity", "h1", "s")]
WHILE_SHORT = [*STEP, node("Less", "i three", "on")]
ALWAYS = [*STEP, node("Identity", "go", "on")]


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (looped("three", "true", ALWAYS), 3),
        (looped("three", "", ALWAYS), 3),
        (looped("five", "true", WHILE_SHORT), 4),
    ],
    ids=["a trip count", "no condition", "a condition"],
)
def test_a_loop_is_written_out(network: Network, count: int, tmp_path: Path) -> None:
    """As the reference of onnx runs it; a loop of no end but its condition as well."""
    x = normal(1, 3)
    model = loaded(network, tmp_path)
    found = run(model.module, {"x": x})
    h, rows = x, []
    for _ in range(count):
        h = np.maximum(h @ network.stored["w"], 0)
        rows.append(h)
    np.testing.assert_allclose(found[0], h, rtol=1e-5)
    np.testing.assert_allclose(found[1], np.stack(rows), rtol=1e-5)
    reference = model.reference({"x": x})
    np.testing.assert_allclose(found[1], reference[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (looped("three", "unknown", ALWAYS), "whether it goes on depends on the values"),
        (looped("", "true", ALWAYS), "runs more than 1000 times"),
        (looped("three", "true", [*STEP, node("Multinomial", "h", "on")]), "Multinomial"),
    ],
    ids=["on a value", "without end", "of what has no rule"],
)
def test_a_loop_that_cannot_be_written_out(network: Network, reason: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedOperation, match=reason):
        loaded(network, tmp_path)
