"""The worst mistakes of one label, as a list."""

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from mlc.drawing.page import element
from mlc.report.mistakes import Mistake


def mistakes_list(mistakes: Sequence[Mistake]) -> Iterator[Markup]:
    """Yield what was missed and what was taken for the label."""
    for target, title in ((True, "Has it, and scores low"), (False, "Lacks it, and scores high")):
        some = [one for one in mistakes if one.target == target]
        if some:
            yield element("h4", title)
            yield element("ul", *(_item(one) for one in some), class_="mistakes")


def _item(mistake: Mistake) -> Markup:
    score = element("b", f"{mistake.score:.2f} ")
    return element(
        "li", score, mistake.shown or "(empty)", element("span", f" {mistake.key}", class_="faint")
    )
