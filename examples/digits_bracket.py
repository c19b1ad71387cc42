"""A certified bracket on the Lipschitz constant of a trained network that ships with autolip."""

import autolip
from autolip import zoo

model, example_inputs = zoo.load("digits-conv")
result = autolip.lipschitz(model, example_inputs, norm="l2")

print(zoo.describe("digits-conv").summary)
print(result)
