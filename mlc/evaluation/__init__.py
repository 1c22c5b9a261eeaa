"""Scores and targets in, numbers out: metrics, calibration, thresholds, gates."""
