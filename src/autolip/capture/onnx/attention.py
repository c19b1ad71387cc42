"""ONNX operators of transformers: attention, rotary embeddings."""

import math

import torch
from torch import Tensor

from autolip.capture.onnx.operators import onnx_operator
from autolip.errors import UnsupportedOperation


@onnx_operator("Attention", since=23)
def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    nonpad: Tensor | None = None,
    *,
    is_causal: int = 0,
    kv_num_heads: int = 0,
    q_num_heads: int = 0,
    qk_matmul_output_mode: int = 0,
    scale: float | None = None,
    softcap: float = 0.0,
    softmax_precision: int = 1,
) -> Tensor:
    """softmax(q k^T scale + mask) v, head by head; keys and values serve several heads each."""
    if past_key is not None or past_value is not None or nonpad is not None:
        raise UnsupportedOperation("keys and values of earlier calls: give all of them as one")
    joined = q.dim() == 3
    if joined:
        q, k, v = (
            x.unflatten(-1, (heads, -1)).transpose(1, 2)
            for x, heads in ((q, q_num_heads), (k, kv_num_heads), (v, kv_num_heads))
        )
    shared = q.shape[1] // k.shape[1]
    if shared > 1:
        k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
    root = math.sqrt(1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    scores = torch.matmul(q * root, (k * root).transpose(-1, -2))
    scores = softcap * torch.tanh(scores / softcap) if softcap else scores
    scores = _masked(scores, mask, bool(is_causal))
    result = torch.matmul(torch.softmax(scores, -1), v)
    return result.transpose(1, 2).flatten(2) if joined else result


def _masked(scores: Tensor, mask: Tensor | None, is_causal: bool) -> Tensor:
    if is_causal:
        later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(later, -math.inf)
    if mask is None:
        return scores
    if mask.dtype is torch.bool:
        return scores.masked_fill(torch.logical_not(mask), -math.inf)
    return scores + mask


@onnx_operator("RotaryEmbedding", since=23)
def rotary_embedding(
    x: Tensor,
    cosines: Tensor,
    sines: Tensor,
    positions: Tensor | None = None,
    *,
    interleaved: int = 0,
    num_heads: int = 0,
    rotary_embedding_dim: int = 0,
) -> Tensor:
    """Pairs of entries turned by an angle: halves of the axis, or neighbours where interleaved."""
    joined = x.dim() == 3
    heads = x.unflatten(-1, (num_heads, -1)) if joined else x.transpose(1, 2)
    size = rotary_embedding_dim or heads.shape[-1]
    turned, rest = heads[..., :size], heads[..., size:]
    c, s = (t if positions is None else t[positions] for t in (cosines, sines))
    c, s = (t[..., : size // 2].unsqueeze(2) for t in (c, s))
    if interleaved:
        a, b = turned[..., 0::2], turned[..., 1::2]
    else:
        a, b = turned[..., : size // 2], turned[..., size // 2 :]
    first, second = c * a - s * b, s * a + c * b
    if interleaved:
        turned = torch.stack([first, second], -1).flatten(-2)
    else:
        turned = torch.cat([first, second], -1)
    result = torch.cat([turned, rest], -1)
    return result.flatten(2) if joined else result.transpose(1, 2)
