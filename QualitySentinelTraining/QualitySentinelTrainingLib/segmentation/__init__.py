"""Segmentation networks trained out-of-fold: their class probabilities, and their masks with real errors."""
