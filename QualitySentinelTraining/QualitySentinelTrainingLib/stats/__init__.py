"""Statistics, once for all: agreement of two arrays, bootstrap over persons, rank tests, correction for many tests."""

from .agreement import (
    FIGURES,
    Agreement,
    agreement,
    auroc,
    average_precision,
    calibration_curve,
    pearson_r,
    risk_coverage,
    spearman_r,
)
from .bootstrap import DRAWS, bootstrap_interval, bootstrap_intervals, bootstrap_of, drawn_means
from .rank_tests import LEVEL, RankTest, adjusted, rank_correlation, rank_test, signed_rank_p

__all__ = [
    "DRAWS", "FIGURES", "LEVEL", "Agreement", "RankTest", "adjusted", "agreement", "auroc", "average_precision",
    "bootstrap_interval", "bootstrap_intervals", "bootstrap_of", "calibration_curve", "drawn_means", "pearson_r",
    "rank_correlation", "rank_test", "risk_coverage", "signed_rank_p", "spearman_r",
]  # fmt: skip
