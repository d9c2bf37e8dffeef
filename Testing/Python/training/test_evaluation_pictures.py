"""Evaluations of little data, of which some figures cannot be had, are written and drawn whole."""

import json

import numpy as np

from QualitySentinelTrainingLib.card import write_card
from QualitySentinelTrainingLib.evaluation.report import Experiments, write_evaluation


def test_figures_that_cannot_be_had_come_into_the_card(make_table, tmp_path):
    """Two masks that a model scores alike have no correlation."""
    none = {"n": 2, "pearson_r": None, "mae": 0.5}
    experiments = Experiments({"series": [{"kind": "erosion", "segments": none, "slices": none}]})
    report = write_evaluation(tmp_path, {"few": make_table(0, persons=2, masks=2)}, None, experiments, draws=0)
    assert json.loads((tmp_path / "evaluation.json").read_text()) == report
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
