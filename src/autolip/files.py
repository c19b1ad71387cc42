"""Files that were asked for: looked at before the work, written whole or not at all."""

import errno
import os
import stat
import tempfile
from pathlib import Path

from autolip.errors import InputError, OutputError, printable


def write(path: str | Path, content: bytes | str) -> None:
    """Write a file, text as UTF-8: all of it or, whatever interrupts, nothing; the old file stays
    until then.

    The content goes to a temporary file of the same folder, which then takes the name, with the
    permissions of what was there.  A link's target is written, a device directly.  Raises
    OutputError where this fails.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    try:
        target = _target(path)
        if target.exists() and not target.is_file():
            target.write_bytes(data)
        else:
            _replace(target, data)
    except (OSError, ValueError) as error:
        raise OutputError(f"{_name(path)} cannot be written: {_reason(error)}") from error


def _replace(target: Path, data: bytes) -> None:
    mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o666 & ~_umask()
    handle, temporary = tempfile.mkstemp(prefix=".autolip-", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _target(path: str | Path) -> Path:
    """What a link leads to, also where nothing is there yet."""
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
    return target


def _umask() -> int:
    """What the user takes from the permissions of new files; it can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def check_writable(path: str | Path) -> None:
    """Raise InputError, before the work, where `write` could not write this file."""
    try:
        target = _target(path)
        kind = target.stat().st_mode if target.exists() else None
        if kind is not None and not (stat.S_ISREG(kind) or stat.S_ISCHR(kind)):
            raise InputError(
                f"{_name(path)} cannot be written: it is {_kind(kind)}, give the name of a file"
            )
        if not target.parent.is_dir():
            raise InputError(f"{_name(path)} cannot be written: its folder does not exist")
        if kind is not None and not os.access(target, os.W_OK):
            raise InputError(f"{_name(path)} cannot be written: it is read-only")
        if kind is None or stat.S_ISREG(kind):
            tempfile.TemporaryFile(dir=target.parent).close()
    except (OSError, ValueError) as error:
        raise InputError(f"{_name(path)} cannot be written: {_reason(error)}") from error


def check_folder(path: str | Path) -> None:
    """Raise InputError, before the work, where files cannot be written into this folder, which is
    made if need be."""
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=path).close()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{_name(path)} cannot be written: {_reason(error)}, choose another folder"
        ) from error


def check_readable(path: str | Path) -> None:
    """Raise InputError unless this is a file with an end that can be read: no folder, pipe or
    device."""
    try:
        kind = os.stat(path).st_mode
        if not stat.S_ISREG(kind):
            raise InputError(f"{_name(path)} cannot be read: it is {_kind(kind)}, give a file")
        with open(path, "rb"):
            pass
    except (OSError, ValueError) as error:
        raise InputError(f"{_name(path)} cannot be read: {_reason(error)}") from error


def read_text(path: str | Path, what: str, largest: int) -> str:
    """The UTF-8 text of a file of at most this many bytes; InputError, which says what was
    expected, otherwise."""
    check_readable(path)
    try:
        with open(path, "rb") as file:
            data = file.read(largest + 1)
    except OSError as error:
        raise InputError(f"{_name(path)} cannot be read as {what}: {_reason(error)}") from error
    if len(data) > largest:
        raise InputError(
            f"{_name(path)} cannot be read as {what}: it is larger than {largest >> 20} MiB"
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{_name(path)} cannot be read as {what}: it is no text in UTF-8"
        ) from error


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "a device")


def _name(path: str | Path) -> str:
    return printable(str(path))


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
