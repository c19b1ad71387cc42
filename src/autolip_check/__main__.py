"""`python -m autolip_check FILE [--model MODEL.onnx]`.

Exit code 0 where the certificate holds, 1 where it is rejected, 2 where there is none to be read,
or its proof takes longer than `--budget` allows.
It holds of the graph in the file: numbers that are not the model's are listed with `--model`, and
only `autolip check --model`, which captures the model again, rejects a certificate for them.
"""

import argparse
import os
import sys
from pathlib import Path

from autolip_check.admission import printable
from autolip_check.check import Verdict, check
from autolip_check.container import NotACertificate, Rejected

HOLDS, REJECTED, UNREADABLE = 0, 1, 2
"""Defined above: exit codes."""


def main(arguments: list[str] | None = None) -> int:
    """Print what is proved and under which assumptions, or why the certificate is rejected."""
    parser = argparse.ArgumentParser(
        prog="autolip_check", description="Re-check a certificate from scratch."
    )
    parser.add_argument("file", type=Path)
    parser.add_argument(
        "--model",
        type=Path,
        help="ONNX file: list which of its initialisers the weights are, and which numbers are "
        "none; the exit code is the same",
    )
    parser.add_argument(
        "--json", action="store_true", help="print the verdict as JSON, with all of the region"
    )
    parser.add_argument(
        "--budget",
        type=_seconds,
        metavar="SECONDS",
        help="check nothing that would take longer than about this; by default there is no limit",
    )
    asked = parser.parse_args(arguments)
    verdict, refusal = judged(asked.file, asked.model, asked.budget)
    if verdict is None:
        return told(*refusal)
    return told(verdict.to_json() if asked.json else str(verdict), HOLDS)


def _seconds(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not value > 0:
        raise ValueError(f"{text} is not above 0")
    return value


def judged(
    file: Path, model: Path | None, budget: float | None = None
) -> tuple[Verdict | None, tuple[str, int]]:
    """The verdict, or else why there is none, and the exit code for that."""
    try:
        return check(file, model, budget), ("", HOLDS)
    except NotACertificate as reason:
        return None, (f"not checked: {printable(str(reason))}", UNREADABLE)
    except Rejected as reason:
        return None, (f"rejected: {printable(str(reason))}", REJECTED)


def told(text: str, code: int) -> int:
    """The exit code once the text is out; that of an unreadable file where it cannot be written."""
    stream = sys.stderr if code else sys.stdout
    try:
        print(text, file=stream, flush=True)
    except (OSError, ValueError):  # full, or closed
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (nothing more is written on the way out)
        return code or UNREADABLE
    return code


if __name__ == "__main__":
    sys.exit(main())
