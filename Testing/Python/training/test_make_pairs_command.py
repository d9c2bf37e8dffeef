"""``quality-sentinel make-pairs``: from folders of cases to pair files."""

from __future__ import annotations

import h5py
import nibabel
import numpy as np
import pytest

from QualitySentinelLib.commands.main import main
from QualitySentinelTrainingLib.commands.make_pairs import PairAmounts, make_pair_files
from QualitySentinelTrainingLib.pairs import PairFile, Pairs, pair_files
from QualitySentinelTrainingLib.subjects import PHANTOM_SEEDS, find_subjects, phantom_sources


def write_image(path, array, affine):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(array.T), affine), path)


@pytest.fixture
def a_data_set(a_torso, tmp_path):
    """Three cases with a label map, in ``data``."""
    for number in range(1, 4):
        hu = a_torso.hu + np.random.default_rng(number).integers(-20, 20, a_torso.hu.shape).astype(np.int16)
        write_image(tmp_path / "data" / f"case_{number}" / "ct.nii.gz", hu, a_torso.ijk_to_ras)
        write_image(tmp_path / "data" / f"case_{number}" / "label.nii.gz", a_torso.labels, a_torso.ijk_to_ras)
    (tmp_path / "data" / "labels.json").write_text('{"1": "liver", "2": "spleen"}')
    return tmp_path / "data"


def command(*arguments) -> int:
    return main(["make-pairs", *map(str, arguments)])


def read(path) -> Pairs:
    return PairFile(path).read()


def test_every_subject_gives_a_file_with_what_was_asked_for(a_data_set, tmp_path, capsys):
    out = tmp_path / "pairs"
    arguments = ("--data", a_data_set, "--out", out, "--masks", 3, "--slices", 2, "--source", "Hospital")
    assert command(*arguments, "--phantoms", 1, "--synthetic", 1) == 0
    assert "7 pair files written, 0 already present" in capsys.readouterr().out
    pairs = {path.name.removesuffix(".pairs.h5"): read(path) for path in pair_files(out)}
    real, synthetic = ({f"case_{n}{end}" for n in (1, 2, 3)} for end in ("", "_synthetic_0"))
    assert set(pairs) == real | synthetic | {"phantom_0"}
    for name, made in pairs.items():
        assert set(made.subject) == {name}
        assert set(made.patient) == {name.removesuffix("_synthetic_0")}
        assert (np.bincount(made.mask[(made.area > 0) & (made.structure == "liver")]) <= 2).all()
    assert set(pairs["case_1"].source) == {"Hospital"}
    assert set(pairs["case_1_synthetic_0"].source) == {"Hospital, synthetic"}
    assert len(np.unique(pairs["case_1"].mask)) <= 6
    assert (pairs["case_1"].area == 0).any()
    assert not np.array_equal(pairs["case_1"].dsc, pairs["case_2"].dsc)


def test_what_is_there_is_kept_and_made_alike_alone_or_in_several_processes(a_data_set, tmp_path, capsys):
    arguments = ("--data", a_data_set, "--masks", 2)
    assert command(*arguments, "--out", tmp_path / "one") == 0
    assert command(*arguments, "--out", tmp_path / "two", "--jobs", 2) == 0
    for first, second in zip(pair_files(tmp_path / "one"), pair_files(tmp_path / "two"), strict=True):
        for name, values in vars(read(first)).items():
            np.testing.assert_array_equal(values, getattr(read(second), name))
    files = pair_files(tmp_path / "one")
    files[0].unlink()
    before = [path.stat().st_mtime_ns for path in files[1:]]
    capsys.readouterr()
    assert command(*arguments, "--out", tmp_path / "one") == 0
    assert "1 pair files written, 2 already present" in capsys.readouterr().out
    assert [path.stat().st_mtime_ns for path in files[1:]] == before


def test_files_that_were_made_with_other_amounts_are_counted(a_data_set, tmp_path, capsys):
    arguments = ("--data", a_data_set, "--out", tmp_path / "pairs")
    assert command(*arguments, "--masks", 1) == 0
    capsys.readouterr()
    assert command(*arguments, "--masks", 1) == 0
    assert "other amounts" not in capsys.readouterr().err
    with h5py.File(pair_files(tmp_path / "pairs")[0], "a") as file:
        del file.attrs["amounts"]  # as older versions wrote it
    assert command(*arguments, "--masks", 2) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "other amounts" in line]
    assert len(lines) == 1 and lines[0].startswith("2 of the 3 ")


def test_a_broken_subject_is_named_and_the_others_are_made(a_data_set, tmp_path, capsys):
    (a_data_set / "case_2" / "ct.nii.gz").write_bytes(b"not an image")
    assert command("--data", a_data_set, "--out", tmp_path / "pairs", "--masks", 1) == 3
    err = capsys.readouterr().err
    assert "case_2" in err and "ct.nii.gz" in err and "1 of 3 subjects" in err
    assert [path.name for path in pair_files(tmp_path / "pairs")] == ["case_1.pairs.h5", "case_3.pairs.h5"]


def test_what_a_kill_left_is_cleared_and_a_file_that_was_cut_is_made_again(a_data_set, tmp_path, capsys):
    arguments = ("--data", a_data_set, "--out", tmp_path / "pairs", "--masks", 1)
    assert command(*arguments) == 0
    files = pair_files(tmp_path / "pairs")
    whole, left = files[0].read_bytes(), tmp_path / "pairs" / ".writing-abc-case_1.pairs.h5"
    files[0].write_bytes(whole[:-500])
    left.write_text("half")
    capsys.readouterr()
    assert command(*arguments) == 0
    said = capsys.readouterr()
    assert "1 pair files written, 2 already present" in said.out
    assert "case_1.jsonl: it or the pair file is damaged; case_1 is made again" in said.err
    assert len(read(files[0]).dsc) and not left.exists()


def test_files_without_records_are_kept(a_data_set, tmp_path, capsys):
    """As versions before 0.2 made them."""
    import shutil

    arguments = ("--data", a_data_set, "--out", tmp_path / "pairs", "--masks", 1)
    assert command(*arguments) == 0
    shutil.rmtree(tmp_path / "pairs" / "subjects")
    (tmp_path / "pairs" / "make-pairs.json").unlink()
    capsys.readouterr()
    assert command(*arguments) == 0
    assert "0 pair files written, 3 already present" in capsys.readouterr().out


def test_predictions_of_networks_become_masks_of_their_subjects(a_data_set, a_torso, tmp_path):
    for epoch in (10, 50):
        folder = tmp_path / "predictions" / f"epoch_{epoch}"
        shifted = np.roll(a_torso.labels, 60 // epoch, axis=2)
        write_image(folder / "case_1.nii.gz", shifted, a_torso.ijk_to_ras)
        (folder / "dataset.json").write_text('{"labels": {"background": 0, "liver": 1, "spleen": 2}}')
    out = tmp_path / "pairs"
    arguments = ("--data", a_data_set, "--out", out, "--masks", 1, "--predictions", tmp_path / "predictions")
    assert command(*arguments) == 0
    made = read(out / "case_1.pairs.h5")
    network = made.origin == "network"
    assert set(made.stage[network]) == {10, 50} and set(made.stage[~network]) == {-1}
    assert made.dsc[network & (made.stage == 50)].mean() > made.dsc[network & (made.stage == 10)].mean()
    assert "network" not in read(out / "case_2.pairs.h5").origin


def test_predictions_of_nobody_are_refused(a_data_set, a_torso, tmp_path, capsys):
    write_image(tmp_path / "predictions" / "epoch_1" / "stranger.nii.gz", a_torso.labels, a_torso.ijk_to_ras)
    arguments = ("--data", a_data_set, "--out", tmp_path / "pairs", "--predictions", tmp_path / "predictions")
    assert command(*arguments) == 2
    assert "stranger" in capsys.readouterr().err


def test_pairs_to_test_on_hold_every_slice_and_removed_ones(a_data_set, tmp_path):
    sources = find_subjects(a_data_set)[:1]
    made, kept, left_out = make_pair_files(sources, tmp_path / "pairs", PairAmounts(masks=2, evaluation=True))
    assert (made, kept, left_out) == (1, 0, [])
    pairs = read(tmp_path / "pairs" / "case_1.pairs.h5")
    kinds = set(pairs.kind)
    assert {"removed end slices", "removed inner slices"} <= kinds
    removed = (pairs.kind == "removed inner slices") & (pairs.structure == "liver")
    inner_missed = removed & (pairs.area == 0) & (pairs.reference_area > 0) & pairs.inner
    assert inner_missed.any() and (pairs.dsc[inner_missed] == 0).all()
    masked = removed & (pairs.area > 0)
    k = np.sort(pairs.k[masked | inner_missed])
    assert (np.diff(k) == 1).all()  # all slices, held and removed


def test_phantoms_to_test_on_are_never_those_trained_on(tmp_path, monkeypatch):
    asked = []
    import QualitySentinelTrainingLib.commands.make_pairs as module

    monkeypatch.setattr(
        module, "make_pair_files", lambda sources, *_: (asked.append(sources), (len(sources), 0, []))[1]
    )
    for options in ((), ("--evaluation",)):
        assert command("--phantoms", 2, "--out", tmp_path, *options) == 0
    trained, tested = ({source.name for source in sources} for sources in asked)
    assert trained == {s.name for s in phantom_sources(PHANTOM_SEEDS["train"][:2])}
    assert tested == {s.name for s in phantom_sources(PHANTOM_SEEDS["test"][:2])}


@pytest.mark.parametrize(
    "arguments", [(), ("--phantoms", -1), ("--phantoms", 10**6), ("--phantoms", 1, "--slices", 0),
                  ("--phantoms", 1, "--jobs", 0)],
)  # fmt: skip
def test_requests_that_make_no_sense_are_refused(tmp_path, arguments, capsys):
    assert command("--out", tmp_path, *arguments) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
