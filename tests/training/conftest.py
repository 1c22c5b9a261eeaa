"""A foundation and a run that started from it, for the tests of both."""

import pytest

from mlc.training.pretraining import pretrain
from tests.conftest import NANO
from tests.support.event_scenarios import load_events
from tests.support.small_tables import silent

NAME = "departments_28d"
SMALL = ("pretrain.preset=nano", "pretrain.epochs=2", "pretrain.cutoffs_per_entity=2")
FLAGS = tuple(text for override in SMALL for text in ("--set", override))


@pytest.fixture(scope="session")
def runs(demo, tmp_path_factory):
    """A runs folder with a foundation, `base`, and `tuned`, whose head alone was trained; read only."""
    folder = tmp_path_factory.mktemp("pretrained") / "runs"
    scenario = load_events(demo / f"{NAME}.yaml", [*SMALL, "name=base"], tables_suffice=True)
    pretrain(scenario, folder, "new", silent)
    return folder


@pytest.fixture(scope="session")
def tuned(demo, runs):
    """A run that started from `base`, and whose head alone was trained; read only."""
    from mlc.training.supervised import Setting, train

    overrides = [text for text in NANO if text != "--set"]
    train(
        load_events(demo / f"{NAME}.yaml", [*overrides, "name=tuned", "model.foundation=base"]),
        Setting(runs),
        silent,
    )
    return runs / "tuned"
