"""Rows that are finished, in a file: kept whole, never in the place of something else."""

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from autolip.errors import InputError
from autolip.workers import Store


def test_rows_come_back(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    with Store.opened(path) as store:
        store.put("a", {"radius": 0.1, "reason": "é", "far": float("inf")})
        store.put("b", {"radius": 1})
        store.put("b", {"radius": 2})
        assert len(store) == 2 and store.get("c") is None
    with Store.reading(path) as store:
        assert store.get("a") == {"radius": 0.1, "reason": "é", "far": float("inf")}
        assert store.get("b") == {"radius": 2}
    with Store.opened(path, resume=True) as store:
        store.put("c", {})
        assert len(store) == 3


def test_what_is_there_is_not_gone_on_with_unasked(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    with Store.opened(path):
        pass
    with pytest.raises(InputError, match="is there already: resume"), Store.opened(path):
        pass
    with pytest.raises(InputError, match="no such file"), Store.reading(tmp_path / "none"):
        pass


@pytest.mark.parametrize("resume", [True, False])
def test_other_files_are_never_written_to(tmp_path: Path, resume: bool) -> None:
    other = tmp_path / "other.sqlite"
    connection = sqlite3.connect(other)
    with connection:
        connection.execute("CREATE TABLE rows (key TEXT PRIMARY KEY, row TEXT)")
    connection.close()
    text = tmp_path / "text"
    text.write_text("no store\n" * 1000, encoding="utf-8")
    damaged = tmp_path / "damaged"
    with Store.opened(damaged) as store:
        for number in range(300):
            store.put(str(number), {"text": "x" * 200})
    data = bytearray(damaged.read_bytes())
    data[2000:30000] = bytes(28000)
    damaged.write_bytes(bytes(data))
    for path in (other, text, damaged):
        before = path.read_bytes()
        with pytest.raises(InputError), Store.opened(path, resume):
            pass
        assert path.read_bytes() == before


def test_a_reader_does_not_write(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    with Store.opened(path):
        pass
    with Store.reading(path) as store, pytest.raises(Exception, match="readonly"):
        store.put("a", {})


PROGRAM = """
import sys
from autolip.workers import Store
with Store.opened(sys.argv[1], resume=True) as store:
    for number in range(10**6):
        store.put(str(number), {"number": number})
        print(number, flush=True)
"""


@pytest.mark.slow
def test_what_was_put_is_there_after_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "rows.sqlite"
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        last = [process.stdout.readline() for _ in range(20)][-1]
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        with Store.reading(path) as store:
            for number in range(int(last) + 1):
                assert store.get(str(number)) == {"number": number}
