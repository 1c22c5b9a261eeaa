"""Pre-trained encoders of texts: where they come from, and their vectors."""

import json

import numpy as np
import polars as pl
import pytest
import torch

from mlc.errors import DataError
from mlc.models.rows import pooling
from mlc.models.rows.encoders import FrozenEncoder
from mlc.models.rows.pretrained import load_pretrained
from mlc.models.rows.text_encoder import load_text_encoder, text_encoder_from_json
from mlc.models.rows.weights import EMBEDDED, TEXTS
from tests.support.tiny_transformer import SIZE, WORDS, texts_of, transformers, write_tiny

needs_weights = pytest.mark.skipif(not TEXTS.installed, reason=f"needs its weights: {TEXTS.install}")


@pytest.fixture
def tiny(tmp_path):
    return write_tiny(tmp_path / "tiny")


@pytest.fixture
def encoder(tiny):
    return load_text_encoder(str(tiny), 16, 4)


def test_the_vector_of_a_text_is_the_mean_of_its_tokens_at_one_scale(encoder, tiny):
    model = transformers.BertModel.from_pretrained(tiny).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny)
    texts = texts_of(20)
    vectors = encoder.vectors(texts)
    assert vectors.shape == (20, SIZE)
    assert vectors.dtype == np.float32
    for text, vector in zip(texts[2:], vectors[2:], strict=True):
        with torch.inference_mode():
            mean = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
        np.testing.assert_allclose(vector, (mean - mean.mean()) / mean.std(), atol=1e-4)


def test_texts_that_are_null_or_empty_have_zeros(encoder):
    vectors = encoder.vectors(pl.Series([None, "", " ", "w1"]))
    assert not vectors[:3].any()
    assert vectors[3].any()


def test_the_vector_of_a_text_does_not_depend_on_the_others(encoder, monkeypatch):
    texts = texts_of(300, words=60)
    together = encoder.vectors(texts)
    alone = np.concatenate([encoder.vectors(texts[place : place + 1]) for place in range(0, 300, 7)])
    np.testing.assert_allclose(together[::7], alone, atol=2e-5)
    monkeypatch.setattr(pooling, "_TOKENS", 64)
    np.testing.assert_allclose(encoder.vectors(texts), together, atol=2e-5)


def test_a_text_twice_as_long_as_a_window_is_alike_whichever_half_holds_the_signal(encoder):
    """As far as windows can: only the one across the middle sees the halves in another order."""
    embeddings = encoder.pretrained.network.embeddings
    with torch.no_grad():
        embeddings.position_embeddings.weight.mul_(0.1)  # at random they say more than the words
    drawn = np.random.default_rng(1)
    half = 16 - 2
    signal = [" ".join(["w0"] * half), " ".join(drawn.choice(WORDS[1:], size=half))]
    first, second, neither = encoder.vectors(
        pl.Series([" ".join(signal), " ".join(signal[::-1]), " ".join([signal[1]] * 2)])
    )
    moved, there = np.linalg.norm(first - second), np.linalg.norm(first - neither)
    assert moved < there / 3  # one window of three


def test_an_encoder_is_found_again_by_what_a_run_keeps(encoder, tiny):
    frozen: FrozenEncoder = encoder
    value = json.loads(json.dumps(frozen.as_json()))
    texts = texts_of(5)
    assert (text_encoder_from_json(value).vectors(texts) == frozen.vectors(texts)).all()
    write_tiny(tiny, seed=1)
    with pytest.raises(DataError, match="are not those that the model was trained with"):
        text_encoder_from_json(value)


def test_a_relative_folder_is_looked_up_from_the_scenario(tiny):
    loaded = load_pretrained("tiny", tiny.parent)
    assert loaded.name == str(tiny)
    assert len(loaded.digest) == 64


def test_weights_with_pickled_code_are_refused_by_name(tiny):
    (tiny / "model.safetensors").rename(tiny / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"has only pytorch_model\.bin, which can hold any code"):
        load_pretrained(str(tiny))


def test_a_folder_without_weights_or_configuration_is_one_clear_error(tiny):
    (tiny / "model.safetensors").unlink()
    with pytest.raises(DataError, match=r"model\.text\.encoder: .*tiny has no weights\. Add model"):
        load_pretrained(str(tiny))
    (tiny / "config.json").unlink()
    with pytest.raises(DataError, match=r"has no config\.json"):
        load_pretrained(str(tiny))


def test_damaged_weights_are_one_clear_error(tiny):
    (tiny / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_pretrained(str(tiny))


def test_weights_that_lack_a_part_of_the_encoder_are_refused(tiny):
    from safetensors.torch import load_file, save_file

    weights = load_file(tiny / "model.safetensors")
    lost = [name for name in weights if name.startswith("encoder.layer.1.")]
    save_file(
        {k: v for k, v in weights.items() if k not in lost}, tiny / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(DataError, match=rf"lacks the weights encoder\.layer\.1.* and {len(lost) - 1} more"):
        load_pretrained(str(tiny))


def test_weights_of_other_sizes_are_refused(tiny):
    config = json.loads((tiny / "config.json").read_text())
    (tiny / "config.json").write_text(json.dumps({**config, "intermediate_size": 48}))
    with pytest.raises(DataError, match=r"lacks the weights|cannot be loaded"):
        load_pretrained(str(tiny))


def test_the_head_of_another_task_is_left_out(tiny, encoder):
    torch.manual_seed(5)
    model = transformers.BertForSequenceClassification.from_pretrained(tiny, num_labels=7)
    model.save_pretrained(tiny)
    texts = texts_of(6)
    np.testing.assert_allclose(
        load_text_encoder(str(tiny), 16, 4).vectors(texts), encoder.vectors(texts), atol=1e-6
    )


def test_a_tokenizer_without_pad_token_is_enough_since_what_is_filled_up_is_masked(tiny, encoder):
    texts = texts_of(30)
    before = encoder.vectors(texts)
    settings = json.loads((tiny / "tokenizer_config.json").read_text())
    del settings["pad_token"]
    (tiny / "tokenizer_config.json").write_text(json.dumps(settings))
    without = load_text_encoder(str(tiny), 16, 4)
    assert without.reader.tokenizer.pad_token is None
    assert (without.vectors(texts) == before).all()


@pytest.mark.parametrize("kind", ["T5", "ViT"])
def test_a_model_that_is_no_encoder_of_texts_is_one_clear_error(tiny, kind):
    sizes = {
        "T5": {"d_model": 8, "d_ff": 8, "d_kv": 4, "num_layers": 1, "num_heads": 1, "vocab_size": 44},
        "ViT": {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1},
    }[kind]
    config = getattr(transformers, f"{kind}Config")(**sizes)
    getattr(transformers, f"{kind}Model")(config).save_pretrained(tiny)
    with pytest.raises(DataError, match="is no encoder of texts"):
        load_pretrained(str(tiny))


def test_a_folder_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(DataError, match=r"\./nowhere does not exist\. Name the folder"):
        load_pretrained("./nowhere", tmp_path)


def test_a_name_of_the_hub_that_cannot_be_read_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError) as failed:
        load_pretrained("nobody/no-such-model", tmp_path)
    message = str(failed.value)
    assert "nobody/no-such-model is no folder here, and cannot be read from the Hugging Face hub" in message
    assert "\n" not in message


def test_without_transformers_the_command_that_installs_it_is_named(tiny, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(DataError, match=r"pip install 'mlc\[text\]'"):
        load_pretrained(str(tiny))


def test_code_beside_the_weights_is_never_run(tiny):
    config = json.loads((tiny / "config.json").read_text())
    config |= {"model_type": "mine", "auto_map": {"AutoConfig": "mine.Mine", "AutoModel": "mine.Mine"}}
    (tiny / "config.json").write_text(json.dumps(config))
    (tiny / "mine.py").write_text(f"open({str(tiny / 'was_run')!r}, 'w')\n")
    with pytest.raises(DataError, match="cannot be loaded"):
        load_pretrained(str(tiny))
    assert not (tiny / "was_run").exists()


def test_numbers_of_16_bits_change_little_and_only_where_the_processor_has_them(encoder, monkeypatch):
    texts = texts_of(20)
    exact = encoder.vectors(texts)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: True)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    rounded = encoder.vectors(texts)
    assert rounded.dtype == np.float32
    assert 1e-6 < np.abs(rounded - exact).max() < 0.2
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda: False)
    assert (encoder.vectors(texts) == exact).all()


@needs_weights
def test_the_embedded_encoder_brings_like_meanings_together():
    encoder = load_text_encoder(EMBEDDED, 64, 2)
    cat, kitten, tax = encoder.vectors(pl.Series(["a cat sleeps", "the kitten is napping", "income tax law"]))
    assert cat @ kitten > 2 * cat @ tax
    assert encoder.as_json()["digest"] == TEXTS.digest
    assert encoder.size == 384


@needs_weights
def test_other_weights_than_those_that_were_checked_are_refused(monkeypatch):
    monkeypatch.setattr("mlc.models.rows.weights.digest_of", lambda _: "0" * 64)
    with pytest.raises(DataError, match="holds other weights"):
        load_pretrained(EMBEDDED)
