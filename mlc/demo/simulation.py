"""Generated shop data with known true probabilities.

Customers who visit, have tastes and needs, and leave. Each day a customer who is still there may leave for
good; one who stays may visit; a visitor decides for each department on its own whether to buy:

    P(visit)       = rate of the customer x their weekday pattern
    P(buy | visit) = odds / (1 + odds),   odds = taste x season of the department in the region x need

`need` is low just after a purchase and rises around the customer's own repeat cycle for the department. Given
the customer and the days of the last purchases, P(a purchase in the window) is exact: `true_probabilities`.

Shape suffixes: A articles, B purchases (customer, day, department), C customers, D departments, E events,
F latent factors, J categories of a department, K channels, R regions, T days, V visits, W weekdays.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from mlc.tables import CUTOFF, MICROSECONDS_PER_DAY

START = datetime(2023, 10, 2)  # first day of the observation, a Monday; days are counted from it
END = datetime(2025, 10, 1)  # the midnight that ends the observation: the last event lies before it
WINDOW_DAYS = 28
EVERY_DAYS = 14
TEST_FROM = END - timedelta(days=WINDOW_DAYS)
VALIDATION_FROM = TEST_FROM - timedelta(days=WINDOW_DAYS)
CUTOFFS = tuple(TEST_FROM - timedelta(days=EVERY_DAYS * step) for step in range(30))
"""Where the truth is known, newest first: every cutoff of the scenarios, and some more."""

_N_DAYS = (END - START).days
_FIRST_DAY = (START - datetime(1970, 1, 1)).days
BLOCK = 1_000  # customers of one random stream; simulated whole, so that a smaller demo is a prefix
NEVER = np.iinfo(np.int32).max
_Days = list[tuple[np.ndarray, np.ndarray]]  # what `live_one_day` returned, from START on


@dataclass(frozen=True)
class Department:
    """What sells how, to whom and when."""

    name: str
    odds: float  # that a visitor of average taste buys, before season and need
    cycle_days: float  # until a typical customer needs it again; 0 where the last purchase does not matter
    season: float  # amplitude of the yearly wave of the log odds
    peak_day: int  # day of the year that the wave is highest
    age_peak: float  # age of the keenest buyers
    age_pull: float  # how steeply the log odds fall with the square of the distance in 20 years
    price: float  # of a typical article
    categories: str  # five names, the most popular first


# fmt: off
DEPARTMENTS = (
    Department("Food, Fresh", 0.6, 13, 0.1, 190, 50, 0.1, 4, "Fruit, Vegetables, Bread, Cheese, Plant-Based"),
    Department("Pantry", 0.3, 24, 0.1, 350, 45, 0.1, 6, "Coffee, Snacks, Pasta, Tea, Spices"),
    Department("Household", 0.14, 45, 0.0, 1, 48, 0.2, 9, "Cleaning, Paper, Laundry, Candles, Storage"),
    Department("Beauty", 0.10, 60, 0.1, 340, 30, 0.5, 15, "Skin Care, Hair Care, Make-Up, Perfume, Nails"),
    Department("Ladies Wear", 0.11, 0, 0.4, 110, 35, 0.4, 35, "Tops, Dresses, Trousers, Knitwear, Skirts"),
    Department("Men's Wear", 0.045, 75, 0.3, 290, 38, 0.3, 38, "Shirts, T-Shirts, Jeans, Jackets, Ties"),
    Department("Kids", 0.028, 40, 0.3, 235, 36, 1.3, 18, "Toys, Baby Care, Kids Tops, Kids Shoes, School"),
    Department("Shoes", 0.016, 90, 0.5, 270, 40, 0.2, 60, "Sneakers, Boots, Sandals, Slippers, Shoe Care"),
    Department("Garden", 0.035, 0, 1.4, 130, 62, 0.7, 25, "Plants, Seeds, Garden Tools, Pots, Barbecue"),
    Department("Sports", 0.015, 0, 0.6, 165, 28, 0.5, 40, "Fitness, Running, Cycling, Camping, Skiing"),
    Department("Books", 0.04, 35, 0.5, 345, 55, 0.3, 14, "Novels, Crime, Cookbooks, Travel, Comics"),
    Department("Jewellery", 0.0025, 0, 0.7, 350, 33, 0.4, 90, "Earrings, Chains, Rings, Pins, Smart Rings"),
)
# fmt: on
_CATEGORIES = [department.categories.split(", ") for department in DEPARTMENTS]
LATE_CATEGORIES = {"Plant-Based": 380, "Smart Rings": 520}
"""Categories that the shop did not have at first, and the day of their first article."""

# Region to how much of the seasons is felt there.
_REGIONS = {"North": 1.6, "South": 0.5, "East": 1.2, "West": 0.9, "Coast": 0.7, "Capital": 0.4}
_TIERS = ("basic", "silver", "gold")
CHANNELS = ("store", "online", "app")
# Visits of a pure weekday shopper and of a pure weekend shopper.
WEEKDAYS_2W = np.array([[1.3, 1.3, 1.2, 1.2, 1.0, 0.7, 0.3], [0.4, 0.3, 0.4, 0.5, 1.2, 2.6, 1.6]])
_BANDS = {"low": 0.55, "mid": 1.0, "high": 2.2}  # factor on the price
_ARTICLES_PER_CATEGORY = 24


@dataclass(frozen=True)
class World:
    """What all customers share.

    Articles are sorted by category, then by the day that they are introduced.
    """

    taste_FD: np.ndarray  # how the latent factors of a customer shift the log odds of the departments
    taste_RD: np.ndarray  # how the region does
    season_RTD: np.ndarray  # factor on the odds
    category_TDJ: np.ndarray  # cumulative popularity of the categories that are sold on the day; ends in 1
    sold_TDJ: np.ndarray  # how many articles of the category are sold on the day
    introduced_A: np.ndarray  # first day of the article
    band_A: np.ndarray  # index into _BANDS
    price_A: np.ndarray  # list price
    articles: pl.DataFrame  # the table that is written


@dataclass(frozen=True)
class Customers:
    """What the customers are, for life. Days count from START and are negative before."""

    age_C: np.ndarray
    region_C: np.ndarray  # index into _REGIONS
    joined_C: np.ndarray  # day
    rate_C: np.ndarray  # mean P(visit) of a day; 0 for those who never buy
    weekday_CW: np.ndarray  # factor on it, mean 1, Monday first
    leaving_C: np.ndarray  # P(leaving) of a day
    taste_CD: np.ndarray  # odds of buying at a visit, before season and need
    per_day_CD: np.ndarray  # 1 / repeat cycle in days; 0 where the last purchase does not matter
    favourite_CD: np.ndarray  # the category that half of the purchases of a department come from
    tier_C: np.ndarray  # index into _TIERS, given when joining
    channel_CK: np.ndarray  # cumulative shares of CHANNELS
    band_C: np.ndarray  # the price band that they look for


@dataclass
class State:
    """What changes from day to day."""

    left_C: np.ndarray  # the day that they left, without a purchase on it or after; NEVER while there
    last_CD: np.ndarray  # day of the last purchase; before the first, a random point of the cycle


def draw_world(seed: int) -> World:
    """The shop: what is sold when at which price, and what sways all customers alike.

    Example:
        >>> draw_world(7).articles.columns[:3]
        ['article_id', 'department', 'category']
    """
    rng = np.random.default_rng([seed, 0])
    year_T = (START.timetuple().tm_yday + np.arange(_N_DAYS)[:, None]) / 365.25
    peak_D = np.array([d.peak_day for d in DEPARTMENTS]) / 365.25
    wave_TD = np.array([d.season for d in DEPARTMENTS]) * np.cos(2 * np.pi * (year_T - peak_D))
    climate_R11 = np.array(list(_REGIONS.values()))[:, None, None]
    # Half of the articles, and the first of each category, are sold as soon as their category is.
    late_DJ1 = np.array([[[LATE_CATEGORIES.get(name, 0)] for name in names] for names in _CATEGORIES])
    shape = (*late_DJ1.shape[:2], _ARTICLES_PER_CATEGORY)
    introduced_DJA = np.where(rng.random(shape) < 0.5, rng.integers(late_DJ1, _N_DAYS, shape), late_DJ1)
    introduced_DJA[..., :1] = late_DJ1
    introduced_DJA.sort(axis=-1)
    sold_TDJ = np.stack([(introduced_DJA <= day).sum(-1) for day in range(_N_DAYS)])
    cumulative_TDJ = (0.7 ** np.arange(shape[1]) * (sold_TDJ > 0)).cumsum(-1)
    band_A = rng.integers(0, len(_BANDS), introduced_DJA.size)
    price_A = np.repeat([d.price for d in DEPARTMENTS], shape[1] * shape[2])
    price_A = price_A * np.array(list(_BANDS.values()))[band_A] * rng.lognormal(0, 0.2, price_A.size)
    return World(
        taste_FD=rng.normal(0, 0.5, (3, len(DEPARTMENTS))),
        taste_RD=rng.normal(0, 0.4, (len(_REGIONS), len(DEPARTMENTS))),
        season_RTD=np.exp(climate_R11 * wave_TD).astype(np.float32),
        category_TDJ=cumulative_TDJ / cumulative_TDJ[..., -1:],
        sold_TDJ=sold_TDJ,
        introduced_A=introduced_DJA.ravel(),
        band_A=band_A,
        price_A=price_A,
        articles=_articles_table(band_A, rng),
    )


def _articles_table(band_A: np.ndarray, rng: np.random.Generator) -> pl.DataFrame:
    kinds = [(d.name, name) for d, names in zip(DEPARTMENTS, _CATEGORIES, strict=True) for name in names]
    kind_A = [kind for kind in kinds for _ in range(_ARTICLES_PER_CATEGORY)]
    look_A = rng.choice(["classic", "organic", "soft", "bold", "light"], band_A.size)
    colour_A = rng.choice(["red", "blue", "green", "black", "white"], band_A.size)
    words_A = zip(look_A, kind_A, colour_A, strict=True)
    return pl.DataFrame(
        {
            "article_id": [f"a{row:05d}" for row in range(band_A.size)],
            "department": [department for department, _ in kind_A],
            "category": [category for _, category in kind_A],
            "price_band": pl.Series(list(_BANDS)).gather(band_A),
            "description": [f"{look} {kind[1].lower()}, {colour}" for look, kind, colour in words_A],
            "tags": np.stack([look_A, colour_A], axis=1).tolist(),
        }
    )


def draw_customers(world: World, rng: np.random.Generator) -> Customers:
    """A block of customers.

    What a table shows of them never depends on what they do later.
    """
    n, departments = BLOCK, len(DEPARTMENTS)
    age_C = np.clip(np.where(rng.random(n) < 0.6, rng.normal(36, 11, n), rng.normal(62, 10, n)), 16, 92)
    region_C = rng.choice(len(_REGIONS), n, p=[0.15, 0.2, 0.15, 0.2, 0.1, 0.2])
    # Two in five were customers before the observation began.
    joined_C = np.where(rng.random(n) < 0.4, rng.integers(-900, 0, n), rng.integers(0, _N_DAYS, n))
    log_rate_C = rng.normal(0, 0.85, n)
    weekend_C = rng.beta(1.2, 1.2, n)[:, None]
    weekday_CW = (1 - weekend_C) * WEEKDAYS_2W[0] + weekend_C * WEEKDAYS_2W[1]
    taste_CF = rng.normal(0, 1, (n, world.taste_FD.shape[0]))
    far_CD = (np.round(age_C)[:, None] - np.array([d.age_peak for d in DEPARTMENTS])) / 20
    log_taste_CD = (
        np.log([d.odds for d in DEPARTMENTS])
        + taste_CF @ world.taste_FD
        + world.taste_RD[region_C]
        - np.array([d.age_pull for d in DEPARTMENTS]) * (far_CD**2 - 0.7)
        + rng.normal(0, 0.55, (n, departments))
    )
    cycle_D = np.array([d.cycle_days or np.inf for d in DEPARTMENTS])
    cycle_CD = np.maximum(cycle_D * rng.lognormal(0, 0.35, (n, departments)), 2.0)
    digital_C = np.clip(0.8 - age_C / 130 + 0.15 * taste_CF[:, 0], 0.03, 0.95)
    app_C = digital_C * np.clip(1.1 - age_C / 90, 0.05, 1.0)
    tier_C = np.digitize(log_rate_C + rng.normal(0, 0.8, n), [0.3, 1.3])
    return Customers(
        age_C=np.round(age_C).astype(np.int32),
        region_C=region_C,
        joined_C=joined_C,
        rate_C=np.where(rng.random(n) < 0.04, 0.0, np.minimum(0.06 * np.exp(log_rate_C), 0.37)),
        weekday_CW=weekday_CW / weekday_CW.mean(1, keepdims=True),
        leaving_C=0.0008 * rng.lognormal(-0.3, 0.8, n) * np.exp(-0.3 * tier_C),
        taste_CD=np.exp(log_taste_CD).astype(np.float32),
        per_day_CD=(1 / cycle_CD).astype(np.float32),
        favourite_CD=rng.integers(0, len(_CATEGORIES[0]), (n, departments)),
        tier_C=tier_C,
        channel_CK=np.stack([1 - digital_C, 1 - app_C, np.ones(n)], axis=1),
        band_C=np.digitize(rng.normal(0, 1, n) + 0.4 * taste_CF[:, 1], [-0.5, 0.8]),
    )


def first_state(customers: Customers, rng: np.random.Generator) -> State:
    """Everyone is there, and last bought elsewhere, up to one cycle before joining."""
    cycle_CD = 1 / np.maximum(customers.per_day_CD, 1e-3)
    last_CD = np.maximum(customers.joined_C, 0)[:, None] - rng.random(cycle_CD.shape) * cycle_CD
    return State(np.full(customers.rate_C.size, NEVER), last_CD.astype(np.float32))


def _visit_probability(customers: Customers, day: int) -> np.ndarray:
    """P(visit on `day` | not left), float64, shape (C,); 0 before the customer joined."""
    rate_C = np.minimum(customers.rate_C * customers.weekday_CW[:, day % 7], 0.95)
    return np.where(customers.joined_C <= day, rate_C, 0.0)


def _purchase_probability(
    customers: Customers, last_CD: np.ndarray, world: World, day: int, rows: np.ndarray | slice
) -> np.ndarray:
    """P(buying from the department on `day` | visit), float32, shape (rows, D)."""
    cycles_CD = (day - last_CD[rows]) * customers.per_day_CD[rows]  # elapsed since the last purchase
    # From 0.08 just after a purchase through 1.29 after one cycle to 2.5; 1 where there is no cycle.
    need_CD = 2.5 - 2.42 / (1 + (cycles_CD**2) ** 2)
    need_CD = np.where(customers.per_day_CD[rows] > 0, need_CD, np.float32(1))
    odds_CD = customers.taste_CD[rows] * world.season_RTD[customers.region_C[rows], day] * need_CD
    return np.asarray(odds_CD / (1 + odds_CD), dtype=np.float32)


def live_one_day(
    customers: Customers, state: State, world: World, day: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Let `day` happen: some leave, some of the others visit, some visitors buy.

    Changes `state`.

    Returns:
        Rows of the visitors, shape (V,), and what they bought from, bool, shape (V, D).
    """
    leaves_C = (rng.random(state.left_C.size) < customers.leaving_C) & (customers.joined_C <= day)
    state.left_C[leaves_C & (state.left_C == NEVER)] = day
    visits_C = rng.random(state.left_C.size) < _visit_probability(customers, day)
    rows_V = np.flatnonzero(visits_C & (state.left_C == NEVER))
    probability_VD = _purchase_probability(customers, state.last_CD, world, day, rows_V)
    bought_VD = rng.random(probability_VD.shape, dtype=np.float32) < probability_VD
    state.last_CD[rows_V] = np.where(bought_VD, np.float32(day), state.last_CD[rows_V])
    return rows_V, bought_VD


def true_probabilities(customers: Customers, state: State, world: World, cutoff_day: int) -> np.ndarray:
    """Return P(a purchase in the 28 days from `cutoff_day` on), given the state then.

    Until the first purchase in a department, its need depends on the last purchase before the cutoff alone:
    one walk over the days is enough. With S_0 = 1 for those still there and else 0, q = P(leaving), and
    h_j = P(visit) P(buy | visit) on day j:

        P = sum over j of S_(j-1) (1 - q) h_j,    S_j = S_(j-1) (1 - q) (1 - h_j)

    Cutoffs are midnights and nothing is sold at midnight, so the window `(cutoff, cutoff + 28 d]` is the day
    that begins at the cutoff and the 27 days after it.

    Returns:
        float32, shape (C, D), in [0, 1]; 0 for those who left before the cutoff.
    """
    waiting_CD = np.repeat((state.left_C == NEVER).astype(np.float64)[:, None], len(DEPARTMENTS), axis=1)
    bought_CD = np.zeros_like(waiting_CD)
    for day in range(cutoff_day, cutoff_day + WINDOW_DAYS):
        buys_CD = _purchase_probability(customers, state.last_CD, world, day, slice(None))
        hazard_CD = _visit_probability(customers, day)[:, None] * buys_CD
        waiting_CD *= np.where(customers.joined_C <= day, 1 - customers.leaving_C, 1.0)[:, None]
        bought_CD += waiting_CD * hazard_CD
        waiting_CD *= 1 - hazard_CD
    return bought_CD.astype(np.float32)


def simulate_block(seed: int, world: World, first: int, end: int) -> dict[str, pl.DataFrame]:
    """Two years of the block of customer number `first`.

    The tables of those before `end`.
    """
    rng = np.random.default_rng([seed, 1, first // BLOCK])
    hidden = draw_customers(world, rng)
    state = first_state(hidden, rng)
    n_customers = min(end - first, BLOCK)
    ids = pl.Series("customer_id", [f"c{first + row:07d}" for row in range(BLOCK)])
    names = [department.name for department in DEPARTMENTS]
    days: _Days = []
    truth: list[pl.DataFrame] = []
    for day in range(_N_DAYS):
        cutoff = START + timedelta(days=day)
        if cutoff in CUTOFFS:
            truth_CD = true_probabilities(hidden, state, world, day)
            now = pl.lit(cutoff, dtype=pl.Datetime("us")).alias(CUTOFF)
            truth.append(pl.DataFrame(truth_CD, schema=names).select(ids, now, pl.all())[:n_customers])
        days.append(live_one_day(hidden, state, world, day, rng))
    transactions = _transactions(hidden, world, ids, days, rng)
    return {
        "customers": _customers_table(hidden, ids, rng)[:n_customers],
        "transactions": transactions.filter(pl.col("customer_id") <= ids[n_customers - 1]),
        "truth": pl.concat(truth),
        "left": pl.DataFrame([ids, pl.Series("day", state.left_C)])[:n_customers],  # for tests, never written
    }


def _customers_table(customers: Customers, ids: pl.Series, rng: np.random.Generator) -> pl.DataFrame:
    """What the shop knows: all of it since the customer joined. Gaps fall at random."""
    age_known_C, region_known_C = rng.random((2, ids.len())) >= [[0.08], [0.05]]
    joined = pl.Series(_FIRST_DAY + customers.joined_C).cast(pl.Int32).cast(pl.Date)
    region = pl.Series(list(_REGIONS)).gather(customers.region_C)
    return pl.DataFrame([ids, joined.alias("joined_on")]).with_columns(
        pl.when(pl.Series(age_known_C)).then(pl.Series(customers.age_C)).alias("age"),
        pl.when(pl.Series(region_known_C)).then(region).alias("region"),
        pl.Series(_TIERS).gather(customers.tier_C).alias("loyalty_tier"),
    )


def _transactions(
    customers: Customers, world: World, ids: pl.Series, days: _Days, rng: np.random.Generator
) -> pl.DataFrame:
    """One row per item, sorted by customer and time.

    The items of a visit share its time and channel.
    """
    row_V = np.concatenate([rows for rows, _ in days])
    day_V = np.repeat(np.arange(len(days)), [rows.size for rows, _ in days])
    second_V = rng.integers(8 * 3600, 22 * 3600, row_V.size)  # from 08:00:00 to 21:59:59
    channel_V = (rng.random((row_V.size, 1)) > customers.channel_CK[row_V]).sum(1)
    visit_B, department_B = np.nonzero(np.concatenate([bought for _, bought in days]))
    items_B = rng.geometric(0.78, visit_B.size)
    visit_E, department_E = np.repeat(visit_B, items_B), np.repeat(department_B, items_B)
    row_E = row_V[visit_E]
    article_E = _choose_articles(customers, world, np.stack([row_E, day_V[visit_E], department_E]), rng)
    discount_E = np.where(rng.random(row_E.size) < 0.15, rng.uniform(0.6, 0.9, row_E.size), 1.0)
    time_E = (_FIRST_DAY + day_V[visit_E]) * MICROSECONDS_PER_DAY + second_V[visit_E] * 1_000_000
    table = pl.DataFrame(
        {
            "customer_id": ids.gather(row_E),
            "bought_at": pl.Series(time_E).cast(pl.Datetime("us")),
            "article_id": world.articles["article_id"].gather(article_E),
            "quantity": rng.geometric(0.8, row_E.size).astype(np.int32),
            "price": np.round(world.price_A[article_E] * discount_E, 2),
            "channel": pl.Series(CHANNELS).gather(channel_V[visit_E]),
        }
    )
    return table[np.lexsort((time_E, row_E))]


def _choose_articles(
    customers: Customers, world: World, bought_3E: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Draw the articles sold on the day.

    Half are from the favourite category; new ones and the preferred price band are likelier.
    """
    row_E, day_E, department_E = bought_3E
    popular_E = (rng.random((row_E.size, 1)) >= world.category_TDJ[day_E, department_E]).sum(1)
    favourite_E = customers.favourite_CD[row_E, department_E]
    keeps_E = (rng.random(row_E.size) < 0.5) & (world.sold_TDJ[day_E, department_E, favourite_E] > 0)
    category_E = np.where(keeps_E, favourite_E, popular_E)
    sold_E = world.sold_TDJ[day_E, department_E, category_E]
    first_E = (department_E * world.sold_TDJ.shape[2] + category_E) * _ARTICLES_PER_CATEGORY
    # The power prefers high positions: articles introduced lately. Of two candidates the fitting band wins.
    candidate_2E = first_E + np.floor(rng.random((2, row_E.size)) ** 0.6 * sold_E).astype(np.int64)
    fits_E = world.band_A[candidate_2E[1]] == customers.band_C[row_E]
    return np.asarray(np.where(fits_E, candidate_2E[1], candidate_2E[0]))
