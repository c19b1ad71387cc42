"""Architectures of the shipped networks: plain PyTorch, digit images (batch, 1, 8, 8) to 10
logits."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor, nn


def digits_mlp() -> nn.Module:
    """ReLU network, 64-64-64-10"""
    return _dense_network(nn.ReLU)


def digits_tanh() -> nn.Module:
    """tanh network, 64-64-64-10"""
    return _dense_network(nn.Tanh)


def _dense_network(activation: Callable[[], nn.Module]) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 64),
        activation(),
        nn.Linear(64, 64),
        activation(),
        nn.Linear(64, 10),
    )


def digits_conv() -> nn.Module:
    """two convolutions with batch norm, ReLU and max-pooling, then two dense layers"""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def digits_resnet() -> nn.Module:
    """residual network, two blocks with batch norm, one of them strided with a projected
    shortcut"""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        ResidualBlock(16, 16),
        ResidualBlock(16, 32, stride=2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(32, 10),
    )


class ResidualBlock(nn.Module):
    """relu(shortcut(x) + residual(x)), the basic block of He, Zhang, Ren and Sun (2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d k l"]:
        return torch.relu(self.shortcut(x) + self.residual(x))


def digits_attention() -> nn.Module:
    """transformer on 2x2 patches, two pre-norm blocks with softmax self-attention and a GELU MLP"""
    return PatchTransformer(width=32, heads=2, blocks=2)


class PatchTransformer(nn.Module):
    """Vision transformer of Dosovitskiy et al. (2021) on 16 patches, mean-pooled instead of a class
    token."""

    def __init__(self, width: int, heads: int, blocks: int) -> None:
        super().__init__()
        self.embed = nn.Conv2d(1, width, 2, stride=2)
        self.position = nn.Parameter(0.02 * torch.randn(16, width))
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads) for _ in range(blocks)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, x: Float[Tensor, "n 1 8 8"]) -> Float[Tensor, "n 10"]:
        tokens = self.embed(x).flatten(2).transpose(1, 2) + self.position
        return self.head(self.norm(self.blocks(tokens)).mean(dim=1))


class TransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)), on tokens of shape (batch, tokens, width)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = SelfAttention(width, heads)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Float[Tensor, "n t d"]) -> Float[Tensor, "n t d"]:
        x = x + self.attention(self.attention_norm(x))
        return x + self.mlp(self.mlp_norm(x))


class SelfAttention(nn.Module):
    """softmax(Q K^T / sqrt(d)) V per head, the heads joined by a linear layer: Vaswani et al.
    (2017)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.join = nn.Linear(width, width)

    def forward(self, x: Float[Tensor, "n t d"]) -> Float[Tensor, "n t d"]:
        query, key, value = (self._split(layer(x)) for layer in (self.query, self.key, self.value))
        scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
        mixed = torch.softmax(scores, dim=-1) @ value
        return self.join(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Float[Tensor, "n t d"]) -> Float[Tensor, "n h t e"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


FACTORIES: Mapping[str, Callable[[], nn.Module]] = MappingProxyType(
    {
        "digits-mlp": digits_mlp,
        "digits-tanh": digits_tanh,
        "digits-conv": digits_conv,
        "digits-resnet": digits_resnet,
        "digits-attention": digits_attention,
    }
)
"""Name -> the function that builds the untrained network, in the order in which they are listed."""
