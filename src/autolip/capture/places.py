"""Which line of the user's code something stands at."""

import contextlib
import os
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch.fx.proxy import TracerBase

TORCH = str(Path(torch.__file__).parent) + os.sep
EXPORT = TORCH + "export" + os.sep
AUTOLIP = str(Path(__file__).parents[1]) + os.sep
CAPTURE = str(Path(__file__).parent) + os.sep
TRACING = str(Path(torch.fx.__file__).parent) + os.sep


def users_frames(
    frames: Sequence[traceback.FrameSummary],
) -> list[traceback.FrameSummary]:
    """Those of the model and the libraries it uses: what a capture has called, this package and
    PyTorch left out."""
    captures = [frame.filename.startswith(CAPTURE) for frame in frames]
    called = frames[captures.index(True) :] if any(captures) else []
    return [frame for frame in called if not frame.filename.startswith((AUTOLIP, TORCH, "<"))]


def users_line(frames: Sequence[traceback.FrameSummary]) -> str:
    """(policy.py:12), the innermost one; nothing where there is none."""
    theirs = users_frames(frames)
    return f" ({Path(theirs[-1].filename).name}:{theirs[-1].lineno})" if theirs else ""


@contextlib.contextmanager
def kept_lines() -> Iterator[None]:
    """While a program is exported, every call keeps the lines of functions and methods too, where
    the exporter keeps those of `forward` alone."""

    def kept(tracer: Any, frames: Sequence[traceback.FrameSummary]) -> traceback.StackSummary:
        theirs = users_frames(frames)
        forward = [f for f in frames if f.name == "forward" and not f.filename.startswith(EXPORT)]
        return traceback.StackSummary.from_list(theirs or forward)

    with mock.patch.object(TracerBase, "_filter_traceback_frames", kept, create=True):
        yield
