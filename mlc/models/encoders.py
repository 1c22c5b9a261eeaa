"""How columns become vectors: quantile bins for numbers, rows for categories.

To add an encoder: a config class in `mlc.scenario`, one `case` in `mlc.events.store.fields`, its module here,
and one test.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

from mlc.models.reading.batch import BUCKETS, Fields, FieldSizes, Texts

BINS = 16


def quantile_edges(values_NF: torch.Tensor, bins: int = BINS) -> torch.Tensor:
    """Return the bin edges of each feature, quantiles of its non-zero values.

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
        """The encodings themselves, shape (..., F * (bins + 2)).

        No gradient flows to the values.
        """
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
    """The sum of one vector per text field.

    The mean of the rows of the text's words and their parts. Each distinct text is embedded once, however
    many events have it.

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
