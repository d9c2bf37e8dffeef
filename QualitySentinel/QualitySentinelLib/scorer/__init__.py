"""Layer 6: plans which slices to score, runs them in batches on a device, and gathers the case's scores."""

from .scorer import Scorer, score
