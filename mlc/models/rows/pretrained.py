"""Pre-trained encoders of texts: where they come from, and what is accepted."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch
from torch import nn

from mlc.errors import DataError, Problem
from mlc.models.rows.weights import (
    EMBEDDED,
    TEXTS,
    folder_of,
    one_error,
    quiet,
    require,
    weights_digest,
)

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedTokenizerBase

INSTALL = "pip install 'mlc[text]'"
FIELD = "model.text.encoder"
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
_HEADS = ("pooler.",)
"""Parts of an encoder that its folder may lack: they follow what is read here."""
_LONGEST = 1_000_000
"""Tokenizers that know no limit give a number far beyond this."""


@dataclass(frozen=True)
class Pretrained:
    """A pre-trained encoder of texts.

    Attributes:
        name: `embedded`, the path of a folder, or a name on the Hugging Face hub.
        digest: SHA-256 of its weights.
        network: Token ids and their mask to hidden vectors; on the CPU, in float32.
        tokenizer: Texts to token ids.
    """

    name: str
    digest: str
    network: nn.Module
    tokenizer: "PreTrainedTokenizerBase"

    @property
    def config(self) -> "PretrainedConfig":
        """Architecture and sizes."""
        return cast("PretrainedConfig", self.network.config)

    @property
    def size(self) -> int:
        """Length of its hidden vectors."""
        return int(self.config.hidden_size)

    @property
    def most_tokens(self) -> int:
        """Tokens that it reads at once at most."""
        limits = [self.tokenizer.model_max_length, getattr(self.config, "max_position_embeddings", None)]
        return min((int(limit) for limit in limits if limit and limit < _LONGEST), default=_LONGEST)


def load_pretrained(name: str, base: Path | None = None) -> Pretrained:
    """Load a pre-trained encoder of texts: safetensors only, and no code of its own.

    Args:
        name: `embedded`, the path of a folder, or a name on the Hugging Face hub.
        base: Folder that a relative path starts from, that of the scenario. Default: the current one.

    Raises:
        DataError: A package is not installed, or there is no such model, or no safe and whole weights.
    """
    require("encoders of texts need", INSTALL, "transformers", field=FIELD)
    if name == EMBEDDED:
        folder: Path | None = TEXTS.file().parent
    else:
        folder = folder_of(name, base, FIELD)
    if folder is not None:
        _check_folder(folder, name)
    network = _network(name, folder)
    tokenizer = _tokenizer(name, folder)
    digest = TEXTS.digest if name == EMBEDDED else weights_digest(network, folder)
    found = name if folder is None or name == EMBEDDED else str(folder.resolve())
    return Pretrained(found, digest, network, tokenizer)


def _check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that lacks a configuration or safe weights.

    Raises:
        DataError: It does.
    """
    if not (folder / "config.json").is_file():
        raise DataError(Problem(f"{name} has no config.json. Name the folder of a model.", FIELD))
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        rule = f"{name} has only {pickled[0]}, which can hold any code. Save the model as safetensors."
    else:
        rule = f"{name} has no weights. Add model.safetensors."
    raise DataError(Problem(rule, FIELD))


def _network(name: str, folder: Path | None) -> nn.Module:
    from transformers import AutoModel

    with quiet(), one_error(name, folder, FIELD, "a text encoder"):
        network, loaded = AutoModel.from_pretrained(
            str(folder or name),
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    # A head of another task is left out: what it predicts is not asked for here.
    absent = sorted(key for key in loaded["missing_keys"] if not key.startswith(_HEADS))
    absent += sorted(str(key) for key, *_ in loaded["mismatched_keys"])
    if absent:
        more = f" and {len(absent) - 1:,} more" if len(absent) > 1 else ""
        rule = f"{name} lacks the weights {absent[0]}{more}. Save the whole model again."
        raise DataError(Problem(rule, FIELD))
    reads_words = isinstance(network.get_input_embeddings(), nn.Embedding)
    if not reads_words or getattr(network.config, "is_encoder_decoder", False):
        rule = f"{name} is no encoder of texts, but a {network.config.model_type}. Name one such as BERT."
        raise DataError(Problem(rule, FIELD))
    return cast(nn.Module, network.eval())


def _tokenizer(name: str, folder: Path | None) -> "PreTrainedTokenizerBase":
    from transformers import AutoTokenizer

    with quiet(), one_error(name, folder, FIELD, "a text encoder"):
        tokenizer = AutoTokenizer.from_pretrained(str(folder or name), trust_remote_code=False)
    if not getattr(tokenizer, "is_fast", False):
        rule = f"the tokenizer of {name} has no tokenizer.json. Save it again as a fast tokenizer."
        raise DataError(Problem(rule, FIELD))
    return tokenizer
