"""Painted CTs: subjects made of masks alone, for training only."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from QualitySentinelLib.commands.main import main
from QualitySentinelLib.datasets import find_cases
from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.commands.train import outside_fold
from QualitySentinelTrainingLib.pairs import owner_of, pair_files
from QualitySentinelTrainingLib.phantom import make_phantom
from QualitySentinelTrainingLib.subjects import Subject
from QualitySentinelTrainingLib.synthesis import SynthesisOptions, painted_subject
from QualitySentinelTrainingLib.synthesis.from_labels import painted_ct, painted_sources, read_masks_alone

SMALL = SynthesisOptions(most_voxels=200_000, mirror_share=0.0)
WANTED = ("liver", "lung right", "lung left", "heart", "vertebra L1", "aorta", "kidney left")


@pytest.fixture(scope="module")
def a_phantom():
    """A coarse generated torso."""
    return make_phantom(5, spacing=(6.0, 4.0, 4.0), region=(60.0, 420.0))


@pytest.fixture(scope="module")
def the_labels(a_phantom) -> Subject:
    """Its labels; the CT that belongs to them is not there."""
    frame = AxialFrame.from_affine(a_phantom.ijk_to_ras, a_phantom.labels.shape)
    nothing = CtVolume(np.zeros(a_phantom.labels.shape, np.int16), frame)
    return Subject("someone", nothing, frame.to_canonical(a_phantom.labels), a_phantom.names, "Masks")


@pytest.fixture(scope="module")
def a_folder_of_masks(a_phantom, tmp_path_factory):
    """``cases/someone/segmentations/*.nii.gz`` without a CT, and a case with one."""
    cases = tmp_path_factory.mktemp("data") / "cases"
    folder = cases / "someone" / "segmentations"
    folder.mkdir(parents=True)
    for value, name in a_phantom.names.items():
        if name in WANTED:
            mask = np.ascontiguousarray((a_phantom.labels == value).T.astype(np.uint8))
            nibabel.save(nibabel.Nifti1Image(mask, a_phantom.ijk_to_ras), folder / f"{name.replace(' ', '_')}.nii.gz")
    (cases / "other" / "segmentations").mkdir(parents=True)
    (cases / "other" / "ct.nii.gz").touch()
    return cases


def test_a_painted_ct_looks_like_a_body(the_labels):
    hu = painted_ct(np.random.default_rng(1), the_labels.labels, the_labels.structures, the_labels.ct.frame.spacing)
    by_name = {
        name: float(np.median(hu[mask]))
        for value, name in the_labels.structures.items()
        if (mask := binary_erosion(the_labels.labels == value)).any()
    }
    assert by_name["lung right"] < -700
    assert 20 < by_name["liver"] < 150
    assert by_name["vertebra L1"] > 100
    middle = hu[hu.shape[0] // 2]
    corners = middle[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners < -900).all()  # air around the body
    assert 0.1 < ((middle > -150) & (middle < -60)).mean() < 0.7  # fat within it


def test_the_labels_stay_on_what_is_painted(the_labels):
    new = painted_subject(the_labels, 3, SMALL)
    lungs = [v for v, name in new.structures.items() if name.startswith("lung")]
    inner = binary_erosion(np.isin(new.labels, lungs), iterations=2)
    assert inner.sum() > 500
    assert np.mean(new.ct.hu[inner] < -400) > 0.9
    assert new.patient == "someone"
    assert new.source.startswith("Masks, painted")


def test_the_same_seed_paints_the_same(the_labels):
    one, again, other = (painted_subject(the_labels, seed, SMALL).ct.hu for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert one.shape != other.shape or not np.array_equal(one, other)


def test_cases_with_masks_and_no_ct_are_found(a_folder_of_masks):
    assert {source.patient for source in painted_sources(a_folder_of_masks, 2)} == {"someone"}
    read = read_masks_alone(next(c for c in find_cases(a_folder_of_masks, "folders").cases if not c.ct))
    assert set(read.structures.values()) == set(WANTED)
    with pytest.raises(InputError, match="has no cases"):
        painted_sources(a_folder_of_masks / "other", 1)


def test_pairs_are_made_of_painted_cts_and_nobody_painted_is_left_out(a_folder_of_masks, tmp_path, capsys):
    command = ["make-pairs", "--painted", str(a_folder_of_masks), "2", "--masks", "1", "--slices", "1"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    files = pair_files(tmp_path)
    assert [path.name.partition(".")[0] for path in files] == ["someone_painted_0", "someone_painted_1"]
    assert {owner_of(path) for path in files} == {("someone", "cases, painted")}
    capsys.readouterr()
    assert main([*command[:3], "none", "--out", str(tmp_path)]) == 2
    assert "how many CTs to paint" in capsys.readouterr().err


def test_nobody_who_is_only_painted_is_left_out_of_a_training(a_folder_of_masks, tmp_path):
    main(["make-pairs", "--painted", str(a_folder_of_masks), "1", "--masks", "1", "--slices", "1", "--phantoms", "0",
          "--out", str(tmp_path)])  # fmt: skip
    files = pair_files(tmp_path)
    for fold in range(5):
        with pytest.raises(UsageError, match="none of the 0 patients"):
            outside_fold(files, fold)
