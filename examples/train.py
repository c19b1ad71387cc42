"""A small classifier trained with LipSDP's estimate as a penalty; the bracket before and after,
proved."""

import torch
from torch import nn

import autolip
from autolip.training import Penalty

torch.manual_seed(0)
x = torch.randn(512, 6)
y = (x[:, 0] * x[:, 1] > 0).long()


def trained(weight: float) -> nn.Module:
    """Cross-entropy plus weight x log K."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2)
    )
    penalty = Penalty(model, x[:1])
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(150):
        loss = nn.functional.cross_entropy(model(x), y) + weight * penalty().log()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()


for weight in (0.0, 0.1):
    model = trained(weight)
    right = (model(x).argmax(1) == y).double().mean().item()
    print(f"weight {weight}: {right:.1%} right")
    print(autolip.lipschitz(model, x[:1], method=["autolip", "lipsdp"]))
