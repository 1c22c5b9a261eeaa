"""A trained text encoder elsewhere gives the scores that it gives here."""

import json

import numpy as np
import pytest
import torch

from mlc.errors import DataError
from mlc.models.branches.text import TextBranch
from mlc.models.network import Network, NetworkSpec
from mlc.models.reading.batch import Batch
from mlc.models.rows.export import TextClassifier, write_hf_folder, write_onnx
from mlc.models.rows.pretrained import load_pretrained
from mlc.models.rows.text_windows import window_reader
from mlc.models.rows.trained_texts import TextMaker, text_spec
from mlc.rows.inputs import RowColumns, RowInputs
from tests.support.tiny_transformer import texts_of, transformers, write_tiny

NAMES = ["zeta", "alpha", "has w0"]  # not in alphabetical order
TEXTS = texts_of(40, words=12)


def network_of(pretrained, tune="all") -> Network:
    """A network whose every weight is at random, as after a training."""
    torch.manual_seed(3)
    spec = text_spec(pretrained, 1, tune, 1e-4, alone=True)
    network = Network(NetworkSpec(len(NAMES), 16, 1, 0.1, {"text": spec}))
    branch = network.branch(TextBranch)
    assert branch is not None
    branch.begin(pretrained.network.state_dict())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "encoder" not in name or name.endswith(".up"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    network.prior_K.copy_(torch.tensor([-2.0, 0.5, -1.0]))
    return network.eval()


def exported(folder, tune="all", **more) -> tuple[TextClassifier, np.ndarray]:
    """What is exported, and the scores of the network."""
    pretrained = load_pretrained(str(write_tiny(folder, **more)))
    maker = TextMaker(["text"], window_reader(pretrained.tokenizer, 32, 4, pretrained.most_tokens))
    network = network_of(pretrained, tune)
    facts = {"thresholds": {"labels": []}, "mixed": {"network": 1.0}}
    inputs = maker.of(RowInputs(TEXTS.to_frame("text"), RowColumns(texts=["text"]), len(NAMES)))(
        np.arange(len(TEXTS))
    )
    targets = torch.zeros((len(TEXTS), len(NAMES)), dtype=torch.uint8)
    with torch.inference_mode():
        scores = torch.sigmoid(network(Batch(torch.arange(len(TEXTS)), targets, {type(inputs): inputs})))
    return TextClassifier.of(network, NAMES, maker, facts), scores.numpy()


@pytest.mark.parametrize(
    ("kind", "tune"), [("Bert", "all"), ("Bert", "lora"), ("Roberta", "all"), ("DistilBert", "all")]
)
def test_a_pipeline_of_transformers_gives_the_scores_of_the_network(tmp_path, kind, tune):
    model, scores = exported(tmp_path / "tiny", tune, kind=kind)
    write_hf_folder(model, tmp_path / "hf")
    pipeline = transformers.pipeline("text-classification", model=str(tmp_path / "hf"), top_k=None)
    texts = TEXTS[2:].to_list()
    for batch_size in (1, 8):
        found = pipeline(texts, batch_size=batch_size)
        by_name = [{one["label"]: one["score"] for one in row} for row in found]
        given = np.array([[row[name] for name in NAMES] for row in by_name])
        assert np.ptp(given, axis=0).min() > 0.01
        np.testing.assert_allclose(given, scores[2:], atol=1e-5)


def test_the_folder_says_what_its_labels_are_and_what_mlc_does_beyond(tmp_path):
    model, _ = exported(tmp_path / "tiny")
    write_hf_folder(model, tmp_path / "hf")
    config = transformers.AutoConfig.from_pretrained(tmp_path / "hf")
    assert config.problem_type == "multi_label_classification"
    assert [config.id2label[place] for place in range(3)] == NAMES
    assert config.mlc["mixed"] == {"network": 1.0}
    assert config.architectures == ["BertForSequenceClassification"]
    assert not list((tmp_path / "hf").glob("*.py"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")
    assert tokenizer.pad_token is not None
    assert tokenizer.model_max_length == 32


def test_a_family_that_is_built_otherwise_is_refused_with_what_can_be_done(tmp_path):
    model, _ = exported(tmp_path / "tiny", kind="Electra")
    with pytest.raises(DataError, match=r"a electra cannot be .* Use --to onnx\."):
        write_hf_folder(model, tmp_path / "hf")
    assert not (tmp_path / "hf").exists()


def test_onnx_gives_the_scores_of_the_network_for_any_batch_and_length(tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    pytest.importorskip("onnxscript", reason="needs pip install 'mlc[onnx]'")
    model, scores = exported(tmp_path / "tiny", "lora")
    write_onnx(model, tmp_path / "onnx")
    session = runtime.InferenceSession(str(tmp_path / "onnx/model.onnx"))
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path / "onnx")
    for rows in (slice(2, 3), slice(2, 9), slice(9, 40)):
        batch = tokenizer(TEXTS[rows].to_list(), padding=True, return_tensors="np")
        names = ("input_ids", "attention_mask")
        (logits,) = session.run(["logits"], {name: batch[name].astype(np.int64) for name in names})
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), scores[rows], atol=1e-5)
    config = json.loads((tmp_path / "onnx/config.json").read_text())
    assert list(config["id2label"].values()) == NAMES
