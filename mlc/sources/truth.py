"""The true probabilities of generated tables."""

from collections.abc import Mapping, Sequence

import polars as pl

from mlc.errors import DataError
from mlc.scenario import Scenario
from mlc.tables import SCORES, TARGETS, array_column

_FIELD = "target.true_probabilities"


def true_probabilities(
    scenario: Scenario, examples: pl.DataFrame, names: Sequence[str], keys: Mapping[str, tuple[str, pl.Expr]]
) -> pl.DataFrame | None:
    """Return the true probabilities of generated tables as predictions.

    None for real ones.

    Args:
        scenario: Its target names the file, or a folder of Parquet files.
        examples: Their keys and more.
        names: The K labels, each a column of the table.
        keys: Column of the key → the column of the table that holds it, and how it is read.

    Raises:
        DataError: The table lacks a key, a label or an example.
    """
    if scenario.target.truth is None:
        return None
    path = scenario.path(scenario.target.truth)
    if not path.exists():
        raise DataError(scenario.problem(_FIELD, f"no such table: {path}. Remove this, or restore it."))
    truth = pl.scan_parquet(path / "*.parquet" if path.is_dir() else path)
    schema = truth.collect_schema()
    missing = [name for name in (*(column for column, _ in keys.values()), *names) if name not in schema]
    if missing:
        rule = f"the table lacks the columns {', '.join(missing)}. Add them."
        raise DataError(scenario.problem(_FIELD, rule))
    known = examples.drop(TARGETS)
    wanted = truth.select(
        *(read.alias(key) for key, (_, read) in keys.items()),
        *(pl.col(name).cast(pl.Float32).alias(f"p{place}") for place, name in enumerate(names)),
    )
    joined = known.lazy().join(wanted, on=list(keys), how="left", maintain_order="left")
    probabilities = joined.select(f"p{place}" for place in range(len(names))).collect()
    if probabilities.null_count().sum_horizontal().item():
        raise DataError(scenario.problem(_FIELD, "the table has no row for some examples. Add them."))
    return known.with_columns(array_column(SCORES, probabilities.to_numpy().astype("float32")))
