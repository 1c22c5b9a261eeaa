"""Files that appear whole or not at all."""

import hashlib
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlc.errors import MlcError

_HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
"""This machine, in the names of temporary files: others may share the folder."""
_CODE = re.compile(r"\(os error (\d+)\)")


def refusal(error: BaseException | None) -> str | None:
    """What the operating system refused, if that is what lies behind an error.

    A full disk, permissions. Polars and safetensors tell it in their text only, and whoever caught it may
    have raised another from it.

    Examples:
        >>> refusal(OSError(28, "No space left on device"))
        'No space left on device'
        >>> refusal(ValueError("writing: underlying IO error (os error 28)"))
        'No space left on device'
        >>> refusal(ValueError("no whole number")) is None
        True
    """
    while error is not None:
        code = _CODE.search(str(error))
        if code:
            return os.strerror(int(code[1]))
        if isinstance(error, OSError):  # NumPy gives no code: "4000 requested and 109 written"
            return error.strerror or f"the disk may be full ({error})"
        error = error.__cause__ or error.__context__
    return None


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` if the block ends without an error.

    The temporary path keeps the file's ending, and its mode follows the umask. Whatever stood at `path`
    stays as it was until the rename, and for good when the block fails. A file never takes the place of a
    folder. What a killed process left is removed by the next one that writes the same path.

    Args:
        path: The file, or the folder, to write.

    Raises:
        MlcError: The disk is full, or the folder cannot be written.

    Examples:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "report.md"
        >>> with replacing(target) as temporary:
        ...     _ = temporary.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    if path.name in ("", ".."):
        raise MlcError(f"{path}: is a folder. Add the name of a file.")
    temporary = path.with_name(f".{path.stem}.{_HOST}-{os.getpid()}-{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        yield temporary
        _follow_umask(temporary)
        _take_place(temporary, path)
    except Exception as error:
        reason = refusal(error)
        if reason is None:
            raise
        raise MlcError(f"{path}: cannot be written: {reason}. What was there is unchanged.") from error
    finally:
        _remove(temporary)


def _sweep(path: Path) -> None:
    """Remove what a process of this machine was writing to `path` when it was killed."""
    left = re.compile(rf"\.{re.escape(path.stem)}\.{_HOST}-(\d+)-[0-9a-f]{{8}}{re.escape(path.suffix)}")
    try:
        around = list(path.parent.iterdir())
    except PermissionError:  # one may write there without reading
        return
    for beside in around:
        match = left.fullmatch(beside.name)
        if match and not _is_running(int(match[1])):
            _remove(beside)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user
        return True
    return True


def _follow_umask(written: Path) -> None:
    """Give a file, or every file of a folder, the mode of a new file.

    Some libraries write for one user.
    """
    umask = os.umask(0o077)  # it cannot be read without being set; meanwhile no file may be too open
    os.umask(umask)
    for file in written.rglob("*") if written.is_dir() else (written,):
        if file.is_file() and not file.is_symlink():
            file.chmod(0o666 & ~umask)


def _take_place(temporary: Path, path: Path) -> None:
    if not (temporary.is_dir() and path.is_dir()):
        temporary.replace(path)  # refuses to put a file in place of a folder
        return
    aside = temporary.with_suffix(".old")
    path.rename(aside)
    try:
        temporary.rename(path)
    except OSError:
        aside.rename(path)
        raise
    _remove(aside)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
        return
    try:
        path.unlink(missing_ok=True)
    except OSError:  # its folder is a file: there is nothing to remove
        return


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
