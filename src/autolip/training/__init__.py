"""Training with the tightest bound as a penalty."""

from autolip.training.penalty import Penalty

__all__ = ["Penalty"]
