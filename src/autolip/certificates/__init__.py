"""Certificates: what a bound claims and why, in a file that a separate small program checks."""

from autolip.certificates.certificate import Certificate
from autolip.certificates.proof import Fact, NormFact, Proof, QuadraticFact

__all__ = ["Certificate", "Fact", "NormFact", "Proof", "QuadraticFact"]
