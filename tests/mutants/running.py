"""Tests in copies of the tree, each with one mutant in it, a few at a time."""

import compileall
import contextlib
import math
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.listed import ROOT, Mutant

PATIENCE = 300
"""Seconds of the processor that the tests of one mutant may take: what else the machine does in the
meantime counts for nothing."""

ASLEEP = 3600.0
"""Seconds by the clock after which tests are given up that wait for something and take none of the
processor's."""

NOTICED, SURVIVED, ENDLESS = "noticed", "survived", "no answer in time"
MEANINGS = {0: SURVIVED, 1: NOTICED, 2: NOTICED, -signal.SIGXCPU: ENDLESS}
"""Of pytest's exit codes and the signal at the end of the processor's seconds; 2 is a module that
cannot be imported."""


@dataclass
class Trial:
    """A copy of the tree in which tests run, by a child of this process that has the libraries
    loaded already."""

    tests: tuple[str, ...]
    mutant: Mutant | None
    """None: the tree as it is."""
    verdict: str = ""
    process: int = 0
    limit: float = math.inf
    folder: Path = Path()

    def start(self, tree: Path) -> None:
        self.limit = time.monotonic() + ASLEEP
        self.folder = Path(tempfile.mkdtemp(prefix="mutant"))
        shutil.copytree(tree, self.folder, dirs_exist_ok=True)
        if self.mutant is not None:
            path = self.folder / self.mutant.file
            path.write_text(self.mutant.applied(path.read_text(encoding="utf-8")), encoding="utf-8")
        self.process = os.fork()
        if self.process == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE + 1))
            os._exit(_pytest(self.folder, self.tests))

    def ended(self) -> bool:
        """Whether the verdict is there."""
        process, status = os.waitpid(self.process, os.WNOHANG)
        if process:
            code = os.waitstatus_to_exitcode(status)
            self.verdict = MEANINGS.get(code, f"pytest ended with {code}")
        elif time.monotonic() > self.limit:
            os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
            self.verdict = ENDLESS
        if self.verdict:
            shutil.rmtree(self.folder, ignore_errors=True)
        return bool(self.verdict)

    @property
    def problem(self) -> str:
        """What is wrong: a mutant that is not noticed, or tests that fail without one."""
        if self.verdict == (SURVIVED if self.mutant is None else NOTICED):
            return ""
        return f"{self.verdict}: {self.mutant or 'the tree as it is'} ({' '.join(self.tests)})"


def run(chosen: Sequence[Mutant], workers: int) -> Iterator[Trial]:
    """A trial of every mutant, and one of their tests without any, as they end."""
    waiting = [Trial(tests, None) for tests in dict.fromkeys(mutant.tests for mutant in chosen)]
    waiting += [Trial(mutant.tests, mutant) for mutant in chosen]
    running: list[Trial] = []
    with _tree() as tree:
        while waiting or running:
            while waiting and len(running) < workers:
                trial = waiting.pop(0)
                trial.start(tree)
                running.append(trial)
            time.sleep(0.02)
            ended = [trial for trial in running if trial.ended()]
            running = [trial for trial in running if trial not in ended]
            yield from ended


@contextlib.contextmanager
def _tree() -> Iterator[Path]:
    """A copy of what the tests need, its modules compiled: Python takes those for the modules of
    further copies."""
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        tree = Path(folder)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, tree / name)
        shutil.copy(ROOT / "pyproject.toml", tree)
        compileall.compile_dir(tree / "src", quiet=2)
        yield tree


def _pytest(copy: Path, tests: Sequence[str]) -> int:
    """The exit code of pytest in the copy."""
    import pytest

    with open(copy / "output", "w") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(copy)
    os.environ["PYTHONPATH"] = str(copy / "src")
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(copy / "src"), str(copy)]
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("tests", "autolip", "autolip_check")
    ]:
        del sys.modules[name]
    try:
        without = [
            word
            for name in ("cacheprovider", "unraisableexception")
            for word in ("-p", f"no:{name}")
        ]
        return int(pytest.main(["-x", "-q", *without, "-m", "not long", *tests]))
    except BaseException:
        return 3
