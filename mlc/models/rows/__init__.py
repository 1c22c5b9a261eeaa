"""The parts of a model of rows, and what they read."""
