"""From tables to the event store.

Every column coded once, for all scenarios that share a data section. Built by Polars, column codes as narrow
as they go, sorted by (entity, time, order in the files). Entities are laid out in hash order, so that a block
of rows is a random sample of them. Dimension columns are kept once per dimension row, not per event.

`building` reads and codes; `sorting` sorts within the memory limit; `former` and `appending` make a store
from an older one where files were only added.
"""

from mlc.events.store.columns import open_store, store_fingerprint
from mlc.events.store.event_store import EventStore, Field, TableCounts
from mlc.events.store.fields import default_encoder
from mlc.events.store.memory import memory_limit

__all__ = [
    "EventStore",
    "Field",
    "TableCounts",
    "default_encoder",
    "memory_limit",
    "open_store",
    "store_fingerprint",
]
