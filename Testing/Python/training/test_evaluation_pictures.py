"""Evaluations of little data, of which some figures cannot be had, are written and drawn whole."""

import json

import numpy as np
import pytest

from QualitySentinelTrainingLib.card import write_card
from QualitySentinelTrainingLib.evaluation.external import Series
from QualitySentinelTrainingLib.evaluation.report import Experiments, write_evaluation


@pytest.fixture
def a_series():
    """Two masks that a model scores alike: no correlation can be had."""
    return Series(
        "erosion", np.array(["a", "a"]), np.array(["liver", "liver"]), np.array([0, 1]), np.array([0.5, 0.5]),
        np.array([0.5, 0.5]), np.array([1.0, 0.8]), np.array([0.0, 1.0]), np.array([0.5, 0.5]), np.array([1.0, 0.8]),
    )  # fmt: skip


def test_masks_that_are_all_scored_alike_are_drawn_and_come_into_the_card(make_table, a_series, tmp_path):
    groups, experiments = {"few": make_table(0, persons=2, masks=2)}, Experiments(series=[a_series])
    report = write_evaluation(tmp_path, groups, None, experiments, draws=0)
    figures = json.loads((tmp_path / "evaluation.json").read_text())["experiments"]["series"][0]
    assert figures["segments"]["pearson_r"] is None
    assert (tmp_path / "series.png").stat().st_size > 5000
    assert "| erosion | 2 | – |" in write_card({"name": "m"}, report)


def test_masks_of_a_single_slice_are_measured(make_table, tmp_path):
    table = make_table(0, persons=2, masks=2)
    single = table.take(np.flatnonzero(table.k == 5))
    report = write_evaluation(tmp_path, {"few": single}, draws=0)
    assert report["experiments"]["slices_per_mask"] == []
    assert (tmp_path / "scatter_slices.png").exists() and not (tmp_path / "slices_per_mask.png").exists()


def test_a_single_slice_is_measured(make_table, tmp_path):
    table = make_table(0, persons=1, masks=1)
    report = write_evaluation(tmp_path, {"one": table.take(np.flatnonzero(table.k == 5))}, draws=10)
    assert report["groups"]["one"]["slices"]["n"] == 1
    assert report["groups"]["one"]["slices"]["pearson_r"] is None
