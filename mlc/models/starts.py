"""A foundation model that a training starts from."""

from dataclasses import dataclass
from operator import itemgetter

from mlc.errors import RunError
from mlc.events.vocabulary import FieldRows, Vocabulary
from mlc.models.foundation import Foundation, load_foundation
from mlc.run import RunFolder, fingerprint_of


@dataclass(frozen=True)
class Start:
    """A foundation model that a training starts from.

    Attributes:
        model: Encoder and heads.
        events: The fields and values that it knows.
        facts: What `run.json` should say of it.
    """

    model: Foundation
    events: FieldRows
    facts: dict[str, str]


def stored_foundation(run: RunFolder) -> Start:
    """Load the foundation model of a finished run.

    Raises:
        RunError: The run has none, or its files do not belong together.
    """
    if run.kind != "foundation":
        raise RunError(f"{run.folder}: no foundation, but a run of mlc train. Name one of mlc pretrain.")
    facts = run.read_json("run.json", itemgetter("vocabulary", "fingerprint", "until"))
    for name, expected in zip(("vocabulary.json", "model.safetensors"), facts[:2], strict=True):
        with run.reading(name) as path:
            if fingerprint_of(path) != expected:
                raise ValueError(f"its fingerprint is {fingerprint_of(path)}, not {expected}")
    vocabulary = run.read_json("vocabulary.json", Vocabulary.from_json)
    with run.reading("model.safetensors"):
        model = load_foundation(run.folder)
    described = dict(zip(("vocabulary", "fingerprint", "until"), facts, strict=True))
    return Start(model, vocabulary.events, {"name": run.folder.name, **described})
