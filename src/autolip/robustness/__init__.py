"""Certified robustness: which samples keep their class within a radius, and how far each does.

found = autolip.certify(model, images, labels, radius=0.5)
found.certified_accuracy(0.5)

A sample climbs a ladder (`autolip.robustness.rungs`) of proofs, the cheapest first, and stops at
the first that decides; an attack finds what cannot be certified.  What the program in floating
point may be off by is bounded and counted in (`autolip.robustness.program`).
"""

from autolip.robustness.certified import Certified
from autolip.robustness.certify import certify
from autolip.robustness.verdict import Outcome, Verdict

__all__ = ["Certified", "Outcome", "Verdict", "certify"]
