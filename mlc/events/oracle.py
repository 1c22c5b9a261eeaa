"""The true probabilities of generated tables."""

from collections.abc import Sequence

import polars as pl

from mlc.errors import DataError
from mlc.scenario import EventScenario
from mlc.sources import id_expr
from mlc.tables import CUTOFF, ENTITY_ID, SCORES, TARGETS, array_column


def oracle_predictions(
    scenario: EventScenario, examples: pl.DataFrame, names: Sequence[str]
) -> pl.DataFrame | None:
    """Return the true probabilities of generated tables as predictions.

    None for real ones.

    Raises:
        DataError: The table lacks a label, a cutoff or an entity.
    """
    if scenario.target.true_probabilities is None:
        return None
    path = scenario.path(scenario.target.true_probabilities)
    field = "target.true_probabilities"
    if not path.exists():
        raise DataError(scenario.problem(field, f"no such table: {path}"))
    truth = pl.scan_parquet(path / "*.parquet" if path.is_dir() else path)
    schema = truth.collect_schema()
    missing = [name for name in (scenario.data.entity, CUTOFF, *names) if name not in schema]
    if missing:
        raise DataError(scenario.problem(field, f"the table lacks the columns {', '.join(missing)}"))
    entity = scenario.data.entity
    keys = examples.drop(TARGETS)
    wanted = truth.with_columns(
        id_expr(entity, keys.schema[ENTITY_ID]).alias(ENTITY_ID), pl.col(CUTOFF).cast(pl.Datetime("us"))
    )
    probabilities = (
        keys.lazy()
        .join(
            wanted.select(ENTITY_ID, CUTOFF, *(pl.col(name).cast(pl.Float32) for name in names)),
            on=[ENTITY_ID, CUTOFF],
            how="left",
            maintain_order="left",
        )
        .collect()
    )
    if probabilities.select(pl.col(names[0]).is_null().any()).item():
        raise DataError(scenario.problem(field, "the table has no row for some examples"))
    return keys.with_columns(array_column(SCORES, probabilities.select(names).to_numpy().astype("float32")))
