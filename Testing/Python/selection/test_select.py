"""Selecting from pools of files: what it writes, resumes and refuses."""

import csv
import json
import shlex

import nibabel
import numpy as np
import pandas as pd
import pytest
from Testing.Python.audit.conftest import TorsoWriter

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import read_case_ct
from QualitySentinelLib.datasets.pool import LIST_COLUMNS, corrected_file, find_pool
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.report import write_scored_segmentation
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, write_report_json
from QualitySentinelLib.scores.tables import write_table
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.segmentation.options import SegmentationOptions
from QualitySentinelTrainingLib.segmentation.probabilities import write_names, write_probabilities
from QualitySentinelTrainingLib.segmentation.training import train
from QualitySentinelTrainingLib.subjects import Subject, SubjectSource


def save(path, voxels, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(voxels.transpose()), affine), path)


@pytest.fixture
def pool(a_torso, tmp_path):
    """Six CTs without masks, and predictions of each: the higher the number, the more of the liver is lost."""
    for n in range(6):
        hu = a_torso.hu + np.random.default_rng(n).integers(-15, 15, a_torso.hu.shape).astype(np.int16)
        save(tmp_path / "pool" / f"case_{n}" / "ct.nii.gz", hu, a_torso.ijk_to_ras)
        labels = a_torso.labels.copy()
        liver = np.argwhere(labels == 1)
        labels[tuple(liver[: n * len(liver) // 8].T)] = 0
        save(tmp_path / "masks" / f"case_{n}.nii.gz", labels, a_torso.ijk_to_ras)
    names = {"labels": {"background": 0, **{name: value for value, name in a_torso.names.items()}}}
    (tmp_path / "masks" / "labels.json").write_text(json.dumps(names))
    return tmp_path / "pool"


def rows(path):
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def select(pool, *options, out="out", masks=True):
    given = ["--predictions", str(pool.parent / "masks")] if masks else []
    return main(["select", str(pool), "--out", str(pool.parent / out), "--workers", "1", *given, *map(str, options)])


def correct(pool, done, name):
    """Do a case as a review does: whole masks in ``corrected``, a row in ``done``."""
    case = next(case for case in find_pool(pool).cases if case.name == name)
    names = str(pool.parent / "masks" / "labels.json")
    masks = read_segmentation(pool.parent / "masks" / "case_0.nii.gz", read_case_ct(case), names)
    write_scored_segmentation(corrected_file(done, name), masks, CaseScore([], 0.0))
    write_table(done, LIST_COLUMNS, [(1, name, "", None, 0.9, 1.0, "")])


def test_lowest_predicted_quality_comes_first_and_the_rest_is_trusted(pool, capsys):
    assert select(pool, "--budget", "2cases", "--trust", "0.5", "--export", "case-iterator", "tasks") == 0
    out = pool.parent / "out"
    chosen, trusted = rows(out / "selection.csv"), rows(out / "trusted.csv")
    assert list(chosen[0]) == ["rank", "case", "structure", "slice_index", "score", "cost", "reason"]
    assert [row["rank"] for row in chosen] == ["1", "2"] and len(trusted) == 2
    assert float(chosen[0]["score"]) >= float(chosen[1]["score"]) >= float(trusted[-1]["score"])
    assert not {row["case"] for row in chosen} & {row["case"] for row in trusted}
    assert chosen[0]["reason"].startswith("predicted DSC 0.")
    iterator, tasks = rows(out / "slicer_case_iterator.csv"), json.loads((out / "tasks.json").read_text())["tasks"]
    assert [r["ID"] for r in iterator] == [t["case"] for t in tasks] == [row["case"] for row in chosen]
    assert (pool / iterator[0]["image"]).is_file() and iterator[0]["mask"].endswith(f"{iterator[0]['ID']}.nii.gz")
    before = {p: p.stat().st_mtime_ns for p in (out / "cases").iterdir()}
    assert select(pool, "--budget", "3") == 0  # another budget measures nothing again
    assert before == {p: p.stat().st_mtime_ns for p in (out / "cases").iterdir()}
    done = ["--done", out / "selection.csv"]
    assert select(pool, "--budget", "3", *done) == 0
    assert {row["case"] for row in rows(out / "selection.csv")}.isdisjoint(row["case"] for row in chosen)
    everything = out / "everything.csv"
    everything.write_text("case\n" + "\n".join(f"case_{n}" for n in range(6)))
    capsys.readouterr()
    assert select(pool, "--budget", "1", "--done", everything) == 2
    assert "every case is in the lists of --done" in capsys.readouterr().err


def test_slices_are_ranked_with_their_structure(pool):
    assert select(pool, "--budget", "7slices", "--trust-by", "slice", "--trust", "0.2") == 0
    chosen, trusted = (rows(pool.parent / "out" / f"{name}.csv") for name in ("selection", "trusted"))
    assert len(chosen) == 7 and {row["cost"] for row in chosen} == {"1.0000"}
    assert all(row["structure"] and row["slice_index"] for row in chosen)
    keys = [{(r["case"], r["structure"], r["slice_index"]) for r in one} for one in (chosen, trusted)]
    assert trusted and not keys[0] & keys[1]
    done = pool.parent / "out" / "selection.csv"
    assert select(pool, "--budget", "7slices", "--done", done, "--trust-by", "slice", "--trust", "1", out="next") == 0
    after, trusted = (rows(pool.parent / "next" / f"{name}.csv") for name in ("selection", "trusted"))
    later = [{(r["case"], r["structure"], r["slice_index"]) for r in one} for one in (after, trusted)]
    assert not keys[0] & (later[0] | later[1])
    assert {case for case, *_ in keys[0]} & {case for case, *_ in later[0]}, "other slices of a case can be chosen"
    assert select(pool, "--budget", "30minutes", "--minutes-per-slice", "0.5") == 0
    assert sum(float(row["cost"]) for row in rows(pool.parent / "out" / "selection.csv")) <= 30


def test_an_audit_is_not_scored_again(pool, capsys):
    scores = pool.parent / "audit"
    scores.mkdir()
    lines = [f"case_{n},liver,liver,{k},{0.9 - 0.1 * n},0" for n in range(6) for k in (3, 4)]
    (scores / "slices.csv").write_text("\n".join(["case,segment,structure,slice_index,predicted_dsc,missed", *lines]))
    assert select(pool, "--scores", scores, "--budget", "1", masks=False) == 0
    assert [r["case"] for r in rows(pool.parent / "out" / "selection.csv")] == ["case_5"]
    assert not (pool.parent / "out" / "cases").exists()
    text = (scores / "slices.csv").read_text().replace("predicted_dsc", "label_quality")
    (scores / "slices.csv").write_text(text)
    assert select(pool, "--scores", scores, "--budget", "1", "--strategy", "label-quality", masks=False) == 0
    assert rows(pool.parent / "out" / "selection.csv")[0]["reason"] == "label quality 0.400"
    assert select(pool, "--scores", scores, "--budget", "1", masks=False) == 3  # not taken for predicted DSC
    assert "has no column 'predicted_dsc'; give the folder of an audit" in capsys.readouterr().err
    table = pd.read_csv(scores / "slices.csv").rename(columns={"label_quality": "predicted_dsc"})
    table.to_parquet(scores / "slices.parquet")
    (scores / "slices.csv").unlink()
    assert select(pool, "--scores", scores, "--budget", "1", masks=False) == 0


def test_the_scores_of_find_errors_are_read(pool):
    for n in range(6):
        slices = [SliceScore("1", k, k, 0.0, 0.9 - 0.1 * n, 0.9, 5.0, "") for k in (3, 4)]
        one = SegmentScore("1", "liver", "liver", Status.SCORED, 2, 0.9 - 0.1 * n, slices=slices)
        write_report_json(pool.parent / "errors" / "scores" / f"case_{n}.json", CaseScore([one], 0.8))
    given = ["--scores", pool.parent / "errors", "--strategy", "label-quality"]
    assert select(pool, *given, "--budget", "2slices", masks=False) == 0
    found = rows(pool.parent / "out" / "selection.csv")
    assert [(r["case"], r["structure"], r["reason"]) for r in found] == [("case_5", "liver", "label quality 0.400")] * 2


def test_a_network_serves_every_strategy_that_needs_one(pool, a_torso, capsys):
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    subject = Subject("s", CtVolume(a_torso.hu, frame, "s"), a_torso.labels, dict(a_torso.names))
    options = SegmentationOptions(
        (1,), size=32, pixel_mm=9.0, slice_mm=5.0, steps=20, batch_size=4, widths=(4, 8, 8, 8), deep_supervision=True,
        dropout=0.2, learning_rate=5e-3,
    )  # fmt: skip
    train([SubjectSource("s", "s", "", lambda: subject)], pool.parent / "network", options, "cpu", lambda line: None)
    network = pool.parent / "network" / "epoch_0001.safetensors"
    for strategy in ("entropy", "mc-dropout", "deep-supervision", "predicted-quality", "core-set", "quality-diversity"):
        out = f"out-{strategy}"
        assert select(pool, "--network", network, "--strategy", strategy, "--budget", 2, masks=False, out=out) == 0
        assert len(rows(pool.parent / out / "selection.csv")) == 2
    dsal = ["--network", network, "--strategy", "deep-supervision", "--budget", 2, "--dsal-round", 5]
    assert select(pool, *dsal, masks=False, out="out-deep-supervision") == 0
    found = rows(pool.parent / "out-deep-supervision" / "trusted.csv")
    assert 0 < len(found) <= 4 and all(r["reason"].startswith("heads agree to Dice") for r in found)
    assert select(pool, "--network", network, network, "--strategy", "disagreement", "--budget", 2, masks=False) == 0
    assert {r["reason"] for r in rows(pool.parent / "out" / "selection.csv")} <= {
        "networks agree to Dice 1.000", "nothing was found; ranked in the middle"
    }  # fmt: skip


def test_what_cannot_be_meant_is_one_line(pool, capsys, tmp_path):
    def refusal(*options, masks=True):
        assert select(pool, *options, masks=masks) in (2, 3)
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and not (pool.parent / "out" / "selection.csv").exists()
        return lines[0]

    assert "--strategy entropy: needs class probabilities" in refusal("--budget", 1, "--strategy", "entropy")
    assert "--strategy disagreement: needs two or more" in refusal("--budget", 1, "--strategy", "disagreement")
    assert "--strategy label-quality: needs --scores" in refusal("--budget", 1, "--strategy", "label-quality")
    assert "--strategy predicted-quality: needs predicted masks" in refusal("--budget", 1, masks=False)
    assert "--dsal-round: needs --strategy deep-supervision" in refusal("--budget", 1, "--dsal-round", 5)
    assert "trust is 1.5: " in refusal("--budget", 1, "--trust", 1.5)
    assert "--strategy best: give one of predicted-quality" in refusal("--budget", 1, "--strategy", "best")
    assert "--budget 7 cases: all of" in refusal("--budget", 7)
    for place in (pool / "next", pool.parent / "masks" / "next"):
        assert f"{place}: lies in the input {place.parent}; choose" in refusal("--budget", 1, "--nnunet", place)
    assert f"{pool.parent / 'masks'}: is the input" in refusal("--budget", 1, "--nnunet", pool.parent / "masks")
    raw = pool.parent / "Dataset001_Mine"
    (raw / "labelsTr").mkdir(parents=True)
    assert f"{raw}: holds files, which would be written over" in refusal("--budget", 1, "--nnunet", raw)
    assert "give --budget" in refusal()
    (tmp_path / "empty").mkdir()
    assert main(["select", str(tmp_path / "empty"), "--out", str(tmp_path / "o"), "--budget", "1"]) in (2, 3)
    assert str(tmp_path / "empty") in capsys.readouterr().err


def test_a_pool_of_which_nothing_can_be_read_is_one_line(pool, capsys):
    for n in range(6):
        (pool / f"case_{n}" / "ct.nii.gz").write_bytes(b"damaged")
    assert select(pool, "--budget", 2) == 3
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert told.startswith(f"quality-sentinel: {pool}: has no case to choose from (")
    assert not (pool.parent / "out" / "selection.csv").exists()


def test_a_budget_above_the_pool_is_refused_in_every_unit(pool, capsys):
    for budget, told in (("9999slices", " slices; give less"), ("9999minutes", " minutes; give less")):
        assert select(pool, "--budget", budget) == 2
        assert f"--budget 9999 {budget[4:]}: all of {pool} costs" in (err := capsys.readouterr().err) and told in err
    assert not (pool.parent / "out" / "selection.csv").exists()


def test_the_largest_slices_need_no_model(pool):
    assert select(pool, "--budget", "3slices", "--strategy", "area") == 0
    chosen = rows(pool.parent / "out" / "selection.csv")
    assert [float(r["score"]) for r in chosen] == sorted((float(r["score"]) for r in chosen), reverse=True)
    assert chosen[0]["reason"].endswith("of the structure's area") and not rows(pool.parent / "out" / "trusted.csv")


def test_chance_needs_no_masks_and_the_next_step_is_one_that_works(pool, capsys):
    assert select(pool, "--budget", 2, "--strategy", "random", masks=False) == 0
    assert {row["reason"] for row in rows(pool.parent / "out" / "selection.csv")} == {"drawn by chance"}
    assert "train-pseudo" not in capsys.readouterr().out, "nothing is trusted"
    assert select(pool, "--budget", 2, out="two words") == 0
    command = shlex.split(capsys.readouterr().out.split("Train on both: ")[1])
    assert command[command.index("--predictions") + 1] == str(pool.parent / "masks")
    assert command[-1] == str(pool.parent / "two words" / "trusted.csv")


def test_a_bad_case_is_named_and_the_others_go_on(pool, capsys):
    (pool / "case_2" / "ct.nii.gz").write_bytes(b"damaged")
    (pool.parent / "masks" / "case_3.nii.gz").unlink()
    assert select(pool, "--budget", 2) == 6
    told = capsys.readouterr().err
    assert "failed: case_2: " in told and "failed: case_3: " in told and "has nothing of case_3" in told
    assert len(rows(pool.parent / "out" / "selection.csv")) == 2


def test_a_case_of_other_structures_is_named(pool, a_torso, capsys):
    labels = np.where(a_torso.labels == 1, 1, 0).astype(np.uint8)
    (pool.parent / "masks" / "case_4.nii.gz").unlink()
    save(pool.parent / "masks" / "case_4" / "segmentations" / "heart.nii.gz", labels, a_torso.ijk_to_ras)
    assert select(pool, "--budget", 2) == 6
    assert "case_4: its structures (heart) are not those of the other cases (liver, spleen)" in capsys.readouterr().err


def test_a_case_in_which_nothing_was_found_is_neither_lost_nor_trusted(pool, a_torso):
    save(pool.parent / "masks" / "case_0.nii.gz", np.zeros_like(a_torso.labels), a_torso.ijk_to_ras)
    assert select(pool, "--budget", "5cases", "--trust", "1") == 0
    chosen, trusted = (rows(pool.parent / "out" / f"{name}.csv") for name in ("selection", "trusted"))
    (found,) = [n for n, row in enumerate(chosen) if row["reason"] == "nothing was found; ranked in the middle"]
    assert chosen[found]["case"] == "case_0" and 0 < found < 4 and all(row["case"] != "case_0" for row in trusted)


def test_dicom_series_are_a_pool_with_or_without_masks(a_torso, tmp_path, capsys):
    pool, names = tmp_path / "pool", TorsoWriter(a_torso).dicom_list(tmp_path)
    assert select(pool, "--budget", "3", "--strategy", "core-set", "--export", "tasks", masks=False) == 0
    tasks = json.loads((tmp_path / "out" / "tasks.json").read_text())["tasks"]
    assert {task["case"] for task in tasks} == {*names, "case_0003"} and len({task["id"] for task in tasks}) == 3
    assert "left out" not in capsys.readouterr().err


def test_the_next_round_for_nnunet_ignores_what_is_not_trusted(pool, a_torso):
    raw = pool.parent / "Dataset001_Next"
    options = ["--budget", "1", "--trust", "0.3", "--trust-by", "slice", "--nnunet", raw]
    assert select(pool, *options) == 0
    about = json.loads((raw / "dataset.json").read_text())
    assert about["labels"] == {"background": 0, "liver": 1, "spleen": 2, "ignore": 3}
    trusted = rows(pool.parent / "out" / "trusted.csv")
    case = trusted[0]["case"]
    labels = np.asarray(nibabel.load(raw / "labelsTr" / f"{case}.nii.gz").dataobj)
    value = about["labels"][trusted[0]["structure"]]
    assert (labels[..., int(trusted[0]["slice_index"])] == value).any() and (labels == 3).any()
    assert about["numTraining"] == len(list((raw / "imagesTr").iterdir())) == len({r["case"] for r in trusted})
    done, raw = pool.parent / "next" / "done.csv", raw.with_name("Dataset002_Next")
    correct(pool, done, "case_5")
    assert select(pool, "--budget", "1", "--trust", "0.3", "--done", done, "--nnunet", raw) == 0
    labels = np.asarray(nibabel.load(raw / "labelsTr" / "case_5.nii.gz").dataobj)
    assert (labels > 0).sum() == (a_torso.labels > 0).sum(), "as the review corrected it, nothing ignored"


def test_help_names_every_strategy(capsys):
    assert main(["select", "--list-strategies"]) == 0
    assert "deep-supervision: DSAL" in capsys.readouterr().out


def test_folders_of_probabilities_serve_as_networks_passes_and_levels(pool, a_torso, capsys):
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    for number, sure in enumerate((0.9, 0.8, 0.6)):
        folder = pool.parent / f"network_{number}"
        write_names(folder, ("background", "liver", "spleen"))
        for n in range(6):
            p = np.stack([np.where(a_torso.labels == value, sure - 0.05 * n * number, 0.0) for value in (0, 1, 2)])
            p = p + (1 - p.sum(axis=0)) / 3
            write_probabilities(folder / f"case_{n}.npz", p, frame)
    folders = [pool.parent / f"network_{number}" for number in range(3)]

    def first(strategy, *given):
        out = f"out-{strategy}"
        assert select(pool, "--probabilities", *given, "--strategy", strategy, "--budget", 1, masks=False, out=out) == 0
        return rows(pool.parent / out / "selection.csv")[0]

    assert first("entropy", folders[2])["case"] == "case_5"
    assert first("mc-dropout", *folders)["case"] == "case_5"
    assert first("label-quality", folders[0])["reason"] == "label quality 0.933"
    assert first("disagreement", *folders)["reason"] == "networks agree to Dice 1.000"
    assert first("deep-supervision", *folders)["reason"] == "heads agree to Dice 1.000"
    write_names(folders[1], ("background", "liver", "heart"))
    assert select(pool, "--probabilities", *folders[:2], "--strategy", "disagreement", "--budget", 1, masks=False) == 3
    assert "has the classes background, liver, heart, not background, liver, spleen" in capsys.readouterr().err


def test_what_a_review_corrected_is_learned_fully_beside_what_is_trusted(pool, a_torso, monkeypatch):
    """``train-pseudo --done``: masks from ``corrected``, the rest from the predictions."""
    from types import SimpleNamespace

    from QualitySentinelTrainingLib.selection import pseudo

    done, trusted = (pool.parent / "next" / name for name in ("done.csv", "trusted.csv"))
    write_table(trusted, LIST_COLUMNS, [(1, "case_4", "", None, 0.25, 1.0, "")])
    correct(pool, done, "case_5")
    learned = []

    def train(labeled, sources, out, *_):
        learned.extend(source.read() for source in sources)
        (out / "epoch_0001.safetensors").parent.mkdir()
        (out / "epoch_0001.safetensors").touch()
        return SimpleNamespace(classes=("background",))

    monkeypatch.setattr(pseudo, "train_pseudo", train)
    command = ["train-pseudo", "--pool", str(pool), "--predictions", str(pool.parent / "masks"), "--weighted"]
    assert main([*command, "--trusted", str(trusted), "--done", str(done), "--out", str(pool.parent / "net")]) == 0
    trust = {s.name: {float(t.max()) for t in s.trust.values()} for s in learned}
    assert trust == {"pseudo case_4": {0.75}, "pseudo case_5": {1.0}}
    size = {s.name: int((s.labels > 0).sum()) for s in learned}
    assert size["pseudo case_5"] == int((a_torso.labels > 0).sum()) > size["pseudo case_4"]
