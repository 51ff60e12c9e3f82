"""Training: graphs and batches, the step, the Lightning module."""
