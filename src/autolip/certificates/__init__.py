"""Certificates: what a bound claims and why, in a file that a separate small program checks."""

from autolip.certificates.certificate import Certificate
from autolip.certificates.proof import (
    CasesFact,
    CaseTree,
    EntriesFact,
    Fact,
    Fork,
    Leaf,
    NormFact,
    PiecesFact,
    Proof,
    QuadraticFact,
    RowFact,
)

__all__ = [
    "CaseTree",
    "CasesFact",
    "Certificate",
    "EntriesFact",
    "Fact",
    "Fork",
    "Leaf",
    "NormFact",
    "PiecesFact",
    "Proof",
    "QuadraticFact",
    "RowFact",
]
