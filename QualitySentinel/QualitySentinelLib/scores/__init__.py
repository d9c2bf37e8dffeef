"""Layer 6: the results of scoring as plain data, their aggregation and flags, and their tables."""

from .score import CaseScore, SegmentScore, SliceScore, Status

__all__ = ["CaseScore", "SegmentScore", "SliceScore", "Status"]
