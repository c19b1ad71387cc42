"""The experiments of Virmaux and Scaman (NeurIPS 2018), each with one command: `autolip reproduce
mlp`.

An experiment trains or builds its networks, evaluates every column of the paper's table on them,
and says of each number whether it is an upper bound, a lower bound or an estimate.  Finished steps
are kept on disk (`steps`), so that an interrupted run goes on where it stopped; the outcome is
written as text, JSON, CSV and figures (`write`).
"""

from autolip.reproduce.run import EXPERIMENTS, Request, reproduce

__all__ = ["EXPERIMENTS", "Request", "reproduce"]
