"""Pixel-level label errors of a labeled data set: confident learning on out-of-sample probabilities."""
