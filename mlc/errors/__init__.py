"""What can go wrong, and the form of the message.

    MlcError            something the user can mend; the command exits with 2
    ├── ScenarioError   the YAML file breaks a rule; all problems of the file at once
    ├── DataError       the tables do not fit the scenario
    └── RunError        a run folder is missing, taken, or made by another scenario

Everything else that escapes is an internal error: exit code 3, with a trace in the run folder.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mlc.errors.names import looks_like, nearest, spelled_out, synonym_of


@dataclass(frozen=True)
class Problem:
    """One thing to mend.

    Attributes:
        rule: What is wrong and what to do, in one sentence or two.
        field: Dotted path of the field, such as `target.window_days`; empty where none applies.
        location: `path:line` of the file, a table name, or empty.

    Examples:
        >>> print(Problem("unknown field, did you mean window_days?", "target.windw_days", "x.yaml:5"))
        x.yaml:5: target.windw_days: unknown field, did you mean window_days?
    """

    rule: str
    field: str = ""
    location: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.location, self.field, self.rule) if part)


class MlcError(Exception):
    """Something the user can mend.

    Attributes:
        problems: Every problem found, in the order of the file.
    """

    def __init__(self, problems: Problem | str | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems: Sequence[Problem] = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class ScenarioError(MlcError):
    """The scenario file breaks a rule."""


class DataError(MlcError):
    """The tables do not fit the scenario."""


class RunError(MlcError):
    """The run folder is not in the state that the command needs."""


class Terminated(BaseException):
    """The system asks the process to end (SIGTERM, or SIGHUP of a closed terminal)."""


def sentences(wrong: str, *advice: str) -> str:
    """Join what is wrong and what to do; advice that is empty is left out.

    Examples:
        >>> sentences("must be text, not 12", "quote it")
        'must be text, not 12. Quote it.'
        >>> sentences("must be text, not a list", "")
        'must be text, not a list'
    """
    parts = [wrong, *(f"{text[0].upper()}{text[1:]}" for text in advice if text)]
    if len(parts) == 1:
        return wrong
    return " ".join(part if part.endswith(("?", ".", "…")) else f"{part}." for part in parts)


def did_you_mean(wrong: str, known: Iterable[str], *, otherwise: int = 6) -> str:
    """The end of an error message: the nearest known names, or the first few of them.

    Args:
        wrong: The name that was given.
        known: The names that exist.
        otherwise: How many names to list where none is near.

    Examples:
        >>> did_you_mean("windw_days", ["window_days", "column"])
        'did you mean window_days?'
        >>> did_you_mean("x", ["window_days", "column"])
        'known: column, window_days'
    """
    names = sorted(set(known))
    same = [name for name in names if looks_like(wrong, name) and wrong.lower() != name.lower()][:3]
    if same:
        choices = " or ".join(map(spelled_out, same))
        return f"did you mean {choices}? It looks like {spelled_out(wrong)}, but text is compared as it is"
    synonym = synonym_of(wrong, names)
    near = [synonym] if synonym else nearest(wrong, names)
    if near:
        return f"did you mean {' or '.join(near)}?"
    first_few = ", ".join(names[:otherwise])
    return f"known: {first_few}{', …' if len(names) > otherwise else ''}" if names else "there is none"
