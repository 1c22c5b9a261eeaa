"""Numbers in text with decimal comma, thousands, currency or percent sign."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from mlc.scenario import NumberType

_CURRENCIES = {
    "EUR",
    "USD",
    "GBP",
    "CHF",
    "JPY",
    "CNY",
    "INR",
    "SEK",
    "NOK",
    "DKK",
    "PLN",
    "CZK",
    "Fr.",
    "kr",
}
_SPACES = "[ \u00a0\u202f\u2009]"
_MOSTLY = 0.9  # of the values are numbers: the others are words for "no value", or mistakes
_NO_VALUE = re.compile(
    r"(?i)[-\u2013\u2014.?*#]+|n/?a|#n/a|n\.a\.?|k\.?a\.?|nan|null|none|nil|missing|unknown|undefined|\(null\)|\\n"
)


def written_number(text: pl.Expr, kind: NumberType) -> pl.Expr:
    """Read text as a number as `kind` says it is written.

    It is null where it is not written so.

    Args:
        text: The text.
        kind: How it is written.
    """
    text = text.str.strip_chars()
    if kind == NumberType(kind="number"):
        return text.cast(pl.Float64, strict=False)
    if kind.unit is not None:
        text = text.str.replace(kind.unit, "", literal=True).str.strip_chars()
    text = text.str.replace("\u2212", "-", literal=True)
    text = text.str.replace(r"^\((.+)\)$", "-${1}").str.replace(r"^([^-].*)-$", "-${1}")
    text = text.str.replace(r"^([-+]) +", "${1}")
    decimal = re.escape(kind.decimal)
    whole = "[0-9]+"
    if kind.thousands is not None:
        apart = {" ": _SPACES, "'": "['\u2019]"}.get(kind.thousands, re.escape(kind.thousands))
        whole = rf"(?:[0-9]+|[1-9][0-9]{{0,2}}(?:{apart}[0-9]{{2,3}})*{apart}[0-9]{{3}})"
    form = rf"^[-+]?(?:{whole}(?:{decimal}[0-9]*)?|{decimal}[0-9]+)(?:[eE][-+]?[0-9]+)?$"
    digits = text
    if kind.thousands is not None:
        digits = digits.str.replace_all(apart, "")
    digits = digits.str.replace(kind.decimal, ".", literal=True)
    return pl.when(text.str.contains(form)).then(digits.cast(pl.Float64, strict=False))


@dataclass(frozen=True)
class NumberText:
    """How the numbers of a text column are written.

    Attributes:
        kinds: The ways in which the values can be read; more than one where they do not say which.
        example: A value that says how.
        others: Values that are no numbers, in the order of their names.
    """

    kinds: Sequence[NumberType]
    example: str
    others: Sequence[str]

    @property
    def plain(self) -> bool:
        """Return whether only other values than numbers make the column text."""
        return self.kinds[0] == NumberType(kind="number")

    @property
    def no_value(self) -> bool:
        """Whether all values that are no numbers are words for "no value"."""
        return all(_NO_VALUE.fullmatch(other.strip()) for other in self.others)

    def types(self, column: str) -> str:
        """Return what to write in the scenario.

        Examples:
            `types: {amount: {kind: number, decimal: ","}}`
        """
        return " or ".join(f"types: {{{column}: {_yaml(kind)}}}" for kind in self.kinds)

    @property
    def written(self) -> str:
        """How the numbers are written, in words."""
        if len(self.kinds) > 1:
            return "commas or dots that may be decimal or set thousands apart"
        kind = self.kinds[0]
        words = ["a decimal comma"] if kind.decimal == "," else []
        if kind.thousands is not None:
            words.append("thousands apart")
        if kind.unit is not None:
            words.append(kind.unit)
        return " and ".join(words)


def number_text(values: pl.Series) -> NumberText | None:
    """Find out how the numbers of a text column are written.

    It is None where the values are no numbers.

    Args:
        values: Different values of the column, or a sample of them.

    Examples:
        >>> number_text(pl.Series(["3,14", "12,5"])).types("amount")
        'types: {amount: {kind: number, decimal: ","}}'
        >>> number_text(pl.Series(["p1", "p2"])) is None
        True
    """
    values = values.drop_nulls().filter(values.drop_nulls().str.strip_chars() != "").unique().sort()
    if not len(values):
        return None
    shares: dict[int, list[NumberType]] = {}
    read: dict[int, pl.Series] = {}
    for kind in _kinds(values):
        numbers = values.to_frame("text").select(written_number(pl.col("text"), kind)).to_series()
        count = len(numbers) - numbers.null_count()
        if not any(numbers.equals(read[id(other)]) for other in shares.get(count, ())):
            shares.setdefault(count, []).append(kind)
            read[id(kind)] = numbers
    best = max(shares)
    kinds = shares[best]
    others = values.filter(read[id(kinds[0])].is_null())
    notation = NumberText(kinds, _example(values.filter(read[id(kinds[0])].is_not_null())), others.to_list())
    if best == 0 or (best < _MOSTLY * len(values) and not (notation.no_value and best > 1)):
        return None
    return notation


def _kinds(values: pl.Series) -> Iterator[NumberType]:
    """Ways to write a number, the plainest first."""
    unit = _unit(values)
    for decimal in (".", ","):
        for thousands in (None, ",", ".", " ", "'"):
            if decimal != thousands:
                yield NumberType(kind="number", decimal=decimal, thousands=thousands, unit=unit)


def _unit(values: pl.Series) -> str | None:
    """Return the currency or percent sign that most values have."""
    signs = Counter(re.sub(r"[-\d.,'()+\s\u2212\u2019]+", "", value) for value in values.to_list())
    sign, count = signs.most_common(1)[0]
    if count * 2 < len(values) or not sign:
        return None
    symbol = len(sign) == 1 and (sign in "%‰" or unicodedata.category(sign) == "Sc")
    return sign if symbol or sign in _CURRENCIES else None


def _example(values: pl.Series) -> str:
    """Return a value with a separator where there is one."""
    texts = values.to_list()
    return next(
        (text for text in texts if not re.fullmatch(r"[-+]?\d+(\.\d+)?", text)), texts[0] if texts else ""
    )


def _yaml(kind: NumberType) -> str:
    """Return a number type as YAML, without what it has by default."""
    fields = kind.model_dump(exclude_defaults=True)
    fields.pop("kind", None)
    if not fields:
        return "number"
    text = ", ".join(f'{name}: "{value}"' for name, value in fields.items())
    return f"{{kind: number, {text}}}"
