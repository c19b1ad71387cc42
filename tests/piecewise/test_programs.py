"""Linear programs beside the search."""

import subprocess
import sys


def test_the_solver_prints_nothing() -> None:
    """Its version went to the standard output, before a result in JSON."""
    code = "from autolip.piecewise.programs import Programs; Programs(None)._solver"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == ""
