"""Offline evaluation: features, training of models, and metrics of detection against labels."""
