import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import fbeta_score, hamming_loss, roc_auc_score

from mlc.errors import ScenarioError
from mlc.models.custom_metrics import check_metrics, custom_scores
from tests.support.large_shop import write_shop
from tests.support.shop_tables import SCENARIO


def made_up() -> Any:
    generator = np.random.default_rng(0)
    scores = generator.random((200, 3)).astype(np.float32)
    return scores, (scores > 0.7).astype(np.uint8), (generator.random(scores.shape) < scores).astype(np.uint8)


def test_decisions_or_scores_go_where_they_belong():
    scores, decisions, targets = made_up()
    wanted: Any = [
        ("MultilabelHammingDistance", {}),
        ("MultilabelFBetaScore", {"beta": 2.0}),
        ("MultilabelAUROC", {"average": None}),
        ("MultilabelHammingDistance", {"threshold": 0.2}),
    ]
    check_metrics(wanted, 3)
    found = [one.value for one in custom_scores(wanted, scores, decisions, targets)]
    assert found[0] == pytest.approx(hamming_loss(targets, decisions))
    assert found[1] == pytest.approx(fbeta_score(targets, decisions, beta=2, average="macro"))
    assert found[2] == pytest.approx(roc_auc_score(targets, scores, average=None))
    assert found[3] == pytest.approx(hamming_loss(targets, scores > 0.2))


def test_labels_without_both_classes_are_left_out_and_counted():
    scores, decisions, targets = made_up()
    targets[:, 1] = 0
    targets[:50, 0] = 255
    auroc = custom_scores([("MultilabelAUROC", {})], scores, decisions, targets)[0]
    expected = [roc_auc_score(targets[50:, 0], scores[50:, 0]), roc_auc_score(targets[:, 2], scores[:, 2])]
    assert auroc.value == pytest.approx(np.mean(expected))
    assert (auroc.labels, auroc.undefined) == (2, None)
    targets[:, 2] = 1
    auroc = custom_scores([("MultilabelAUROC", {})], scores, decisions, targets)[0]
    assert (auroc.value, auroc.undefined) == (None, "fewer than two labels are defined")


@pytest.mark.parametrize(
    ("wanted", "labels", "said"),
    [
        (("MultilabelHamming", {}), 3, "Did you mean MultilabelHammingDistance"),
        (("BinaryAUROC", {}), 3, "BinaryAUROC is no multilabel class of torchmetrics"),
        (("MultilabelFBetaScore", {"bta": 2.0}), 3, "MultilabelFBetaScore"),
        (("MultilabelROC", {}), 3, "it gives curves or tables"),
        (("MultilabelAUROC", {}), 1, "needs two labels"),
    ],
)
def test_a_metric_that_does_not_fit_is_refused_with_the_reason(wanted, labels, said):
    with pytest.raises(ScenarioError, match=said):
        check_metrics([wanted], labels)


def test_a_scenario_names_metrics_and_the_report_has_them_for_every_split(demo, mlc, trained):
    scenario = demo / "departments_28d.yaml"
    metrics = "metrics=[MultilabelExactMatch, {name: MultilabelFBetaScore, beta: 2.0}]"
    run = trained / "departments_28d"
    before = (run / "resolved.yaml").read_text()
    try:
        (run / "resolved.yaml").write_text(before.replace("metrics: []", metrics.replace("=", ": ", 1)))
        result = mlc("evaluate", "departments_28d", "--runs-dir", trained, "--json")
    finally:
        (run / "resolved.yaml").write_text(before)
    assert result.code == 0, result.err
    for entry in json.loads(result.out)["splits"].values():
        exact, f_beta = entry["metrics"]
        assert exact["value"] == pytest.approx(entry["decisions"]["subset_accuracy"])
        assert f_beta["options"] == {"beta": 2.0}
    refused = mlc("train", scenario, "--set", "metrics=[MultilabelRoc]", "--set", "name=refused")
    assert (refused.code, "Did you mean MultilabelROC" in refused.err) == (2, True)


def test_a_check_tells_every_metric_that_does_not_fit_with_its_line(mlc, tmp_path):
    metrics = "metrics:\n  - MultilabelHamming\n  - {name: MultilabelFBetaScore, bta: 2}\n"
    path = write_shop(tmp_path, SCENARIO + metrics)
    line = len(SCENARIO.splitlines()) + 2
    told = mlc("check", path)
    first, second = told.err.splitlines()
    assert told.code == 2
    assert first.startswith(
        f"{path}:{line}: metrics.0: MultilabelHamming is no multilabel class of torchmetrics"
    )
    assert second.startswith(f"{path}:{line + 1}: metrics.1: torchmetrics refuses MultilabelFBeta")
    sound = write_shop(tmp_path, SCENARIO + "metrics: [MultilabelHammingDistance]\n")
    assert mlc("check", sound).code == 0


def test_a_check_without_metrics_does_not_load_torch(tmp_path):
    path = write_shop(tmp_path)
    code = (
        "import sys\n"
        "from mlc.cli import main\n"
        f"sys.argv = ['mlc', 'check', {str(path)!r}]\n"
        "try: main()\n"
        "except SystemExit as stopped: assert not stopped.code, stopped.code\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
