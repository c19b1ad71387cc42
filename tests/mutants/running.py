"""Tests on the tree with one mutant in it, a few at a time."""

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
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.listed import ROOT, Mutant

PATIENCE = 300
"""Seconds of the processor that the tests of one mutant may take: what else the machine does in the
meantime counts for nothing."""

ASLEEP = 3600.0
"""Seconds by the clock after which tests are given up that wait for something and take none of the
processor's."""

MEMORY = 8 * 2**30
"""Chosen: bytes of its own that a process of a trial may ask for, well above what tests take. One
that asks for more gets an error, which is a test that fails."""

NOTICED, SURVIVED, ENDLESS = "noticed", "survived", "no answer in time"
NOT_COLLECTED, NO_TESTS = "its tests cannot be read", "no test at all"
MEANINGS = {
    0: SURVIVED,
    1: NOTICED,
    2: NOT_COLLECTED,
    4: NOT_COLLECTED,
    5: NO_TESTS,
    -signal.SIGXCPU: ENDLESS,
}
"""Of pytest's exit codes and the signal at the end of the processor's seconds."""


@dataclass
class Trial:
    """Tests that a child of this process runs, which has the libraries loaded already."""

    tests: tuple[str, ...]
    mutant: Mutant | None
    """None: the tree as it is."""
    verdict: str = ""
    seconds: float = 0.0
    """Of the processor."""
    failed: str = ""
    """The first test that failed."""
    process: int = 0
    limit: float = math.inf
    folder: Path = Path()

    def start(self, tree: Path) -> None:
        self.limit = time.monotonic() + ASLEEP
        self.folder = Path(tempfile.mkdtemp(prefix="mutant"))
        _linked(tree, self.folder, Path(self.mutant.file).parts if self.mutant else ())
        if self.mutant is not None:
            text = (tree / self.mutant.file).read_text(encoding="utf-8")
            path = self.folder / self.mutant.file
            path.write_text(self.mutant.applied(text), encoding="utf-8")
        self.process = os.fork()
        if self.process == 0:
            resource.setrlimit(resource.RLIMIT_CPU, (PATIENCE, PATIENCE + 1))
            resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
            os._exit(_pytest(self.folder, self.tests))

    def ended(self) -> bool:
        """Whether the verdict is there."""
        process, status, used = os.wait4(self.process, os.WNOHANG)
        if process:
            code = os.waitstatus_to_exitcode(status)
            self.verdict = MEANINGS.get(code, f"pytest ended with {code}")
        elif time.monotonic() > self.limit:
            os.kill(self.process, signal.SIGKILL)
            _, _, used = os.wait4(self.process, 0)
            self.verdict = ENDLESS
        if self.verdict:
            self.seconds = used.ru_utime + used.ru_stime
            self.failed = _first_failure(self.folder / "output")
            shutil.rmtree(self.folder, ignore_errors=True)
        return bool(self.verdict)

    @property
    def name(self) -> str:
        return f"{self.mutant or 'the tree as it is'} ({' '.join(self.tests)})"

    @property
    def problem(self) -> str:
        """What is wrong: a mutant that is not noticed, or tests that fail without one."""
        if self.verdict == (SURVIVED if self.mutant is None else NOTICED):
            return ""
        return f"{self.verdict}: {self.name}"


def run(
    chosen: Sequence[Mutant], workers: int, known: Collection[str] = frozenset()
) -> Iterator[Trial]:
    """A trial of every mutant, and one of their tests without any, as they end; without those that
    are `known` by their names."""
    waiting = [Trial(tests, None) for tests in _by_file(chosen)]
    waiting += [Trial(mutant.tests, mutant) for mutant in chosen]
    waiting = [trial for trial in waiting if trial.name not in known]
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


def _by_file(chosen: Sequence[Mutant]) -> list[tuple[str, ...]]:
    """The tests of all mutants, each once, those of one file together."""
    files: dict[str, list[str]] = {}
    for test in dict.fromkeys(test for mutant in chosen for test in mutant.tests):
        files.setdefault(test.partition("::")[0], []).append(test)
    return [(file,) if file in tests else tuple(tests) for file, tests in files.items()]


@contextlib.contextmanager
def _tree() -> Iterator[Path]:
    """A copy of what the tests need, its modules compiled."""
    with tempfile.TemporaryDirectory(prefix="mutants") as folder:
        tree = Path(folder)
        for name in ("src", "tests"):
            shutil.copytree(ROOT / name, tree / name)
            compileall.compile_dir(tree / name, quiet=2)
        shutil.copy(ROOT / "pyproject.toml", tree)
        yield tree


def _linked(tree: Path, folder: Path, path: Sequence[str]) -> None:
    """Make the folder look like the tree by links to what is in it, but for the file at this path:
    the folders above it are its own."""
    for entry in os.scandir(tree):
        if not path or entry.name != path[0]:
            (folder / entry.name).symlink_to(entry.path)
    if len(path) > 1:
        (folder / path[0]).mkdir()
        _linked(tree / path[0], folder / path[0], path[1:])


def _pytest(folder: Path, tests: Sequence[str]) -> int:
    """The exit code of pytest in the folder."""
    import pytest

    output = open(folder / "output", "w", encoding="utf-8", buffering=1)  # noqa: SIM115
    os.dup2(output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    sys.stdout = sys.stderr = output
    os.chdir(folder)
    os.environ |= {"PYTHONPATH": str(folder / "src"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    sys.dont_write_bytecode = True
    sys.path[:0] = [str(folder / "src"), str(folder)]
    for name in [
        name for name in sys.modules if name.split(".")[0] in ("tests", "autolip", "autolip_check")
    ]:
        del sys.modules[name]
    options = ["-x", "-q", "--tb=line", "--assert=plain", "-m", "not long"]
    for plugin in ("cacheprovider", "unraisableexception"):
        options += ["-p", f"no:{plugin}"]
    try:
        return int(pytest.main([*options, *tests]))
    except BaseException:
        return 3


def _first_failure(output: Path) -> str:
    """The test that pytest says has failed first; empty where there is none."""
    if not output.exists():
        return ""
    lines = output.read_text(encoding="utf-8", errors="replace").splitlines()
    return next((line for line in lines if line.startswith(("FAILED", "ERROR"))), "")
