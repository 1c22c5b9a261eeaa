"""Generated shop data whose true probabilities are known.

`simulation` is the shop, `writing` its folder.
"""

from mlc.demo.writing import write_demo

__all__ = ["write_demo"]
