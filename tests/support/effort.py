"""How many examples Hypothesis draws: as many as a test asks for, a fifth of that with `--fast`."""

import os

from hypothesis import settings

FAST = "MLC_TESTS_FAST"
"""Set in the environment by `--fast`."""
_USUAL = 100


def drawn(examples: int) -> int:
    """Return how many examples to draw where a test asks for some."""
    return max(5, examples // 5) if FAST in os.environ else examples


def load_profile() -> None:
    """Set what a test gets that asks for nothing: no deadline, which a busy machine would miss."""
    settings.register_profile("mlc", deadline=None, max_examples=drawn(_USUAL))
    settings.load_profile("mlc")
