"""Label noise with the paper's alpha and beta."""

import csv

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import find_cases, read_case
from QualitySentinelTrainingLib.label_errors.corrupt import KINDS, choose_corrupted, corrupt_labels, corrupt_mask


def a_disc(radius=20, size=96):
    j, i = np.ogrid[:size, :size]
    return (j - size / 2) ** 2 + (i - size / 2) ** 2 <= radius**2


def test_alpha_is_the_share_of_the_cases_of_each_class_by_itself():
    held = {f"case{n}": [1, 2] if n < 50 else [2] for n in range(70)}
    chosen = choose_corrupted(held, 0.3, np.random.default_rng(0))
    of_class = {value: {case for case, kinds in chosen.items() if value in kinds} for value in (1, 2)}
    assert len(of_class[1]) == 15 and len(of_class[2]) == 21 and not of_class[1] & {f"case{n}" for n in range(50, 70)}
    assert {kind for kinds in chosen.values() for kind in kinds.values()} == set(KINDS)


def test_the_same_seed_gives_the_same_noise():
    labels = np.stack([a_disc().astype(np.uint16) * 300] * 3)
    one, same, other = (corrupt_labels(labels, {300: "edges"}, 5, np.random.default_rng(s)) for s in (4, 4, 5))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any() and one.dtype == np.uint16


@pytest.mark.parametrize("beta", [1, 5])
def test_dilated_and_eroded_by_a_disc_of_radius_beta(beta):
    mask = a_disc()
    grown, shrunk = (corrupt_mask(mask, kind, beta, np.random.default_rng(0)) for kind in ("dilate", "erode"))
    assert np.sqrt(grown.sum() / np.pi) == pytest.approx(20 + beta, abs=0.5)
    assert np.sqrt(shrunk.sum() / np.pi) == pytest.approx(20 - beta, abs=1.0)


def test_noise_along_edges_adds_and_removes_near_the_edge_only():
    mask = a_disc()
    noisy = corrupt_mask(mask, "edges", 6, np.random.default_rng(0))
    assert (noisy & ~mask).sum() > 50 and (mask & ~noisy).sum() > 50
    np.testing.assert_array_equal(noisy[a_disc(13)], True)
    assert not noisy[~a_disc(27)].any()


def test_a_mask_at_the_image_border_is_eroded_there_too():
    mask = np.ones((12, 12), bool)
    assert corrupt_mask(mask, "erode", 2, np.random.default_rng(0)).sum() == 8 * 8


def test_a_structure_that_grows_covers_others_and_leaves_background_where_it_shrinks():
    labels = np.zeros((40, 40), np.uint8)
    labels[10:30, 10:20], labels[10:30, 20:30] = 1, 2
    grown = corrupt_labels(labels, {1: "dilate"}, 3, np.random.default_rng(0))
    assert grown[20, 21] == 1 and grown[20, 25] == 2
    shrunk = corrupt_labels(labels, {1: "erode"}, 3, np.random.default_rng(0))
    assert shrunk[20, 11] == 0 and (shrunk == 2).sum() == (labels == 2).sum()
    assert labels[20, 21] == 2  # the truth is kept


@pytest.fixture
def noisy(torsos, tmp_path):
    """``noisy(*options)``: runs the command on four clean cases; its exit code."""
    case = torsos(1)
    for n in range(1, 4):
        for file in ("ct.nii.gz", "seg.nii.gz"):
            (case.data / f"case_{n}").mkdir(exist_ok=True)
            (case.data / f"case_{n}" / file).write_bytes((case.data / "case_0" / file).read_bytes())
    (case.data / "meta.csv").write_text("case,patient_id,sex\ncase_0,anna,F\ncase_1,anna,F\ncase_2,bob,M\ncase_3,c,M\n")

    def run(*options, out="noisy"):
        return main(["corrupt-labels", str(case.data), "--out", str(tmp_path / out), *map(str, options)])

    return run


def test_the_copy_is_a_data_set_that_keeps_the_truth(noisy, tmp_path, a_torso):
    assert noisy("--alpha", 0.5, "--beta", 2) == 0
    found = find_cases(tmp_path / "noisy")
    assert [(c.name, c.patient, c.metadata["sex"]) for c in found.cases[:3]] == [
        ("case_0", "anna", "F"), ("case_1", "anna", "F"), ("case_2", "bob", "M")
    ]  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "noisy" / "noise.csv").open()))
    assert sum(bool(row["kind"]) for row in rows) == 4 and len(rows) == 8
    for case in found.cases:
        ct, segmentation = read_case(case)
        assert ct.frame.shape == a_torso.labels.shape and {s.structure for s in segmentation} <= {"liver", "spleen"}
        clean, wrong = (
            np.asarray(nibabel.load(tmp_path / "noisy" / case.name / f"{n}.nii.gz").dataobj).T for n in ("clean", "seg")
        )
        np.testing.assert_array_equal(clean, a_torso.labels)
        changed = sum(int(r["added"]) + int(r["removed"]) for r in rows if r["case"] == case.name)
        assert (changed > 0) == (clean != wrong).any() == any(r["kind"] for r in rows if r["case"] == case.name)


def test_the_noise_depends_on_the_seed_alone(noisy, tmp_path, capsys):
    def text(out):
        return (tmp_path / out / "noise.csv").read_text()

    assert noisy("--seed", 1) == noisy("--seed", 1, out="again") == noisy("--seed", 2, out="other") == 0
    assert text("noisy") == text("again") != text("other")
    (tmp_path / "noisy" / "case_1" / "seg.nii.gz").unlink()
    assert noisy("--seed", 1) == 0 and (tmp_path / "noisy" / "case_1" / "seg.nii.gz").is_file()
    assert noisy("--seed", 2) == 2
    assert "was made with seed 1, not 2" in capsys.readouterr().err


@pytest.mark.parametrize(("option", "value"), [("--alpha", 1.1), ("--alpha", "nan"), ("--beta", 0)])
def test_noise_that_cannot_be_is_refused(noisy, option, value, tmp_path, capsys):
    assert noisy(option, value) == 2
    assert f"{option[2:]} is" in capsys.readouterr().err and not (tmp_path / "noisy").exists()


@pytest.mark.parametrize("through", ["folder", "link", "manifest"])
def test_a_data_set_is_never_written_over(noisy, through, tmp_path, capsys):
    """Its cases may be links to the only copy there is."""
    data, out = tmp_path / "data", tmp_path / "data"
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    source = data
    if through != "folder":
        out = tmp_path / "linked"
        out.mkdir()
        for n in range(4):
            (out / f"case_{n}").symlink_to(data / f"case_{n}")
    if through == "manifest":
        source = tmp_path / "manifest.csv"
        source.write_text("case,ct,seg\n" + "".join(
            f"case_{n},data/case_{n}/ct.nii.gz,data/case_{n}/seg.nii.gz\n" for n in range(4)
        ))  # fmt: skip
    assert main(["corrupt-labels", str(source), "--names", "dap", "--out", str(out)]) == 2
    assert "choose another folder" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in data.rglob("*") if path.is_file()} == before


def test_a_case_that_cannot_be_read_is_named_and_the_others_are_done(noisy, tmp_path, capsys):
    (tmp_path / "data" / "case_2" / "ct.nii.gz").write_bytes(b"no CT")
    assert noisy() == 6
    assert "failed: case_2: " in capsys.readouterr().err
    assert [c.name for c in find_cases(tmp_path / "noisy").cases] == ["case_0", "case_1", "case_3"]
