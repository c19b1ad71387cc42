"""A network as an ONNX file, node by node: no exporter between the description and the file."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, helper, numpy_helper

from tests.fuzz.kinds import KINDS
from tests.fuzz.networks import Network, Step

OPSET = 21


def writable(network: Network) -> bool:
    """Whether every step has an operator there, and settings that single precision holds."""
    numbers = [v for step in network.steps for v in step.settings.values() if isinstance(v, float)]
    if not all(np.isfinite(np.float32(number)) for number in numbers):
        return False  # 1e160 would become infinite
    ranks = [len(shape) for shape in network.shapes]
    dense = all(ranks[step.of[0]] == 2 for step in network.steps if step.kind == "dense")
    return dense and all(KINDS[step.kind].onnx for step in network.steps)


def write(network: Network, path: Path) -> None:
    """The file; its numbers are those of `network.single()`."""
    element = helper.np_dtype_to_tensor_dtype(np.dtype(str(network.dtype).split(".")[1]))
    nodes, stored = [], []
    for k, step in enumerate(network.steps, 1):
        weights = {
            f"{name}{k}": value.to(network.dtype).numpy() for name, value in step.weights.items()
        }
        weights |= {
            f"{name}{k}": np.asarray(value) for name, value in _constants(network, step).items()
        }
        nodes.append(_node(network, step, k))
        stored += [numpy_helper.from_array(value, name) for name, value in weights.items()]
    last = len(network.steps)
    graph = helper.make_graph(
        nodes,
        "fuzz",
        [helper.make_tensor_value_info("v0", element, network.shape)],
        [helper.make_tensor_value_info(f"v{last}", element, network.shapes[-1])],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _constants(network: Network, step: Step) -> dict[str, Any]:
    """Operands of a node that the step has as settings."""
    number = np.dtype(str(network.dtype).split(".")[1]).type
    if step.kind == "hardtanh":
        return {"lo": number(step.settings["lo"]), "hi": number(step.settings["hi"])}
    if step.kind in ("scale", "shift"):
        return {"by": number(step.settings["by"])}
    return {}


def _node(network: Network, step: Step, k: int) -> NodeProto:
    """One node, v_k its result."""
    names = [f"v{i}" for i in step.of]
    names += [f"{name}{k}" for name in _order(step)]
    names += [f"{name}{k}" for name in _constants(network, step)]
    if step.kind == "square":
        names *= 2
    rank = len(network.shapes[step.of[0]])
    return helper.make_node(KINDS[step.kind].onnx, names, [f"v{k}"], **_attributes(step, rank))


def _order(step: Step) -> list[str]:
    """Weights in the order of the operator's inputs."""
    return (
        ["w", "b", "mean", "var"]
        if step.kind == "batch_norm"
        else sorted(step.weights, reverse=True)
    )


def _attributes(step: Step, rank: int) -> dict[str, Any]:
    s = step.settings
    if step.kind in ("conv", "conv_transpose"):
        shared = {"strides": [s["stride"]] * 2, "pads": [s["padding"]] * 4}
        return shared | (
            {"dilations": [s["dilation"]] * 2, "group": s["groups"]} if step.kind == "conv" else {}
        )
    if step.kind in ("max_pool", "avg_pool"):
        window = {
            "kernel_shape": [s["kernel_size"]] * 2,
            "strides": [s["stride"]] * 2,
            "pads": [s["padding"]] * 4,
        }
        if step.kind == "avg_pool":
            return window | {"count_include_pad": 1}
        return window | {"dilations": [s["dilation"]] * 2, "ceil_mode": int(s["ceil_mode"])}
    turned = [*range(rank - 2), rank - 1, rank - 2]
    fixed: dict[str, dict[str, Any]] = {
        "dense": {"transB": 1},
        "leaky": {"alpha": s.get("alpha", 0.0)},
        "elu": {"alpha": s.get("alpha", 0.0)},
        "flatten": {"axis": 0},
        "transpose": {"perm": turned},
        "total": {"keepdims": 0},
        "mean": {"keepdims": 0},
        "concat": {"axis": 1},
        "softmax": {"axis": s.get("dim", -1)},
        "layer_norm": {"epsilon": s.get("eps", 0.0)},
        "batch_norm": {"epsilon": s.get("eps", 0.0)},
    }
    return fixed.get(step.kind, {})
