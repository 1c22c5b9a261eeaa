"""A trained text encoder for use without mlc.

As a folder of transformers, or as ONNX. Both hold the network part alone, as it scores a text of at most
`model.text.max_tokens` tokens: not what is mixed with it, no calibration, no decision. Under `mlc`,
`config.json` records what mlc does with the scores beyond that.
"""

import json
import math
import warnings
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from mlc.errors import DataError, Problem, RunError
from mlc.evaluation.calibration import calibration_to_json
from mlc.evaluation.thresholds import thresholds_to_json
from mlc.models.branches.text import TextBranch, TextInputs, merge_low_rank
from mlc.models.decisions import stored_calibration, stored_thresholds
from mlc.models.network import Network
from mlc.models.part import NetworkPart
from mlc.models.reading.batch import Batch
from mlc.models.rows.pooling import mean_of_tokens, normalised
from mlc.models.rows.trained_texts import FOLDER, TextMaker
from mlc.models.rows.weights import quiet, require
from mlc.run import RunFolder

CAN = (
    "Exported are networks that read one column of texts and nothing else, with model.text.tune: lora or all"
)
INSTALL_ONNX = "pip install 'mlc[onnx]'"
_MEAN = 1e6
"""How much more the mean of all tokens counts than the first token, which transformers adds to it."""
_LINEAR = 1e-4
"""So near to 0, the tangens hyperbolicus is linear."""


@dataclass(frozen=True)
class TextClassifier:
    """A transformer and a linear head on its vectors.

    Attributes:
        encoder: Token ids and their mask to hidden vectors.
        weight_KD: Of the head.
        bias_K: Of the head, with all that the rest of the network adds whatever the text.
        class_names: The K labels.
        maker: Has the tokenizer.
        facts: What mlc does with the scores.
    """

    encoder: nn.Module
    weight_KD: torch.Tensor
    bias_K: torch.Tensor
    class_names: Sequence[str]
    maker: TextMaker
    facts: Mapping[str, Any]

    @classmethod
    def load(cls, run: RunFolder) -> "TextClassifier":
        """Load the network part of a finished run.

        Raises:
            RunError: It reads anything but one column of texts, or has no trained encoder.
        """
        if not (run / FOLDER).is_dir() or not (run / "model.json").exists():
            raise RunError(Problem(f"it has no trained encoder of texts. {CAN}.", "", str(run.folder)))
        part, maker = NetworkPart.load(run), TextMaker.load(run)
        if not isinstance(part.network, Network):
            raise RunError(Problem(f"it has several networks. {CAN}.", "model.members", str(run.folder)))
        branch = part.network.branch(TextBranch)
        if branch is None or not branch.spec.alone or branch.spec.columns > 1:
            rule = f"its network reads more than one column of texts. {CAN}."
            raise RunError(Problem(rule, "", str(run.folder)))
        facts = {
            "thresholds": thresholds_to_json(stored_thresholds(run)),
            "calibration": calibration_to_json(stored_calibration(run)),
            "mixed": run.read_json("parts.json", itemgetter("weights")),
        }
        return cls.of(part.network, part.class_names, maker, facts)

    @classmethod
    def of(
        cls, network: Network, class_names: Sequence[str], maker: TextMaker, facts: Mapping[str, Any]
    ) -> "TextClassifier":
        """Return what is exported of a network that reads one column of texts alone."""
        branch = network.branch(TextBranch)
        assert branch is not None
        encoder = deepcopy(branch.encoder)
        merge_low_rank(encoder)
        weight_KD = branch.head.weight.detach().clone()
        return cls(encoder.eval(), weight_KD, _without_a_text(network), class_names, maker, facts)

    def settings(self) -> dict[str, Any]:
        """Return what `config.json` says beside the sizes of the encoder."""
        names = dict(enumerate(self.class_names))
        return {
            "problem_type": "multi_label_classification",
            "id2label": names,
            "label2id": {name: place for place, name in names.items()},
            "mlc": dict(self.facts),
        }

    def save_tokenizer(self, folder: Path) -> None:
        """Write the tokenizer, with a token to fill up batches."""
        tokenizer = deepcopy(self.maker.reader.tokenizer)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token or tokenizer.cls_token
        tokenizer.model_max_length = self.maker.reader.max_tokens
        with quiet():
            tokenizer.save_pretrained(folder)


@torch.inference_mode()
def _without_a_text(network: Network) -> torch.Tensor:
    """Return the logits of a row without a text, shape (K)."""
    nothing = torch.zeros(0, dtype=torch.int64)
    inputs = TextInputs(nothing.int(), nothing, nothing)
    targets_1K = torch.zeros((1, network.spec.labels), dtype=torch.uint8)
    logits_1K: torch.Tensor = network.eval()(
        Batch(torch.zeros(1, dtype=torch.int64), targets_1K, {TextInputs: inputs})
    )
    return logits_1K[0].clone()


# ── transformers ────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Names:
    """How a family of transformers names the parts of its last layer and of its head.

    Attributes:
        encoder: What its encoder is called within the classifier.
        layer: Name of a layer, with its number.
        layers: Field of the configuration with the number of layers.
        value, joined, first_norm, inner, outer, second_norm: Parts of a layer.
        dense, out: The two maps of the head.
        cut: Whether the head cuts off what is negative; otherwise it is a tangens hyperbolicus.
    """

    encoder: str
    layer: str = "encoder.layer.{}."
    layers: str = "num_hidden_layers"
    queries: Sequence[str] = ("attention.self.query", "attention.self.key")
    value: str = "attention.self.value"
    joined: str = "attention.output.dense"
    norms: Sequence[str] = ("attention.output.LayerNorm", "output.LayerNorm")
    inner: Sequence[str] = ("intermediate.dense", "output.dense")
    dense: str = "classifier.dense"
    out: str = "classifier.out_proj"
    cut: bool = False


_FAMILIES: Mapping[str, _Names] = {
    "bert": _Names("bert", dense="bert.pooler.dense", out="classifier"),
    **{name: _Names("roberta") for name in ("roberta", "xlm-roberta", "camembert")},
    "distilbert": _Names(
        "distilbert",
        layer="transformer.layer.{}.",
        layers="n_layers",
        queries=("attention.q_lin", "attention.k_lin"),
        value="attention.v_lin",
        joined="attention.out_lin",
        norms=("sa_layer_norm", "output_layer_norm"),
        inner=("ffn.lin1", "ffn.lin2"),
        dense="pre_classifier",
        out="classifier",
        cut=True,
    ),
}


def write_hf_folder(model: TextClassifier, folder: Path) -> None:
    """Write a folder of transformers that its own classes load: no code comes with it.

    Those classes read the first token only, where the network reads the mean of all. So one more layer is
    added that does nothing but bring that mean to the first token: with attention to all tokens alike. Its
    norm is that of `mlc.models.rows.pooling.normalised`.

    Args:
        model: The network part of a run.
        folder: Is made.

    Raises:
        DataError: The encoder is of a family whose layers are built otherwise.
    """
    from transformers import AutoConfig, AutoModelForSequenceClassification

    config = cast(Any, model.encoder).config
    names = _FAMILIES.get(config.model_type)
    if names is None:
        rule = f"a {config.model_type} cannot be written as a folder of transformers"
        raise DataError(f"{rule}, only {', '.join(_FAMILIES)}. Use --to onnx.")
    settings = config.to_diff_dict()
    settings |= {names.layers: getattr(config, names.layers) + 1, **model.settings()}
    kind = settings.pop("model_type", config.model_type)
    larger = AutoConfig.for_model(kind, **settings)
    classifier = cast(Any, AutoModelForSequenceClassification).from_config(larger)
    weights = {f"{names.encoder}.{name}": tensor for name, tensor in model.encoder.state_dict().items()}
    size, layer = int(config.hidden_size), names.layer.format(getattr(config, names.layers))
    weights |= {
        f"{names.encoder}.{layer}{name}": part for name, part in _averaging(names, larger, size).items()
    }
    own = classifier.state_dict()
    weights |= _head(names, larger, model)
    classifier.load_state_dict({name: weights[name] for name in own})
    folder.mkdir(parents=True, exist_ok=True)
    with quiet():
        classifier.save_pretrained(folder)
    model.save_tokenizer(folder)


def _averaging(names: _Names, config: Any, size: int) -> dict[str, torch.Tensor]:
    """Return the weights of a layer that gives each token the mean of all."""
    wide = int(getattr(config, "intermediate_size", 0) or config.hidden_dim)
    zeros, ones, one_DD = torch.zeros(size), torch.ones(size), torch.eye(size)
    weights: dict[str, torch.Tensor] = {}
    for name in names.queries:  # alike for every token, so that each pays the same attention to all
        weights |= {f"{name}.weight": torch.zeros(size, size), f"{name}.bias": zeros}
    weights |= {f"{names.value}.weight": one_DD, f"{names.value}.bias": zeros}
    weights |= {f"{names.joined}.weight": _MEAN * one_DD, f"{names.joined}.bias": zeros}
    for name in names.norms:
        weights |= {f"{name}.weight": ones, f"{name}.bias": zeros}
    first, second = names.inner
    weights |= {f"{first}.weight": torch.zeros(wide, size), f"{first}.bias": torch.zeros(wide)}
    weights |= {f"{second}.weight": torch.zeros(size, wide), f"{second}.bias": zeros}
    return weights


def _head(names: _Names, config: Any, model: TextClassifier) -> dict[str, torch.Tensor]:
    """Return the weights of a head of two maps that do what one does."""
    size = model.weight_KD.shape[1]
    epsilon = float(getattr(config, "layer_norm_eps", 1e-12))
    # The second norm of the added layer makes a vector of variance 1 a little shorter.
    weight_KD = model.weight_KD * math.sqrt(1.0 + epsilon)
    if names.cut:  # far enough above 0 that nothing is cut off
        above = torch.full((size,), math.sqrt(size) + 1.0)
        dense, shift, out = torch.eye(size), above, weight_KD
        bias_K = model.bias_K - weight_KD @ above
    else:
        dense, shift, out = _LINEAR * torch.eye(size), torch.zeros(size), weight_KD / _LINEAR
        bias_K = model.bias_K
    return {
        f"{names.dense}.weight": dense,
        f"{names.dense}.bias": shift,
        f"{names.out}.weight": out,
        f"{names.out}.bias": bias_K,
    }


# ── ONNX ────────────────────────────────────────────────────────────────────────────────────────


class _Logits(nn.Module):
    """What ONNX computes: token ids and their mask to logits."""

    def __init__(self, model: TextClassifier) -> None:
        super().__init__()
        self.encoder = model.encoder
        self.register_buffer("weight_KD", model.weight_KD)
        self.register_buffer("bias_K", model.bias_K)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        vectors_BD = normalised(mean_of_tokens(self.encoder, input_ids, attention_mask))
        return vectors_BD @ cast(torch.Tensor, self.weight_KD).T + cast(torch.Tensor, self.bias_K)


def write_onnx(model: TextClassifier, folder: Path) -> None:
    """Write `model.onnx`, tokenizer and `config.json`.

    Its inputs are `input_ids` and `attention_mask`, int64, of any batch and length; its output is `logits`,
    float32, shape (batch, K).

    Args:
        model: The network part of a run.
        folder: Is made.

    Raises:
        DataError: A package is not installed.
    """
    require("--to onnx needs", INSTALL_ONNX, "onnx", "onnxscript")
    folder.mkdir(parents=True, exist_ok=True)
    batch, length = torch.export.Dim("batch"), torch.export.Dim("length")
    ids_BT = torch.ones((2, 8), dtype=torch.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of what it uses itself
        program = torch.onnx.export(
            _Logits(model).eval(),
            (ids_BT, torch.ones_like(ids_BT)),
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
            verbose=False,
        )
    assert program is not None
    program.save(str(folder / "model.onnx"), external_data=False)
    config = cast(Any, model.encoder).config.to_diff_dict() | model.settings()
    (folder / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", "utf-8")
    model.save_tokenizer(folder)
