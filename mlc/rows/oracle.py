"""The true probabilities of generated rows."""

import polars as pl

from mlc.errors import DataError
from mlc.rows.preparing import PreparedRows
from mlc.scenario import RowScenario
from mlc.sources import id_expr
from mlc.tables import ENTITY_ID, SCORES, TARGETS, array_column


def oracle_predictions(scenario: RowScenario, examples: PreparedRows) -> pl.DataFrame | None:
    """Return the true probabilities of generated rows as predictions.

    None for real ones.

    Raises:
        DataError: The table lacks the key, a label or a row.
    """
    field = "target.true_probabilities"
    if scenario.target.true_probabilities is None:
        return None
    path, key = scenario.path(scenario.target.true_probabilities), scenario.table.key
    if not path.exists():
        raise DataError(scenario.problem(field, f"no such table: {path}. Remove this, or restore it."))
    truth = pl.read_parquet(path)
    names = list(examples.class_names)
    missing = [name for name in (key or ENTITY_ID, *names) if name not in truth.columns]
    if missing:
        raise DataError(
            scenario.problem(field, f"the table lacks the columns {', '.join(missing)}. Add them.")
        )
    keys = examples.table.drop(TARGETS)
    wanted = truth.select(
        id_expr(key or ENTITY_ID, keys.schema[ENTITY_ID]).alias(ENTITY_ID),
        *(pl.col(name).cast(pl.Float32).alias(f"p{place}") for place, name in enumerate(names)),
    )
    found = keys.join(wanted, on=ENTITY_ID, how="left", maintain_order="left").drop(keys.columns)
    if found.null_count().sum_horizontal().item():
        raise DataError(scenario.problem(field, "the table has no row for some examples. Add them."))
    return keys.with_columns(array_column(SCORES, found.to_numpy().astype("float32")))
