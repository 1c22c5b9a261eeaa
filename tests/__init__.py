"""Tests: sentences as names; slow, obviously right versions in `reference*.py`."""
