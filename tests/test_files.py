"""Files: whole or not at all, with their permissions; looked at before the work."""

import os
import stat
from pathlib import Path

import pytest

from autolip.errors import InputError, OutputError, printable
from autolip.files import check_folder, check_readable, check_writable, read_text, write


def test_text_and_bytes_are_written(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "ä\n")
    write(str(tmp_path / "b.bin"), b"\x00\xff")
    assert (tmp_path / "a.txt").read_bytes() == "ä\n".encode()
    assert (tmp_path / "b.bin").read_bytes() == b"\x00\xff"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.bin"]


def test_what_is_no_text_is_escaped(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "net\udcff")
    assert (tmp_path / "a.txt").read_text() == "net\\udcff"


def test_permissions_are_kept_and_new_files_get_the_users(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("before")
    old.chmod(0o640)
    write(old, "after")
    assert old.read_text() == "after" and stat.S_IMODE(old.stat().st_mode) == 0o640
    before = os.umask(0o027)
    try:
        write(tmp_path / "new", "x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o640


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("before")
    (tmp_path / "link").symlink_to("target")
    (tmp_path / "dangling").symlink_to("made")
    check_writable(tmp_path / "link")
    check_writable(tmp_path / "dangling")
    for name in ("link", "dangling"):
        write(tmp_path / name, "after")
        assert (tmp_path / name).is_symlink()
    assert (tmp_path / "target").read_text() == (tmp_path / "made").read_text() == "after"


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file_and_no_fragment(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.json"
    file.write_text("before")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, failing, full)
    with pytest.raises(OutputError, match=r"r.json cannot be written: No space left on device"):
        write(file, "after")
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]


def test_an_interruption_leaves_the_old_file_and_no_fragment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.json"
    file.write_text("before")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(file, "after")
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]


def test_a_full_device_is_a_sentence() -> None:
    check_writable("/dev/full")
    with pytest.raises(OutputError, match="/dev/full cannot be written: No space left on device"):
        write("/dev/full", "x")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder with things that are no ordinary files."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "file").write_text("x")
    (tmp_path / "dangling").symlink_to("nowhere")
    return tmp_path


UNWRITABLE = {
    "folder": "it is a folder",
    "pipe": "it is a pipe",
    "loop": "Too many levels of symbolic links",
    "nowhere/r.json": "its folder does not exist",
    "file/r.json": "its folder does not exist",
    "n" * 300: "File name too long",
    "nul\0l": "null",
    "a\nb/r.json": r"a\\nb/r.json cannot be written: its folder does not exist",
}


@pytest.mark.parametrize("name", UNWRITABLE, ids=printable)
def test_what_cannot_be_written_is_seen_before_the_work(name: str, odd: Path) -> None:
    with pytest.raises(InputError, match=UNWRITABLE[name]) as raised:
        check_writable(odd / name)
    assert str(raised.value).isprintable()
    if name != "pipe":  # which would wait for a reader
        with pytest.raises(OutputError):
            write(odd / name, "x")


def test_looking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "r.json")
    assert not list(tmp_path.iterdir())


UNREADABLE = {
    "folder": "it is a folder, give a file",
    "pipe": "it is a pipe",
    "zero": "it is a device",
    "loop": "levels of symbolic links",
    "dangling": "No such file",
    "absent": "No such file",
    "file/x": "Not a directory",
    "n" * 300: "File name too long",
    "nul\0l": "null",
    "\x1b[31m": r"\\x1b\[31m cannot be read: No such file",
    "\udcff": r"udcff cannot be read: No such file",
}


@pytest.mark.parametrize("name", UNREADABLE, ids=printable)
def test_what_cannot_be_read_is_a_sentence(name: str, odd: Path) -> None:
    with pytest.raises(InputError, match=UNREADABLE[name]) as raised:
        check_readable(odd / name)
    assert str(raised.value).isprintable()


def test_text_has_an_encoding_and_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfhello")
    (tmp_path / "b").write_bytes(b"\xff\xfe")
    assert read_text(tmp_path / "a", "words", 100) == "hello"
    with pytest.raises(InputError, match="cannot be read as words: it is no text in UTF-8"):
        read_text(tmp_path / "b", "words", 100)
    with pytest.raises(InputError, match="cannot be read as words: it is larger than 0 MiB"):
        read_text(tmp_path / "a", "words", 3)


def test_a_folder_is_made_or_refused(odd: Path) -> None:
    check_folder(odd / "new" / "deep")
    assert (odd / "new" / "deep").is_dir()
    with pytest.raises(InputError, match="cannot be written"):
        check_folder(odd / "file")
