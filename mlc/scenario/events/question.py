"""The question that a scenario of events asks, in the words of its tables."""

from collections.abc import Sequence
from datetime import datetime

from mlc.scenario.events.scenario import EventScenario
from mlc.scenario.events.target import CountAtLeast, Lapsed, New, SumAtLeast, TargetSection
from mlc.scenario.nouns import noun, plural, singular

_VERBS = {
    **dict.fromkeys(("purchase", "sale", "order", "basket", "invoice", "receipt"), "buy"),
    "click": "click on",
    "view": "view",
    "visit": "visit",
    "booking": "book",
    "rental": "rent",
    "download": "download",
    "rating": "rate",
    "review": "review",
    "stream": "stream",
    "listen": "listen to",
    "subscription": "subscribe to",
}
"""Table → what an entity does in an event of it."""
_GOODS = ("product", "article", "item", "sku")
_KINDS = ("department", "category", "type", "group", "brand", "shop", "store", "merchant", "supplier")
"""Nouns that one buys from, rather than buys."""


def event_question(
    scenario: EventScenario, labels: Sequence[str], first: str | None, last: str | None
) -> str:
    """Return the question that the scores answer.

    Such as "Which of 12 departments will each customer buy from in the 28 days after 1 September 2020?".

    Args:
        scenario: Checked scenario of events.
        labels: The labels in their order.
        first: First cutoff that is judged, ISO 8601; None where there is none.
        last: Last cutoff that is judged.
    """
    target = scenario.target
    entity, table = noun(scenario.data.entity), noun(target.table)
    things = noun(target.column[0]) if len(target.column) == 1 else "label"
    which = f"which of {len(labels):,} {plural(things)}"
    verb = _verb(target, things)
    includes = f"each {entity}'s {table} include" if verb is None else None
    does = includes or f"each {entity} {verb}"
    match target.rule:
        case SumAtLeast(column=column, amount=amount):
            summed = f"the {noun(column)} in each {entity}'s {table}"
            question = f"for {which} will {summed} add up to {amount:g} or more"
        case CountAtLeast(times=times):
            question = f"{which} will {does} at least {times:,} times"
        case New():
            question = f"{which} will {does} for the first time"
        case Lapsed() if includes:
            question = f"{which} will each {entity}'s {table} no longer include"
        case Lapsed():
            question = f"{which} will each {entity} no longer {verb}"
        case _:
            question = f"{which} will {does}"
    return f"{question[0].upper()}{question[1:]} {_window(target)} {_dates(first, last)}?"


def _verb(target: TargetSection, things: str) -> str | None:
    """What an entity does with a label; None where the names do not say."""
    if len(target.column) > 1:
        return None
    table, column = singular(noun(target.table).lower().split()[-1]), target.column[0]
    if table in ("flight", "trip") and things == "destination":
        return "fly to" if table == "flight" else "travel to"
    joined = singular(noun(column.rpartition(".")[0]).lower()) if "." in column else things
    verb = _VERBS.get(table, "buy" if table == "transaction" and joined in _GOODS else None)
    return "buy from" if verb == "buy" and things.split()[-1].lower() in _KINDS else verb


def _window(target: TargetSection) -> str:
    if target.window is not None:
        length = f"in the calendar {target.window.removeprefix('next_')} that begins"
        return f"{length} {days_text(target.gap_days)} after" if target.gap_days else f"{length} after"
    days = sorted({target.shortest_days, target.longest_days})
    span = " to ".join(f"{one:,}" for one in days) + (" day" if days == [1] else " days")
    begin = f" that begin {days_text(target.gap_days)} after" if target.gap_days else " after"
    return f"in the {span}{begin}"


def days_text(number: int) -> str:
    """Return a number of days.

    Examples:
        >>> days_text(1), days_text(28)
        ('1 day', '28 days')
    """
    return f"{number:,} day{'' if number == 1 else 's'}"


def _dates(first: str | None, last: str | None) -> str:
    if first is None or last is None:
        return "a cutoff"
    dates = [date_text(first), date_text(last)]
    return dates[0] if first == last else f"each cutoff from {dates[0]} to {dates[1]}"


def date_text(time: str) -> str:
    """Return a time in ISO 8601 as people write it, without midnight.

    Examples:
        >>> date_text("2020-09-01T00:00:00"), date_text("2020-09-01T14:30:00")
        ('1 September 2020', '1 September 2020, 14:30')
    """
    at = datetime.fromisoformat(time)
    date = f"{at.day} {at:%B %Y}"
    return date if (at.hour, at.minute) == (0, 0) else f"{date}, {at:%H:%M}"
