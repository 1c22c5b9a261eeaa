import json
import math
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlc.errors import DataError
from mlc.evaluation.calibration import Calibrator, calibrated
from mlc.evaluation.thresholds import Estimate, Expected, Threshold
from mlc.tables import SPLIT_TYPE, array_column
from mlc.task import FunnelStep
from tests.support import reference_metrics as reference
from tests.support.effort import drawn
from tests.support.reports import as_markdown, as_text, built

DAY = datetime(2020, 9, 1)
NAMES = ["Food, Fresh | cold", "Men's Wear", "Never"]


def rows_of(examples: int, splits: Any = ("train", "validation", "test")) -> pl.DataFrame:
    """Each entity in turn, one cutoff a split."""
    split = [splits[row % len(splits)] for row in range(examples)]
    return pl.DataFrame(
        {
            "entity_id": [f"e{row // len(splits)}" for row in range(examples)],
            "cutoff": [DAY.replace(month=7 + ["train", "validation", "test"].index(one)) for one in split],
            "split": split,
        },
        schema={"entity_id": pl.String, "cutoff": pl.Datetime("us"), "split": SPLIT_TYPE},
    )


def predicted(rows: pl.DataFrame, scores: Any) -> pl.DataFrame:
    return rows.with_columns(array_column("scores", np.asarray(scores, np.float32)))


def cuts(names: Any = NAMES, value: float = 0.5) -> list[Threshold]:
    return [Threshold(name, value, "fixed") for name in names]


def made_up(examples: int = 900, noise: float = 0.05, seed: int = 0) -> Any:
    """Examples, predictions, two baselines and the true probabilities; the last label is never positive."""
    generator = np.random.default_rng(seed)
    truth = generator.random((examples, 3)) * [0.6, 0.3, 0.0]
    targets = (generator.random(truth.shape) < truth).astype(np.uint8)
    rows = rows_of(examples)
    baselines = {
        "prevalence": predicted(rows, np.tile([0.3, 0.15, 0.0], (examples, 1))),
        "recency": predicted(rows, np.clip(truth + generator.normal(0, 0.3, truth.shape), 0, 1)),
    }
    model = predicted(rows, np.clip(truth + generator.normal(0, noise, truth.shape), 0, 1))
    return rows.with_columns(array_column("targets", targets)), model, baselines, predicted(rows, truth)


def reported(**changes: Any) -> dict[str, Any]:
    examples, model, baselines, _ = made_up()
    arguments = {"baselines": baselines, "thresholds": cuts(), **changes}
    return built("departments", NAMES, examples, arguments.pop("model", model), **arguments)


def numbers(value: Any) -> Any:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [value] if isinstance(value, float) else []


def test_a_good_model_is_better_than_the_best_baseline_by_an_interval():
    report = reported()
    assert report["verdict"].startswith("Better than the best baseline, recency, in macro AP: ")
    compared = report["comparison"]["ap"]
    assert compared["outcome"] == "better"
    assert compared["value"] == pytest.approx(compared["model"] - compared["rival"])
    assert 0 < compared["low"] < compared["high"]
    assert compared["rival"] == report["baselines"]["recency"]["test"]["macro"]["ap"]


def test_a_model_that_loses_says_so_in_the_first_line():
    _, _, baselines, truth = made_up()
    report = reported(
        model=baselines["prevalence"], baselines={"frequency": truth, "recency": baselines["recency"]}
    )
    assert report["verdict"].startswith("WORSE than the best baseline, frequency, in macro AP: ")
    assert "WORSE" in as_text(report).splitlines()[0]
    assert "WORSE" in as_markdown(report).splitlines()[0]


def test_a_model_against_itself_is_equal():
    _, model, _, _ = made_up()
    report = reported(baselines={"twin": model})
    assert report["verdict"].startswith("Equal to the best baseline, twin, in macro AP: ")
    assert "+0.000 (95 % interval +0.000 to +0.000, within ±0.005)" in report["verdict"]


def test_the_first_line_tells_the_log_loss_too_where_a_baseline_has_one():
    report = reported(no_probabilities=("recency",))
    assert "better than the best baseline, prevalence, in macro log-loss: " in report["verdict"]
    compared = report["comparison"]["log_loss"]
    assert (compared["outcome"], compared["baseline"]) == ("better", "prevalence")
    assert compared["value"] < 0
    assert compared["high"] < 0
    assert compared["value"] == pytest.approx(compared["model"] - compared["rival"])
    recency = report["baselines"]["recency"]["test"]
    assert recency["macro"]["log_loss"] is recency["difference"]["log_loss"] is None
    text = as_text(report)
    assert "recency: scores that rank and are no probabilities, so without log-loss" in text
    shown = text[text.index("Test: log-loss") :].split("\n\n")[0]
    assert "prevalence" in shown
    assert "recency" not in shown


def test_a_model_that_ranks_as_well_and_is_calibrated_worse_says_both_in_the_first_line():
    _, model, _, _ = made_up()
    halved = model.with_columns(array_column("scores", model["scores"].to_numpy() / 2))
    verdict = reported(model=halved, baselines={"twin": model})["verdict"]
    assert verdict.startswith("Equal to the best baseline, twin, in macro AP: ")
    assert "; equal to it in macro AUROC: " in verdict
    assert "; WORSE than it in macro log-loss: " in verdict


def test_a_baseline_that_is_missing_stands_in_the_first_line_and_notes_of_baselines_below():
    report = reported(missing_baselines=["boosting is not installed"], baseline_notes=["recency: 60 days"])
    assert report["verdict"].endswith(" Not compared: boosting is not installed.")
    assert "- recency: 60 days" in as_markdown(report)
    assert "boosting is not installed" in as_markdown(report).splitlines()[0]


def test_rows_are_joined_by_entity_and_cutoff_and_never_by_position():
    _, model, baselines, truth = made_up()
    shuffled = {
        name: table.sample(fraction=1, shuffle=True, seed=3).select("scores", "split", "cutoff", "entity_id")
        for name, table in baselines.items()
    }
    again = reported(model=model.reverse(), baselines=shuffled, oracle=truth.reverse())
    assert again == reported(oracle=truth)


def test_numbers_are_those_of_the_plain_loops():
    examples, model, _, _ = made_up(240)
    report = built("x", NAMES, examples, model, baselines={}, thresholds=cuts(value=0.3))
    joined = examples.join(model, on=["entity_id", "cutoff"]).filter(pl.col("split") == "test")
    for k, label in enumerate(report["splits"]["test"]["labels"][:2]):
        scores, targets = (
            joined["scores"].to_numpy()[:, k].tolist(),
            joined["targets"].to_numpy()[:, k].tolist(),
        )
        assert label["auroc"] == pytest.approx(reference.auroc(scores, targets))
        assert label["ap"] == pytest.approx(reference.average_precision(scores, targets))
        assert label["f1"] == pytest.approx(reference.f1(scores, targets, float(np.float32(0.3))))
        assert label["volume"] == sum(score >= np.float32(0.3) for score in scores)


def test_the_prevalence_baseline_has_auroc_one_half_and_ap_of_the_prevalence():
    report = reported()
    labels = report["baselines"]["prevalence"]["test"]["labels"][:2]
    prevalence = [label["prevalence"] for label in report["splits"]["test"]["labels"][:2]]
    assert [label["auroc"] for label in labels] == [0.5, 0.5]
    assert [label["ap"] for label in labels] == pytest.approx(prevalence)


def test_a_report_is_json_with_every_promised_field_and_comes_back_the_same():
    _, _, _, truth = made_up()
    funnel: Any = {"reason": "window not complete", "removed": 12, "kept": 900}
    report = reported(oracle=truth, funnel=[FunnelStep(**funnel)], warnings=["look here"])
    again = json.loads(json.dumps(report, allow_nan=False))
    assert again == report
    assert report["schema"] == "mlc/report/2"
    assert (report["funnel"], report["warnings"]) == ([funnel], ["look here"])
    test = report["splits"]["test"]
    assert (test["examples"], test["entities"], test["cutoffs"]["number"]) == (300, 300, 1)
    assert set(test["labels"][0]) >= {
        *("name", "support", "prevalence", "auroc", "ap", "lift", "brier", "log_loss", "undefined"),
        *("threshold", "precision", "recall", "f1", "volume"),
    }
    assert set(test["macro"]) == {
        *("auroc", "ap", "log_loss", "auroc_interval", "ap_interval", "labels_defined", "labels")
    }
    low, high = test["macro"]["ap_interval"]
    assert low < test["macro"]["ap"] < high
    for baseline in [*report["baselines"].values(), report["oracle"]]:
        for split in ("train", "test", "validation"):
            assert set(baseline[split]) >= {"macro", "micro", "weighted", "labels"}
            assert set(baseline[split]["labels"][0]) == {"name", "auroc", "ap"}
        assert set(baseline["test"]["difference"]["auroc"]) >= {"value", "low", "high"}
    assert report["oracle"]["test"]["difference"]["ap"]["value"] < 0
    never = report["splits"]["train"]["labels"][2]
    assert (never["name"], never["support"], never["prevalence"]) == ("Never", 0, 0.0)


def test_calibration_and_promises_stand_in_dict_and_texts():
    examples, model, _, _ = made_up()
    maps = [Calibrator(name, "bias", bias=1.0) for name in NAMES]
    mapped = model.rename({"scores": "raw_scores"}).with_columns(
        array_column("scores", calibrated(model["scores"].to_numpy(), maps))
    )
    ends = Expected(0.4, 0.3, 0.5)
    promised = [
        Threshold(name, 0.5, "auto", None, None, Estimate(ends, ends, ends, ends)) for name in NAMES[:2]
    ]
    promised.append(Threshold(NAMES[2], 0.5, "auto", None, None, Estimate(None, None, None, ends)))
    report = built("x", NAMES, examples, mapped, baselines={}, thresholds=promised, calibrators=maps)
    before = built("x", NAMES, examples, model, baselines={}, thresholds=cuts())
    for now, then in zip(report["splits"]["test"]["labels"], before["splits"]["test"]["labels"], strict=True):
        assert now["calibration"] == "bias"
        assert now["log_loss_before"] == then["log_loss"] != now["log_loss"]
        assert now["calibration_error_before"] == then["calibration_error"]
        assert now["auroc"] == (None if then["auroc"] is None else pytest.approx(then["auroc"], abs=1e-4))
    for text in (as_text(json.loads(json.dumps(report))), as_markdown(report)):
        assert "0.300-0.500" in text
        assert "90-150" in text  # the share of yes, of 300 examples
        assert "log-loss before" in text
        assert "LRAP" in text


def test_both_texts_are_written_from_the_dict_alone_and_agree():
    report = json.loads(json.dumps(reported(funnel=[FunnelStep("no history", 1234, 5)])))
    text, markdown = as_text(report), as_markdown(report)
    for shown in ("no positive example: Never", "1,234", f"{report['splits']['test']['macro']['ap']:.3f}"):
        assert shown in text
        assert shown in markdown
    assert "best possible" not in text


def test_labels_with_a_bar_keep_the_columns_of_the_markdown_table():
    markdown = as_markdown(reported())
    line = next(line for line in markdown.splitlines() if "Food, Fresh" in line)
    assert line.startswith(r"| Food, Fresh \| cold | ")
    header = next(line for line in markdown.splitlines() if line.startswith("| label |"))
    assert line.replace(r"\|", "").count("|") == header.count("|")


def test_lines_of_the_text_fit_the_width_and_numbers_stand_below_each_other():
    names = ["a label whose name is much too long for any terminal " * 2, "line\nbreak", "c"]
    examples, model, baselines, truth = made_up()
    report = built(
        "departments",
        names,
        examples,
        model,
        baselines=baselines,
        oracle=truth,
        thresholds=cuts(names),
    )
    for width in (90, 100, 140):
        lines = as_text(report, width=width).splitlines()
        assert max(map(len, lines)) <= width
        start = next(row for row, line in enumerate(lines) if line.startswith("  label"))
        assert len({len(line) for line in lines[start : start + 4]}) == 1
    assert "…" in as_text(report)


def test_the_first_screen_has_the_verdict_and_the_model_between_its_baselines():
    _, _, _, truth = made_up()
    screen = "\n".join(as_text(reported(oracle=truth)).splitlines()[:14])
    for shown in ("Better than", "model", "prevalence", "recency", "best possible"):
        assert shown in screen


@pytest.mark.parametrize("splits", [("train",), ("train", "validation"), ("test",)])
def test_a_split_without_rows_is_said_and_undefined(splits):
    rows = rows_of(6, splits)
    examples = rows.with_columns(array_column("targets", np.tile([[0, 1, 255]], (6, 1)).astype(np.uint8)))
    model = predicted(rows, np.full((6, 3), 0.5))
    report = built("x", NAMES, examples, model, baselines={"prevalence": model}, thresholds=cuts())
    assert report["verdict"].startswith("No verdict: ")
    assert ("has no example" in report["verdict"]) == ("test" not in splits)
    assert report["splits"]["test"]["macro"]["auroc"] is None
    json.dumps(report, allow_nan=False)
    assert as_text(report)
    assert as_markdown(report)


def test_one_example_of_one_label_has_a_verdict_that_says_why_there_is_none():
    rows = rows_of(1, ("test",))
    examples = rows.with_columns(array_column("targets", np.array([[1]], np.uint8)))
    model = predicted(rows, [[0.7]])
    report = built("x", ["a"], examples, model, baselines={"p": model}, thresholds=cuts(["a"]))
    assert (
        "none of the 1 labels has both a positive and a negative among the 1 test examples"
        in report["verdict"]
    )
    assert "no negative example: a" in as_text(report)


def test_one_entity_gives_no_interval_and_no_winner():
    rows = rows_of(2, ("test",)).with_columns(
        entity_id=pl.lit("e"), cutoff=pl.Series([DAY, DAY.replace(day=2)])
    )
    examples = rows.with_columns(array_column("targets", np.array([[1], [0]], np.uint8)))
    worse = predicted(rows, [[0.1], [0.9]])
    model = predicted(rows, [[0.9], [0.1]])
    report = built("x", ["a"], examples, model, baselines={"p": worse}, thresholds=cuts(["a"]))
    assert report["verdict"].startswith("No verdict: for none of the 1 labels do at least 10 entities have")
    assert report["comparison"] == {"ap": None, "auroc": None, "log_loss": None}
    assert any("only 1 entity" in warning for warning in report["warnings"])
    assert report["splits"]["test"]["cutoffs"] == {
        "number": 2,
        "first": "2020-09-01T00:00:00",
        "last": "2020-09-02T00:00:00",
    }


@pytest.mark.parametrize(
    "broken",
    [
        lambda table: table.head(-1),
        lambda table: pl.concat([table, table.head(1)]),
        lambda table: pl.concat([table, table.head(1).with_columns(entity_id=pl.lit("stranger"))]),
        lambda table: table.with_columns(split=pl.lit("test", SPLIT_TYPE)),
        lambda table: table.with_columns(
            array_column("scores", np.full((table.height, 3), np.nan, np.float32))
        ),
        lambda table: table.with_columns(array_column("scores", np.zeros((table.height, 2), np.float32))),
    ],
)
def test_predictions_that_do_not_fit_the_examples_are_refused(broken):
    _, model, baselines, _ = made_up()
    with pytest.raises(DataError):
        reported(model=broken(model))
    with pytest.raises(DataError):
        reported(baselines={"recency": broken(baselines["recency"])})


def test_the_error_names_the_table_and_the_split():
    _, _, baselines, _ = made_up()
    with pytest.raises(DataError, match=r"recency, train split: .* predictions for 300 examples"):
        reported(baselines={"recency": baselines["recency"].filter(pl.col("split") == "test")})


def test_thresholds_of_other_labels_are_refused():
    with pytest.raises(DataError, match="the thresholds are of other labels"):
        reported(thresholds=cuts(NAMES[::-1]))


def test_notes_of_thresholds_become_warnings():
    noted = [*cuts(NAMES[:2]), Threshold("Never", 0.5, "max_f1", "no positive validation example: 0.5 used")]
    assert (
        "threshold of Never: no positive validation example: 0.5 used"
        in reported(thresholds=noted)["warnings"]
    )


def test_labels_without_decisions_and_missed_goals_are_marked_in_dict_and_texts():
    given = [
        Threshold(NAMES[0], None, "precision_at_least", "precision 0.9 cannot be reached", reachable=False),
        Threshold(NAMES[1], 0.25, "recall_at_least", "recall 0.9 cannot be reached", reachable=False),
        Threshold(NAMES[2], None, "never"),
    ]
    report = reported(thresholds=given)
    labels = report["splits"]["test"]["labels"]
    assert [(label["threshold"], label["threshold_reachable"]) for label in labels] == [
        (None, False),
        (0.25, False),
        (None, True),
    ]
    assert [label["volume"] for label in labels][::2] == [0, 0]
    assert (labels[0]["precision"], labels[0]["recall"]) == (None, 0.0)
    for text in (as_text(report), as_markdown(report)):
        table = text.split("each label at its threshold")[1].split("Labels that can be trusted")[0]
        marks = [" never " in line or "0.250 (missed)" in line for line in table.splitlines()]
        assert marks.count(True) == len(NAMES)
        assert f"threshold of {NAMES[0]}: precision 0.9 cannot be reached" in " ".join(text.split()).replace(
            "\\|", "|"
        )


def test_frames_are_not_changed():
    examples, model, baselines, _ = made_up()
    before = examples.clone(), model.clone()
    built("x", NAMES, examples, model, baselines=baselines, thresholds=cuts())
    assert examples.equals(before[0])
    assert model.equals(before[1])


@settings(deadline=None, max_examples=drawn(40))
@given(st.data())
def test_any_tables_make_a_report_without_nan_and_two_texts(source):
    count, labels = source.draw(st.integers(0, 12)), source.draw(st.integers(1, 3))
    names = source.draw(
        st.lists(st.text(min_size=1, max_size=5), min_size=labels, max_size=labels, unique=True)
    )
    cells = st.lists(st.sampled_from([0, 1, 255]), min_size=count * labels, max_size=count * labels)
    targets = np.array(source.draw(cells), np.uint8).reshape(count, labels)
    scores = np.array(source.draw(cells), np.float32).reshape(count, labels) / 255
    rows = rows_of(count)
    examples, model = rows.with_columns(array_column("targets", targets)), predicted(rows, scores)
    baseline = predicted(rows, np.full_like(scores, 0.25))
    report = built(
        "x",
        names,
        examples,
        model,
        baselines={"p": baseline},
        oracle=model,
        thresholds=cuts(names),
    )
    assert all(math.isfinite(number) for number in numbers(report))
    json.dumps(report, allow_nan=False)
    lines = as_markdown(report).splitlines()
    assert sum(line.startswith("| label | positives") for line in lines) == 1
    assert as_text(report)


def test_a_task_without_cutoffs_and_with_other_splits_is_reported_by_entity_alone():
    examples, model, baselines, _ = made_up()
    splits = {"train": "fit", "validation": "validation", "test": "test"}

    def keyless(table: pl.DataFrame) -> pl.DataFrame:
        named = table.with_columns(
            entity_id=pl.concat_str("entity_id", "split", separator="-"),
            split=pl.col("split").cast(pl.String).replace(splits),
        )
        return named.drop("cutoff")

    report = built(
        "photos",
        NAMES,
        keyless(examples),
        keyless(model),
        baselines={name: keyless(table) for name, table in baselines.items()},
        thresholds=cuts(),
    )
    assert list(report["splits"]) == ["fit", "validation", "test"]
    assert report["splits"]["fit"]["cutoffs"] == {"number": 0, "first": None, "last": None}
    assert report["backtest"] == []
    dated = reported()
    assert report["comparison"] == dated["comparison"]
    assert report["splits"]["fit"]["macro"] == dated["splits"]["train"]["macro"]
    text = as_text(report)
    assert "Test: 300 examples of 300 entities; means over" in text
    assert "cutoff" not in text
    assert "Fit: 300 examples" in text
