"""How far an image may move before the runner-up wins: the margin over the constant of their
difference."""

import math

import autolip
from autolip import zoo

model, (image,) = zoo.load("digits-mlp")
model, image = model.double(), image.double()
logits = model(image)[0]
winner, second = logits.topk(2).indices.tolist()
margin = (logits[winner] - logits[second]).item()

result = autolip.lipschitz(model, (image,), norm="l2", output=f"{winner}-{second}")
radius = math.floor(1e4 * margin / result.upper.value) / 1e4  # rounded down: it is a promise

print(result)
print(f"digit {winner} leads digit {second} by {margin:.3f}:")
print(f"no change of the image shorter than {radius} (l2) turns that around")
