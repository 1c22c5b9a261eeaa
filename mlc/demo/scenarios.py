"""The scenarios that come with the generated tables, as a person would write them."""

import json

from mlc.demo.simulation import DEPARTMENTS, END, EVERY_DAYS, TEST_FROM, VALIDATION_FROM, WINDOW_DAYS

_TABLES_YAML = """\
data:
  entity: customer_id                # we predict for customers
  tables:
    # what they did, one row per item bought; what the items are; who they are, as known since they joined
    transactions: {kind: events, path: data/transactions, time: bought_at, joins: {articles: article_id}}
    articles: {kind: dimension, path: data/articles.parquet, key: article_id}
    customers: {kind: entities, path: data/customers.parquet, key: customer_id}
"""
_EXAMPLES_YAML = f"""\
examples:
  observed_until: {END:%Y-%m-%d}         # the tables are complete up to this midnight
  test_from: {TEST_FROM:%Y-%m-%d}              # the last complete window: judged on it once, at the end
  validation_from: {VALIDATION_FROM:%Y-%m-%d}        # its window ends where the test's begins
  every_days: {EVERY_DAYS}                     # a customer is an example at up to 26 earlier cutoffs
"""
_LABELS_YAML = "\n".join(f"    - {json.dumps(department.name)}" for department in DEPARTMENTS)
SCENARIOS = {
    "departments_28d.yaml": f"""\
# yaml-language-server: $schema=schema.json
# From which departments will each customer buy in the next {WINDOW_DAYS} days?
# Generated data: the truth is known, so the report also shows the best score that any model could reach.
{_TABLES_YAML}target:
  table: transactions
  column: articles.department        # a column of a joined table is written table.column
  class_names:                       # the labels, in this order everywhere
{_LABELS_YAML}
  window_days: {WINDOW_DAYS}                    # (cutoff, cutoff + {WINDOW_DAYS} days]
  rule: exists                       # 1 if at least one such event lies in the window
  true_probabilities: data/truth     # generated data only: leave this out with yours
{_EXAMPLES_YAML}""",
    "categories_28d.yaml": f"""\
# yaml-language-server: $schema=schema.json
# Of which categories will each customer buy at least two items in the next {WINDOW_DAYS} days?
{_TABLES_YAML}target:
  table: transactions
  column: articles.category
  class_names: {{top: 25}}             # the most frequent ones, counted in the training period only
  window_days: {WINDOW_DAYS}
  rule: {{kind: count_at_least, times: 2}}
{_EXAMPLES_YAML}""",
}
"""File name → YAML, relative to the demo's folder."""
