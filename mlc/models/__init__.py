"""Models: from inputs to scores, and what a run stores of them."""
