"""The best score that a model of the demo can reach: that of an ideal observer, next to the oracle's.

    OMP_NUM_THREADS=1 python -m scripts.bench.ceiling                    # `mlc demo`: half an hour of a core
    OMP_NUM_THREADS=1 python -m scripts.bench.ceiling --customers 1000   # a quarter of that

The oracle of the reports knows the tastes, cycles and rates of all customers, and who has left. The ideal
observer knows how the demo is made, but of a customer only what a model is given, events before the cutoff of
the test and the row of the customers table; and a little more, the gaps of that row and the price band. Its
probabilities are means over draws from the posterior of the rest, which Hamiltonian Monte Carlo finds: two
chains with starts of their own. Visits without a purchase and the day of leaving are summed over exactly.

Shape suffixes: those of `mlc.demo.simulation`, but departments D with a cycle, G, come first, and B purchases
(customer, department, day), L hidden numbers, M chains, N draws. T days go on to the end of the window.

Source: Neal (2011), MCMC using Hamiltonian dynamics.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import Tensor
from torch.nn.functional import logsigmoid

from mlc.demo import simulation as demo
from mlc.demo.simulation import WINDOW_DAYS
from mlc.evaluation.metrics import macro_differences
from mlc.tables import CUTOFF
from scripts.bench.harness import Record, parser

CUTOFF_DAY = (demo.TEST_FROM - demo.START).days
DEPARTMENTS = sorted(demo.DEPARTMENTS, key=lambda department: department.cycle_days == 0)
ORDER = [demo.DEPARTMENTS.index(department) for department in DEPARTMENTS]
NAMES = [department.name for department in DEPARTMENTS]
D, G = len(DEPARTMENTS), sum(department.cycle_days > 0 for department in DEPARTMENTS)
# Where the hidden numbers stand. Standard normal up to the cycles; then log odds of beta variables.
RATE, LEAVING, FACTORS, NOISE, CYCLES = 0, 1, slice(2, 5), slice(5, 5 + D), slice(5 + D, 5 + D + G)
WEEKEND, PHASES, L = CYCLES.stop, slice(CYCLES.stop + 1, CYCLES.stop + 1 + G), CYCLES.stop + 1 + G
LEAD = (
    "The demo knows its true probabilities, which no history reveals. An ideal observer knows how the demo "
    "is made but of a customer only the history. Share is the part of the way from 0.5 to the truth in macro "
    "AUROC."
)
_TOGETHER = 225  # customers whose days are laid out at once


@dataclass(frozen=True)
class Histories:
    """What is known of some customers at the cutoff, on days up to the end of the window."""

    since_CGT: Tensor  # days since the last purchase before the cutoff, or since the first day
    first_CGT: Tensor  # 1 while there was none, then 0
    season_CDT: Tensor  # factor on the odds
    weekday_WT: Tensor  # 1 where the day is that weekday, else 0
    sure_CT: Tensor  # 1 from the first day to that of the last purchase
    later_CT: Tensor  # 1 from then to the cutoff: the customer may have left
    channel_CK: Tensor  # how many visits
    age_C: Tensor
    log_taste_CD: Tensor  # what age and region say
    taste_FD: Tensor  # what the factors do
    visited_CT: Tensor  # whether there was a purchase
    bought_3B: Tensor  # customer, department, day
    tier_C: Tensor
    band_C: Tensor


@dataclass(frozen=True)
class Traits:
    """What customers are like, in the terms of the demo."""

    visit_CW: Tensor  # P(visit) of a weekday
    leaving_C: Tensor
    taste_CD: Tensor
    per_day_CG: Tensor
    phase_CG: Tensor  # cycles since the last purchase elsewhere, on the first day


def odds_of(traits: Traits, known: Histories, days: slice) -> Tensor:
    """Odds of buying from a department at a visit, shape (C, D, T)."""
    since_CGT, first_CGT = known.since_CGT[..., days], known.first_CGT[..., days]
    cycles_CGT = since_CGT * traits.per_day_CG[:, :, None] + first_CGT * traits.phase_CG[:, :, None]
    need_CGT = 2.5 - 2.42 / (1 + cycles_CGT.square().square())
    odds_CDT = known.season_CDT[..., days] * traits.taste_CD[:, :, None]
    return torch.cat([odds_CDT[:, :G] * need_CGT, odds_CDT[:, G:]], dim=1)


def log_likelihood(traits: Traits, known: Histories) -> tuple[Tensor, Tensor]:
    """Log-likelihood of what was bought when, and P(still there at the cutoff | history), shapes (C,)."""
    odds_CDT = odds_of(traits, known, slice(-WINDOW_DAYS))
    none_CT = odds_CDT.log1p().sum(1)  # minus the log-probability that a visitor buys nothing
    visit_CT = traits.visit_CW @ known.weekday_WT[:, :-WINDOW_DAYS]
    idle_CT = torch.log1p(visit_CT * torch.expm1(-none_CT))  # no visit, or one without a purchase
    stays_C1 = torch.log1p(-traits.leaving_C)[:, None]
    day_CT = torch.where(known.visited_CT, visit_CT.log() - none_CT, idle_CT) + stays_C1
    bought_B = odds_CDT[known.bought_3B.unbind()].log()
    sure_C = (day_CT * known.sure_CT).sum(1).index_add(0, known.bought_3B[0], bought_B)
    # After the last purchase: still there until the cutoff, or left on one of the days.
    later_CT = (idle_CT + stays_C1) * known.later_CT
    until_CT = later_CT.cumsum(1)
    left_C = traits.leaving_C * ((until_CT - later_CT).exp() * known.later_CT).sum(1)
    there_C = until_CT[:, -1].exp()
    return sure_C + (there_C + left_C).log(), there_C / (there_C + left_C)


def window_probability(traits: Traits, known: Histories, there_C: Tensor) -> Tensor:
    """P(a purchase in the window), shape (C, D), given P(still there at the cutoff)."""
    odds_CDT = odds_of(traits, known, slice(-WINDOW_DAYS, None))
    hazard_CDT = (traits.visit_CW @ known.weekday_WT[:, -WINDOW_DAYS:])[:, None] * odds_CDT / (1 + odds_CDT)
    none_CDT = torch.log1p(-hazard_CDT)
    before_CDT = (none_CDT + torch.log1p(-traits.leaving_C)[:, None, None]).cumsum(2) - none_CDT
    return there_C[:, None] * (before_CDT.exp() * hazard_CDT).sum(2)


def traits_of(x_CL: Tensor, known: Histories) -> Traits:
    """Traits from hidden numbers, as `mlc.demo.simulation` makes them."""
    weekday_2W = torch.tensor(demo.WEEKDAYS_2W, dtype=torch.float32)
    weekday_CW = torch.lerp(weekday_2W[0], weekday_2W[1], x_CL[:, WEEKEND, None].sigmoid())
    cycle_G = torch.tensor([department.cycle_days for department in DEPARTMENTS[:G]])
    return Traits(
        ((0.06 * (0.85 * x_CL[:, RATE, None]).exp()).clamp(max=0.37) * weekday_CW).clamp(max=0.95),
        0.0008 * (0.8 * x_CL[:, LEAVING] - 0.3 - 0.3 * known.tier_C).exp(),
        (known.log_taste_CD + x_CL[:, FACTORS] @ known.taste_FD + 0.55 * x_CL[:, NOISE]).exp(),
        1 / (cycle_G * (0.35 * x_CL[:, CYCLES]).exp()).clamp(min=2.0),
        x_CL[:, PHASES].sigmoid(),
    )


def log_prior(x_CL: Tensor, known: Histories) -> Tensor:
    """Log-density of hidden numbers, and the likelihood of tier, price band and channels; shape (C,)."""
    beta_CL = logsigmoid(x_CL[:, WEEKEND:]) + logsigmoid(-x_CL[:, WEEKEND:])
    prior_C = beta_CL.sum(1) + 0.2 * beta_CL[:, 0] - x_CL[:, :WEEKEND].square().sum(1) / 2
    digital_C = (0.8 - known.age_C / 130 + 0.15 * x_CL[:, FACTORS.start]).clamp(0.03, 0.95)
    app_C = digital_C * (1.1 - known.age_C / 90).clamp(0.05, 1.0)
    channel_CK = torch.stack([1 - digital_C, digital_C - app_C, app_C], dim=1)
    tier_C = _log_share(known.tier_C, 0.85 * x_CL[:, RATE], 0.8, (0.3, 1.3))
    band_C = _log_share(known.band_C, 0.4 * x_CL[:, FACTORS.start + 1], 1.0, (-0.5, 0.8))
    return prior_C + tier_C + band_C + (known.channel_CK * channel_CK.log()).sum(1)


def _log_share(place_C: Tensor, mean_C: Tensor, deviation: float, edges: tuple[float, float]) -> Tensor:
    """Log-probability of a place below, between or above the edges, of a normal variable."""
    below, above = (torch.special.ndtr((edge - mean_C) / deviation) for edge in edges)
    shares_C3 = torch.stack([below, above - below, 1 - above], dim=1)
    return shares_C3.gather(1, place_C[:, None])[:, 0].clamp(min=1e-7).log()


def chain(known: Histories, warm_up: int, draws: int) -> Tensor:
    """P(a purchase in the window) of draws from the posterior, shape (N, C, D).

    The chain moves in coordinates in which the posterior is round near the most likely hidden numbers.
    """
    c = len(known.age_C)
    center_CL, scale_CLL = torch.randn(c, L), torch.eye(L)

    def numbers(z_CL: Tensor) -> Tensor:
        return center_CL + (scale_CLL @ z_CL[:, :, None])[:, :, 0]

    def slope(z_CL: Tensor) -> tuple[Tensor, Tensor]:
        z_CL = z_CL.detach().requires_grad_()
        x_CL = numbers(z_CL)
        log_C = log_likelihood(traits_of(x_CL, known), known)[0] + log_prior(x_CL, known)
        return log_C.detach()[:, None], torch.autograd.grad(log_C.sum(), z_CL)[0]

    z_CL = torch.zeros(c, L)
    adam = torch.optim.Adam([z_CL], lr=0.1, betas=(0.8, 0.95))
    for _ in range(80):
        z_CL.grad = -slope(z_CL)[1]
        adam.step()
    center_CL = numbers(z_CL)
    pairs = [[slope(sign * x.expand(c, L))[1] for sign in (-0.1, 0.1)] for x in torch.eye(L)]
    curved_CLL = torch.stack([before - after for before, after in pairs], dim=1) / 0.2
    value_CL, vector_CLL = torch.linalg.eigh((curved_CLL + curved_CLL.mT) / 2)
    scale_CLL = vector_CLL * value_CL.clamp(min=0.3).rsqrt()[:, None]
    z_CL = 2 * torch.randn(c, L)  # wider than the posterior
    state: tuple[Tensor, ...] = (z_CL, *slope(z_CL))
    step_C1, probabilities = torch.full((c, 1), 0.3), []
    for draw in range(-warm_up, draws):
        length_C1 = step_C1 * (0.7 + 0.6 * torch.rand(c, 1))
        momentum_CL = torch.randn(c, L)
        change_C1 = momentum_CL.square().sum(1, keepdim=True) / 2 - state[1]
        new = state
        for _ in range(5):
            momentum_CL = momentum_CL + length_C1 / 2 * new[2]
            z_CL = new[0] + length_C1 * momentum_CL
            new = (z_CL, *slope(z_CL))
            momentum_CL = momentum_CL + length_C1 / 2 * new[2]
        change_C1 += new[1] - momentum_CL.square().sum(1, keepdim=True) / 2
        ratio_C1 = change_C1.nan_to_num(-1e9).clamp(max=0).exp()
        takes_C1 = torch.rand(c, 1) < ratio_C1
        state = tuple(torch.where(takes_C1, *pair) for pair in zip(new, state, strict=True))
        if draw < 0:
            step_C1 = step_C1 * (0.6 / (warm_up + draw + 1) ** 0.5 * (ratio_C1 - 0.8)).exp()
        else:
            traits = traits_of(numbers(state[0]), known)
            probabilities.append(window_probability(traits, known, log_likelihood(traits, known)[1]))
    return torch.stack(probabilities)


def batches(
    seed: int, world: demo.World, first: int, end: int
) -> Iterator[tuple[np.ndarray, Histories, np.ndarray, np.ndarray]]:
    """Rows, histories, targets and true probabilities of those with a history; `first` begins a block."""
    tables = demo.simulate_block(seed, world, first, end)
    hidden = demo.draw_customers(world, np.random.default_rng([seed, 1, first // demo.BLOCK]))
    events = (
        tables["transactions"]
        .join(world.articles, on="article_id")
        .select(
            pl.col("customer_id").str.slice(1).cast(pl.Int64).alias("row") - first,
            pl.col("department").replace_strict(NAMES, range(D), return_dtype=pl.Int64),
            (pl.col("bought_at") - demo.START).dt.total_days().alias("day"),
            pl.col("channel").replace_strict(demo.CHANNELS, range(3), return_dtype=pl.Int64),
        )
        .unique(maintain_order=True)
    )
    targets_CD = np.zeros((end - first, D), dtype=np.uint8)
    row, department, day, _ = events.to_numpy().T
    window = (day >= CUTOFF_DAY) & (day < CUTOFF_DAY + WINDOW_DAYS)
    targets_CD[row[window], department[window]] = 1
    truth_CD = tables["truth"].filter(pl.col(CUTOFF) == demo.TEST_FROM).select(NAMES).to_numpy()
    events = events.filter(pl.col("day") < CUTOFF_DAY)
    rows = events["row"].unique().to_numpy()
    rows = rows[np.argsort(hidden.joined_C[rows], kind="stable")]  # of similar length
    for part in np.array_split(rows, -(-len(rows) // _TOGETHER)):
        yield part, lay_out(hidden, events, world, part), targets_CD[part], truth_CD[part]


def lay_out(hidden: demo.Customers, events: pl.DataFrame, world: demo.World, rows: np.ndarray) -> Histories:
    """What is known of the customers in `rows`; each has an event."""
    places = pl.DataFrame({"row": rows, "place": np.arange(len(rows))})
    d, day, channel, c = events.join(places, on="row").drop("row").to_numpy().T
    start_C1 = np.maximum(hidden.joined_C[rows], 0)[:, None]
    day_T = np.arange(start_C1.min(), CUTOFF_DAY + WINDOW_DAYS)
    past_T, t = day_T[:-WINDOW_DAYS], day - day_T[0]
    visited_CT = np.zeros((len(rows), len(past_T)), dtype=bool)
    visited_CT[c, t] = True
    last_CDT = np.full((len(rows), D, len(day_T)), -1)
    last_CDT[c, d, t + 1] = day  # from the day after on
    last_CDT = np.maximum.accumulate(last_CDT, axis=2)
    since_CDT = day_T - np.where(last_CDT < 0, start_C1[:, None], last_CDT)
    final_C1 = last_CDT[:, :, -1].max(axis=1)[:, None]
    channel_CK = np.zeros((len(rows), len(demo.CHANNELS)))
    np.add.at(channel_CK, tuple(np.unique([c, channel, day], axis=1)[:2]), 1)
    region_C = hidden.region_C[rows]
    peak_D, pull_D, odds_D = np.array([(one.age_peak, one.age_pull, one.odds) for one in DEPARTMENTS]).T
    far_CD = (hidden.age_C[rows, None] - peak_D) / 20
    taste_CD = np.log(odds_D) + world.taste_RD[region_C][:, ORDER] - pull_D * (far_CD**2 - 0.7)
    numbers = (
        since_CDT[:, :G],
        last_CDT[:, :G] < 0,
        world.season_RTD[region_C][:, day_T][:, :, ORDER].swapaxes(1, 2),
        np.arange(7)[:, None] == day_T % 7,
        (start_C1 <= past_T) & (past_T <= final_C1),
        past_T > final_C1,
        *(channel_CK, hidden.age_C[rows], taste_CD, world.taste_FD[:, ORDER]),
    )
    return Histories(
        *(torch.tensor(values, dtype=torch.float32) for values in numbers),
        *map(torch.tensor, (visited_CT, np.stack([c, d, t]), hidden.tier_C[rows], hidden.band_C[rows])),
    )


def main() -> int:
    """Run the command line of this script."""
    command_line = parser(__doc__)
    command_line.add_argument("--customers", type=int, default=4000)
    command_line.add_argument("--seed", type=int, default=7, help="of the demo")
    command_line.add_argument("--draws", type=int, default=40, help="of each of two chains")
    command_line.add_argument("--warm-up", type=int, default=40, help="draws before, which are thrown away")
    arguments = command_line.parse_args()
    with Record(arguments.out, "The best possible score on the demo", LEAD) as record:
        targets_CD, truth_CD, one_CD, two_CD = observed(arguments)
        ideal_CD = (one_CD + two_CD) / 2
        title = f"{arguments.customers:,} customers, {len(targets_CD):,} with a history"
        for who, scores_CD in (
            ("truth", truth_CD),
            ("ideal observer", ideal_CD),
            ("one of its chains", one_CD),
        ):
            record.add(title, {"who": who, **compared(scores_CD, truth_CD, targets_CD)})
        for place, part in enumerate(np.array_split(np.argsort(ideal_CD, axis=None), 10), 1):
            means = {"probability": ideal_CD.flat[part].mean(), "positives": targets_CD.flat[part].mean()}
            rounded = {name: round(float(value), 4) for name, value in means.items()}
            record.add("Tenths by the ideal observer", {"tenth": place, **rounded})
        apart = round(float(np.abs(one_CD - two_CD).mean()), 4)
        record.add("Chains", {"mean_distance": apart})
    return 0


def observed(arguments: argparse.Namespace) -> list[np.ndarray]:
    """Return targets, truth and the means of two chains of all customers with a history."""
    world = demo.draw_world(arguments.seed)
    torch.manual_seed(arguments.seed)
    blocks = []
    for first in range(0, arguments.customers, demo.BLOCK):
        end = min(first + demo.BLOCK, arguments.customers)
        for _, known, targets_CD, truth_CD in batches(arguments.seed, world, first, end):
            means_MCD = [chain(known, arguments.warm_up, arguments.draws).mean(0).numpy() for _ in range(2)]
            blocks.append((targets_CD, truth_CD, *means_MCD))
        print(f"{end:,} of {arguments.customers:,} customers", file=sys.stderr, flush=True)
    return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]


def compared(scores_CD: np.ndarray, truth_CD: np.ndarray, targets_CD: np.ndarray) -> dict[str, object]:
    """Return the scores, their share of the way to the truth, and their differences from it."""
    auroc, ap = (score(targets_CD, scores_CD) for score in (roc_auc_score, average_precision_score))
    best = roc_auc_score(targets_CD, truth_CD)
    rows_C = np.arange(len(targets_CD))
    minus = macro_differences(scores_CD, {"truth": truth_CD}, targets_CD, rows_C)["truth"]
    cells: dict[str, object] = {"auroc": round(auroc, 4), "ap": round(ap, 4)}
    cells["share"] = round((auroc - 0.5) / (best - 0.5), 3)
    for score in ("auroc", "ap"):
        ends = (minus[score].value, minus[score].low, minus[score].high)
        rounded = [None if end is None else round(end, 4) for end in ends]
        cells[f"difference_{score}"] = dict(zip(("value", "low", "high"), rounded, strict=True))
    return cells


if __name__ == "__main__":
    sys.exit(main())
