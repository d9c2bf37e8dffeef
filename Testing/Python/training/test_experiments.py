"""Comparisons of trainings: they change one thing, test on unseen persons, and keep what was trained."""

from __future__ import annotations

import json

import numpy as np
import pytest

from QualitySentinelLib.checkpoint import load_model
from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.candidates import simulated_candidates
from QualitySentinelTrainingLib.card import write_card
from QualitySentinelTrainingLib.evaluation.report import Experiments
from QualitySentinelTrainingLib.pairs import make_pairs, write_pairs
from QualitySentinelTrainingLib.subjects import Subject
from Research.experiments import main

pytestmark = pytest.mark.usefixtures("a_tiny_network")

QUICK = ["--set", "epochs=1", "--set", "pairs_per_epoch=16", "--set", "batch_size=8", "--set", "accelerator=cpu"]


@pytest.fixture(scope="module")
def pairs(a_torso, tmp_path_factory):
    """Pair files of six persons, and a subject made from each."""
    folder = tmp_path_factory.mktemp("pairs")
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    for number in range(6):
        for name, source in ((f"p{number}", "Real"), (f"p{number}_synthetic_0", "Real, synthetic")):
            subject = Subject(
                name, CtVolume(a_torso.hu, frame), a_torso.labels, a_torso.names, source, f"p{number}"
            )  # fmt: skip
            rng = np.random.default_rng(number)
            made = make_pairs(subject, simulated_candidates(subject, rng, 4), rng, COMPACT, 2, 1)
            write_pairs(made, folder / f"{name}.pairs.h5", COMPACT)
    return folder


def result_of(out, name, *arguments):
    assert main([name, "--out", str(out), *QUICK, *map(str, arguments)]) == 0
    return json.loads((out / name / "figures.json").read_text())


def test_both_architectures_are_measured_on_the_same_slices(pairs, tmp_path, capsys):
    result = result_of(tmp_path, "architectures", "--pairs", pairs)["result"]
    compact, resnet = result["compact"], result["resnet50"]
    assert compact["slices"]["n"] == resnet["slices"]["n"] == 16  # two of each of eight masks, none of the copy's
    assert compact["slices"]["persons"] == 1
    assert result["cost_ratio"] > 0 and compact["milliseconds_per_slice"] > 0
    assert compact["gigaflops_per_slice"] > 0
    assert result["flops_ratio"] == 1  # both are the tiny network here
    assert result["pairs"] == 16
    assert any("empty slices" in line for line in result["differences"])
    printed = capsys.readouterr().out
    assert "resnet50 / slices / mae" in printed and "resnet50 one" in printed


def test_left_out_structures_are_measured_with_and_without_their_names(pairs, tmp_path):
    result = result_of(tmp_path, "text", "--pairs", pairs, "--structures", "spleen", "brain")["result"]
    assert set(result) == {"with", "without", "unseen"}
    assert set(result["unseen"]) == {"spleen"}  # the pairs hold no brain
    assert set(result["unseen"]["spleen"]) == {"seen", "unseen", "unseen, no name", "unseen, no text"}
    left_out = json.loads((tmp_path / "text" / "left_out" / "run.json").read_text())
    assert left_out["options"]["leave_out"] == ["spleen"]
    models = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("model.safetensors")}
    assert len(models) == 4
    assert result_of(tmp_path, "text", "--pairs", pairs, "--structures", "spleen")["result"] == result
    assert {path: path.stat().st_mtime_ns for path in models} == models  # what was trained is not trained again
    nameless = load_model(tmp_path / "text" / "all_no_text" / "model.safetensors")  # is told no name
    np.testing.assert_array_equal(nameless.table.vector("liver"), nameless.table.vector("spleen"))
    named = load_model(tmp_path / "text" / "all" / "model.safetensors")
    assert not np.array_equal(named.table.vector("liver"), named.table.vector("spleen"))


def test_models_of_another_fold_are_not_taken_for_this_ones(pairs, tmp_path, capsys):
    result_of(tmp_path, "data-amount", "--pairs", pairs, "--patients", 99)
    arguments = ["data-amount", "--pairs", pairs, "--patients", 99, "--out", tmp_path, "--fold", 1, *QUICK]
    assert main([str(argument) for argument in arguments]) != 0
    assert "use another folder" in capsys.readouterr().err


def test_more_patients_are_trained_on_step_by_step(pairs, tmp_path):
    rows = result_of(tmp_path, "data-amount", "--pairs", pairs, "--patients", 1, 3, 99)["result"]
    assert [row["amount"] for row in rows] == [1, 3, 5]
    assert len({row["n"] for row in rows}) == 1


def test_an_experiment_without_unseen_persons_is_refused(pairs, tmp_path, capsys):
    arguments = ["architectures", "--pairs", str(pairs), "--out", str(tmp_path), "--fold", "9"]
    assert main(arguments) == 2
    assert "--fold 9" in capsys.readouterr().err
    assert main(["text", "--pairs", str(tmp_path), "--out", str(tmp_path)]) == 3


def test_masks_that_a_model_never_saw_are_corrupted_and_named_wrongly(a_model_file, a_case_on_disk, tmp_path, capsys):
    """What is measured comes into the card."""
    data = tmp_path / "data/pt_1"
    data.mkdir(parents=True)
    (data / "ct.nii.gz").symlink_to(a_case_on_disk.ct)
    (data / "label.nii.gz").symlink_to(a_case_on_disk.seg)
    arguments = ["held-out", "--data", data.parent, "--models", a_model_file, "--out", tmp_path, "--names",
                 a_case_on_disk.names]  # fmt: skip
    assert main([str(argument) for argument in arguments]) == 0
    written = json.loads((tmp_path / "held-out/figures.json").read_text())
    assert [series["kind"] for series in written["result"]["series"]] == ["erosion", "dilation", "shift"]
    assert {path.stem for path in (tmp_path / "held-out").glob("*.csv")} == {"corrupted", "identity"}
    experiments = Experiments()
    experiments.add(tmp_path / "held-out/figures.json")
    card = write_card(
        {"name": "m"}, {"groups": {}, "experiments": experiments.figures, "commands": experiments.commands}
    )
    assert "### Masks corrupted step by step" in card and "### Right and wrong names" in card
    assert "experiments.py held-out" in card and "nan" not in card
