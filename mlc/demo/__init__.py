"""Generated data whose true probabilities are known: a shop, and tables of rows.

`simulation` is the shop, `rows` the tables of rows, `writing` their folders.
"""

from mlc.demo.rows import KINDS
from mlc.demo.writing import write_demo, write_rows_demo

__all__ = ["KINDS", "write_demo", "write_rows_demo"]
