"""``quality-sentinel train`` and ``calibrate``: from pair files to a model file that scores with honest intervals."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch

from QualitySentinelLib.checkpoint import load_model, save_model
from QualitySentinelLib.commands.main import main
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.slices import COMPACT
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.candidates import simulated_candidates
from QualitySentinelTrainingLib.card import write_card
from QualitySentinelTrainingLib.commands.train import outside_fold
from QualitySentinelTrainingLib.evaluation import EvaluationTable
from QualitySentinelTrainingLib.evaluation.run import evaluate_pair_files
from QualitySentinelTrainingLib.model_files import seen_by
from QualitySentinelTrainingLib.pairs import PairFile, make_pairs, pair_files, write_pairs
from QualitySentinelTrainingLib.subjects import Subject

pytestmark = pytest.mark.usefixtures("a_tiny_network")


@pytest.fixture(scope="module")
def made_pairs(a_torso, tmp_path_factory):
    """Pair files of five persons and a phantom."""
    folder = tmp_path_factory.mktemp("made") / "pairs"
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    for seed, name in enumerate(["pt_1", "pt_2", "pt_3", "pt_4", "pt_5", "phantom_1"]):
        source = "phantom" if "phantom" in name else "OpenKBP"
        subject = Subject(name, CtVolume(a_torso.hu, frame), a_torso.labels, a_torso.names, source)
        rng = np.random.default_rng(seed)
        made = make_pairs(subject, simulated_candidates(subject, rng, 4), rng, COMPACT, None, None)
        write_pairs(made, folder / f"{name}.pairs.h5", COMPACT)
    return folder


@pytest.fixture
def pairs(made_pairs, tmp_path):
    """A copy of the pair files, which a test may spoil."""
    return shutil.copytree(made_pairs, tmp_path / "pairs")


def train(pairs, out, *options) -> int:
    quick = ["--set", "epochs=1", "--set", "pairs_per_epoch=32", "--set", "batch_size=16", "--set", "accelerator=cpu"]
    return main(["train", "--pairs", str(pairs), "--out", str(out), *quick, *options])


def test_a_model_without_a_name_is_called_after_its_folder_and_the_date(pairs, tmp_path):
    before = date.today()
    assert train(pairs, tmp_path / "liver tests") == 0
    name = load_model(tmp_path / "liver tests" / "model.safetensors").name
    assert name in {f"liver tests-{day}" for day in (before, date.today())}


def test_training_gives_a_model_file_that_scores_and_says_what_it_was_made_of(pairs, a_ct_with_a_liver, tmp_path):
    out = tmp_path / "out"
    assert train(pairs, out, "--fold", "0", "--licence", "phantom=ours", "--set", "seed=3", "--name", "mine") == 0
    model = load_model(out / "model.safetensors")
    assert model.name == "mine"
    training = model.metadata["training"]
    assert json.loads((out / "training.json").read_text()) == training
    (left_out,) = training["fold"]["left_out"]
    assert training["sources"]["OpenKBP"]["persons"] == sorted({f"pt_{n}" for n in range(1, 6)} - {left_out})
    assert training["sources"]["OpenKBP"]["licence"] == "MIT"
    assert training["sources"]["phantom"]["licence"] == "ours"
    assert training["pairs"] == sum(source["pairs"] for source in training["sources"].values())
    assert training["pairs_seen"] == 32
    assert training["options"]["seed"] == 3
    assert training["fold"] | {"left_out": 0} == {"number": 0, "of": 5, "left_out": 0}
    assert training["seconds"] > 0
    assert "--fold 0" in training["command"] and str(tmp_path) not in training["command"]
    case = Scorer(model, device="cpu", slices=3).score(*a_ct_with_a_liver)
    assert 0 <= case["1"].predicted_dsc <= 1


def test_the_seed_decides_the_weights(pairs, tmp_path):
    found = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert train(pairs, tmp_path / name, "--set", f"seed={seed}") == 0
        network = load_model(tmp_path / name / "model.safetensors").network
        found.append(torch.cat([p.flatten() for p in network.parameters()]))
    torch.testing.assert_close(found[0], found[1], rtol=1e-3, atol=1e-5)
    assert not torch.allclose(found[0], found[2])


def test_options_come_from_a_readable_file(pairs, tmp_path):
    config = tmp_path / "small.toml"
    config.write_text("weight_decay = 0.5\nepochs = 7  # --set wins\n[source_shares]\nphantom = 0.25\n")
    assert train(pairs, tmp_path / "out", "--config", str(config)) == 0
    options = load_model(tmp_path / "out" / "model.safetensors").metadata["training"]["options"]
    assert options["weight_decay"] == 0.5 and options["epochs"] == 1
    assert options["source_shares"] == {"phantom": 0.25}


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [(["--fold", "5"], 2, "--fold 5"), (["--set", "epochs=x"], 2, "epochs"), (["--licence", "MIT"], 2, "--license MIT"),
     (["--licence", "OpenKPB=MIT"], 2, "OpenKPB: no pairs come from it; available: OpenKBP, phantom"),
     (["--config", "gone.toml"], 3, "gone.toml")],
)  # fmt: skip
def test_wrong_options_are_refused_in_one_line(pairs, tmp_path, capsys, options, code, named):
    assert train(pairs, tmp_path / "out", *options) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and named in lines[0]


def test_a_folder_without_pairs_says_how_to_make_them(tmp_path, capsys):
    assert train(tmp_path, tmp_path / "out") == 3
    assert "make-pairs" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------ calibrate


@pytest.fixture(scope="module")
def evaluated(made_pairs, a_small_model):
    """A folder with a model, and what evaluate writes of it: slices of the five persons."""
    model = load_model(save_model(a_small_model, made_pairs.parent / "evaluated/small.safetensors"))
    files = [path for path in pair_files(made_pairs) if "pt_" in path.name]
    table = EvaluationTable.concatenate(list(evaluate_pair_files(model, files)))
    table.write(model.path.parent / "slices.csv.gz")
    return model.path.parent


@pytest.fixture
def a_table(evaluated, tmp_path):
    """The table of slices, with the model beside it."""
    shutil.copytree(evaluated, tmp_path, dirs_exist_ok=True)
    return tmp_path / "slices.csv.gz"


def calibrate(model, table, out, *options) -> int:
    return main(["calibrate", "--model", str(model), "--scores", str(table), "--out", str(out), *options])


def test_calibration_gives_a_copy_of_the_model_with_intervals(a_table, a_ct_with_a_liver, tmp_path, capsys):
    old, new = tmp_path / "small.safetensors", tmp_path / "calibrated.safetensors"
    before = old.read_bytes()
    assert calibrate(old, a_table, new) == 0
    assert "slice" in capsys.readouterr().out
    assert old.read_bytes() == before
    calibration = load_model(new).metadata["calibration"]
    assert calibration["coverage"] == 0.9 and {"slice", "segment", "missed"} <= set(calibration)
    case = Scorer(load_model(new), device="cpu").score(*a_ct_with_a_liver)
    assert case["1"].dsc_low <= case["1"].predicted_dsc <= case["1"].dsc_high


def test_a_model_is_calibrated_on_chosen_data_sets_only(a_table, tmp_path, capsys):
    new = tmp_path / "calibrated.safetensors"
    (source,) = EvaluationTable.read(a_table).by_source()
    assert calibrate(tmp_path / "small.safetensors", a_table, new, "--sources", "elsewhere") == 2
    assert source in capsys.readouterr().err and not new.exists()
    assert calibrate(tmp_path / "small.safetensors", a_table, new, "--sources", source) == 0


def test_a_model_is_not_calibrated_on_who_it_was_trained_on(a_table, tmp_path, capsys):
    model = load_model(tmp_path / "small.safetensors")
    model.metadata["training"] = {"sources": {"OpenKBP": {"persons": ["pt_2"]}}}
    trained = save_model(model, tmp_path / "trained.safetensors")
    assert calibrate(trained, a_table, tmp_path / "new.safetensors") == 2
    assert "pt_2" in capsys.readouterr().err
    assert calibrate(trained, a_table, tmp_path / "new.safetensors", "--other-folds") == 0


@pytest.mark.parametrize(
    ("options", "named"), [(["--coverage", "1.5"], "--coverage"), (["--false-flags", "0"], "--false-flags")]
)
def test_shares_that_are_none_are_refused(a_table, tmp_path, capsys, options, named):
    assert calibrate(tmp_path / "small.safetensors", a_table, tmp_path / "new.safetensors", *options) == 2
    assert named in capsys.readouterr().err


def test_a_file_of_another_kind_is_not_written(a_table, tmp_path, capsys):
    assert calibrate(tmp_path / "small.safetensors", a_table, tmp_path / "new.pth") == 2
    assert ".safetensors" in capsys.readouterr().err


def test_training_can_start_from_another_models_weights_and_remembers_whom_that_one_saw(pairs, tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    assert train(pairs, first, "--fold", "0") == 0
    model = str(first / "model.safetensors")
    assert train(pairs, second, "--fold", "1", "--start-from", model, "--set", "learning_rate=1e-9") == 0
    before, after = load_model(model), load_model(second / "model.safetensors")
    for old, new in zip(before.network.parameters(), after.network.parameters(), strict=True):
        assert (old - new).abs().max() < 1e-3  # half precision on disk
    training = after.metadata["training"]
    assert training["started_from"]["sha256"] == before.sha256
    assert "--start-from model.safetensors" in training["command"]
    assert seen_by(after) == {"pt_1", "pt_2", "pt_3", "pt_4", "pt_5", "phantom_1"}


def stages(pairs, tmp_path) -> list:
    """Model files of a training and of one that goes on from it."""
    assert train(pairs, tmp_path / "a", "--fold", "0") == 0
    first = tmp_path / "a" / "model.safetensors"
    assert train(pairs, tmp_path / "b", "--fold", "0", "--start-from", str(first), "--set", "seed=5") == 0
    return [first, tmp_path / "b" / "model.safetensors"]


def average(out, *models) -> int:
    return main(["average", "--models", *map(str, models), "--out", str(out)])


def test_the_mean_of_two_stages_has_the_mean_weights_and_remembers_whom_they_saw(pairs, tmp_path, caplog, capsys):
    first, second = stages(pairs, tmp_path)
    assert average(tmp_path / "mean.safetensors", second, first) == 0
    model, *both = (load_model(path) for path in (tmp_path / "mean.safetensors", first, second))
    for name, mean in model.network.state_dict().items():
        a, b = (one.network.state_dict()[name] for one in both)
        assert torch.allclose(mean.float(), (a.float() + b.float()) / 2, atol=2e-3), name
    assert seen_by(model) == seen_by(both[1])
    training = model.metadata["training"]
    assert training["averaged"] == [both[0].sha256, both[1].sha256]
    assert training["fold"] == both[1].metadata["training"]["fold"]
    card = write_card({"name": model.name, **model.metadata}, {"groups": {}})
    assert "Stage 3 of 3, the mean of the weights of stages 1, 2" in card
    assert train(pairs, tmp_path / "c", "--start-from", str(tmp_path / "mean.safetensors")) == 0
    assert not any("does not say whom" in text for text in caplog.messages)


def test_what_has_no_mean_is_refused(pairs, tmp_path, capsys):
    first, second = stages(pairs, tmp_path)
    assert train(pairs, tmp_path / "c", "--fold", "0", "--set", "seed=9") == 0
    capsys.readouterr()
    assert average(tmp_path / "mean.safetensors", first, second, tmp_path / "c" / "model.safetensors") == 2
    assert "was not trained from it" in capsys.readouterr().err
    assert average(tmp_path / "mean.safetensors", first, first) == 2
    assert average(tmp_path / "mean.pt", first, second) == 2
    assert not (tmp_path / "mean.safetensors").exists()


def test_a_mean_is_not_calibrated_by_what_calibrated_a_part_of_it(pairs, a_table, tmp_path):
    first, second = stages(pairs, tmp_path)
    assert calibrate(second, a_table, second, "--other-folds") == 0
    assert average(tmp_path / "mean.safetensors", first, second) == 0
    assert not load_model(tmp_path / "mean.safetensors").metadata.keys() & {"calibration", "calibrated_on"}


def test_a_start_with_other_preprocessing_is_refused(pairs, tmp_path, capsys):
    from QualitySentinelTrainingLib.commands.train import untrained

    other = replace(untrained(None), preset=replace(COMPACT, margin_mm=30.0))
    save_model(other, tmp_path / "other.safetensors")
    assert train(pairs, tmp_path / "out", "--start-from", str(tmp_path / "other.safetensors")) == 2
    assert "other.safetensors: it prepares slices differently" in capsys.readouterr().err


def test_persons_of_no_named_data_set_are_left_out_like_others_and_damaged_files_pass(pairs, tmp_path):
    pair = PairFile(pair_files(pairs)[1]).read().take(np.arange(1))
    paths = []
    for n in range(6):
        patient = np.array([f"p{n}"])
        paths.append(tmp_path / f"p{n}.pairs.h5")
        write_pairs(replace(pair, subject=patient, patient=patient, source=np.array([""])), paths[-1], COMPACT)
    damaged = tmp_path / "damaged.pairs.h5"
    damaged.write_bytes(b"damaged")
    gone = []
    for fold in range(3):
        kept, left_out = outside_fold([*paths, damaged], fold, 3)
        assert len(left_out) == 2 and damaged in kept
        assert kept == [path for path in paths if path.name.split(".")[0] not in left_out] + [damaged]
        gone += left_out
    assert sorted(gone) == [f"p{n}" for n in range(6)]


def test_a_damaged_file_is_named_before_anything_is_measured(pairs, a_model_file, tmp_path, capsys):
    (pairs / "pt_5.pairs.h5").write_bytes(b"damaged")
    arguments = ["evaluate", "--pairs", str(pairs), "--model", str(a_model_file), "--out", str(tmp_path / "out")]
    assert main(arguments) == 3
    shown = capsys.readouterr().err
    assert "pt_5.pairs.h5: not a usable pair file" in shown and "subject" not in shown  # no progress of scoring
    assert not (tmp_path / "out").exists()


def test_a_start_that_does_not_say_whom_it_saw_is_named(pairs, tmp_path, caplog):
    from QualitySentinelTrainingLib.commands.train import untrained

    start = tmp_path / "start.safetensors"
    save_model(untrained(None), start)
    assert train(pairs, tmp_path / "out", "--start-from", str(start)) == 0
    assert "start.safetensors: does not say which patients it was trained on" in caplog.text


def test_bounds_are_never_measured_on_the_persons_they_were_fitted_on(a_table, tmp_path, capsys):
    new = tmp_path / "calibrated.safetensors"
    assert calibrate(tmp_path / "small.safetensors", a_table, new) == 0
    capsys.readouterr()
    arguments = ["evaluate", "--model", str(new), "--tables", str(a_table), "--out", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert "fitted on the others" in capsys.readouterr().out
    report = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert all(group["coverage"]["cross_fitted"] for group in report["groups"].values())
