"""A transformer that is small enough to be made anew in each test: random weights, forty words."""

from pathlib import Path

import polars as pl
import pytest

transformers = pytest.importorskip("transformers", reason="needs pip install 'mlc[text]'")

WORDS = [f"w{number}" for number in range(40)]
SIZE = 32


def write_tiny(folder: Path, seed: int = 0, kind: str = "Bert", **changes: object) -> Path:
    """Write a transformer of two layers, a BERT or a like one, whose words are w0 to w39."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {word: place for place, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    special = {"unk_token": "[UNK]", "pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=64, **special
    ).save_pretrained(folder)
    torch.manual_seed(seed)
    sizes = {
        "hidden_size": SIZE,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": len(vocabulary),
        "max_position_embeddings": 64,
        "initializer_range": 0.3,  # so that words differ, untrained as they are
    }
    if kind == "DistilBert":
        names = {"hidden_size": "dim", "intermediate_size": "hidden_dim"}
        names |= {"num_hidden_layers": "n_layers", "num_attention_heads": "n_heads"}
        sizes = {names.get(name, name): value for name, value in sizes.items()}
    if kind == "Roberta":  # whose positions begin after that of the pad token
        sizes |= {"pad_token_id": 0, "max_position_embeddings": 65}
    config = getattr(transformers, f"{kind}Config")(**{**sizes, **changes})
    getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    return folder


def texts_of(rows: int, words: int = 6, seed: int = 0) -> pl.Series:
    """Return random texts of up to so many words; the first is null, the second empty."""
    import numpy as np

    drawn = np.random.default_rng(seed)
    texts = [" ".join(drawn.choice(WORDS, size=drawn.integers(1, words + 1))) for _ in range(rows - 2)]
    return pl.Series([None, "", *texts])
