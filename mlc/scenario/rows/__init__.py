"""The scenario of a task on rows: label columns, splits, text and image encoders."""
