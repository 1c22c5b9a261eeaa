"""Products with a description and columns: which tags does each deserve?"""

from typing import Any

import numpy as np
import polars as pl

from mlc.demo.rows.generated import BASE, Generated, Topic, drawn, joined_names, spoken, truth_table

TAGS = {
    "gift": Topic(
        (
            "Comes in a box with a ribbon.",
            "A present that nobody forgets.",
            "With a card for your words.",
        ),
        ("Nice to look at.", "People like to give it away."),
    ),
    "outdoor": Topic(
        (
            "Made for rain and mud.",
            "Goes with you up every mountain.",
            "Dries within minutes at the camp fire.",
        ),
        ("Light enough to carry.", "With a loop to hang it up."),
    ),
    "kids": Topic(
        ("From three years on.", "Without sharp edges for small hands.", "Helps with the first letters."),
        ("In bright colours.", "Easy to wash."),
    ),
    "premium": Topic(
        ("Made by hand in a small workshop.", "Solid oak and brass.", "Each piece has a number."),
        ("With a warranty of five years.", "Carefully made."),
    ),
    "fragile": Topic(
        ("Blown glass, as thin as paper.", "Fine porcelain.", "Handle with care."),
        ("Packed in straw.", "Not for the dishwasher."),
    ),
    "seasonal": Topic(
        ("For the tree at Christmas.", "Easter eggs not included.", "The pumpkin lights up."),
        ("Back again this year.", "While stocks last."),
    ),
}
FILLERS = (
    "Length 30 cm.",
    "Ships from our warehouse.",
    "Item in stock.",
    "Available in four colours.",
    "Designed in Europe.",
    "Spare parts available.",
    "Height 12 cm.",
    "Made of several parts.",
)
SCENARIO = """\
# yaml-language-server: $schema=schema.json
# Which tags does each product deserve? Its text and its columns both say something.
# Generated data: the truth is known, so the report also shows the best score that any model could reach.
name: products
data:
  tables:
    products: {kind: rows, path: products.csv, key: product_id}
target:
  table: products
  column: tags
  separator: "|"
  class_names: [gift, outdoor, kids, premium, fragile, seasonal]
  true_probabilities: truth.parquet      # generated data only: leave this out with yours
"""


def products(rows: int, seed: int) -> Generated:
    """Return products with tags.

    Args:
        rows: How many.
        seed: Another seed gives other products.
    """
    noise = np.random.default_rng([seed, 4])
    texts, log_odds_NK = spoken(TAGS, FILLERS, rows, noise)
    price, weight = noise.lognormal(3.2, 0.8, rows), noise.lognormal(0.0, 1.0, rows)
    brand = noise.choice(["Alder", "Birch", "Cedar", "Elm", "Fir", "Hazel"], rows)
    month = noise.integers(1, 13, rows)
    by_columns = {
        "gift": 2.0 * ((price > 20) & (price < 60)) - 1.0,
        "outdoor": 2.6 * (brand == "Cedar") + 1.4 * (weight < 0.8) - 1.0,
        "kids": 2.4 * (brand == "Hazel") + 1.6 * (price < 18) - 1.2,
        "premium": 1.9 * np.log(price / 30.0) + 1.2 * (brand == "Alder") - 0.6,
        "fragile": 1.4 * (weight > 1.5) + 2.2 * (brand == "Elm") - 0.9,
        "seasonal": 2.8 * np.isin(month, (3, 10, 11)) - 1.2,
    }
    log_odds_NK += np.stack([by_columns[name] for name in TAGS], axis=1)
    log_odds_NK -= 0.15 * BASE  # so that tags are not too rare
    labels_NK, probabilities_NK = drawn(log_odds_NK, noise)
    key = pl.Series("product_id", [f"P{row:05d}" for row in range(rows)])
    columns: dict[str, Any] = {
        "description": texts,
        "price": price.round(2),
        "weight_kg": weight.round(2),
        "brand": brand,
        "listed_in_month": month,
        "tags": joined_names(list(TAGS), labels_NK, "|"),
    }
    table = pl.DataFrame([key]).with_columns(pl.Series(name, column) for name, column in columns.items())
    truth = truth_table(key, list(TAGS), probabilities_NK)
    return Generated(SCENARIO, {"products.csv": table, "truth.parquet": truth})
