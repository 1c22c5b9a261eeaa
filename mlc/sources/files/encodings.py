"""Text files in other encodings than UTF-8, which is all that Polars reads."""

import gzip
from functools import lru_cache
from pathlib import Path


def as_utf8(path: str, encoding: str) -> bytes:
    """Return the content of a text file as UTF-8; a command converts it once.

    Args:
        path: The file, plain or packed with gzip.
        encoding: How it is written.

    Raises:
        UnicodeError: It is not in that encoding.
        OSError: It cannot be read.
    """
    status = Path(path).stat()
    return _converted(path, encoding, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=32)
def _converted(path: str, encoding: str, size: int, changed: int) -> bytes:
    del size, changed  # another file is another entry
    content = Path(path).read_bytes()
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    try:
        return content.decode(encoding).encode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        what = f"line {line}: the byte 0x{content[error.start]:02X} is not {encoding} text"
        raise UnicodeError(f"{what}. Name the encoding that it is written in") from None
