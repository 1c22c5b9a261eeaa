"""What `mlc check` finds in times, labels and attributes: each shown, and silent where nothing is wrong."""

from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from mlc.events.findings import auroc_half_width
from mlc.events.findings.leaks import grouped_aurocs
from mlc.events.findings.times import Days, pauses
from tests.support.large_shop import CUSTOMERS, ITEMS, PEOPLE, SALES, changed, findings_of, only, write_shop
from tests.support.shop_tables import DAYS, SCENARIO, START


@pytest.fixture
def found(mlc, tmp_path):
    """Checks the shop, changed; gives its findings."""
    return lambda scenario=SCENARIO, *flags, **tables: findings_of(mlc, tmp_path, scenario, *flags, **tables)


# ── times ───────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("%d/%m/%Y", "date"),
        ("%m/%d/%Y %H:%M", "datetime"),
        ("%m/%d/%Y %I:%M:%S %p", "datetime"),
        ("%d.%m.%Y %H:%M:%S", "datetime"),
        ("%d.%m.%y", "date"),
        ("%Y%m%d", "date"),
        ("%Y/%m/%d %H:%M:%S", "datetime"),
        ("%d %B %Y", "date"),
        ("%a, %d %b %Y %H:%M:%S", "datetime"),
    ],
)
def test_a_time_that_is_text_is_named_with_the_types_line_that_reads_it(mlc, tmp_path, written, kind):
    sales = SALES.with_columns(pl.col("at").dt.strftime(written))
    (line,) = mlc("check", write_shop(tmp_path, sales=sales)).err.splitlines()
    assert "data.tables.sales.time: at is String, not a date or datetime; " in line
    assert line.endswith(f'are read by types: {{at: {{kind: {kind}, format: "{written}"}}}}')


@pytest.mark.parametrize(
    "written",
    [
        "%Y-%m-%d %H:%M:%S",
        "%Y-%m-%dT%H:%M:%S",
        "%Y-%m-%d %H:%M",
        "%Y-%m-%d %H:%M:%S+00:00",
        "%Y-%m-%dT%H:%M:%S.5+0200",
        "%Y-%m-%dT%H:%MZ",
        "%Y-%m-%d %H:%M:%S UTC",
        "%Y-%m-%d %H:%M:%S -05",
    ],
)
def test_a_time_that_is_iso_text_is_named_with_datetime_alone(mlc, tmp_path, written):
    sales = SALES.with_columns(pl.col("at").dt.strftime(written))
    (line,) = mlc("check", write_shop(tmp_path, sales=sales)).err.splitlines()
    assert line.endswith("are read by types: {at: datetime}")


def test_a_time_that_no_usual_format_reads_is_named_without_one(mlc, tmp_path):
    sales = SALES.with_columns(pl.col("at").dt.strftime("week %U of %Y"))
    (line,) = mlc("check", write_shop(tmp_path, sales=sales)).err.splitlines()
    assert line.endswith("types: {at: datetime} reads ISO 8601; give a format for anything else")


def test_a_format_that_the_values_leave_open_is_said_to_be_open(mlc, tmp_path):
    day = (pl.col("at").dt.day() % 12 + 1).cast(pl.String).str.zfill(2)
    sales = SALES.with_columns(pl.format("{}/{}/2024", day, pl.col("at").dt.month()).alias("at"))
    (line,) = mlc("check", write_shop(tmp_path, sales=sales)).err.splitlines()
    lines = [f'types: {{at: {{kind: date, format: "{order}/%Y"}}}}' for order in ("%d/%m", "%m/%d")]
    assert line.endswith(f"are read by {' or '.join(lines)}; the values do not say which")


def test_a_value_that_does_not_fit_the_format_of_the_others_is_shown(mlc, tmp_path):
    texts = SALES["at"].dt.strftime("%d/%m/%Y").to_list()
    sales = SALES.with_columns(pl.Series("at", ["n/a", *texts[1:]]))
    (line,) = mlc("check", write_shop(tmp_path, sales=sales)).err.splitlines()
    assert line.endswith("format: \"%d/%m/%Y\"}}, except 1, such as 'n/a'")


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_that_is_a_number_since_1970_is_named_with_its_unit(mlc, tmp_path, unit, text):
    number = pl.col("at").dt.epoch(unit)
    sales = SALES.with_columns(number.cast(pl.String) if text else number)
    (line,) = mlc("check", write_shop(tmp_path, sales=sales)).err.splitlines()
    assert line.endswith(f"are read by types: {{at: {{kind: datetime, unit: {unit}}}}}")


def moved(rows: int, moment: datetime) -> pl.DataFrame:
    """The sales, the first few of them at another moment."""
    return SALES.with_columns(pl.when(pl.int_range(pl.len()) < rows).then(moment).otherwise("at").alias("at"))


def test_a_lone_date_far_off_is_told_even_where_it_leaves_no_window(mlc, tmp_path, found):
    told = only(found(sales=moved(2, datetime(1900, 1, 1))))
    assert told.startswith(
        "warning: 2 of 6,000 events in sales lie years before all others: 1900-01-01, the others from 20"
    )
    late = mlc("check", write_shop(tmp_path, sales=moved(2, datetime(2200, 12, 31))))
    assert late.code == 2
    assert "2 of 6,000 events in sales lie years after all others: 2200-12-31" in late.err


def test_events_in_the_future_are_told(found):
    later = datetime.now() - START - timedelta(days=DAYS - 20)
    told = only(found(sales=SALES.with_columns(pl.col("at") + timedelta(days=later.days))))
    assert told.startswith("warning: ")
    assert "events in sales lie in the future" in told
    assert "examples.observed_until" in told


def without(first: int, last: int) -> pl.DataFrame:
    """The sales without those of the days from first to last."""
    day = (pl.col("at") - START).dt.total_days()
    return SALES.filter(~day.is_between(first, last))


def test_weeks_without_events_are_a_warning_in_a_window_and_a_note_in_history(found):
    few = "\nexamples: {train_cutoffs: 3}\n"
    told = found(SCENARIO + few, sales=without(30, 60))
    assert only(told).startswith(
        "note: sales has 0 events from 2024-01-31 to 2024-03-01 (31 days), usually 9"
    )
    told = only(found(SCENARIO + few, sales=without(140, 165)))
    assert told.startswith("warning: sales has 0 events from 2024-05-20 to 2024-06-14 (26 days)")
    assert "reach into it and have too few positives" in told
    assert found(sales=without(30, 42)) == []  # a holiday


def test_weeks_at_the_end_with_hardly_any_event_are_told(found):
    tail = SALES.filter((pl.col("at") - START).dt.total_days().is_in([150, 175, 199])).unique("at")
    told = found(sales=pl.concat([without(150, 199), tail]))
    assert any("sales has 3 events from 2024-05-30 to 2024-07-18" in finding for finding in told)


def test_a_slow_beginning_and_a_monthly_table_have_no_pause():
    grown = np.arange(400)
    assert pauses(Days(grown, np.maximum(1, grown**2 // 300), 0, 0)) == []
    monthly = np.arange(0, 3000, 30)
    assert pauses(Days(monthly, np.full(100, 900), 0, 0)) == []
    assert pauses(Days(np.delete(np.arange(300), np.s_[100:130]), np.full(270, 9), 0, 0))[0].first == 100


def test_windows_beyond_the_last_event_are_told(found):
    told = found(SCENARIO + "examples: {observed_until: 2024-07-30}\n")
    assert any(
        "complete until 2024-07-30, 12 days after the last event in sales (2024-07-18); windows of test reach"
        in t
        for t in told
    )
    assert found(SCENARIO + "examples: {observed_until: 2024-07-18}\n") == []


def test_a_last_day_that_is_not_complete_is_told_only_when_a_window_counts_it(found):
    many = pl.concat([SALES] * 3).with_columns(pl.col("price") + pl.int_range(pl.len()) / 1e6)
    last = many["at"].max()
    partial = pl.concat([many.filter(pl.col("at") < last), many.filter(pl.col("at") == last)[:4]])
    assert "the last day, 2024-07-18, has 4 events in sales" in only(found(sales=partial))
    assert found(sales=many) == []
    clocked = partial.with_columns(pl.col("at") + timedelta(hours=9))
    assert [t for t in found(sales=clocked) if "last day" in t] == []  # the window ends before that day


def test_events_at_midnight_beside_others_with_a_time_of_day_are_told(found):
    hours = pl.duration(hours=8 + pl.int_range(pl.len()) % 10)
    clocked = SALES.with_columns(
        pl.when(pl.int_range(pl.len()) % 20 > 0).then(pl.col("at") + hours).otherwise("at")
    )
    assert "300 of 6,000 events in sales stand at exactly 00:00, 0 in the rest" in only(
        found(sales=clocked.rename({clocked.columns[1]: "at"}))
    )
    assert found(sales=SALES.with_columns(pl.col("at") + hours)) == []


# ── labels ──────────────────────────────────────────────────────────────────────────────────────


def test_a_value_spelt_almost_like_a_label_is_told(found):
    kinds = ITEMS.with_columns(
        pl.when(pl.col("item") == 3).then(pl.lit("dress .")).otherwise("kind").alias("kind")
    )
    told = only(found(items=kinds))
    assert told.startswith("warning: 'dress .' (200 ")
    assert "events) counts for no label, and differs from 'Dress' only in case" in told
    assert "class_names: {'Dress': ['Dress', 'dress .'], …}" in told
    grouped = changed("[Dress, Skirt, Shorts]", "{Dress: [Dress, dress .], Skirt: Skirt, Shorts: Shorts}")
    assert found(grouped, items=kinds) == []


def relabelled(kind: pl.Expr) -> dict[str, pl.DataFrame]:
    """The shop with the label in the sales themselves."""
    joined = SALES.join(ITEMS, on="item", how="left", maintain_order="left")
    return {"sales": joined.with_columns(kind.alias("kind"))}


OWN = changed("items.kind", "kind")
DAY = (pl.col("at") - START).dt.total_days()


def test_a_label_that_appears_only_after_the_training_is_told(found):
    late = pl.when((pl.col("kind") == "Dress") & (DAY > 175)).then(pl.lit("New")).otherwise("kind")
    text = OWN.replace("Shorts]", "Shorts, New]\n  allow_empty: true")
    told = found(text, **relabelled(late))
    assert any(
        "New appears only after the training period: first on 2024-06-2" in finding for finding in told
    )


def test_a_label_that_appears_late_in_the_training_is_told(found):
    late = pl.when((pl.col("kind") == "Dress") & (DAY > 115)).then(pl.lit("New")).otherwise("kind")
    told = found(OWN.replace("Shorts]", "Shorts, New]"), **relabelled(late))
    assert any("New appears late: first on 2024-04-26; only" in finding for finding in told)


def test_a_label_that_fades_is_told(found):
    faded = pl.when((pl.col("kind") == "Dress") & (DAY > 155)).then(pl.lit("Skirt")).otherwise("kind")
    told = found(OWN, **relabelled(faded))
    assert any(
        "far rarer in the newest windows (validation and test) than in training: Dress (" in f for f in told
    )


def test_a_label_of_former_years_is_told_and_a_seasonal_one_is_not(found):
    """Four years: Shorts are sold in summers only, Dress hardly after the second year."""
    days = pl.Series(np.linspace(0, 4 * 365, SALES.height).astype(int))
    summer, late = days % 365 // 91 == 2, days > 2 * 365
    rng = np.random.default_rng(5)
    kinds = pl.Series(rng.choice(["Dress", "Skirt", "Shorts"], SALES.height))
    kind = pl.when((kinds == "Shorts") & ~summer).then(pl.lit("Skirt")).otherwise(kinds)
    kind = (
        pl.when((kinds == "Dress") & late & pl.Series(rng.random(SALES.height) < 0.97))
        .then(pl.lit("Skirt"))
        .otherwise(kind)
    )
    at = pl.lit(START) + pl.duration(days=pl.lit(days))
    told = found(
        OWN, "--set", "target.allow_empty=true", sales=SALES.with_columns(at.alias("at"), kind.alias("kind"))
    )
    (former,) = (finding for finding in told if "in the last year than before" in finding)
    assert former.startswith(
        "warning: far rarer in the last year than before, among the events with a label: Dress ("
    )
    assert "Shorts" not in former


def test_labels_that_are_one_and_the_same_are_told_and_a_label_within_another_is_a_note(found):
    twins = changed("[Dress, Skirt, Shorts]", "{Dress: Dress, Skirt: Skirt, Frock: Dress}")
    told = only(found(twins))
    assert told.startswith("warning: Dress and Frock have the same targets in all")
    rare = relabelled(pl.when(pl.col("item") == 3).then(pl.lit("Gown")).otherwise("kind"))
    nested = OWN.replace("[Dress, Skirt, Shorts]", "{All: [Dress, Gown], Skirt: Skirt, Gown: Gown}")
    thin = SALES.with_row_index().filter(pl.col("index") % 4 == 0)["index"]
    told = found(nested, sales=rare["sales"][thin])
    assert any(finding.startswith("note: Gown implies All: each of its ") for finding in told)


def test_labels_with_too_few_positives_are_told_with_the_width_of_their_interval(found):
    rare = (
        pl.when((pl.col("item") == 3) & (pl.int_range(pl.len()) % 6 == 0))
        .then(pl.lit("Gown"))
        .otherwise("kind")
    )
    told = only(found(OWN.replace("Shorts]", "Shorts, Gown]"), **relabelled(rare)))
    assert told.startswith(
        "warning: labels with too few positives to know an AUROC within ±0.1: in validation 1 of 4: Gown ("
    )
    assert "±0." in told
    assert "in test 1 of 4: Gown (" in told


def test_labels_with_hardly_a_positive_in_training_are_told(found):
    rare = pl.when((pl.col("item") == 3) & DAY.is_in([140, 141])).then(pl.lit("Gown")).otherwise("kind")
    told = found(OWN.replace("Shorts]", "Shorts, Gown]"), **relabelled(rare))
    assert any("fewer than 10 positives in train, hardly enough to learn from: Gown (" in f for f in told)


def test_the_width_of_the_interval_is_that_of_a_simulation():
    rng = np.random.default_rng(3)
    shift = 0.9539  # two normals of unit spread so far apart have an AUROC of .75
    areas = [
        roc_auc_score(
            np.repeat([1, 0], [30, 300]), np.concatenate([rng.normal(shift, 1, 30), rng.normal(0, 1, 300)])
        )
        for _ in range(400)
    ]
    assert 1.96 * np.std(areas) == pytest.approx(auroc_half_width(30, 300), rel=0.15)
    assert auroc_half_width(0, 10) is None
    assert auroc_half_width(10, 0) is None


# ── leaks ───────────────────────────────────────────────────────────────────────────────────────


GOWNS = pl.DataFrame(
    {
        "customer": [f"c{row:03d}" for row in range(0, CUSTOMERS, 2)] * 28,
        "at": [START + timedelta(days=7 * (n // 300) + n % 7) for n in range(28 * 300)],
    }
).select("customer", "at", item=pl.lit(3, pl.Int64), price=pl.lit(9.0), kind=pl.lit("Gown"))
"""Each even customer buys one every week, nobody else ever does."""


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("taste", [str(row % 4) for row in range(CUSTOMERS)]),
        ("spent", [row % 2 * 100 + row / CUSTOMERS for row in range(CUSTOMERS)]),
    ],
    ids=["category", "number"],
)
def test_an_attribute_that_alone_knows_a_label_is_told(found, column, values):
    sales = pl.concat([relabelled(pl.col("kind"))["sales"], GOWNS])
    people = PEOPLE.with_columns(pl.Series(column, values))
    text = OWN.replace("Shorts]", "Shorts, Gown]")
    told = [f for f in found(text, sales=sales, customers=people) if "is taken as it is" not in f]
    start = f"warning: customers.{column} alone ranks validation rows with an AUROC above 0.99 for Gown ("
    assert only(told).startswith(start)
    assert f"encoders: {{{column}: ignore}}" in only(told)
    ignored = text.replace("key: customer}", f"key: customer, encoders: {{{column}: ignore}}}}")
    assert found(ignored, sales=sales, customers=people) == []


def test_the_area_of_grouped_codes_is_that_of_another_implementation():
    rng = np.random.default_rng(5)
    codes, targets = rng.integers(0, 9, 600), rng.integers(0, 2, (600, 3))
    rates = rng.integers(0, 4, (9, 3)) / 4  # ties
    positives = np.array([targets[codes == code].sum(axis=0) for code in range(9)])
    negatives = np.array([(1 - targets[codes == code]).sum(axis=0) for code in range(9)])
    expected = [roc_auc_score(targets[:, k], rates[codes, k]) for k in range(3)]
    assert grouped_aurocs(rates, positives, negatives) == pytest.approx(expected)
    assert np.isnan(grouped_aurocs(rates, 0 * positives, negatives)).all()
