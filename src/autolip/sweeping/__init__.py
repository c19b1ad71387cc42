"""Many questions about one network: one capture, several workers, a store that is resumed."""

from autolip.sweeping.answers import Answer, Sweep, sweep

__all__ = ["Answer", "Sweep", "sweep"]
