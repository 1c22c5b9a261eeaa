"""Training: everything that needs Lightning."""
