"""How a network is trained: loss, optimiser, and validation after each epoch."""

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from copy import deepcopy
from typing import Any, Literal, cast

import numpy as np
import pytorch_lightning
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torchmetrics import MeanMetric, Metric
from torchmetrics.functional.classification import binary_auroc, binary_average_precision

from mlc.models.ensemble import AnyNetwork, Hedge, members_of
from mlc.models.losses import Objective
from mlc.models.network import Network
from mlc.models.reading.batch import Batch
from mlc.scenario import Bce, TrainSection
from mlc.training.divergence import DivergedError, is_finite

PROGRESS = "best_of_both"
"""What is logged of a hedge: rises when one of both kinds is better than ever."""


class DefinedMeans(Metric):
    """AUROC and average precision, averaged over the labels with both classes.

    torchmetrics' own multilabel averages count a label without positives as 0.

    Args:
        label: Index of a label whose own average precision is wanted too.
    """

    full_state_update = False
    scores: list[torch.Tensor]
    targets: list[torch.Tensor]

    def __init__(self, label: int | None = None) -> None:
        super().__init__()
        self.label = label
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        self.add_state("targets", default=[], dist_reduce_fx="cat")

    def update(self, scores_BK: torch.Tensor, targets_BK: torch.Tensor) -> None:
        """Add probabilities, never logits.

        Torchmetrics guesses which they are, batch by batch.
        """
        self.scores.append(scores_BK)
        self.targets.append(targets_BK)

    def compute(self) -> dict[str, torch.Tensor]:
        """Return `macro_auroc`, `macro_ap`, `labels_defined`, and maybe `label_ap`.

        The means are NaN when no label is defined.
        """
        scores_NK, targets_NK = _joined(self.scores), _joined(self.targets)
        nothing = scores_NK.new_tensor(float("nan"))
        aurocs, precisions = [], []
        values = {"label_ap": nothing} if self.label is not None else {}
        for index, (score, target) in enumerate(zip(scores_NK.T, targets_NK.T, strict=True)):
            score, target = score[target <= 1], target[target <= 1].long()
            if 0 < int(target.sum()) < len(target):
                aurocs.append(binary_auroc(score, target, validate_args=False))
                precisions.append(binary_average_precision(score, target, validate_args=False))
                if index == self.label:
                    values["label_ap"] = precisions[-1]
        return values | {
            "macro_auroc": torch.stack(aurocs).mean() if aurocs else nothing,
            "macro_ap": torch.stack(precisions).mean() if precisions else nothing,
            "labels_defined": scores_NK.new_tensor(float(len(aurocs))),
        }


def _joined(parts: list[torch.Tensor] | torch.Tensor) -> torch.Tensor:
    """After a synchronisation the state is one tensor already."""
    return parts if isinstance(parts, torch.Tensor) else torch.cat(parts)


class Validated(nn.Module):
    """What validation says of some scores, over all ranks.

    `DefinedMeans`, `loss` and `log_loss`.

    Args:
        objective: Gives `loss`.
        label: Index of a label whose own average precision is wanted too.
    """

    def __init__(self, objective: Objective, label: int | None = None) -> None:
        super().__init__()
        log_loss = Objective(Bce(), torch.ones_like(objective.label_weights_K))
        self.objectives = nn.ModuleDict({"loss": objective, "log_loss": log_loss})
        self.means = DefinedMeans(label)
        self.losses = nn.ModuleDict({name: MeanMetric() for name in self.objectives})

    def update(self, logits_BK: torch.Tensor, targets_BK: torch.Tensor) -> None:
        """Add one batch."""
        for name, metric in self.losses.items():
            total, weight = self.objectives[name](logits_BK, targets_BK)
            cast(Metric, metric).update(total / weight.clamp_min(1e-12), weight)
        self.means.update(torch.sigmoid(logits_BK), targets_BK)

    def compute(self) -> dict[str, torch.Tensor]:
        """All values, by the names under which they are logged; the next epoch begins."""
        values = self.means.compute()
        self.means.reset()
        for name, metric in self.losses.items():
            values[name] = cast(MeanMetric, metric).compute()
            cast(MeanMetric, metric).reset()
        return {f"validation_{name}": value for name, value in values.items()}


def monitored(train: TrainSection) -> tuple[str, Literal["min", "max"]]:
    """The logged value that chooses the best epoch, and its direction."""
    if train.criterion == "log_loss":
        return "validation_log_loss", "min"
    return f"validation_{'label_ap' if train.monitored_label else train.criterion}", "max"


class Stoppable(pytorch_lightning.LightningModule):
    """A training that ends on all ranks after the same step, and can be resumed.

    Attributes:
        votes: Whether this rank wants the training to stop, and to save; set before a step.
        agreed: Whether any rank wanted so in the last step, the same on every rank.
        epoch_sums: Losses of the epoch so far, and how often each counts; a buffer of the subclass.
        undefined: How many outputs of the validation are not finite; a buffer.
    """

    epoch_sums: torch.Tensor
    undefined: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.votes = self.agreed = (False, False)
        self.register_buffer("undefined", torch.zeros(()), persistent=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Within an epoch, the sums of its losses are on their way."""
        checkpoint["epoch_sums"] = self.epoch_sums.tolist()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """See `on_save_checkpoint`."""
        self.epoch_sums.copy_(torch.tensor(checkpoint["epoch_sums"]))

    def seed_step(self, seed: int, batch_idx: int) -> None:
        """What is random in a step depends on (seed, epoch, batch, rank) alone."""
        position = (seed, self.current_epoch, batch_idx, self.global_rank)
        torch.manual_seed(int(np.random.SeedSequence(position).generate_state(1)[0]))

    @property
    def judged(self) -> nn.Module:
        """The weights that are validated and kept."""
        raise NotImplementedError

    def check_outputs(self, *outputs: torch.Tensor) -> None:
        """Count what is not finite among the outputs of a validation step."""
        for output in outputs:
            self.undefined += (~torch.isfinite(output)).sum()

    def check_finite(self) -> None:
        """Refuse weights or outputs that are not finite.

        Once per epoch, on all ranks together.

        Raises:
            DivergedError: There are such weights or outputs, on this rank or another.
        """
        wrong = self.undefined + (~is_finite(self.judged)).to(self.undefined.dtype)
        everywhere = cast(torch.Tensor, self.trainer.strategy.reduce(wrong, reduce_op="sum"))
        self.undefined.zero_()
        if everywhere > 0:
            raise DivergedError(self.current_epoch + 1)

    def over_ranks(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sums over all ranks, which also share their votes; once per step."""
        votes = values.new_tensor([float(vote) for vote in self.votes])
        reduced = self.trainer.strategy.reduce(torch.cat([values, votes]), reduce_op="sum")
        sums = cast(torch.Tensor, reduced)
        self.agreed = self.votes
        if self.trainer.world_size > 1:
            stop, save = sums[-2:].tolist()
            self.agreed = (stop > 0, save > 0)
        return sums[:-2]


class Classifier(Stoppable):
    """Trains a `Network`, or several side by side, each of them as if it were alone.

    The gradient of a step is that of the mean over all known (example, label) cells of all its batches on all
    ranks.

    Of a hedge, each kind keeps the weights of its own best epoch: what starts from a foundation has learned
    enough long before what does not.

    Args:
        network: Fitted network, ensemble or hedge.
        train: How to train it.
        objective: What is minimised; by default the scenario's loss, all labels alike.
        weights_N: Weight of each example of the examples table, float32; ones by default.
        label: Index of the label that `train.monitor` names, if it does.
    """

    step_sums: torch.Tensor
    weights_N: torch.Tensor | None
    best_S: torch.Tensor
    best_epochs_S: torch.Tensor

    def __init__(
        self,
        network: AnyNetwork,
        train: TrainSection,
        objective: Objective | None = None,
        weights_N: torch.Tensor | None = None,
        label: int | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.averaged = None
        if train.ema_decay is not None:
            self.averaged = AveragedModel(network, multi_avg_fn=_moving_average(train.ema_decay))
            self.averaged.requires_grad_(False)
            for average, weight in zip(self.averaged.module.parameters(), network.parameters(), strict=True):
                if not weight.requires_grad:
                    average.data = weight.data  # frozen: one copy, of which there is nothing to average
        self.train_section = train
        alike_K = torch.ones(network.spec.labels)
        self.objective = Objective(train.loss, alike_K) if objective is None else objective
        self.register_buffer("weights_N", weights_N, persistent=False)
        self.register_buffer("step_sums", torch.zeros(2), persistent=False)  # losses and weights
        self.register_buffer("epoch_sums", torch.zeros(2), persistent=False)
        self.validated = Validated(self.objective, label)
        self.kept: Hedge | None = None
        if isinstance(network, Hedge):
            self.kept = deepcopy(network).requires_grad_(False)
            self.validated_kinds = nn.ModuleDict(
                {kind: Validated(self.objective, label) for kind in Hedge.KINDS}
            )
            self.register_buffer("best_S", torch.full((len(Hedge.KINDS),), -torch.inf))
            self.register_buffer("best_epochs_S", torch.zeros(len(Hedge.KINDS), dtype=torch.int64))
        # Sharded parameters have no shape of their own any more.
        self._matrices = matrices_of(network)

    @property
    def members(self) -> list[Network]:
        """The networks that are trained."""
        return members_of(self.network)

    @property
    def judged(self) -> nn.Module:
        """The weights that are validated and kept: the moving average, where there is one."""
        return self.network if self.averaged is None else self.averaged.module

    def judged_weights(self, state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """The weights of the judged network in a state of this module.

        Of a hedge, those that were kept.
        """
        prefix = "network." if self.averaged is None else "averaged.module."
        if self.kept is not None:
            prefix = "kept."
        return {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        """The sum of the losses of one batch, up to a constant.

        `on_before_optimizer_step` divides it.
        """
        self.seed_step(self.train_section.seed, batch_idx)
        weights_B = None if self.weights_N is None else self.weights_N[batch.index_B]
        losses = [self.objective(member(batch), batch.targets_BK, weights_B) for member in self.members]
        total, weight = torch.stack([total for total, _ in losses]), losses[0][1]
        self.step_sums += torch.stack([total.detach().mean(), weight])
        return total.sum() / self._scale

    @property
    def _scale(self) -> int:
        """Keeps the loss near 1, since numbers of 16 bits do not reach far."""
        return self.train_section.batch_size * self.network.spec.labels

    def on_before_optimizer_step(self, _: torch.optim.Optimizer) -> None:
        """Divide the gradients by the weight of all cells.

        Ask the other ranks for their votes.
        """
        trainer, sums = self.trainer, self.over_ranks(self.step_sums)
        # Lightning divided by the number of batches, DDP by that of ranks.
        summed = self._scale * trainer.accumulate_grad_batches * trainer.world_size
        factor = summed / sums[1].clamp_min(torch.finfo(sums.dtype).tiny)
        for parameter in self.network.parameters():
            if parameter.grad is not None:
                parameter.grad.mul_(factor)
        self.epoch_sums += sums
        self.step_sums.zero_()

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Each network of an ensemble by its own norm: one must not slow the others down."""
        if len(self.members) == 1:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)
        elif gradient_clip_val is not None:
            for member in self.members:
                nn.utils.clip_grad_norm_(member.parameters(), gradient_clip_val)

    def optimizer_step(self, *arguments: Any, **keywords: Any) -> None:
        """A step, and that of the moving average."""
        super().optimizer_step(*arguments, **keywords)
        if self.averaged is not None:
            self.averaged.update_parameters(self.network)

    def validation_step(self, batch: Batch, _: int) -> None:
        """Note the losses and the scores of one batch."""
        judged = self.judged
        if not isinstance(judged, Hedge):
            logits_BK = judged(batch).float()
            self.check_outputs(logits_BK)
            self.validated.update(logits_BK, batch.targets_BK)
            return
        logits = {kind: logits_BK.float() for kind, logits_BK in judged.logits(batch).items()}
        self.check_outputs(*logits.values())
        for kind, validated in self.validated_kinds.items():
            cast(Validated, validated).update(logits[kind], batch.targets_BK)
        self.validated.update(judged.mixed(logits, judged.weight), batch.targets_BK)

    @property
    def progress(self) -> tuple[str, Literal["min", "max"]]:
        """Return the logged value that chooses the weights, and its direction."""
        return monitored(self.train_section) if self.kept is None else (PROGRESS, "max")

    def keep(self, kind: str) -> None:
        """Let the weights of one kind of a hedge, as they are now, be those that count."""
        assert self.kept is not None
        assert isinstance(self.judged, Hedge)
        self.kept.kind(kind).load_state_dict(self.judged.kind(kind).state_dict())

    def _keep_best(self) -> None:
        """Keep each kind that was never better; undefined is as good as any."""
        monitor, mode = monitored(self.train_section)
        for place, (kind, validated) in enumerate(self.validated_kinds.items()):
            value = cast(Validated, validated).compute()[monitor] * (1 if mode == "max" else -1)
            if not value <= self.best_S[place]:
                self.keep(kind)
                self.best_S[place], self.best_epochs_S[place] = value, self.current_epoch + 1
        self.log(PROGRESS, self.best_S.sum(), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log the means over all ranks, those of the training too."""
        self.check_finite()
        self.log_dict(self.validated.compute(), sync_dist=True)
        if self.kept is not None:
            self._keep_best()
        self.log("train_loss", self.epoch_sums[0] / self.epoch_sums[1], sync_dist=True)
        self.epoch_sums.zero_()

    def configure_optimizers(self) -> Any:
        """Return AdamW with decay on matrices, and a rate that rises and falls by step."""
        train = self.train_section
        own = {
            id(parameter): rate
            for member in self.members
            for branch in member.all_branches
            for rate, parameters in branch.rates()
            for parameter in parameters
        }
        groups = []
        for rate in (None, *sorted(set(own.values()))):
            part = [p for p in self.network.parameters() if own.get(id(p)) == rate]
            for group in parameter_groups(part, train.weight_decay, self._matrices):
                if group["params"] or rate is None:
                    groups.append(group if rate is None else {**group, "lr": rate})
        # With mixed precision Lightning does not clip the gradients of a fused optimiser.
        fused = self.device.type in ("cpu", "cuda") and not train.precision.endswith("mixed")
        optimizer = torch.optim.AdamW(groups, lr=train.learning_rate, fused=fused)
        steps = max(1, int(self.trainer.estimated_stepping_batches))
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, steps)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def _moving_average(decay: float) -> Callable[..., None]:
    """An exponential moving average that forgets its first steps faster.

    Source: Martín Abadi et al. (2016), TensorFlow, `ExponentialMovingAverage` with `num_updates`.
    """

    @torch.no_grad()
    def update(averages: list[torch.Tensor], weights: list[torch.Tensor], step: torch.Tensor | int) -> None:
        stays = min(decay, (1 + int(step)) / (10 + int(step)))
        for average, weight in zip(averages, weights, strict=True):
            if average.data_ptr() != weight.data_ptr():
                average.lerp_(weight, 1 - stays)

    return update


def parameter_groups(
    parameters: Iterable[nn.Parameter], decay: float, matrices: Collection[int]
) -> list[dict[str, Any]]:
    """Two groups for an optimiser: matrices, which decay, and vectors, which do not.

    Without frozen ones.

    Args:
        parameters: All of them.
        decay: Decoupled weight decay of the matrices.
        matrices: The `id` of each parameter that is one.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    return [
        {"params": [p for p in trained if id(p) in matrices], "weight_decay": decay},
        {"params": [p for p in trained if id(p) not in matrices], "weight_decay": 0.0},
    ]


def matrices_of(module: nn.Module) -> set[int]:
    """The `id` of each parameter with more than one axis.

    To be asked before weights are sharded.
    """
    return {id(parameter) for parameter in module.parameters() if parameter.ndim > 1}


def learning_rate_factor(step: int, steps: int) -> float:
    """Linear rise over a twentieth of the steps, then a cosine down to a hundredth.

    Examples:
        >>> [round(learning_rate_factor(step, 100), 2) for step in (0, 5, 100)]
        [0.2, 1.0, 0.01]
    """
    rise = max(1, steps // 20)
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))
