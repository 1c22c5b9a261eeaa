"""Encoders of texts that are trained: what they read, and where they begin."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from torch.nn import functional

from mlc.models.branches.text import TextBranch, TextInputs, TextSpec, Tune
from mlc.models.network import Network
from mlc.models.rows.pooling import fast_on_cpu
from mlc.models.rows.pretrained import Pretrained
from mlc.models.rows.text_windows import WindowReader, Windows, window_reader
from mlc.models.rows.weights import quiet
from mlc.progress import advance, stage
from mlc.rows.inputs import RowInputs
from mlc.run import RunFolder
from mlc.run.schemas import of_schema
from mlc.tables import UNKNOWN

FOLDER = "text_encoder"
"""Tokenizer of a trained encoder, in the folder of its run; the weights are those of the network."""
_FILE = "text_encoder/reading.json"
_SCHEMA = "mlc/texts/1"
_BATCH = 1024
_STRENGTH = 1e-3
"""How much the coefficients of the first head are held back."""
_STEPS = 100


@dataclass(frozen=True)
class TextMaker:
    """Makes what the text branch reads of rows.

    See `mlc.models.rows.reading.InputsMaker`.

    Attributes:
        columns: The columns of texts, in the order in which the branch reads them.
        reader: Cuts texts into windows of tokens.
    """

    columns: Sequence[str]
    reader: WindowReader

    def of(self, inputs: RowInputs) -> "TextGather":
        """Read the texts once; return what makes the inputs of rows by position."""
        return TextGather(self.windows(inputs), len(self.columns))

    def windows(self, inputs: RowInputs) -> Windows:
        """Return the windows of all texts: row by row, and in each by column."""
        stage("reading texts")
        texts = inputs.frame.select(pl.concat_list(pl.col(name) for name in self.columns)).to_series()
        return self.reader.windows(texts.explode())

    def save(self, run: RunFolder) -> None:
        """Write the tokenizer into a run, so that nothing else is needed to score with it."""
        (run / FOLDER).mkdir(exist_ok=True)
        with quiet():
            self.reader.tokenizer.save_pretrained(run / FOLDER)
        limits = {"max_tokens": self.reader.max_tokens, "max_windows": self.reader.max_windows}
        run.write_json(_FILE, {"schema": _SCHEMA, "columns": list(self.columns), **limits})

    @classmethod
    def load(cls, run: RunFolder) -> "TextMaker":
        """Load what `save` has written.

        Raises:
            RunError: A file is missing or damaged.
        """
        from transformers import AutoTokenizer

        stored: dict[str, Any] = run.read_json(_FILE, _checked)
        with run.reading(f"{FOLDER}/tokenizer.json") as path, quiet():
            tokenizer = AutoTokenizer.from_pretrained(str(path.parent), trust_remote_code=False)
        reader = window_reader(tokenizer, stored["max_tokens"], stored["max_windows"], stored["max_tokens"])
        return cls(stored["columns"], reader)


@dataclass(frozen=True)
class TextGather:
    """Makes the inputs of the text branch for some rows.

    Attributes:
        windows: Of the texts of all rows.
        columns: Number of texts of a row.
    """

    windows: Windows
    columns: int

    def __call__(self, rows_B: np.ndarray) -> TextInputs:
        """Return the inputs of some rows, by their positions."""
        texts_X = (rows_B[:, None] * self.columns + np.arange(self.columns)).ravel()
        return TextInputs(*(torch.from_numpy(part) for part in self.windows.of(texts_X)))

    @property
    def note(self) -> str:
        """How many texts are longer than what is read of them; empty where none is."""
        return truncation_note(self.windows.truncated, len(self.windows.first_N) - 1)


def truncation_note(truncated: int, texts: int) -> str:
    """Return how many texts were not read to their end; empty where all were.

    Examples:
        >>> truncation_note(3, 1200)
        '3 of 1,200 texts are longer than the windows of model.text, and their ends are not read'
    """
    if truncated == 0:
        return ""
    verb, ends = ("is", "its end is") if truncated == 1 else ("are", "their ends are")
    counted = f"{truncated:,} of {texts:,} texts {verb} longer than the windows of model.text"
    return f"{counted}, and {ends} not read"


def text_spec(
    pretrained: Pretrained, columns: int, tune: Tune, learning_rate: float, *, alone: bool
) -> TextSpec:
    """Return the spec of the text branch for a pre-trained encoder.

    Args:
        pretrained: The encoder.
        columns: How many columns of texts a row has.
        tune: How much of it is trained.
        learning_rate: Highest learning rate of the encoder.
        alone: Whether a row has no other input.
    """
    config = json.loads(pretrained.config.to_json_string(use_diff=True))
    return TextSpec(
        {**config, "model_type": pretrained.config.model_type}, columns, tune, learning_rate, alone
    )


def begin_texts(
    networks: Sequence[Network],
    pretrained: Pretrained,
    inputs_of: Callable[[np.ndarray], TextInputs],
    rows_M: np.ndarray,
    targets_MK: np.ndarray,
) -> None:
    """Give networks a pre-trained encoder, and the head that fits it as it is.

    From a random head, the encoder would first have to make up for it: on GoEmotions, macro AP is then .464
    rather than .530. All else adds nothing to the logits at first.

    Args:
        networks: Fitted networks with a text branch.
        pretrained: Its encoder.
        inputs_of: Makes the inputs of rows, by their positions.
        rows_M: Positions of the rows of training.
        targets_MK: Their targets, uint8.
    """
    branches = [network.branch(TextBranch) for network in networks]
    weights = pretrained.network.state_dict()
    for branch in branches:
        assert branch is not None
        branch.begin(weights)
    first = branches[0]
    assert first is not None
    vectors_MV = _vectors(first, inputs_of, rows_M)
    weight_KV, bias_K = fitted_head(vectors_MV, targets_MK)
    with torch.no_grad():
        for network, branch in zip(networks, branches, strict=True):
            assert branch is not None
            branch.head.weight.copy_(weight_KV)
            branch.head.bias.copy_(bias_K - network.prior_K)
            for parameter in network.out[-1].parameters():
                parameter.zero_()


@torch.inference_mode()
def _vectors(
    branch: TextBranch, inputs_of: Callable[[np.ndarray], TextInputs], rows_M: np.ndarray
) -> torch.Tensor:
    """Return what an encoder makes of some rows before it is trained, shape (M, V)."""
    stage("encoding texts")
    training = branch.training
    branch.eval()
    vectors_MV = torch.zeros(len(rows_M), branch.head.in_features)
    for start in range(0, len(rows_M), _BATCH):
        chosen = rows_M[start : start + _BATCH]
        with fast_on_cpu():
            vectors_MV[start : start + len(chosen)] = branch.vectors(inputs_of(chosen), len(chosen))
        advance(start + len(chosen), len(rows_M), "texts")
    branch.train(training)
    return vectors_MV


def fitted_head(vectors_MV: torch.Tensor, targets_MK: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the weights and biases of a logistic regression per label.

    Args:
        vectors_MV: float32.
        targets_MK: 0, 1 or 255 (unknown, left out), uint8.

    Returns:
        Shapes (K, V) and (K).

    Examples:
        >>> vectors = torch.tensor([[1.0], [2.0], [3.0], [4.0]]).repeat(9, 1)
        >>> targets = np.tile(np.array([[0], [0], [1], [1]], np.uint8), (9, 1))
        >>> weight, bias = fitted_head(vectors, targets)
        >>> (vectors @ weight.T + bias > 0).flatten()[:4].tolist()
        [False, False, True, True]
    """
    mean_V, deviation_V = vectors_MV.mean(0), vectors_MV.std(0, correction=0).clamp_min(1e-6)
    inputs_MV = (vectors_MV - mean_V) / deviation_V
    known_MK = torch.from_numpy(targets_MK != UNKNOWN).float()
    positive_MK = torch.from_numpy(targets_MK == 1).float()
    share_K = (positive_MK.sum(0) + 0.5) / (known_MK.sum(0) + 1.0)
    weight_KV = torch.zeros(targets_MK.shape[1], inputs_MV.shape[1], requires_grad=True)
    bias_K = torch.logit(share_K).requires_grad_()
    optimizer = torch.optim.LBFGS([weight_KV, bias_K], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits_MK = inputs_MV @ weight_KV.T + bias_K
        losses = functional.binary_cross_entropy_with_logits(
            logits_MK, positive_MK, weight=known_MK, reduction="sum"
        )
        total = losses / len(inputs_MV) + _STRENGTH / 2 * weight_KV.square().sum()
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        weight_KV = weight_KV / deviation_V
        return weight_KV, bias_K - weight_KV @ mean_V


def _checked(stored: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what `reading.json` holds.

    Raises:
        ValueError: Another version wrote it.
    """
    of_schema(stored, _SCHEMA)
    return {name: stored[name] for name in ("columns", "max_tokens", "max_windows")}
