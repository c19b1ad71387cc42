"""Your own network, near one input: how much an output can move per unit of the largest input
change."""

import torch
from torch import nn

import autolip
from autolip.norms import Norm
from autolip.regions import Ball

torch.manual_seed(0)
model = nn.Sequential(
    nn.Linear(8, 32), nn.SiLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 3)
).eval()
center = torch.zeros(1, 8)

near = autolip.lipschitz(model, (center,), norm="linf", region=Ball(center, 0.1, Norm.LINF))
everywhere = autolip.lipschitz(model, (center,), norm="linf")

print("within 0.1 of the centre in every coordinate:", near, sep="\n")
print("everywhere:", everywhere, sep="\n")
