"""The address of a database, checked, and never shown with its secrets.

It is expanded only when it is used.
"""

import os
import re
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from mlc.errors import did_you_mean, sentences
from mlc.scenario.fields import ADDRESSES, expand_environment

DATABASES = {"sqlite": "sqlite", "duckdb": "duckdb", "postgresql": "postgresql", "postgres": "postgresql"}
"""Scheme of the address → kind of database."""

_PASSWORDS = (re.compile(r"://[^/?#]*?:([^/?#]*)@"), re.compile(r"[?&](?:ssl)?password=([^&]+)"))
_FILES = ("sqlite", "duckdb")
_PLAIN = re.compile(r"(://[^/?#\s]*?:|[?&](?:ssl)?password=)(?!\$\{)[^/?#&\s\"']*(?=@|&|[\s\"']|$)")


def _checked(uri: str) -> str:
    """Return the address as written: `${NAME}` is not replaced.

    What is loaded is also saved.
    """
    ADDRESSES.add(uri)
    expanded = expand_environment(uri)
    scheme, separator, rest = expanded.partition("://")
    if not separator or scheme not in DATABASES:
        hint = did_you_mean(scheme, DATABASES) if separator else "write for example sqlite:///shop.db"
        named = f"begins with {scheme}://" if separator else "has no scheme"
        _refuse(sentences(f"must be the address of a database, but this {named}", hint))
    if scheme in _FILES and not rest.removeprefix("/"):
        _refuse(f"no file is named. Write for example {scheme}:///shop.db.")
    if scheme in _FILES and not rest.startswith("/"):
        _refuse(f"two slashes instead of three, or four for an absolute path. Write {scheme}:///….")
    if any(re.sub(r"\$\{\w+\}", "", password) for password in _passwords(uri)):
        _refuse("this is a password in clear text. Write ${NAME}, and export NAME=….")
    return uri


def _refuse(rule: str) -> None:
    raise PydanticCustomError("uri", "{rule}", {"rule": rule})


def _passwords(uri: str) -> list[str]:
    return [match[1] for pattern in _PASSWORDS for match in pattern.finditer(uri)]


DatabaseUri = Annotated[str, Field(min_length=1), AfterValidator(_checked)]


def database_of(uri: str) -> str:
    """`sqlite`, `duckdb` or `postgresql`."""
    return DATABASES[expand_environment(uri).partition("://")[0]]


def database_file(uri: str, base: Path) -> Path:
    """The file of an embedded database.

    Args:
        uri: As it is written.
        base: What a path after three slashes is relative to.
    """
    return base / unquote(expand_environment(uri).partition(":///")[2])


def absolute_uri(uri: str, base: Path) -> str:
    """The address with an absolute path, `${NAME}` as it is written.

    It means the same from anywhere.
    """
    scheme, separator, path = uri.partition(":///")
    expanded = expand_environment(uri).partition(":///")[2]
    if not separator or scheme not in _FILES or expanded.startswith("/"):
        return uri
    return f"{scheme}:///{base}/{path}"


def without_secrets(message: str, uri: str) -> str:
    """Return a driver's message with `${NAME}` in place of its value again."""
    for name in re.findall(r"\$\{(\w+)\}", uri):
        value = os.environ.get(name, "")
        for secret in sorted({value, unquote(value), *_passwords(value), *map(unquote, _passwords(value))}):
            if secret:
                message = message.replace(secret, f"${{{name}}}")
    return message


def without_any_secrets(text: str) -> str:
    """Return a text with `${NAME}` in place of the values in addresses again."""
    for address in ADDRESSES:
        text = without_secrets(text, address)
    return without_passwords(text)


def without_passwords(text: str) -> str:
    """Return a text in which the passwords of addresses are stars.

    Examples:
        >>> without_passwords("--set uri=postgresql://me:hunter2@host/shop")
        '--set uri=postgresql://me:***@host/shop'
        >>> without_passwords("postgresql://me:${PASSWORD}@host/shop")
        'postgresql://me:${PASSWORD}@host/shop'
    """
    return _PLAIN.sub(r"\1***", text)
