"""Layer 6: plans which slices to score, runs them in batches on a device, and gathers the case's scores."""

from .plan import SliceChoice, plan_slices
from .scorer import Progress, Scorer

__all__ = ["Progress", "Scorer", "SliceChoice", "plan_slices"]
