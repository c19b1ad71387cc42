"""ONNX operators that normalise: batch, instance, group, layer, root-mean-square and p-norm."""

import torch
import torch.nn.functional as F
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation


@onnx_operator("LpNormalization")
def lp_normalization(x: Tensor, *, axis: int = -1, p: int = 2) -> Tensor:
    return x / torch.linalg.vector_norm(x, p, axis, keepdim=True)


@onnx_operator("BatchNormalization")
def batch_norm_with_mode(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    is_test: int = 0,
) -> Tensor:
    """Before opset 7 an attribute says whether the file was exported for inference."""
    if not is_test:
        raise UnsupportedOperation(
            "it is in training mode (is_test = 0); export the network in eval mode"
        )
    return batch_norm(x, scale, bias, mean, variance, epsilon=epsilon, spatial=spatial)


@onnx_operator("BatchNormalization", since=7)
def batch_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
) -> Tensor:
    """`(x - mean) / sqrt(variance + epsilon) * scale + bias`, per channel or, if not spatial, per
    feature."""
    if training_mode:
        raise UnsupportedOperation("it is in training mode; export the network in eval mode")
    if not spatial:
        return (x - mean) / torch.sqrt(variance + epsilon) * scale + bias
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, epsilon)


@onnx_operator("InstanceNormalization")
def instance_norm(x: Tensor, scale: Tensor, bias: Tensor, *, epsilon: float = 1e-5) -> Tensor:
    """A group normalisation whose groups are the channels."""
    return F.group_norm(x, x.shape[1], scale, bias, epsilon)


@onnx_operator("GroupNormalization", since=18)
def group_norm_per_group(
    x: Tensor, scale: Tensor, bias: Tensor, *, num_groups: int, epsilon: float = 1e-5
) -> Tensor:
    """In opset 18 scale and bias are given per group."""
    size = x.shape[1] // num_groups
    wide_scale, wide_bias = (
        v.unsqueeze(1).expand(num_groups, size).reshape(-1) for v in (scale, bias)
    )
    return F.group_norm(x, num_groups, wide_scale, wide_bias, epsilon)


@onnx_operator("GroupNormalization", since=21)
def group_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:
    return F.group_norm(x, num_groups, scale, bias, epsilon)


@onnx_operator("LayerNormalization", since=17)
def layer_norm(
    x: Tensor,
    scale: Tensor,
    bias: Tensor | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
) -> Tensor:
    shape = list(x.shape[axis:])
    return F.layer_norm(
        x, shape, scale.expand(shape), None if bias is None else bias.expand(shape), epsilon
    )


@onnx_operator("RMSNormalization", since=23)
def rms_norm(
    x: Tensor, scale: Tensor, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Tensor:
    shape = list(x.shape[axis:])
    return F.rms_norm(x, shape, scale.expand(shape), epsilon)


@onnx_operator("MeanVarianceNormalization", since=9)
def mean_variance_normalization(x: Tensor, *, axes: list[int] | None = None) -> Tensor:
    """`(x - mean) / (deviation + 1e-9)`."""
    axes = [0, 2, 3] if axes is None else axes
    centred = x - x.mean(axes, keepdim=True)
    return centred / (torch.std(x, axes, correction=0, keepdim=True) + 1e-9)
