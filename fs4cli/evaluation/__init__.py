"""The only place that knows ground truth."""
