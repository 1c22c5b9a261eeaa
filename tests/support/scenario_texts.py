"""Scenario texts for tests, and how to write and refuse them."""

import os
from pathlib import Path

import pytest

from mlc.errors import ScenarioError
from mlc.scenario import load_scenario

SHORTEST = """\
data:
  entity: customer
  tables:
    sales: {kind: events, path: sales.parquet, time: day}
target:
  table: sales
  column: product
  class_names: [Dress, Skirt]
  window_days: 21
"""
FULL = """\
name: departments
data:
  entity: customer
  tables:
    sales:
      kind: events
      path: data/sales.csv
      time: day
      format: csv
      joins: {articles: article}
      encoders: {price: number, note: ignore}
    articles: {kind: dimension, path: data/articles.parquet, key: article}
    customers: {kind: entities, path: data/customers.parquet, key: customer}
target:
  table: sales
  column: articles.department
  class_names: {Dress: [Dress, Gown], Skirt: Skirt}
  window_days: 21
  rule: {kind: count_at_least, times: 2}
examples: {validation_from: 2020-08-11, test_from: 2020-09-01, holdout_entities: 0.1}
model: {preset: nano, memory: true}
train: {epochs: 1, learning_rate: 1e-3, limit_train_batches: 0.5, loss: focal}
thresholds: {default: 0.5, per_label: {Dress: max_f1}}
"""


def written(folder: Path, text: str | bytes, name: str = "scenario.yaml") -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems_of(folder: Path, text: str | bytes, *overrides: str) -> list[str]:
    """`line: field: rule` of every problem; each line is one that the file has."""
    path = written(folder, text)
    with pytest.raises(ScenarioError) as caught:
        load_scenario(path, overrides)
    return [str(problem).replace(str(folder) + os.sep, "") for problem in caught.value.problems]


def shortest(class_names: str = "[Dress, Skirt]", **sections: str) -> str:
    """The shortest scenario with other class names, and sections in flow style."""
    more = "".join(f"{name}: {value}\n" for name, value in sections.items())
    return SHORTEST.replace("[Dress, Skirt]", class_names) + more


def shared(folder: Path, text: str | None = None) -> str:
    """The scenario with its tables in a file of its own, in another folder."""
    tables = "entity: customer\ntables:\n  sales: {kind: events, path: ../sales.parquet, time: day}\n"
    written(folder, text or tables, "shop/tables.yaml")
    return "data: shop/tables.yaml\n" + SHORTEST[SHORTEST.index("target") :]
