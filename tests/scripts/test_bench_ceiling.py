"""The ceiling of the demo: the ideal observer against plain loops, and the truth where it knows all."""

import dataclasses

import numpy as np
import polars as pl
import pytest
import torch

from mlc.demo import simulation as demo
from mlc.demo.simulation import DEPARTMENTS, WINDOW_DAYS
from scripts.bench import ceiling as bench
from scripts.bench.ceiling import CUTOFF_DAY, ORDER, G, Histories, Traits

SEED = 7


@pytest.fixture(scope="module")
def world() -> demo.World:
    return demo.draw_world(SEED)


@pytest.fixture(scope="module")
def hidden(world) -> tuple[demo.Customers, demo.State, np.ndarray]:
    """Customers of the first block, the state on their first day, and the day on which they left."""
    rng = np.random.default_rng([SEED, 1, 0])
    customers = demo.draw_customers(world, rng)
    first = demo.first_state(customers, rng)
    return customers, first, demo.simulate_block(SEED, world, 0, 1000)["left"]["day"].to_numpy()


@pytest.fixture(scope="module")
def batch(world) -> tuple[np.ndarray, Histories, np.ndarray, np.ndarray]:
    """Rows, histories, targets and truth: those who joined last, so their histories are short."""
    return list(bench.batches(SEED, world, 0, 1000))[-1]


def true_traits(hidden, rows: np.ndarray) -> Traits:
    customers, first, _ = hidden
    per_day_CG = customers.per_day_CD[rows][:, ORDER[:G]]
    elapsed_CG = np.maximum(customers.joined_C[rows], 0)[:, None] - first.last_CD[rows][:, ORDER[:G]]
    visit_CW = np.minimum(customers.rate_C[rows, None] * customers.weekday_CW[rows], 0.95)
    taste_CD = customers.taste_CD[rows][:, ORDER]
    parts = (visit_CW, customers.leaving_C[rows], taste_CD, per_day_CG, elapsed_CG * per_day_CG)
    return Traits(*(torch.tensor(part, dtype=torch.float32) for part in parts))


@pytest.fixture(scope="module")
def traits(hidden, batch) -> Traits:
    return true_traits(hidden, batch[0])


def purchases(batch, place: int, day: int) -> set[int]:
    """Departments that a customer bought from on a day, as indices of ORDER."""
    c, d, t = batch[1].bought_3B.numpy()
    first = CUTOFF_DAY + WINDOW_DAYS - batch[1].season_CDT.shape[2]
    return set(d[(c == place) & (t == day - first)].tolist())


def loop(world, hidden, batch, place: int) -> tuple[list[float], list[float], float]:
    """P(what was bought | there) of each day of a customer, and P(nothing) of each day after the last one."""
    customers, first, _ = hidden
    row = batch[0][place]
    start = max(customers.joined_C[row], 0)
    last = first.last_CD[row].astype(float)
    probabilities, final = [], 0
    for day in range(start, CUTOFF_DAY):
        visit = min(customers.rate_C[row] * customers.weekday_CW[row, day % 7], 0.95)
        bought = {ORDER[d] for d in purchases(batch, place, day)}
        both = 1.0
        for d, department in enumerate(DEPARTMENTS):
            cycles = (day - last[d]) * customers.per_day_CD[row, d]
            need = 2.5 - 2.42 / (1 + cycles**4) if department.cycle_days else 1.0
            odds = customers.taste_CD[row, d] * world.season_RTD[customers.region_C[row], day, d] * need
            both *= odds / (1 + odds) if d in bought else 1 / (1 + odds)
        probabilities.append(visit * both if bought else 1 - visit + visit * both)
        final = len(probabilities) if bought else final
        for d in bought:
            last[d] = day
    return probabilities[:final], probabilities[final:], customers.leaving_C[row]


def test_with_everything_known_the_prediction_is_the_true_probability(hidden, batch, traits):
    rows, known, _, truth_CD = batch
    there_C = torch.tensor(hidden[2][rows] >= CUTOFF_DAY, dtype=torch.float32)
    found_CD = bench.window_probability(traits, known, there_C)
    assert truth_CD.max() > 0.5
    np.testing.assert_allclose(found_CD, truth_CD, atol=1e-5)


def test_the_likelihood_equals_a_plain_loop_over_days_and_days_of_leaving(world, hidden, batch, traits):
    log_C, there_C = bench.log_likelihood(traits, batch[1])
    for place in range(0, len(batch[0]), 30):
        sure, later, leaving = loop(world, hidden, batch, place)
        there = float(np.prod([(1 - leaving) * p for p in later]))
        left = sum(
            float(np.prod([(1 - leaving) * p for p in later[:days]])) * leaving for days in range(len(later))
        )
        expected = np.log([(1 - leaving) * p for p in sure]).sum() + np.log(there + left)
        assert float(log_C[place]) == pytest.approx(expected, rel=1e-5, abs=1e-3)
        assert float(there_C[place]) == pytest.approx(there / (there + left), abs=1e-5)


def test_as_many_are_still_there_as_the_likelihood_says(hidden, batch, traits):
    there_C = bench.log_likelihood(traits, batch[1])[1].numpy()
    surprise_C = (hidden[2][batch[0]] >= CUTOFF_DAY) - there_C
    assert 0.1 < there_C.mean() < 0.95
    assert abs(surprise_C.sum()) < 3 * np.sqrt((there_C * (1 - there_C)).sum())
    assert (surprise_C**2).mean() < 0.5 * there_C.mean() * (1 - there_C.mean())


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Traits)])
def test_the_true_traits_are_likelier_than_others(batch, traits, name):
    true_C = bench.log_likelihood(traits, batch[1])[0]
    for factor in (0.3, 3.0) if name == "leaving_C" else (0.6, 1.6):
        value = getattr(traits, name) * factor
        other = dataclasses.replace(traits, **{name: value.clamp(max=0.95) if name == "visit_CW" else value})
        assert bench.log_likelihood(other, batch[1])[0].sum() < true_C.sum() - 3


def test_without_events_the_chain_draws_customers_like_those_of_the_demo(world, hidden, monkeypatch):
    def numbers(traits: Traits) -> torch.Tensor:
        logs = (traits.visit_CW, traits.leaving_C[:, None], traits.taste_CD, traits.per_day_CG)
        return torch.cat([*(part.log() for part in logs), traits.phase_CG], dim=1)

    rows = np.flatnonzero(hidden[0].rate_C > 0)[:250]
    nothing = pl.DataFrame(schema=dict.fromkeys(("row", "department", "day", "channel"), pl.Int64))
    known = bench.lay_out(hidden[0], nothing, world, rows)
    flat_C = torch.zeros(len(rows))
    monkeypatch.setattr(bench, "log_likelihood", lambda *_: (flat_C, flat_C))
    monkeypatch.setattr(bench, "window_probability", lambda traits, *_: numbers(traits))
    torch.manual_seed(1)
    drawn = bench.chain(known, 15, 40)
    error = numbers(true_traits(hidden, rows)) - drawn.mean(0)
    assert (error.mean(0).abs() < 4 * error.std(0) / len(rows) ** 0.5).all()
    assert ((error**2).mean(0) / drawn.var(0).mean(0)).numpy() == pytest.approx(1.0, abs=0.4)


@pytest.mark.slow
def test_two_chains_agree_and_know_more_than_the_mean(world):
    _, known, targets_CD, _ = next(bench.batches(SEED, world, 0, 20))
    torch.manual_seed(2)
    one_CD, two_CD = (bench.chain(known, 8, 12).mean(0).numpy() for _ in range(2))
    assert np.abs(one_CD - two_CD).mean() < 0.03
    assert np.abs(one_CD - two_CD).max() < 0.3
    mean_D = targets_CD.mean(0)
    assert ((one_CD - targets_CD) ** 2).mean() < 0.8 * (mean_D * (1 - mean_D)).mean()
