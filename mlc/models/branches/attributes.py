"""The attributes branch: the fields of the entity."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlc.models.batch import Fields
from mlc.models.branches.gathering import BranchInputs, Gather, Place

if TYPE_CHECKING:
    from mlc.models.batches import BatchBuilder


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
