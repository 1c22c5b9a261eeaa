"""The task as text and pages: counts of labels, drawings, the path to a target."""
