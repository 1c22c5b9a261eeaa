"""The code speaks plain English: retired words stay out, and help is short enough to read at once."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlc.scenario import scenario_schema
from tests.support.places import ROOT
from tests.support.words import retired

SOURCES = sorted((ROOT / "mlc").rglob("*.py"))
TEXTS = {"STRING", "FSTRING_MIDDLE", "COMMENT"}


def words_of(path: Path) -> Iterator[str]:
    """Texts and comments on one line each, and names in words; a text of one word is a key of some file."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline):
        text = " ".join(token.string.split())
        if tokenize.tok_name[token.type] in TEXTS and " " in text:
            yield text
        elif token.type == tokenize.NAME:
            yield text.replace("_", " ")


def descriptions(schema: object) -> Iterator[str]:
    """Every description of a JSON schema, at any depth."""
    if isinstance(schema, dict):
        if isinstance(schema.get("description"), str):
            yield " ".join(schema["description"].split())
        for part in schema.values():
            yield from descriptions(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from descriptions(part)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_has_none_of_the_retired_words(path):
    assert [word for text in words_of(path) for word in retired(text)] == []


def test_the_first_sentence_on_a_field_has_at_most_20_words():
    for description in descriptions(scenario_schema()):
        sentence = re.split(r"\. ", re.sub(r"`[^`]*`", "code", description))[0]
        assert len(sentence.split()) <= 20, description
