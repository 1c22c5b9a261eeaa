"""The text branch: where it begins, how it learns, how it is stored."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from mlc.models.branches.text import HEAD_RATE, TextBranch, merge_low_rank
from mlc.models.ensemble import load_network, members_of, save_network
from mlc.models.network import Network, NetworkSpec
from mlc.models.reading.batch import Batch
from mlc.models.rows.pretrained import load_pretrained
from mlc.models.rows.text_windows import window_reader
from mlc.models.rows.trained_texts import TextMaker, begin_texts, fitted_head, text_spec
from mlc.rows.inputs import RowColumns, RowInputs
from mlc.run import RunFolder
from mlc.scenario import TrainSection
from mlc.tables import UNKNOWN
from mlc.training.module import Classifier
from tests.support.tiny_transformer import WORDS, texts_of, write_tiny

ROWS, LABELS = 200, 2
NAMES = ["has w0", "has w1"]


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory):
    return load_pretrained(str(write_tiny(tmp_path_factory.mktemp("tiny"), initializer_range=0.1)))


def inputs_of(*columns: pl.Series) -> RowInputs:
    frame = pl.DataFrame({f"text{place}": column for place, column in enumerate(columns)})
    return RowInputs(frame, RowColumns(texts=frame.columns), LABELS)


def targets_of(texts: pl.Series) -> np.ndarray:
    words = [set((text or "").split()) for text in texts]
    return np.array([["w0" in each, "w1" in each] for each in words]).astype(np.uint8)


def maker_of(pretrained, columns=("text0",), max_tokens=16) -> TextMaker:
    return TextMaker(columns, window_reader(pretrained.tokenizer, max_tokens, 4, pretrained.most_tokens))


class Case:
    """A network that has begun, and batches for it."""

    def __init__(self, pretrained, texts, *, tune="all", alone=True, columns=1, rate=1e-3):
        self.targets = targets_of(texts)
        self.inputs = inputs_of(*[texts] * columns)
        self.gather = maker_of(pretrained, list(self.inputs.frame.columns)).of(self.inputs)
        torch.manual_seed(0)
        spec = text_spec(pretrained, columns, tune, rate, alone=alone)
        self.network = Network(NetworkSpec(LABELS, 16, 1, 0.1, {"text": spec}))
        counts = torch.from_numpy(self.targets.sum(0)).float(), torch.full((LABELS,), float(len(texts)))
        self.network.fit([], *counts)
        begin_texts([self.network], pretrained, self.gather, np.arange(len(texts)), self.targets)
        self.network.eval()

    @property
    def branch(self) -> TextBranch:
        branch = self.network.branch(TextBranch)
        assert branch is not None
        return branch

    def batch(self, rows: np.ndarray) -> Batch:
        inputs = self.gather(rows)
        return Batch(torch.from_numpy(rows), torch.from_numpy(self.targets[rows]), {type(inputs): inputs})

    def logits(self, rows: np.ndarray | None = None) -> torch.Tensor:
        with torch.inference_mode():
            return self.network(self.batch(np.arange(len(self.targets)) if rows is None else rows))

    def learn(self, steps: int) -> "Case":
        optimizer = torch.optim.AdamW(
            [{"params": parameters, "lr": rate} for rate, parameters in self.branch.rates()], lr=1e-3
        )
        self.network.train()
        for step in range(steps):
            batch = self.batch(np.random.default_rng(step).integers(0, len(self.targets), 32))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                self.network(batch), batch.targets_BK.float()
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        self.network.eval()
        return self


@pytest.mark.parametrize("tune", ["all", "lora"])
@pytest.mark.parametrize("alone", [True, False])
def test_the_first_logits_are_those_of_the_linear_model_on_the_vectors_as_they_are(pretrained, tune, alone):
    case = Case(pretrained, texts_of(ROWS), tune=tune, alone=alone)
    with torch.inference_mode():
        vectors = case.branch.vectors(case.gather(np.arange(ROWS)), ROWS)
    weight, bias = fitted_head(vectors, case.targets)
    torch.testing.assert_close(case.logits(), vectors @ weight.T + bias, atol=1e-3, rtol=1e-3)
    right = (case.logits() > 0) == torch.from_numpy(case.targets).bool()
    assert right.float().mean() > 0.8


def test_the_first_head_leaves_out_targets_that_are_not_known(pretrained):
    texts = texts_of(ROWS)
    case = Case(pretrained, texts)
    vectors = torch.randn(ROWS, 5, generator=torch.Generator().manual_seed(0))
    hidden = case.targets.copy()
    hidden[::3] = UNKNOWN
    known = np.arange(ROWS) % 3 > 0
    few, many = fitted_head(vectors[known], case.targets[known]), fitted_head(vectors, hidden)
    torch.testing.assert_close(few[0], many[0], atol=0.05, rtol=0.05)


def test_training_the_encoder_finds_words_and_leaves_their_embeddings_as_they_are(pretrained):
    case = Case(pretrained, texts_of(400, words=14))
    embeddings = case.branch.encoder.get_submodule("embeddings.word_embeddings")
    before = embeddings.get_parameter("weight").clone()
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    targets = torch.from_numpy(case.targets).float()
    first = loss(case.logits(), targets)
    case.learn(200)
    assert loss(case.logits(), targets) < 0.5 * first
    assert torch.equal(embeddings.get_parameter("weight"), before)


def test_low_rank_updates_leave_the_encoder_as_it_is_and_can_be_merged(pretrained):
    case = Case(pretrained, texts_of(ROWS), tune="lora", rate=1e-2)
    weights = pretrained.network.state_dict()
    first = case.logits()
    case.learn(20)
    for name, tensor in case.branch.encoder.state_dict().items():
        if not name.endswith((".up", ".down")):
            assert torch.equal(tensor, weights[name.replace(".base.", ".")]), name
    learned = case.logits()
    assert (learned - first).abs().max() > 0.1
    trained = sum(p.numel() for p in case.branch.encoder.parameters() if p.requires_grad)
    assert 0 < trained < sum(p.numel() for p in case.branch.encoder.parameters()) / 2
    merge_low_rank(case.branch.encoder)
    assert set(case.branch.encoder.state_dict()) == set(weights)
    torch.testing.assert_close(case.logits(), learned, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tune", ["all", "lora"])
def test_a_stored_network_needs_no_other_file_and_gives_the_same_scores(pretrained, tune, tmp_path):
    case = Case(pretrained, texts_of(50), tune=tune).learn(3)
    run = RunFolder(tmp_path)
    save_network(case.network, NAMES, run.folder)
    maker_of(pretrained).save(run)
    network, names = load_network(run.folder)
    case.gather = TextMaker.load(run).of(case.inputs)
    expected, (case.network,) = case.logits(), members_of(network.eval())
    assert torch.equal(case.logits(), expected)
    assert names == NAMES
    described = json.loads((tmp_path / "model.json").read_text())["network"]["branches"]["text"]
    assert described["config"]["model_type"] == "bert"


def test_a_score_does_not_depend_on_the_other_rows_of_its_batch(pretrained):
    case = Case(pretrained, texts_of(60, words=50))
    alone = torch.cat([case.logits(np.array([row])) for row in range(60)])
    torch.testing.assert_close(case.logits(), alone, atol=1e-4, rtol=1e-4)


def test_rows_without_any_text_are_scored_and_trained_on(pretrained):
    case = Case(pretrained, texts_of(40))
    empty = case.batch(np.array([0, 1]))
    case.network.train()
    case.network(empty).sum().backward()
    trained = [p for p in case.branch.encoder.parameters() if p.requires_grad]
    assert all(parameter.grad is not None for parameter in trained)
    case.network.eval()
    both = case.logits(np.array([0, 1]))
    assert torch.isfinite(both).all()
    assert torch.equal(both[0], both[1])


def test_several_columns_are_read_one_by_one(pretrained):
    texts = texts_of(30)
    case = Case(pretrained, texts, columns=2)
    with torch.inference_mode():
        both = case.branch.vectors(case.gather(np.arange(30)), 30)
    torch.testing.assert_close(both[:, :32], both[:, 32:], atol=1e-5, rtol=1e-5)
    other = maker_of(pretrained, ["text0", "text1"]).of(inputs_of(texts, texts.reverse()))
    with torch.inference_mode():
        crossed = case.branch.vectors(other(np.arange(30)), 30)
    torch.testing.assert_close(crossed[:, :32], crossed.flip(0)[:, 32:], atol=1e-5, rtol=1e-5)


def test_a_text_twice_as_long_scores_alike_whichever_half_holds_the_words(pretrained):
    """A window has room for 14 words; the text has 28 others, of which three in a row become the signal."""
    drawn = np.random.default_rng(3)
    others = [drawn.choice(WORDS[2:], size=28).tolist() for _ in range(150)]
    placed = drawn.integers(0, 50, 150)
    texts = [
        with_signal(words, place) if place < 26 else words
        for words, place in zip(others, placed, strict=True)
    ]
    case = Case(pretrained, pl.Series(map(" ".join, texts))).learn(60)

    def score(texts: list[list[str]]) -> float:
        case.gather = maker_of(pretrained).of(inputs_of(pl.Series(map(" ".join, texts))))
        return float(torch.sigmoid(case.logits()[:, 0]).mean())

    first, second = (score([with_signal(words, place) for words in others]) for place in (4, 21))
    assert abs(first - second) < 0.05
    assert min(first, second) - score(others) > 0.5


def with_signal(words: list[str], place: int) -> list[str]:
    return [*words[:place], "w0", "w0", "w0", *words[place + 3 :]]


def test_encoder_head_and_network_have_rates_of_their_own(pretrained):
    case = Case(pretrained, texts_of(20), rate=1e-4, alone=False)
    classifier = Classifier(case.network, TrainSection(learning_rate=0.01))

    class Steps:
        estimated_stepping_batches = 1

    classifier._trainer = Steps()  # type: ignore[assignment]
    groups = classifier.configure_optimizers()["optimizer"].param_groups
    rates = {id(p): group["initial_lr"] for group in groups for p in group["params"]}
    branch = case.branch
    trained = [p for p in branch.encoder.parameters() if p.requires_grad]
    assert {rates[id(p)] for p in trained} == {1e-4}
    assert {rates[id(p)] for p in branch.head.parameters()} == {HEAD_RATE * 1e-4}
    assert {rates[id(p)] for p in case.network.out.parameters()} == {0.01}
    assert len(rates) == sum(p.requires_grad for p in case.network.parameters())


def test_what_is_not_read_of_long_texts_is_said(pretrained):
    long = pl.Series(["w0 " * 200, "w0", "w1"])
    assert maker_of(pretrained).of(inputs_of(long)).note == (
        "1 of 3 texts is longer than the windows of model.text, and its end is not read"
    )
    assert maker_of(pretrained).of(inputs_of(long[1:])).note == ""
