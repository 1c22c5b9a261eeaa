"""How columns become vectors: piecewise-linear quantile bins for numbers, embedding rows for categories.

To add an encoder: a config class in `mlc.scenario`, one `case` in `ingest.fields`, its module here, one test.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn
from torch.nn import functional

from mlc.models.batch import BUCKETS, Batch, Fields, FieldSizes, Texts
from mlc.models.branches.events import EventInputs

BINS = 16
CADENCE_HALF_LIVES_DAYS = (5.0, 15.0, 45.0, 135.0, 405.0)
TRUNK_HALF_LIVES_DAYS = (3.0, 10.0, 30.0, 90.0, 270.0)


def quantile_edges(values_NF: torch.Tensor, bins: int = BINS) -> torch.Tensor:
    """Bin edges of each feature: quantiles of its values, those that are neither zero nor missing.

    Zero ("never", "none") and missing have a bin of their own, so they do not use up edges. Where values
    repeat, edges fall together; such a bin is empty and its weight unused.

    Args:
        values_NF: float32, shape (N, F); NaN is missing.
        bins: Number of bins.

    Returns:
        float32, shape (F, bins + 1), rising along the second axis.

    Examples:
        >>> quantile_edges(torch.arange(1.0, 6.0)[:, None], bins=2).tolist()
        [[1.0, 3.0, 5.0]]
    """
    at = torch.linspace(0, 1, bins + 1)
    edges = []
    for column in values_NF.T:
        known = column[~torch.isnan(column) & (column != 0)]
        edges.append(torch.quantile(known, at) if len(known) else at)
    return torch.stack(edges)


class PiecewiseLinear(nn.Module):
    """A linear layer on piecewise-linear encodings of numbers.

    A value lights the bins below it fully, its own bin by its place in it, and those above not at all; zero
    and missing light a flag of their own instead.

    Args:
        features: Number of features F.
        width: Length D of the result.
        bins: Bins a feature.

    Shape:
        `(..., F)` → `(..., D)`.

    Source: Gorishniy, Rubachev, Babenko (2022), On embeddings for numerical features in tabular deep
        learning, section 3.2.
    """

    edges: torch.Tensor

    def __init__(self, features: int, width: int, bins: int = BINS) -> None:
        super().__init__()
        self.register_buffer("edges", torch.linspace(0, 1, bins + 1).repeat(features, 1))
        self.linear = nn.Linear(features * (bins + 2), width)

    def fit(self, values_NF: torch.Tensor) -> None:
        """Set the edges to the quantiles of a sample, shape (N, F)."""
        self.edges.copy_(quantile_edges(values_NF, self.edges.shape[1] - 1))

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """See Shape above."""
        return cast(torch.Tensor, self.linear(self.encode(values)))

    @torch.no_grad()
    def encode(self, values: torch.Tensor) -> torch.Tensor:
        """The encodings themselves, shape (..., F * (bins + 2)); no gradient flows to the values."""
        low, high = self.edges[:, :-1], self.edges[:, 1:]
        missing, zero = torch.isnan(values), values == 0
        below = values.masked_fill(missing | zero, -torch.inf)[..., None]
        # In place, since this is large. An empty bin (low == high) is a step: its slope stays finite.
        encoded = values.new_empty(*values.shape, low.shape[1] + 2)
        inside = torch.sub(below, low, out=encoded[..., :-2])
        inside.mul_((high - low).clamp_min(1e-9).reciprocal()).clamp_(0, 1)
        encoded[..., -2], encoded[..., -1] = zero, missing
        return encoded.flatten(-2)


class CategoryEmbedding(nn.Module):
    """The sum of one embedding row a category, all fields in one table.

    Args:
        sizes: Number of vocabulary rows of each field, at least one field.
        width: Length D of a row.

    Shape:
        `(X, fields)` of vocabulary rows → `(X, D)`.
    """

    starts: torch.Tensor

    def __init__(self, sizes: list[int], width: int) -> None:
        super().__init__()
        starts = torch.tensor([0, *sizes[:-1]]).cumsum(0)
        self.register_buffer("starts", starts, persistent=False)
        self.bag = nn.EmbeddingBag(sum(sizes), width, mode="sum")
        nn.init.normal_(self.bag.weight, std=0.1)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        """See Shape above."""
        return cast(torch.Tensor, self.bag(rows + self.starts))


class TextEmbedding(nn.Module):
    """The sum of one vector a text field: the mean of the rows of the text's words and their parts.

    Each distinct text is embedded once, however many events have it.

    Args:
        fields: Number of text fields, at least one.
        width: Length D of a row.

    Shape:
        `Texts` of X rows → `(X, D)`.

    Source: Bojanowski, Grave, Joulin, Mikolov (2017), Enriching word vectors with subword information,
        section 3.2.
    """

    def __init__(self, fields: int, width: int) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(fields * BUCKETS, width, mode="mean")
        # The mean of a dozen parts is then about as long as the row of a category.
        nn.init.normal_(self.bag.weight, std=0.3)

    def forward(self, texts: Texts) -> torch.Tensor:
        """See Shape above."""
        text_UD: torch.Tensor = self.bag(texts.buckets_G, texts.starts_U)
        text_XD = text_UD.index_select(0, texts.places_XF.flatten())
        return text_XD.view(*texts.places_XF.shape, text_UD.shape[1]).sum(1)


class FieldEmbedding(nn.Module):
    """The sum of one vector for each field of a row.

    Args:
        sizes: Of at least one field.
        width: Length D of a vector.

    Shape:
        `Fields` of X rows → `(X, D)`.
    """

    def __init__(self, sizes: FieldSizes, width: int) -> None:
        super().__init__()
        self.categories = CategoryEmbedding(sizes.categories, width) if sizes.categories else None
        self.numbers = PiecewiseLinear(sizes.numbers, width) if sizes.numbers else None
        self.texts = TextEmbedding(sizes.texts, width) if sizes.texts else None

    def fit(self, sample: Sequence[Fields]) -> None:
        """Set the edges of the bins of numbers."""
        if self.numbers is not None:
            self.numbers.fit(torch.cat([fields.numbers_XF for fields in sample]))

    def forward(self, fields: Fields, onto: torch.Tensor | float = 0.0) -> torch.Tensor:
        """See Shape above; `onto` is what they are added to, one kind after the other."""
        if self.categories is not None:
            onto = onto + self.categories(fields.categories_XF)
        if self.numbers is not None:
            onto = onto + self.numbers(fields.numbers_XF)
        if self.texts is not None:
            onto = onto + self.texts(fields.texts)
        return cast(torch.Tensor, onto)


class DecayedMemory(nn.Module):
    """A sum of embedded events that fade with several learned half-lives: order-free, without padding.

    Args:
        sizes: Of the events' fields.
        width: Length D of an event's embedding.
        half_lives_days: Where the half-lives begin.

    Shape:
        batch → `(B, half-lives * D)`.
    """

    def __init__(
        self, sizes: FieldSizes, width: int, half_lives_days: tuple[float, ...] = (7.0, 30.0, 120.0)
    ) -> None:
        super().__init__()
        self.fields = FieldEmbedding(sizes, width)
        self.log_rates = nn.Parameter(-torch.tensor(half_lives_days).log())
        self.length = len(half_lives_days) * width
        self.norm = nn.LayerNorm(self.length)

    def forward(self, batch: Batch) -> torch.Tensor:
        """See Shape above."""
        events = batch.of(EventInputs)
        event_MD = self.fields(events.fields_M)
        weights_MH = torch.exp2(-events.age_M[:, None] * self.log_rates.exp())
        faded = (weights_MH[:, :, None] * event_MD[:, None, :]).flatten(1)
        memory = faded.new_zeros(len(batch), faded.shape[1]).index_add_(0, events.example_M, faded)
        # Sums grow with activity; their direction, and how far they reach on a log scale, is what matters.
        return cast(torch.Tensor, self.norm(torch.sign(memory) * torch.log1p(memory.abs())))


class Trunk(nn.Module):
    """What a foundation model learns and hands on: from events to a vector of the entity.

    Args:
        sizes: Of the events' fields.
        width: Length D of an event's embedding.
        vector: Length of the entity's vector.

    Shape:
        batch → `(B, vector)`.
    """

    def __init__(self, sizes: FieldSizes, width: int, vector: int) -> None:
        super().__init__()
        self.memory = DecayedMemory(sizes, width, TRUNK_HALF_LIVES_DAYS)
        self.inner = nn.Linear(self.memory.length, vector)
        self.outer = nn.Sequential(nn.GELU(), nn.Linear(vector, vector))
        self.norm = nn.LayerNorm(vector)
        self.length = vector

    def forward(self, batch: Batch) -> torch.Tensor:
        """See Shape above."""
        inner = self.inner(self.memory(batch))
        return cast(torch.Tensor, self.norm(inner + self.outer(inner)))


class ValueCadence(nn.Module):
    """What the past of each value says about its return: one small network for all values of all fields.

    It sees how often the value was there, faded with several half-lives, the same of all events, and which
    field it is.

    Args:
        sizes: Vocabulary rows of each category field of the events.
        horizons: Over how many horizons values are foreseen.
        width: Hidden units.

    Shape:
        batch → log-odds `(B, V, horizons)` to add to those of the frequencies.
    """

    starts: torch.Tensor
    rates: torch.Tensor

    def __init__(self, sizes: list[int], horizons: int, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("starts", torch.tensor([0, *sizes[:-1]]).cumsum(0), persistent=False)
        self.register_buffer("rates", 1.0 / torch.tensor(CADENCE_HALF_LIVES_DAYS), persistent=False)
        self.field = nn.Parameter(torch.randn(max(1, len(sizes)), width) * 0.1)
        self.inner = nn.Linear(2 * len(CADENCE_HALF_LIVES_DAYS), width)
        self.outer = nn.Linear(width, horizons)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, batch: Batch, output_R: torch.Tensor, field_V: torch.Tensor) -> torch.Tensor:
        """See Shape above.

        Args:
            batch: Categories, ages and examples of its events are seen.
            output_R: Place among the V values of each vocabulary row, fields end to end; -1 for none.
            field_V: Field of each value.
        """
        examples, values, events = len(batch), len(field_V), batch.of(EventInputs)
        age_M, example_M = events.age_M, events.example_M
        weights_MD = torch.exp2(-age_M[:, None] * self.rates)
        total_BD = weights_MD.new_zeros(examples, len(self.rates)).index_add_(0, example_M, weights_MD)
        place_MF = output_R[events.fields_M.categories_XF + self.starts]
        event_X, column_X = torch.nonzero(place_MF >= 0, as_tuple=True)
        keys_X = example_M[event_X] * values + place_MF[event_X, column_X]
        pair_P, of_X = torch.unique(keys_X, return_inverse=True)
        seen_PD = weights_MD.new_zeros(len(pair_P), len(self.rates)).index_add_(0, of_X, weights_MD[event_X])
        example_P = pair_P // values
        fields = torch.arange(len(self.field), device=age_M.device)
        never_BFH = self._logits(
            torch.zeros_like(total_BD)[:, None].expand(-1, len(fields), -1),
            total_BD[:, None].expand(-1, len(fields), -1),
            fields,
        )
        seen_PH = self._logits(seen_PD, total_BD[example_P], field_V[pair_P % values])
        everywhere = never_BFH.index_select(1, field_V).flatten(0, 1)
        return everywhere.index_copy(0, pair_P, seen_PH).view(examples, values, -1)

    def _logits(self, seen: torch.Tensor, total: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
        # `index_select` adds up gradients in one order; indexing by brackets does so in that of the threads.
        inner = self.inner(torch.log1p(torch.cat([seen, total], dim=-1))) + self.field.index_select(0, field)
        return cast(torch.Tensor, self.outer(functional.gelu(inner)))
