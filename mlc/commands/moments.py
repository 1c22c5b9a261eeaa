"""Moments as they are given to a command."""

from datetime import date, datetime, time

from mlc.errors import MlcError


def given_moment(text: str | None, option: str = "--as-of") -> datetime | None:
    """Return a date or datetime of the command line.

    `today` is the midnight at which today began.

    Raises:
        MlcError: It is none of these.
    """
    if text is None:
        return None
    if text == "today":
        return datetime.combine(date.today(), time())
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise MlcError(
            f"{option}: not a date: {text}. Write 2024-03-31, 2024-03-31T12:00 or today."
        ) from None
