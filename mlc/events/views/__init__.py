"""The task as text and pages: counts of labels, a drawing, and the path from events to one target."""
