"""One network, or several that are trained side by side.

How they are scored, stored and loaded.
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional

from mlc.files.atomic import replacing, write_text
from mlc.models.branches.foundation import FoundationBranch
from mlc.models.network import Network, NetworkSpec
from mlc.models.reading.batch import Batch
from mlc.run.schemas import of_schema

WEIGHTS = "model.safetensors"
REFIT = "refit.safetensors"
"""Those of `train.refit`."""
SCHEMA = "mlc/model/5"


class Ensemble(nn.Module):
    """Networks of one spec that begin, and drop out, differently.

    The score is the mean of their scores.

    Args:
        spec: Sizes of each.
        members: How many.

    Shape:
        `Batch` of B examples → logits of the mean probabilities, `(B, K)`.
    """

    def __init__(self, spec: NetworkSpec, members: int) -> None:
        super().__init__()
        self.spec = spec
        self.members = nn.ModuleList(Network(spec) for _ in range(members))

    def forward(self, batch: Batch) -> torch.Tensor:
        """See Shape above."""
        logits_MBK = torch.stack([member(batch) for member in self.members])
        # log(p / (1 - p)) of the mean p, without a p that would round to 0 or 1
        yes, no = (functional.logsigmoid(sign * logits_MBK).logsumexp(0) for sign in (1, -1))
        return yes - no


class Hedge(nn.Module):
    """Networks that start from a foundation, and as many that do not see it.

    Both are scored as one.

    Args:
        spec: Sizes of those with the foundation.
        members: How many there are of each kind.

    Attributes:
        weight: Of those with the foundation, from 0 to 1, in the mean of the logits.

    Shape:
        `Batch` of B examples → `(B, K)`.
    """

    KINDS = ("started", "scratch")
    weight: torch.Tensor

    def __init__(self, spec: NetworkSpec, members: int) -> None:
        super().__init__()
        self.spec = spec
        self.started = make_network(spec, members)
        self.scratch = make_network(spec.without(FoundationBranch.name), members)
        self.register_buffer("weight", torch.tensor(0.5))

    def forward(self, batch: Batch) -> torch.Tensor:
        """See Shape above."""
        return self.mixed(self.logits(batch), self.weight)

    def logits(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Those of each kind, `(B, K)`."""
        return {kind: self.kind(kind)(batch) for kind in self.KINDS}

    def kind(self, name: str) -> nn.Module:
        """All networks of one kind, as one."""
        return self.get_submodule(name)

    @staticmethod
    def mixed(logits: dict[str, torch.Tensor], weight: torch.Tensor) -> torch.Tensor:
        """The mean of both kinds' logits, `(B, K)`."""
        return torch.lerp(logits["scratch"], logits["started"], weight)


PlainNetwork = Network | Ensemble
AnyNetwork = PlainNetwork | Hedge


def make_network(spec: NetworkSpec, members: int) -> PlainNetwork:
    """A network, or an ensemble where there are several members."""
    return Network(spec) if members == 1 else Ensemble(spec, members)


def make_model(spec: NetworkSpec, members: int, *, hedge: bool) -> AnyNetwork:
    """All networks of a scenario."""
    return Hedge(spec, members) if hedge else make_network(spec, members)


def blank_copy(network: AnyNetwork) -> AnyNetwork:
    """A model of the same sizes, untrained, on the CPU."""
    members, hedge = _shape(network)
    return make_model(network.spec, members, hedge=hedge)


def _shape(network: AnyNetwork) -> tuple[int, bool]:
    """How many members of a kind there are, and whether there are two kinds."""
    hedge = isinstance(network, Hedge)
    return len(members_of(network)) // (2 if hedge else 1), hedge


def members_of(network: AnyNetwork) -> list[Network]:
    """The networks of an ensemble, or the only one; those with a foundation first."""
    if isinstance(network, Network):
        return [network]
    if isinstance(network, Hedge):
        return [*members_of(network.started), *members_of(network.scratch)]
    return [member for member in network.members if isinstance(member, Network)]


def hedge_notes(network: AnyNetwork) -> list[str]:
    """What a reader of the report should know; nothing where there is no hedge."""
    if not isinstance(network, Hedge):
        return []
    weight = float(network.weight)
    shares = f"{weight:.2f} of what starts from the foundation, {1.0 - weight:.2f} of what does not see it"
    return [f"the model is a hedge: in logits {shares}, chosen on validation"]


@torch.inference_mode()
def score_batches(network: AnyNetwork, batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray]:
    """The probabilities of the examples in some batches.

    Args:
        network: On any device.
        batches: Each example once.

    Returns:
        Their positions in the examples, int64, shape (n), and the scores, float32, shape (n, K).
    """
    network.eval()
    device = members_of(network)[0].prior_K.device
    positions = [np.zeros(0, dtype=np.int64)]
    scores = [np.zeros((0, network.spec.labels), dtype=np.float32)]
    for batch in batches:
        logits_BK = network(batch.to(device)).float()
        positions.append(batch.index_B.cpu().numpy())
        scores.append(torch.sigmoid(logits_BK).cpu().numpy())
    return np.concatenate(positions), np.concatenate(scores)


def save_network(network: AnyNetwork, class_names: Sequence[str], folder: Path) -> None:
    """Write `model.safetensors` and `model.json`: no pickled code, labels by name."""
    save_weights(network, folder / WEIGHTS)
    members, hedge = _shape(network)
    described = {
        "schema": SCHEMA,
        "class_names": list(class_names),
        "members": members,
        "hedge": hedge,
        "network": network.spec.as_json(),
    }
    write_text(folder / "model.json", json.dumps(described, indent=1, ensure_ascii=False) + "\n")


def save_weights(network: nn.Module, path: Path) -> None:
    """Write the weights as safetensors."""
    with replacing(path) as temporary:
        # A safetensors file holds no shared or strided memory.
        save_file(
            {name: tensor.cpu().contiguous() for name, tensor in network.state_dict().items()}, temporary
        )


def described_network(described: dict[str, Any]) -> tuple[AnyNetwork, list[str]]:
    """Return what `model.json` says: the network without weights, and class names.

    Raises:
        ValueError: Another version wrote it.
    """
    of_schema(described, SCHEMA)
    spec = NetworkSpec.from_json(described["network"])
    return make_model(spec, described["members"], hedge=described["hedge"]), described["class_names"]


def load_network(folder: Path, weights: str = WEIGHTS) -> tuple[AnyNetwork, list[str]]:
    """Return the network of a run with its weights, and its class names."""
    described = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    network, names = described_network(described)
    load_weights(network, folder / weights)
    return network, names


def load_weights(network: nn.Module, path: Path) -> None:
    """Load weights from safetensors, finite and as the network names and shapes them.

    Raises:
        ValueError: They are not.
        RuntimeError: Names or shapes differ.
    """
    weights = load_file(path)
    own = network.state_dict()
    for name, tensor in weights.items():
        if name in own and tensor.dtype != own[name].dtype:
            raise ValueError(f"{name} is {tensor.dtype}, not {own[name].dtype}")
        # A padded part of a table of bins may be infinite; what is not a number is damage.
        if tensor.is_floating_point() and tensor.isnan().any() and not own[name].isnan().any():
            raise ValueError(f"{name} has values that are not numbers (NaN)")
    network.load_state_dict(weights)
