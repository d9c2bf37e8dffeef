"""Statistics, once for all: agreement of two arrays, bootstrap over patients, rank tests, correction for many tests."""

from .agreement import (
    FIGURES,
    Agreement,
    agreement,
    auroc,
    calibration_curve,
    pearson_r,
    risk_coverage,
    spearman_r,
)
from .bootstrap import DRAWS, bootstrap_interval, bootstrap_intervals, bootstrap_of, drawn_means, mean_interval
from .rank_tests import LEVEL, RankTest, adjusted, outlier_limit, rank_correlation, rank_test, signed_rank_p
