"""The closed loop and training with pseudo labels, on torsos so small that a round takes a second."""

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.option_files import read_options
from QualitySentinelTrainingLib.runs import Run
from QualitySentinelTrainingLib.segmentation.network import SegmentationNetwork
from QualitySentinelTrainingLib.selection.experiment import Experiment
from QualitySentinelTrainingLib.selection.outcome import write_outcome
from QualitySentinelTrainingLib.selection.pseudo import add_trust, choose_weak, train_pseudo, trusted_subject
from QualitySentinelTrainingLib.selection.simulate import SIMULATE, run_simulate, slice_counts
from QualitySentinelTrainingLib.selection.strategies import STRATEGIES
from QualitySentinelTrainingLib.selection.units import WHOLE, CaseScores, StructureScores, units_of
from QualitySentinelTrainingLib.subjects import Subject, SubjectSource

TINY = """
data = "data"
patient = "(p\\\\d+)"
initial = 1
pool = 3
test = 1
first_epochs = 3
epochs = 3
tolerance_mm = 6.0
"""
NETWORK = """
[network]
size = 32
pixel_mm = 9.0
slice_mm = 5.0
widths = [4, 8, 8, 8]
depth = 8
batch_size = 4
steps = 4
learning_rate = 5e-3
deep_supervision = true
dropout = 0.1
"""


def rows(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture
def experiment(a_torso, tmp_path):
    """Writes an experiment of six CTs of five patients; with more lines."""
    for n, patient in enumerate((1, 2, 3, 4, 5, 5)):
        folder = tmp_path / "data" / f"p{patient}_{n}"
        folder.mkdir(parents=True)
        hu = a_torso.hu + np.random.default_rng(n).integers(-20, 20, a_torso.hu.shape).astype(np.int16)
        for name, voxels in (("ct", hu), ("seg", a_torso.labels)):
            image = nibabel.Nifti1Image(np.ascontiguousarray(voxels.transpose()), a_torso.ijk_to_ras)
            nibabel.save(image, folder / f"{name}.nii.gz")
    names = {"labels": {"background": 0, **{name: value for value, name in a_torso.names.items()}}}
    (tmp_path / "data" / "labels.json").write_text(json.dumps(names))

    def write(*lines, network=NETWORK):
        path = tmp_path / "experiment.toml"
        path.write_text(TINY + "\n".join(lines) + network)
        return path

    return write


def test_strategies_are_compared_with_equal_budgets_and_separate_patients(experiment, tmp_path):
    compared = list(STRATEGIES)
    path = experiment(f"strategies = {compared}", 'budget = "1cases"', "rounds = 2", "seeds = [0]")
    out = tmp_path / "out"
    assert main(["simulate", str(path), "--out", str(out)]) == 0
    rounds, summary = rows(out / "rounds.csv"), rows(out / "summary.csv")
    assert [r["strategy"] for r in summary] == compared
    assert {(r["round"], r["cost"]) for r in rounds} == {("0", "0.0000"), ("1", "1.0000"), ("2", "2.0000")}
    first = {r["dsc"] for r in rounds if r["round"] == "0"}
    assert len(first) == 1  # they begin with one network
    assert all(0 <= float(r["dsc"]) <= 1 and 0 <= float(r["nsd"]) <= 1 for r in rounds)
    assert all(float(r["seconds_per_case"]) > 0 for r in rounds if r["round"] != "0")
    stored = {r["strategy"]: float(r["stored_gb"]) for r in summary}
    assert stored["random"] == 0 < stored["predicted-quality"] < stored["entropy"] < stored["mc-dropout"]
    assert "Learning curves" in (out / "report.html").read_text()
    run = Run(out, SIMULATE)
    roles = json.loads((out / "simulate.json").read_text())
    assert roles["complete"]
    measured = {line[0] for name in run.names() if name.startswith("seed") for line in run.record(name).lines}
    for name in run.names():
        if name.startswith("seed"):
            head = run.head(name)
            used = {case.partition("_")[0] for case in head["annotated"]}
            assert not used & {case.partition("_")[0] for case in measured}  # one patient, one role
    assert len(run.head("seed0-random-none-round2")["annotated"]) >= 3


def test_slices_are_corrected_and_the_rest_of_a_case_is_not_learned(experiment, tmp_path):
    path = experiment('strategies = ["predicted-quality", "random"]', 'budget = "5slices"', "rounds = 2", "seeds = [0]")
    out = tmp_path / "out"
    assert main(["simulate", str(path), "--out", str(out)]) == 0
    run = Run(out, SIMULATE)
    heads = [run.head(f"seed0-predicted-quality-none-round{n}") for n in (1, 2)]
    assert [len(head["corrected"]) for head in heads] == [5, 10]
    assert len({tuple(key) for key in heads[1]["corrected"]}) == 10  # nothing is corrected twice
    curve = [float(r["dsc_of_pool"]) for r in rows(out / "corrections.csv") if r["strategy"] == "random"]
    assert curve[-1] == 1.0 and curve[0] < 1.0


def test_pseudo_labels_are_added_without_strong_ones(experiment, tmp_path):
    lines = ['strategies = ["predicted-quality"]', 'weak = ["none", "all", "best", "random", "weighted"]']
    flat = NETWORK.replace("deep_supervision = true", "dimensions = 3")  # in 3D
    path = experiment(*lines, 'budget = "0cases"', "rounds = 1", "seeds = [0]", "weak_share = 0.5", network=flat)
    out = tmp_path / "out"
    assert main(["simulate", str(path), "--out", str(out)]) == 0
    run = Run(out, SIMULATE)
    number = {w: run.head(f"seed0-predicted-quality-{w}-round1")["pseudo"] for w in ("none", "all", "best", "random")}
    assert number["none"] == 0 and number["best"] == number["random"] >= 1 and number["all"] > number["best"]


def test_dsal_labels_strong_and_weak_each_round(experiment, tmp_path):
    lines = ['strategies = ["deep-supervision"]', 'weak = ["dsal"]', "dsal_first_round = 2", "dsal_number = 1"]
    path = experiment(*lines, "crf = true", 'budget = "1cases"', "rounds = 2", "seeds = [0]")
    out = tmp_path / "out"
    assert main(["simulate", str(path), "--out", str(out)]) == 0
    run = Run(out, SIMULATE)
    heads = [run.head(f"seed0-deep-supervision-dsal-round{n}") for n in (1, 2)]
    assert [head["pseudo"] for head in heads] == [0, 1] and len(heads[1]["annotated"]) == len(heads[0]["annotated"]) + 1


def test_an_experiment_goes_on_after_a_kill(experiment, tmp_path):
    path = experiment('strategies = ["random"]', 'budget = "1cases"', "rounds = 2", "seeds = [0, 1]")
    command = [sys.executable, "-m", "QualitySentinelLib", "simulate", str(path), "--out", str(tmp_path / "out")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment)
    for line in process.stderr:
        if line.startswith("seed0-random-none-round1: done"):
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    run = Run(tmp_path / "out", SIMULATE)
    before = {name: run.record_path(name).read_bytes() for name in run.names()}
    assert "seed0-random-none-round1" in before and "seed1-random-none-round2" not in before
    assert main(["simulate", str(path), "--out", str(tmp_path / "out")]) == 0
    assert {name: run.record_path(name).read_bytes() for name in before} == before
    assert len(rows(tmp_path / "out" / "rounds.csv")) == 6


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("budgets = 3", "'budgets' is not an option; perhaps budget"),
        ('strategies = ["best"]', "strategies has 'best'; give some of predicted-quality"),
        ('budget = "many"', "--budget many"),
        ("strategies = ['mc-dropout']\n[network]\ndropout = 0.0", "'mc-dropout' needs a dropout above 0"),
        ('weak = ["dsal"]', "is for the strategy 'deep-supervision'"),
        ("test = 9", "has 5 patients; initial, pool and test together are 13"),
        ('budget = "2cases"', "3 rounds of 2 cases: the pool has 3 cases at most"),
        ('budget = "9999slices"', "3 rounds of 9999 slices: the pool has"),
        ("phantoms = 3", "give data, a labeled data set, or phantoms, their number"),
        ('structures = ["livre"]', "structures has 'livre', which is no known structure"),
    ],
)
def test_an_experiment_that_cannot_be_meant_is_one_line(experiment, tmp_path, capsys, line, told):
    path = experiment(line, network="" if "[network]" in line else NETWORK)
    if line.startswith("test"):
        path.write_text(path.read_text().replace("test = 1\n", ""))
    assert main(["simulate", str(path), "--out", str(tmp_path / "out")]) != 0
    assert told in capsys.readouterr().err
    assert not (tmp_path / "out" / "networks").exists()  # before anything is trained


def test_a_report_is_written_although_every_step_failed(experiment, tmp_path):
    write_outcome(read_options(Experiment, experiment()), Run(tmp_path / "out", SIMULATE))
    assert not rows(tmp_path / "out" / "summary.csv") and (tmp_path / "out" / "report.html").is_file()


def test_phantoms_serve_as_a_data_set(experiment, tmp_path):
    lines = ['strategies = ["random"]', "phantoms = 3", 'structures = ["Liver"]', 'budget = "1cases"', "rounds = 1"]
    path = experiment(*lines)
    path.write_text(path.read_text().replace('data = "data"', "seeds = [0]").replace("pool = 3", "pool = 1"))
    assert main(["simulate", str(path), "--out", str(tmp_path / "out")]) == 0
    run = Run(tmp_path / "out", SIMULATE)
    assert set(run.head("phantom_1000000")["structures"].values()) <= {"liver"}
    assert {line[1] for line in run.record("seed0").lines} <= {"liver"}


def subject_of(labels, name="s", patient="p", hu=None):
    hu = np.zeros(labels.shape, np.int16) if hu is None else hu
    frame = AxialFrame.from_affine(np.diag([-1.0, -1.0, 1.0, 1.0]), labels.shape)
    return Subject(name, CtVolume(hu, frame, name), labels, {1: "liver", 2: "spleen"}, "", patient)


def test_trust_is_entered_by_case_structure_and_slice():
    there = {"a": {"liver": 3, "spleen": 3}, "b": {"liver": 2}}
    trust = {}
    add_trust(trust, [("a", "spleen", 1, 0.5), ("b", "", WHOLE, 1.0)], there)
    assert trust["a"].keys() == {"spleen"} and trust["a"]["spleen"].tolist() == [0, 0.5, 0]
    assert trust["b"]["liver"].tolist() == [1, 1]
    subject = trusted_subject(subject_of(np.zeros((3, 2, 2), np.uint8)), trust["a"])
    assert subject.trust[1].tolist() == [0, 0, 0] and subject.trust[2].tolist() == [0, 0.5, 0]


def test_weak_labels_are_kept_weighted_or_dropped():
    cases = [
        CaseScores(f"c{n}", [StructureScores("liver", s, np.array([1]), np.array([a]), np.array([s]))])
        for n, (s, a) in enumerate([(0.1, 5), (0.4, 5), (0.9, 5), (0.0, 0)])
    ]
    units, rng = units_of(cases, "case"), np.random.default_rng(0)
    chosen = {rule: choose_weak(units, rule, 0.5, 1, rng) for rule in ("none", "all", "best", "random", "weighted")}
    assert [len(chosen[rule][0]) for rule in chosen] == [0, 3, 2, 2, 3]
    assert chosen["best"][0].tolist() == [0, 1] and all(3 not in index for index, _ in chosen.values())
    assert chosen["weighted"][1] == pytest.approx([0.9, 0.6, 0.1])


def test_slices_are_counted():
    truth = np.zeros((2, 6, 6), np.uint8)
    truth[:, 1:5, 1:5] = 1
    predicted = truth.copy()
    predicted[1] = 0
    counts = slice_counts({"a": (predicted, subject_of(truth))}, ("liver", "spleen"))
    assert counts.index.tolist() == [("a", "liver", 0), ("a", "liver", 1)] and counts.total.tolist() == [32, 16]
    assert counts.shared.tolist() == [16, 0] and counts.truth.tolist() == [16, 16]


def test_the_list_of_select_trains_a_network(experiment, a_torso, tmp_path, capsys):
    """From pseudo labels to the next network, by the commands."""
    experiment()
    pool, labeled = tmp_path / "pool", tmp_path / "labeled"
    (tmp_path / "data").rename(pool)
    for name in ("p1_0",):
        labeled.mkdir()
        (pool / name).rename(labeled / name)
    (labeled / "labels.json").write_text((pool / "labels.json").read_text())
    choose = ["select", str(pool), "--layout", "folders", "--budget", "1", "--trust-by", "slice"]
    assert main([*choose, "--out", str(tmp_path / "next"), "--workers", "1"]) == 0
    options = "--size 32 --pixel-mm 9 --slice-mm 5 --steps 5 --batch-size 4 --epochs 1".split()
    trusted = ["--trusted", str(tmp_path / "next" / "trusted.csv"), "--pool", str(pool), "--data", str(labeled)]
    command = ["train-pseudo", *trusted, "--layout", "folders", "--out", str(tmp_path / "network"), *options]
    assert main([*command, "--device", "cpu", "--weighted"]) == 0
    network = SegmentationNetwork.load(tmp_path / "network" / "epoch_0001.safetensors")
    assert network.classes == ("background", "liver", "spleen")
    assert main([*command, "--device", "cpu", "--weighted"]) == 0
    assert main([*command, "--device", "cpu"]) == 2  # the network there learned from other labels
    assert "was made with pseudo labels" in capsys.readouterr().err


def test_a_patient_has_a_reference_or_pseudo_labels(tmp_path):
    source = SubjectSource("a", "p", "", lambda: subject_of(np.ones((2, 4, 4), np.uint8)))
    with pytest.raises(UsageError, match="patient p has a reference and pseudo labels"):
        train_pseudo([source], [replace(source, name="pseudo a")], tmp_path, None)


def test_the_experiment_of_another_folder_is_refused(experiment, tmp_path):
    path = experiment('strategies = ["random"]', 'budget = "1cases"', "rounds = 1", "seeds = [0]")
    made = read_options(Experiment, path)
    assert not run_simulate(made, tmp_path / "out")
    with pytest.raises(UsageError, match="was made with epochs 3, not 4"):
        run_simulate(replace(made, epochs=4), tmp_path / "out")
    (tmp_path / "data" / "p5_5" / "ct.nii.gz").unlink()
    with pytest.raises(UsageError, match=r"was made with cases 6, \w+, not 5, \w+"):  # never other test patients
        run_simulate(made, tmp_path / "out")
    with pytest.raises(InputError, match=r"x.toml: cannot be read \(No such file or directory\); check the path"):
        read_options(Experiment, tmp_path / "x.toml")
