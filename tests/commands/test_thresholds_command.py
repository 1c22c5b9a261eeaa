"""`mlc thresholds` and `mlc predict --threshold FILE` on a trained run."""

import json
from itertools import pairwise

import polars as pl
import pytest

from mlc.evaluation.thresholds import decide, thresholds_from_json
from mlc.tables import SPLIT, scores_of

NAME = "departments_28d"


@pytest.fixture
def flags(trained):
    return "--runs-dir", trained


def stored(trained):
    return thresholds_from_json(json.loads((trained / NAME / "thresholds.json").read_text()))


def rows_of(out):
    """Label → the rest of its line."""
    lines = out.splitlines()[1:]
    return {
        line[:12].strip(): line[12:].split()
        for line in lines
        if " 0." in line or " - " in line or "top " in line
    }


def test_without_a_policy_the_cuts_are_those_of_the_training(trained, mlc, flags, tmp_path):
    result = mlc("thresholds", NAME, *flags, "--out", "cuts.yaml")
    assert result.code == 0, result.err
    for cut in stored(trained):
        assert rows_of(result.out)[cut.name[:12]][1] == f"{cut.value:.4g}"
    again = mlc("predict", NAME, *flags, "--threshold", "cuts.yaml", "--out", "file.parquet")
    assert again.code == 0, again.err
    assert mlc("predict", NAME, *flags, "--out", "stored.parquet").code == 0
    assert pl.read_parquet(tmp_path / "file.parquet").equals(pl.read_parquet(tmp_path / "stored.parquet"))


def test_the_stored_cuts_give_the_volumes_of_the_report(trained):
    predictions = pl.read_parquet(trained / NAME / "predictions.parquet").filter(pl.col(SPLIT) == "test")
    report = json.loads((trained / NAME / "report.json").read_text())
    volumes = decide(scores_of(predictions), stored(trained)).sum(axis=0).tolist()
    assert volumes == [label["volume"] for label in report["splits"]["test"]["labels"]]


def test_policies_are_chosen_for_all_and_for_one(mlc, flags, tmp_path):
    result = mlc(
        *("thresholds", NAME, *flags, "--policy", "top_n=50", "--out", "cuts.yaml"),
        *("--per-label", "Food, Fresh=precision_at_least=.5", "--per-label", "Men's Wear=0.25"),
        *(
            "--per-label",
            "Books={cost: {false_positive: 1, false_negative: 4}}",
            "--per-label",
            "Kids=top_k=2",
        ),
    )
    assert result.code == 0, result.err
    rows = rows_of(result.out)
    assert rows["Food, Fresh"][0] == "precision_at_least"
    assert rows["Men's Wear"][:2] == ["fixed", "0.25"]
    assert rows["Books"][:2] == ["cost", "0.2"]
    assert rows["Kids"][:3] == ["top_k", "top", "2"]
    assert rows["Garden"][0] == "top_n"
    predicted = mlc("predict", NAME, *flags, "--threshold", "cuts.yaml", "--out", "scores.parquet", "--long")
    assert predicted.code == 0, predicted.err
    scores = pl.read_parquet(tmp_path / "scores.parquet")
    kids = scores.with_columns(
        pl.col("score").rank("ordinal", descending=True).over("entity_id").alias("place")
    )
    kids = kids.filter(pl.col("label") == "Kids")
    same = kids.filter(pl.col("decision") == (pl.col("place") <= 2))
    assert same.height > 0.99 * kids.height  # ties are broken by the order of labels


def test_more_precision_means_a_higher_cut(mlc, flags):
    cuts = []
    for goal in (0.2, 0.4, 0.6):
        result = mlc("thresholds", NAME, *flags, "--policy", f"precision_at_least={goal}")
        cuts.append(float(rows_of(result.out)["Food, Fresh"][1]))
    assert all(low <= high for low, high in pairwise(cuts))
    assert cuts[0] < cuts[-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--policy", "precision_at_least=1.8"), "thresholds.default: must be at most 1, not 1.8"),
        (("--policy", "max_f2"), "unknown kind max_f2, did you mean max_f1"),
        (("--per-label", "Bookz=0.4"), "'Bookz' is no label. Did you mean Books?"),
        (("--per-label", "Books"), "must be label=policy"),
        (("--out", "cuts.json"), "must end"),
    ],
)
def test_what_cannot_be_chosen_is_said(mlc, flags, options, said):
    result = mlc("thresholds", NAME, *flags, *options)
    assert result.code == 2
    assert said in result.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{Bookz: 0.4}", "thresholds.Bookz: Bookz is none of class_names"),
        (
            "{Books: max_f1}",
            "max_f1 is no number, top_k or never. mlc thresholds --out turns it into a number.",
        ),
        ("{Books: 4}", "must be at most 1"),
        ("[", "cuts.yaml"),
    ],
)
def test_a_file_of_cuts_that_does_not_fit_is_refused(mlc, flags, tmp_path, text, said):
    (tmp_path / "cuts.yaml").write_text(text)
    result = mlc("predict", NAME, *flags, "--threshold", "cuts.yaml")
    assert result.code == 2
    assert said in result.err


def test_a_file_of_cuts_must_exist(mlc, flags):
    result = mlc("predict", NAME, *flags, "--threshold", "cuts.yaml")
    assert (
        result.code,
        "Write such a file with mlc thresholds" in result.err,
    ) == (2, True)


def test_a_budget_picks_the_best_pairs_of_all_labels(mlc, flags, tmp_path):
    budget = "{per_entity: 2, total: 400, value: {Jewellery: 5}}"
    for out, *more in (("long.parquet", "--long"), ("wide.parquet",)):
        result = mlc("predict", NAME, *flags, "--contact", budget, "--out", out, *more)
        assert result.code == 0, result.err
        assert "contact: 400 pairs of " in result.err
    long, wide = pl.read_parquet(tmp_path / "long.parquet"), pl.read_parquet(tmp_path / "wide.parquet")
    worth = pl.col("score") * pl.when(pl.col("label") == "Jewellery").then(5).otherwise(1)
    long = long.with_columns(worth.alias("worth"))
    assert long["contact"].sum() == 400
    assert long.group_by("entity_id").agg(pl.col("contact").sum())["contact"].max() == 2
    full = long.filter("contact").group_by("entity_id").len().filter(pl.col("len") == 2)["entity_id"]
    open_pairs = long.filter(~pl.col("contact") & ~pl.col("entity_id").is_in(full.to_list()))
    assert open_pairs["worth"].to_numpy().max() <= long.filter("contact")["worth"].to_numpy().min() + 1e-6
    for label, part in long.group_by("label", maintain_order=True):
        assert wide[f"{label[0]}: contact"].to_list() == part["contact"].to_list()


@pytest.mark.parametrize("budget", ["{totl: 3}", "{total: 0}", "{value: {Bookz: 2}}", "3"])
def test_a_budget_that_is_none_is_refused(mlc, flags, budget):
    result = mlc("predict", NAME, *flags, "--contact", budget)
    assert (result.code, "--contact: contact" in result.err) == (2, True)


@pytest.fixture(scope="module")
def unreachable():
    return "Garden=precision_at_least=1"


def test_an_unreachable_goal_stays_without_decisions_from_the_choice_to_the_predictions(
    mlc, flags, tmp_path, unreachable
):
    made = mlc("thresholds", NAME, *flags, "--per-label", unreachable, "--out", "cuts.yaml", "--strict")
    assert made.code == 1
    assert "FAILED (--strict): Garden: precision 1 cannot be reached: best is 0." in made.err
    assert rows_of(made.out)["Garden"][:2] == ["precision_at_least", "never"]
    text = (tmp_path / "cuts.yaml").read_text()
    assert "# Garden: precision 1 cannot be reached: best is 0." in text
    assert "  Garden: never\n" in text
    budget = "{per_entity: 1, value: {Garden: 1000}}"
    for out, *more in (("long.parquet", "--long"), ("wide.parquet",), ("wide.csv",)):
        predicted = mlc(
            *("predict", NAME, *flags, "--threshold", "cuts.yaml", "--out", out),
            *("--contact", budget, "--strict", *more),
        )
        assert predicted.code == 1
        assert "Garden: no decisions (given)" in predicted.err
        assert "contact leaves out labels without decisions: Garden" in predicted.err
        assert (tmp_path / out).exists()
    long, wide = pl.read_parquet(tmp_path / "long.parquet"), pl.read_parquet(tmp_path / "wide.parquet")
    garden, others = long.filter(label="Garden"), long.filter(pl.col("label") != "Garden")
    assert garden.select(pl.col("threshold", "decision").null_count()).row(0) == (garden.height,) * 2
    assert garden["contact"].sum() == 0
    assert others.select(pl.col("threshold", "decision").null_count()).row(0) == (0, 0)
    assert wide["Garden: decision"].null_count() == wide.height
    assert wide["Garden: decision"].dtype == pl.Boolean
    assert pl.read_csv(tmp_path / "wide.csv")["Garden: decision"].null_count() == wide.height
    back = mlc("predict", NAME, *flags, "--threshold", "Garden=0.4", "--out", "back.parquet", "--strict")
    assert back.code == 0, back.err
    assert pl.read_parquet(tmp_path / "back.parquet")["Garden: decision"].null_count() == 0


def test_the_best_of_an_unreachable_goal_is_used_where_that_is_asked_for(mlc, flags, tmp_path, unreachable):
    asked = f"{unreachable},when_unreachable=best"
    made = mlc("thresholds", NAME, *flags, "--per-label", asked, "--out", "cuts.yaml", "--strict")
    assert made.code == 1
    policy, cut, precision = rows_of(made.out)["Garden"][:3]
    assert (policy, float(cut) > 0) == ("precision_at_least", True)
    assert f"best is {precision} at " in made.out
    assert "# Garden: precision 1 cannot be reached" in (tmp_path / "cuts.yaml").read_text()
    again = mlc("predict", NAME, *flags, "--threshold", "cuts.yaml", "--out", "scores.parquet")
    assert again.code == 0, again.err
    decided = pl.read_parquet(tmp_path / "scores.parquet")["Garden: decision"]
    assert decided.null_count() == 0
    short = mlc("thresholds", NAME, *flags, "--policy", "{precision_at_least: 1, when_unreachable: best}")
    assert short.code == 0, short.err


def test_strict_passes_where_every_goal_is_reached(mlc, flags):
    for command in ("thresholds", "predict", "evaluate"):
        result = mlc(command, NAME, *flags, "--strict")
        assert (result.code, "FAILED" in result.err) == (0, False), result.err
