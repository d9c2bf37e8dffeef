"""find-errors: a data set whose errors are known, files on the CT's grid, resuming, and bad input in one line each."""

import csv
import json

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import find_cases, read_case
from QualitySentinelLib.report import write_results
from QualitySentinelLib.scores import read_report_json
from QualitySentinelTrainingLib.label_errors.confident import METHODS
from QualitySentinelTrainingLib.label_errors.pixels import band
from QualitySentinelTrainingLib.segmentation.probabilities import write_names, write_probabilities

TINY = "--epochs 1 --steps 2 --batch-size 4 --size 32 --pixel-mm 9 --widths 8 16 16 --device cpu --threads 1".split()


def find(case, *more):
    return main(["find-errors", str(case.data), "--out", str(case.out), *map(str, more)])


def given(case, *more):
    return find(case, "--probabilities", case.probabilities, *more)


def voxels(path):
    return np.asarray(nibabel.load(path).dataobj).T


def test_known_errors_are_found_exactly_and_lie_on_the_cts_grid(torsos, capsys):
    case = torsos()
    assert given(case) == 0
    wrong, truth = case.given["case_1"], case.truth
    expected = np.where(wrong == truth, 0, (wrong > 0) + 2 * (truth > 0))
    assert set(np.unique(expected)) == {0, 1, 2, 3}
    found = nibabel.load(case.out / "errors" / "case_1.nii.gz")
    np.testing.assert_array_equal(np.asarray(found.dataobj).T, expected)
    np.testing.assert_allclose(found.affine, nibabel.load(case.data / "case_1" / "ct.nii.gz").affine)
    np.testing.assert_array_equal(voxels(case.out / "corrected" / "case_1.nii.gz"), truth)
    assert json.loads((case.out / "corrected" / "labels.json").read_text())["labels"]["spleen"] == 2
    assert not voxels(case.out / "errors" / "case_0.nii.gz").any()
    _, corrected = read_case(find_cases(case.out / "corrected.csv").cases[1])
    sizes = {s.structure: s.areas.sum() for s in corrected}
    assert sizes == {"liver": (truth == 1).sum(), "spleen": (truth == 2).sum()}
    rows = {(r["case"], r["structure"]): r for r in csv.DictReader((case.out / "label_errors.csv").open())}
    whole = rows["case_1", ""]
    assert int(whole["wrongly_included"]) == ((expected == 1) | (expected == 3)).sum()
    assert int(whole["missing"]) == (expected == 2).sum()
    assert int(rows["case_1", "spleen"]["missing"]) == (expected == 3).sum()
    assert float(rows["case_1", "liver"]["label_quality"]) < 0.5 < float(rows["case_0", "liver"]["label_quality"])
    assert f"{(expected > 0).sum()} voxels" in capsys.readouterr().out
    page = (case.out / "report.html").read_text()
    assert "Where to look first" in page and "case_<wbr>1" in page


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("band_mm", [0, 20])
def test_every_method_finds_them_with_and_without_a_band(torsos, method, band_mm):
    case = torsos()
    assert given(case, "--method", method, "--band-mm", band_mm) == 0
    flagged = voxels(case.out / "errors" / "case_1.nii.gz") > 0
    wrong = case.given["case_1"] != case.truth
    assert (flagged & wrong).sum() > 0.9 * wrong.sum() and not (flagged & ~wrong).any()


def test_label_quality_is_shown_like_any_score(torsos, tmp_path):
    case = torsos()
    given(case)
    score = read_report_json(case.out / "scores" / "case_1.json")
    ct, segmentation = read_case(find_cases(case.data).cases[1])
    lowest = {s.name: min(s.slices, key=lambda one: one.predicted_dsc) for s in score.segments}
    wrong = case.given["case_1"] != case.truth
    assert wrong[lowest["liver"].k].any() and lowest["liver"].flagged
    assert all(one.digest == segmentation[one.segment_id].slice_digest(one.k) for one in score.segments[0].slices)
    write_results(tmp_path / "scored", score, ct, segmentation)
    assert "label quality" in (tmp_path / "scored" / "report.html").read_text()


def test_the_same_call_does_nothing_again_and_another_method_renews_what_changes(torsos):
    case = torsos()
    given(case)

    def written():
        return {path.name: path.stat().st_mtime_ns for path in case.out.rglob("case_*.n*") if "flags" not in path.name}

    before = written()
    assert given(case) == 0 and written() == before
    (case.out / "errors" / "case_1.nii.gz").unlink()
    assert given(case) == 0 and (case.out / "errors" / "case_1.nii.gz").is_file()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_networks_are_trained_out_of_fold_where_no_probabilities_are_given(torsos, dimensions):
    case = torsos(2)
    assert find(case, *TINY, "--dimensions", dimensions, "--depth", 8) == 0
    saw = json.loads((case.out / "segmenters" / "folds.json").read_text())
    assert all(name not in saw["trained_on"][str(fold)] for name, fold in saw["fold_of"].items())
    assert len(list((case.out / "errors").iterdir())) == 2


# ------------------------------------------------------------------------------------------------ bad input
def change(case, name, make):
    """Replace the probabilities of a case by what ``make`` does of them, ``[K, k, j, i]``."""
    path = case.probabilities / f"{name}.npz"
    values = np.stack([case.frame.to_canonical(one) for one in np.load(path)["probabilities"]])
    write_probabilities(path, make(values.astype(np.float32)), case.frame)


def refused(case, capsys, *more):
    code = given(case, *more)
    error = capsys.readouterr()
    assert code != 0 and "Traceback" not in error.err and "unexpected" not in error.err
    assert not (case.out / "errors").exists() and not (case.out / "label_errors.csv").exists()
    return error.err + error.out


@pytest.mark.parametrize(
    ("make", "said"),
    [(lambda p: p * 3, "not to 1; give softmax"), (lambda p: p[:, :-1], "probabilities of this CT are")],
)  # fmt: skip
def test_a_case_with_bad_probabilities_is_named_and_the_others_are_done(torsos, capsys, make, said):
    case = torsos()
    change(case, "case_2", make)
    assert given(case) == 6
    printed = capsys.readouterr()
    assert said in printed.out and "case_2 is left out" in printed.out and "failed: case_2" in printed.err
    assert sorted(p.name for p in (case.out / "errors").iterdir()) == ["case_0.nii.gz", "case_1.nii.gz"]


def test_a_structure_that_no_network_saw_is_not_judged_and_all_else_is(torsos, capsys):
    """One patient of many has it."""
    case = torsos()
    for name in ("case_0", "case_2"):
        image = nibabel.Nifti1Image(np.where(case.truth == 2, 0, case.given[name]).T, case.frame.file_ijk_to_ras)
        nibabel.save(image, case.data / name / "seg.nii.gz")
    change(case, "case_1", lambda p: np.stack([p[0] + p[2], p[1], 0 * p[2]]))
    assert given(case) == 0
    assert "case_1: labels of spleen are not judged: the network never saw any" in capsys.readouterr().out
    rows = list(csv.DictReader((case.out / "label_errors.csv").open()))
    assert [(r["case"], r["structure"]) for r in rows if r["structure"] == "spleen" or r["case"] == "case_1"] == [
        ("case_1", ""), ("case_1", "liver")
    ]  # fmt: skip
    errors, labels = voxels(case.out / "errors" / "case_1.nii.gz"), case.given["case_1"]
    assert not errors[labels == 2].any() and (errors[(labels == 0) & (case.truth == 1)] == 2).any()


def test_a_case_without_probabilities_or_labels_is_named(torsos, a_torso, capsys):
    case = torsos(4)
    (case.probabilities / "case_2.npz").unlink()
    image = nibabel.Nifti1Image(np.zeros(a_torso.hu.T.shape, np.uint8), a_torso.ijk_to_ras)
    nibabel.save(image, case.data / "case_3" / "seg.nii.gz")
    assert given(case) == 6
    printed = capsys.readouterr().err
    assert "case_2.npz: no such file" in printed and "nothing is labeled" in printed


def test_classes_that_are_not_the_labels_are_refused(torsos, capsys):
    case = torsos()
    write_names(case.probabilities, ("background", "liver", "aorta"))
    assert "has no class 'spleen', which the labels have" in refused(case, capsys)


def test_a_class_that_no_case_has_is_refused(torsos, capsys):
    case = torsos()
    for name in case.given:
        change(case, name, lambda p: np.concatenate([p, np.zeros_like(p[:1])]))
    write_names(case.probabilities, ("background", "liver", "spleen", "aorta"))
    assert "has the class 'aorta', which the labels of no case have" in refused(case, capsys)


def test_probabilities_of_networks_that_saw_the_patient_are_refused(torsos, capsys):
    case = torsos()
    told = case.probabilities / "predict_from_raw_data_args.json"
    told.write_text('{"list_of_lists_or_source_folder": "/data/Dataset001/imagesTr"}')
    assert "nnU-Net predicted its own training cases" in refused(case, capsys)
    told.write_text('{"list_of_lists_or_source_folder": "/data/Dataset001/imagesTs"}')
    folds = {"fold_of": {"case_0": 0}, "person_of": {"case_0": "anna", "x": "anna"}, "trained_on": {"0": ["x"]}}
    (case.probabilities.parent / "folds.json").write_text(json.dumps(folds))
    assert "the network of case_0 was trained on that patient" in refused(case, capsys)


def test_labels_that_are_all_background_are_refused_with_and_without_networks(torsos, a_torso, capsys):
    case = torsos(2)
    image = nibabel.Nifti1Image(np.zeros(a_torso.hu.T.shape, np.uint8), a_torso.ijk_to_ras)
    for name in case.given:
        nibabel.save(image, case.data / name / "seg.nii.gz")
    assert "seg.nii.gz: nothing is labeled, all voxels are background" in refused(case, capsys)
    case.out = case.out.with_name("other")
    assert find(case, *TINY) == 3
    assert "seg.nii.gz: nothing is labeled, all voxels are background" in capsys.readouterr().err


def test_one_case_alone_cannot_be_judged_by_networks_that_never_saw_it(torsos, capsys):
    case = torsos(1)
    assert find(case, *TINY) == 2
    assert "2 folds need as many patients; only 1" in capsys.readouterr().err
    assert not case.out.exists()


def test_another_band_needs_another_folder(torsos, capsys):
    case = torsos()
    given(case)
    assert given(case, "--band-mm", 30) == 2
    assert "was made with band_mm" in capsys.readouterr().err
    assert find(case, "--band-mm", "-1") == 2
    assert "band_mm is -1.0" in capsys.readouterr().err


def test_the_report_of_another_run_is_not_written_over(torsos, capsys):
    case = torsos()
    case.out.mkdir()
    (case.out / "report.html").write_text("another's")
    assert find(case, *TINY) == 2
    assert "would be written over; choose another folder" in capsys.readouterr().err
    assert [path.name for path in case.out.iterdir()] == ["report.html"], "nothing is trained before"
    assert (case.out / "report.html").read_text() == "another's"


@pytest.mark.parametrize("place", ["data", "probabilities"])
@pytest.mark.parametrize("below", [".", "results"])
@pytest.mark.parametrize("linked", [False, True])
def test_results_never_lie_among_what_is_read(torsos, capsys, tmp_path, place, below, linked):
    case = torsos(2)
    folder = tmp_path / place
    if linked:
        (tmp_path / "link").symlink_to(folder)
        folder = tmp_path / "link"
    before = sorted(tmp_path.rglob("*"))
    case.out = folder / below
    assert given(case) == 2
    commands = [["train-segmenters", "--data"], ["make-pairs", "--data"], ["corrupt-labels"]] if place == "data" else []
    for command in commands:
        assert main([*command, str(case.data), "--out", str(case.out)]) == 2
    said = "the data set; choose another" if commands else "of the probabilities; choose another"
    assert capsys.readouterr().err.count(said) == 1 + len(commands)
    assert sorted(tmp_path.rglob("*")) == before


def test_the_band_lies_along_the_edges_of_both_labels():
    given, expected = np.zeros((2, 9, 30, 30), np.uint8)
    given[:, 5:10, 5:10], expected[:, 20:25, 20:25] = 1, 1
    inside = band(given, expected, (4.0, 1.0, 1.0), 2.0)
    assert inside[4, 5, 5] and inside[4, 3, 7] and not inside[4, 1, 7]
    assert inside[4, 22, 18] and not inside[4, 15, 15]
    assert not band(given * 0, given * 0, (4.0, 1.0, 1.0), 2.0).any()


def test_an_audit_shows_label_quality_like_any_score(torsos, tmp_path, capsys):
    """``find-errors`` writes one, and ``audit --scores`` others."""
    case = torsos()
    given(case)
    audit = ["audit", str(case.data), "--scores", str(case.out / "scores"), "--threshold", "0.5", "--out"]
    other = tmp_path / "audit"
    assert main([*audit, str(other)]) == 0
    rows = {(r["case"], r["segment"]): r for r in csv.DictReader((case.out / "audit" / "segments.csv").open())}
    assert rows.keys() == {(r["case"], r["segment"]) for r in csv.DictReader((other / "segments.csv").open())}
    liver = next(s for s in read_report_json(case.out / "scores" / "case_1.json").segments if s.name == "liver")
    assert float(rows["case_1", "liver"]["predicted_dsc"]) == pytest.approx(liver.predicted_dsc, abs=1e-3)
    assert "label quality" in (case.out / "audit" / "report" / "index.html").read_text()
    (case.out / "scores" / "case_1.json").unlink()
    assert main([*audit, str(other)]) == 6
    assert "case_1.json: cannot be read" in capsys.readouterr().err
    assert main([*audit[:3], str(case.out / "errors"), "--out", str(case.out / "other")]) == 3
    assert "holds no scores" in capsys.readouterr().err
