"""The demonstration plants the errors it says, in a phantom no model was trained on, and compares fairly."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelTrainingLib import demo
from QualitySentinelTrainingLib.dice import slice_dice, volume_dice
from QualitySentinelTrainingLib.phantom import FIRST_UNSEEN_SEED

PLAN = {"liver": ("missing part", 0.4), "spleen": None, "kidney left": ("misplaced", 0.9), "vertebra L1": None}


@pytest.fixture(scope="module")
def planted():
    original = demo.SPACING
    demo.SPACING = (8.0, 4.0, 4.0)
    yield demo.plant(FIRST_UNSEEN_SEED + 1, PLAN)
    demo.SPACING = original


def _true(planted, name):
    value = next(v for v, n in planted.phantom.names.items() if n == name)
    return volume_dice(planted.mask == value, planted.phantom.labels == value)


def test_errors_are_planted_where_the_plan_says(planted):
    assert {planted.phantom.names[v]: kind for v, kind in planted.kinds.items()} == {
        "liver": "missing part", "spleen": "none", "kidney left": "misplaced", "vertebra L1": "none"
    }  # fmt: skip
    assert _true(planted, "liver") == pytest.approx(0.6, abs=0.1)
    assert _true(planted, "kidney left") < 0.6
    assert _true(planted, "vertebra L1") > 0.8


def test_the_written_case_reads_back_on_the_same_slices(planted, tmp_path):
    demo.write_case(planted, tmp_path)
    ct = read_ct(tmp_path / "ct.nii.gz")
    assert np.array_equal(ct.hu, planted.phantom.hu)
    assert ct.frame.file_slice(3) == 3
    assert np.allclose(ct.frame.ijk_to_ras, planted.phantom.ijk_to_ras, atol=1e-3)
    segmentation = read_segmentation(tmp_path / "seg.nii.gz", ct, names=tmp_path / "names.json")
    assert {segment.structure for segment in segmentation} == set(PLAN)
    assert set(json.loads((tmp_path / "names.json").read_text()).values()) == set(PLAN)


def test_true_dsc_stands_beside_predicted_dsc(planted, tmp_path):
    value = next(v for v, n in planted.phantom.names.items() if n == "liver")
    true = slice_dice(planted.mask == value, planted.phantom.labels == value)
    rows = [f"liver,{k},{dsc:.6f}" for k, dsc in enumerate(true) if np.isfinite(dsc)]
    (tmp_path / "slices.csv").write_text("\n".join(["segment,slice_index,predicted_dsc", *rows]) + "\n")
    (tmp_path / "segments.csv").write_text("segment,predicted_dsc,status\nliver,0.512,ok\nspleen,,empty\n")
    text = demo.compare(planted, tmp_path / "segments.csv", tmp_path / "slices.csv")
    assert f"{len(rows)} slices: Pearson r 1.00, mean absolute error 0.000" in text
    liver = next(line for line in text.splitlines() if line.startswith("liver"))
    assert "missing part" in liver
    assert "0.51" in liver
    assert f"{_true(planted, 'liver'):.2f}" in liver
    assert "empty" in text


def test_a_seed_that_may_have_been_trained_on_is_refused_in_one_line(tmp_path, capsys):
    assert demo.main(["--seed", "3", "--out", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--seed 3" in error
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_refused_in_one_line(tmp_path, capsys, monkeypatch, planted):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(demo, "plant", lambda seed: planted)
    assert demo.main(["--out", str(tmp_path / "file" / "below")]) == 3
    assert capsys.readouterr().err.count("\n") == 1


def test_the_demo_needs_only_what_scoring_needs():
    """``make demo`` installs no extras."""
    extras = ("monai", "lightning", "pandas", "sklearn", "h5py", "matplotlib", "pydantic", "pyarrow", "cleanlab")
    code = f"""
import sys
sys.modules.update(dict.fromkeys({extras}))
import QualitySentinelTrainingLib.demo
from QualitySentinelLib.commands.main import main
assert main(["score", "--help"]) == 0
assert main(["make-pairs", "--data", "here", "--out", "there"]) == 2
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "make-pairs needs pydantic, which is not installed" in done.stderr
