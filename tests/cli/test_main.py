"""The last net: every end of a command is a code and at most a sentence; `autolip.__main__` is the
same program."""

import errno
import os
import runpy
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import autolip
from autolip.cli import estimate as command
from autolip.cli.main import main
from autolip.errors import AutolipError, Contradiction, OutputError, UnsupportedOperation


def fails(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """`autolip estimate` ends in this."""

    def raising(*_: object) -> None:
        raise error

    monkeypatch.setattr(command, "_bracket", raising)


ENDS = {
    "a defect": (
        ZeroDivisionError("division\nby zero"),
        70,
        "a defect of autolip, ZeroDivisionError (division by zero): please report it "
        "with what --debug adds",
    ),
    "a defect without words": (
        RecursionError(),
        70,
        "a defect of autolip, RecursionError: please report it",
    ),
    "a contradiction": (
        Contradiction("a bounds output all by 1.0, and b attains 2.0"),
        70,
        "a bounds output all by 1.0",
    ),
    "an assertion": (AssertionError(), 70, "a defect of autolip, AssertionError"),
    "a refusal": (AutolipError("no"), 2, "no"),
    "a refusal that would hide something": (AutolipError("net\n\x1b[2Jx"), 2, r"net\n\x1b[2Jx"),
    "no memory": (MemoryError(), 2, "there is not enough memory for this"),
    "the model's sys.exit": (
        SystemExit(0),
        2,
        "the model's own code ended the program (sys.exit): there is no result",
    ),
    "an interruption": (KeyboardInterrupt(), 130, "interrupted"),
    "a file that cannot be written": (
        OutputError("r.json cannot be written"),
        74,
        "r.json cannot be written",
    ),
    "a full disk": (
        OSError(errno.ENOSPC, "No space left on device"),
        74,
        "reading or writing failed: No space left",
    ),
    "a lost file": (
        OSError(errno.EIO, "Input/output error", "w.pth"),
        74,
        "reading or writing w.pth failed: Input",
    ),
}


@pytest.mark.parametrize("case", ENDS)
def test_every_end_is_a_sentence_and_a_code(
    case: str, run, monkeypatch: pytest.MonkeyPatch
) -> None:
    error, code, sentence = ENDS[case]
    fails(monkeypatch, error)
    ran = run("estimate", "digits-mlp")
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith(f"autolip: {sentence}") and ran.err.count("\n") == 1


def test_a_reader_that_has_gone_is_no_defect(run, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, BrokenPipeError(errno.EPIPE, "Broken pipe"))
    ran = run("estimate", "digits-mlp")
    assert (ran.code, ran.out, ran.err) == (141, "", "")


def test_a_list_keeps_its_lines(run, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, UnsupportedOperation("no rule:\n  aten.x at \x1b"))
    assert run("estimate", "digits-mlp").err == "autolip: no rule:\n  aten.x at \\x1b\n"


def test_debug_adds_the_traceback(run, monkeypatch: pytest.MonkeyPatch) -> None:
    fails(monkeypatch, ZeroDivisionError())
    assert "Traceback" not in run("estimate", "digits-mlp").err
    for arguments in (("--debug", "estimate", "digits-mlp"), ("estimate", "digits-mlp", "--debug")):
        ran = run(*arguments)
        assert ran.code == 70 and "Traceback" in ran.err and "in raising" in ran.err


def test_a_closed_standard_output_is_said_before_the_work(
    run, monkeypatch: pytest.MonkeyPatch
) -> None:
    fails(monkeypatch, AssertionError("begun"))
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["estimate", "digits-mlp"]) == 74


@pytest.mark.parametrize("page", [["rules"], ["--help"], ["estimate", "--help"], ["--version"]])
def test_a_full_standard_output_is_a_sentence(
    page: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with open("/dev/full", "w", encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert main(page) == 74
        assert (
            capsys.readouterr().err
            == "autolip: reading or writing failed: No space left on device\n"
        )


@pytest.mark.parametrize("page", [["rules"], ["--help"], ["estimate", "--help"]])
def test_a_pipe_that_is_closed_ends_quietly(
    page: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert main(page) == 141
        assert capsys.readouterr().err == ""


def test_a_bracket_is_printed_where_its_file_fails(
    run, quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "r.csv").symlink_to("/dev/full")
    ran = run("estimate", "digits-mlp", *quick, "--method", "autolip", "-o", tmp_path / "r.csv")
    assert ran.code == 74 and "<= Lipschitz constant <=" in ran.out
    assert (
        ran.err.endswith("r.csv cannot be written: No space left on device\n")
        and ran.err.count("\n") == 1
    )


def test_a_bracket_without_a_certificate_is_printed(run, quick, tmp_path: Path) -> None:
    ran = run(
        "estimate", "digits-mlp", *quick, "--method", "eclipse-fast", "-o", tmp_path / "r.cert"
    )
    assert ran.code == 2 and "<= Lipschitz constant <=" in ran.out
    assert "nothing to certify" in ran.err and not (tmp_path / "r.cert").exists()


def test_python_m_autolip_is_the_command_line(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["autolip", "-V"])
    with pytest.raises(SystemExit) as raised:
        runpy.run_module("autolip", run_name="__main__")
    assert raised.value.code == 0
    assert capsys.readouterr().out == f"autolip {autolip.__version__}\n"


def test_the_public_names_are_listed() -> None:
    assert {"lipschitz", "Box", "__version__"} <= set(dir(autolip))
    assert all(hasattr(autolip, name) for name in dir(autolip))


def test_python_m_is_the_same_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "autolip", "-V"], capture_output=True, text=True, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, f"autolip {version('autolip')}\n")
