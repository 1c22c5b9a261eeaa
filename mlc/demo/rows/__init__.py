"""Generated tables of rows: comments, patients, pictures of digits, products.

Of all but the pictures the true probabilities are known.
"""

from mlc.demo.rows.comments import comments
from mlc.demo.rows.digits import digits
from mlc.demo.rows.generated import Generated
from mlc.demo.rows.patients import patients
from mlc.demo.rows.products import products

KINDS = {"text": comments, "table": patients, "image": digits, "mix": products}
"""Kind of the demo → what generates it, from a number of rows and a seed."""

__all__ = ["KINDS", "Generated"]
