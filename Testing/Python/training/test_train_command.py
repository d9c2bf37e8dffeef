"""``quality-sentinel train`` from CTs with contours to a model file that scores."""

import json

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.checkpoint import load_model
from QualitySentinelLib.commands.main import main
from QualitySentinelLib.scorer import Scorer


@pytest.fixture
def a_small_data_set(a_torso, tmp_path):
    """Six subjects in the OpenKBP layout: the synthetic torso with noise of its own, labels 1 and 3."""
    labels = np.where(a_torso.labels == 2, 3, a_torso.labels).astype(np.uint8)
    rng = np.random.default_rng(0)
    for number in range(1, 7):
        folder = tmp_path / "data" / "openkbp" / f"pt_{number}"
        folder.mkdir(parents=True)
        hu = a_torso.hu + rng.integers(-30, 30, a_torso.hu.shape)
        for name, array in (("ct", hu.astype(np.int16)), ("seg", labels)):
            image = nibabel.Nifti1Image(np.ascontiguousarray(array.T), a_torso.ijk_to_ras)
            nibabel.save(image, folder / f"{name}.nii.gz")
    return tmp_path / "data"


def test_training_gives_a_model_file_that_scores_and_says_what_it_was_made_of(
    a_small_data_set, a_ct_with_a_liver, tmp_path
):
    out = tmp_path / "out"
    arguments = ["train", "--data", a_small_data_set, "--out", out, "--phantoms", 0, "--epochs", 1]
    assert main([str(a) for a in (*arguments, "--most-pairs", 128)]) == 0
    model = load_model(out / "model.safetensors")
    training = model.metadata["training"]
    assert training["pairs"] == 128
    assert training["openkbp_subjects"] == 3  # of six, two are for testing, one calibrates
    assert training["phantoms"] == 0
    assert 0 < model.metadata["calibration"]["segment_halfwidth"] <= 1
    assert json.loads((out / "training.json").read_text()) == training
    case = Scorer(model, "cpu").score(*a_ct_with_a_liver, slices=3)
    liver = case["1"]
    assert liver.dsc_low <= liver.predicted_dsc <= liver.dsc_high


def test_pairs_already_on_disk_are_not_made_again(a_small_data_set, tmp_path):
    arguments = ["train", "--data", a_small_data_set, "--out", tmp_path / "out", "--phantoms", 0, "--pairs-only"]
    assert main([str(a) for a in arguments]) == 0
    files = sorted((tmp_path / "out" / "pairs").iterdir())
    before = [file.stat().st_mtime_ns for file in files]
    assert len(files) == 3
    assert main([str(a) for a in arguments]) == 0
    assert [file.stat().st_mtime_ns for file in files] == before
