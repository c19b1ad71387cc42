"""What is finished, kept in a file: a row of plain data for every key (SQLite).

A row is there as a whole, on the disk, or not at all, whatever ends the process.
"""

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autolip.errors import InputError, OutputError, printable
from autolip.files import check_writable

OURS = 0x4175_746F
"""Defined: what the header of every store of this program says, "Auto"."""

VERSION = 1
"""Defined: version of the table."""

PATIENCE = 60.0
"""Chosen: seconds that a writer waits for another one."""


class Store:
    """Rows of plain data by their keys.

    InputError where the file is damaged or was written by another program: it is never written to.
    """

    def __init__(self, path: str | Path, connection: sqlite3.Connection) -> None:
        self.path = Path(path)
        self._connection = connection

    @classmethod
    @contextmanager
    def opened(cls, path: str | Path, resume: bool = False) -> "Iterator[Store]":
        """The store of this file, which is made; `resume`: which may be there already."""
        path = Path(path)
        check_writable(path)
        if path.exists() and path.stat().st_size:
            if not resume:
                raise InputError(
                    f"{_named(path)} is there already: resume to go on with what it holds, or give "
                    "another name"
                )
            with cls.reading(path):
                pass  # examined before it is written to
        with contextlib.closing(_connected(path, "rwc")) as connection:
            yield cls(path, _prepared(path, connection))

    @classmethod
    @contextmanager
    def reading(cls, path: str | Path) -> "Iterator[Store]":
        """The store of this file, which is not written to."""
        path = Path(path)
        if not path.is_file():
            raise InputError(f"{_named(path)} cannot be read: there is no such file")
        with contextlib.closing(_connected(path, "ro")) as connection:
            _examine(path, connection)
            yield cls(path, connection)

    def put(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row; on the disk when this returns."""
        text = json.dumps(row, allow_nan=True)
        try:
            with self._connection:
                self._connection.execute("INSERT OR REPLACE INTO rows VALUES (?, ?)", (key, text))
        except sqlite3.Error as error:
            raise OutputError(f"{_named(self.path)} cannot be written: {error}") from error

    def get(self, key: str) -> dict[str, Any] | None:
        """The row of a key; None where it is not finished."""
        try:
            found = self._connection.execute(
                "SELECT row FROM rows WHERE key = ?", (key,)
            ).fetchone()
            return None if found is None else dict(json.loads(found[0]))
        except (sqlite3.Error, ValueError) as error:
            raise _damaged(self.path) from error

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM rows").fetchone()[0])


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    try:
        address = f"{path.resolve().as_uri()}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=PATIENCE)
    except sqlite3.Error as error:
        raise InputError(f"{_named(path)} cannot be opened: {error}") from error


def _prepared(path: Path, connection: sqlite3.Connection) -> sqlite3.Connection:
    """A new file with its table; one that is there is as it was examined."""
    try:
        with connection:
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("CREATE TABLE IF NOT EXISTS rows (key TEXT PRIMARY KEY, row TEXT)")
            connection.execute(f"PRAGMA application_id = {OURS}")
            connection.execute(f"PRAGMA user_version = {VERSION}")
    except sqlite3.Error as error:
        raise OutputError(f"{_named(path)} cannot be written: {error}") from error
    return connection


def _examine(path: Path, connection: sqlite3.Connection) -> None:
    """InputError where the file is no store of this program, or a damaged one."""
    try:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise _damaged(path) from error
    if application != OURS:
        raise InputError(f"{_named(path)} is no store of autolip: give another name")
    if version != VERSION:
        raise InputError(
            f"{_named(path)} was written by another version of autolip: give another name"
        )
    if sound != "ok":
        raise _damaged(path)


def _damaged(path: Path) -> InputError:
    return InputError(f"{_named(path)} is damaged, or no store of autolip: give another name")


def _named(path: Path) -> str:
    return printable(str(path))
