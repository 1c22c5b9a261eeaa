"""The attributes branch: the fields of the entity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mlc.models.branches.branch import Branch, BranchSpec, Known, Sums
from mlc.models.branches.gathering import BranchInputs, Gather, Place
from mlc.models.encoders import FieldEmbedding
from mlc.models.reading.batch import Batch, Fields, FieldSizes

if TYPE_CHECKING:
    from mlc.models.reading.batches import BatchBuilder


@dataclass
class AttributeInputs(BranchInputs):
    """What is known of each entity.

    Attributes:
        fields_B: Its fields.
    """

    fields_B: Fields

    @classmethod
    def gatherer(cls, source: "BatchBuilder", place: Place) -> Gather:
        """See `BranchInputs`."""
        fields_of = place.columns(source.entity_columns)
        return lambda chosen: cls(fields_of(chosen.row_B))


@dataclass(frozen=True)
class AttributesSpec(BranchSpec):
    """Sizes of the attributes.

    Attributes:
        sizes: Of the entity's fields.
    """

    sizes: FieldSizes


class AttributesBranch(Branch):
    """The sum of the embedded fields."""

    name = "attributes"
    inputs = (AttributeInputs,)
    spec_type = AttributesSpec

    def __init__(self, spec: AttributesSpec, labels: int, width: int) -> None:
        super().__init__(spec, labels, width)
        self.fields = FieldEmbedding(spec.sizes, width)

    @classmethod
    def spec_of(cls, known: Known) -> AttributesSpec | None:
        """See `Branch`; the vocabulary has no attributes where the scenario wants none."""
        return AttributesSpec(known.attributes) if known.attributes else None

    def forward(self, batch: Batch, sums: Sums) -> Sums:
        """See `Branch`."""
        return replace(sums, entity_BD=self.fields(batch.of(AttributeInputs).fields_B, sums.entity_BD))

    def fit(self, batches: Sequence[Batch]) -> None:
        """Set the edges of the bins of numbers."""
        self.fields.fit([batch.of(AttributeInputs).fields_B for batch in batches])
