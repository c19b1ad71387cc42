"""`python -m autolip_check FILE [--model MODEL.onnx]`: exit code 0 where the certificate holds, 1 where it does not."""

import argparse
import sys
from pathlib import Path

from autolip_check.check import check
from autolip_check.container import Rejected


def main(arguments: list[str] | None = None) -> int:
    """Print what is proved and under which assumptions, or why the certificate is rejected."""
    parser = argparse.ArgumentParser(prog="autolip_check", description="Re-check a certificate from scratch.")
    parser.add_argument("file", type=Path)
    parser.add_argument("--model", type=Path, help="ONNX file: say which of its initialisers the weights are")
    asked = parser.parse_args(arguments)
    try:
        print(check(asked.file, asked.model))
    except Rejected as reason:
        print(f"rejected: {reason}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
