"""Words that the project no longer uses, and what it says instead; the same for code and documentation."""

import re
from collections.abc import Iterator

RETIRED = {
    r"\brivals?\b|\bcompetitors?\b": "baselines",
    r"\bso (many|bad|few)\b": "this many, N, this severe",
    r"\bof before\b": "from earlier versions",
    r"\bforesee\w*": "predict",
    r"\blets? expect\b": "expected",
    r"\bstands? in\b": "is in",
    r"\b(is|are) said\b": "is stated",
    r"\bhowever:": "what is wrong, and what to do",
    r"\bhowever what\b": "whatever",
    r"\bbug of ours\b": "internal error",
    r"\btrunk\b": "foundation",
    r"\bremember(ed|s)?\b": "cached",
    r"\brooms\b|\bwings?\b|\b(flat|the) house\b": "modules, layers",
    r"\b(the|a|each|other|best|of|lowest|highest|single|no) cuts?\b|\bcuts\.yaml\b": "threshold",
    r"\bline of time\b": "timeline",
    r"\bat a moment\b": "at a cutoff",
    r"\b(row|column|line|file|bin|step|chunk|string|map|name|point|one|entry|vector|docstring|section|model)"
    r" an? (label|entity|example|cutoff|set|field|row|column|event|metric|section|split|epoch|item)\b": "per",
}


def retired(text: str) -> Iterator[str]:
    """The retired words of a text, each with what to write instead."""
    for word, instead in RETIRED.items():
        for match in re.finditer(word, text, re.IGNORECASE):
            yield f"{match[0]}: {instead}"
