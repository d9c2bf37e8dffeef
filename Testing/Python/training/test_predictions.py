"""Predictions of any segmentation network, one folder per checkpoint, become candidate masks."""

import json

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.datasets.predictions import find_predictions, stage_of
from QualitySentinelLib.errors import InputError
from QualitySentinelLib.volume import AxialFrame, CtVolume
from QualitySentinelTrainingLib.candidates import candidates_of
from QualitySentinelTrainingLib.subjects import Subject

NAMES = {"labels": {"background": 0, "spleen": 1, "liver": 2}}
"""Other numbers than the reference's: names decide."""


@pytest.fixture
def a_subject(a_torso):
    """The synthetic torso as ``pt_1``; liver 1, spleen 2."""
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    return Subject("pt_1", CtVolume(a_torso.hu, frame, "ct"), a_torso.labels, dict(a_torso.names))


@pytest.fixture
def save(a_torso):
    """``save(path, array)``: a file on the CT's grid."""

    def write(path, array, table=None):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = nibabel.Nifti1Image(np.ascontiguousarray(array.T), a_torso.ijk_to_ras)
        if table:
            labels = "".join(f'<Label Key="{value}">{name}</Label>' for value, name in table.items())
            xml = f"<CaretExtension><LabelTable>{labels}</LabelTable></CaretExtension>"
            image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, xml.encode()))
        nibabel.save(image, path)

    return write


@pytest.fixture
def predicted(a_torso):
    """A label map by NAMES: the reference, moved by one slice."""
    moved = np.roll(a_torso.labels, 1, axis=0)
    return np.array([0, 2, 1], np.uint8)[moved]


def _masks(candidates, subject):
    masks = {}
    for candidate in candidates:
        mask = np.zeros(subject.labels.shape, bool)
        mask[tuple(slice(c, c + n) for c, n in zip(candidate.corner, candidate.mask.shape, strict=True))] = (
            candidate.mask
        )
        masks[subject.structures[candidate.value]] = mask
    return masks


def _assert_is_the_moved_reference(candidates, subject):
    masks = _masks(candidates, subject)
    assert set(masks) == {"liver", "spleen"}
    for value, name in subject.structures.items():
        np.testing.assert_array_equal(masks[name], np.roll(subject.labels == value, 1, axis=0))
    assert {candidate.origin for candidate in candidates} == {"network"}


def test_nnunet(a_subject, save, predicted, a_torso, tmp_path):
    for epoch in (10, 50):
        save(tmp_path / f"epoch_{epoch}" / "pt_1.nii.gz", predicted)
        save(tmp_path / f"epoch_{epoch}" / "pt_2.nii.gz", predicted)
        (tmp_path / f"epoch_{epoch}" / "dataset.json").write_text(json.dumps(NAMES))
        (tmp_path / f"epoch_{epoch}" / "plans.json").write_text("{}")
    save(tmp_path / "epoch_10" / "pt_1_0000.nii.gz", a_torso.hu)  # the image, beside
    save(tmp_path / "imagesTs" / "pt_1_0000.nii.gz", a_torso.hu)
    found = find_predictions(tmp_path)
    assert [(p.checkpoint, p.stage, p.subject) for p in found] == [
        ("epoch_10", 10, "pt_1"), ("epoch_10", 10, "pt_2"), ("epoch_50", 50, "pt_1"), ("epoch_50", 50, "pt_2"),
    ]  # fmt: skip
    candidates = candidates_of(found[0], a_subject)
    _assert_is_the_moved_reference(candidates, a_subject)
    assert {candidate.stage for candidate in candidates} == {10}


def test_one_dataset_json_above_all_checkpoints_and_the_checkpoint_itself_as_the_folder(
    a_subject, save, predicted, tmp_path
):
    save(tmp_path / "fold_0" / "validation" / "pt_1.nii.gz", predicted)
    (tmp_path / "dataset.json").write_text(json.dumps(NAMES))
    (found,) = find_predictions(tmp_path)
    assert (found.checkpoint, found.stage) == ("fold_0/validation", -1)
    _assert_is_the_moved_reference(candidates_of(found, a_subject), a_subject)
    (tmp_path / "fold_0" / "validation" / "labels.json").write_text(json.dumps(NAMES))
    (alone,) = find_predictions(tmp_path / "fold_0" / "validation")
    assert alone.checkpoint == "validation"
    _assert_is_the_moved_reference(candidates_of(alone, a_subject), a_subject)


def test_folds_are_no_epochs_and_the_trainer_above_them_tells(save, predicted, tmp_path):
    for trainer in ("nnUNetTrainer_50epochs__nnUNetPlans__3d_fullres", "nnUNetTrainer__nnUNetPlans__3d_fullres"):
        save(tmp_path / "Dataset901_X" / trainer / "fold_1" / "validation" / "pt_1.nii.gz", predicted)
    save(tmp_path / "epoch_7" / "fold_1" / "pt_2.nii.gz", predicted)
    assert [(found.subject, found.stage) for found in find_predictions(tmp_path)] == [
        ("pt_1", -1), ("pt_2", 7), ("pt_1", 50)
    ]  # fmt: skip


@pytest.mark.parametrize("inner", ["segmentations", "."])
def test_totalsegmentator_masks(a_subject, save, predicted, a_torso, tmp_path, inner):
    save(tmp_path / "step_3" / "pt_1" / inner / "liver.nii.gz", (predicted == 2).astype(np.uint8))
    save(tmp_path / "step_3" / "pt_1" / inner / "spleen.nii.gz", (predicted == 1).astype(np.uint8))
    save(tmp_path / "step_3" / "pt_1" / inner / "kidney_left.nii.gz", np.zeros_like(predicted))
    save(tmp_path / "step_3" / "pt_1" / "ct.nii.gz", a_torso.hu)
    (found,) = find_predictions(tmp_path)
    assert (found.checkpoint, found.stage, found.subject) == ("step_3", 3, "pt_1")
    _assert_is_the_moved_reference(candidates_of(found, a_subject), a_subject)


def test_totalsegmentator_label_map_with_names_in_its_header(a_subject, save, predicted, tmp_path):
    save(tmp_path / "epoch_1" / "pt_1.nii", predicted, table={1: "spleen", 2: "liver", 3: "pancreas"})
    (found,) = find_predictions(tmp_path)
    _assert_is_the_moved_reference(candidates_of(found, a_subject), a_subject)


@pytest.mark.parametrize("path",
    [
        "pt_1/pt_1_trans", "pt_1/pt_1_seg", "pt_1/pt_1_pred", "pt_1/pt_1", "pt_1_trans", "pt_1/seg",
        "pt_1_0000/pt_1_0000_trans", "pt_1/ct/ct_trans", "pt_1/ct_trans", "pt_1/image/image_seg",
    ],
)  # fmt: skip
def test_monai_bundle(a_subject, save, predicted, tmp_path, path):
    save(tmp_path / "model_epoch=7-step=900" / f"{path}.nii.gz", predicted)
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    (found,) = find_predictions(tmp_path)
    assert (found.stage, found.subject) == (7, "pt_1")
    _assert_is_the_moved_reference(candidates_of(found, a_subject), a_subject)


def test_a_prediction_on_another_grid_is_put_on_the_cts(a_subject, a_torso, predicted, tmp_path):
    (tmp_path / "epoch_1").mkdir()
    turned = np.ascontiguousarray(predicted[::-1].T)  # slices in the other order, and a header that says so
    affine = a_torso.ijk_to_ras @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 19], [0, 0, 0, 1.0]])
    nibabel.save(nibabel.Nifti1Image(turned, affine), tmp_path / "epoch_1" / "pt_1.nii.gz")
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    (found,) = find_predictions(tmp_path)
    _assert_is_the_moved_reference(candidates_of(found, a_subject), a_subject)


def test_what_the_network_missed_is_empty_and_what_it_does_not_know_is_not_there(a_subject, save, predicted, tmp_path):
    save(tmp_path / "epoch_1" / "pt_1.nii.gz", np.where(predicted == 1, 0, predicted))
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    (found,) = find_predictions(tmp_path)
    masks = _masks(candidates_of(found, a_subject), a_subject)
    assert masks["liver"].any()
    assert not masks["spleen"].any()
    (tmp_path / "labels.json").write_text('{"labels": {"background": 0, "liver": 2, "pancreas": 1}}')
    assert set(_masks(candidates_of(found, a_subject), a_subject)) == {"liver"}


def test_a_network_that_found_nothing_at_all_missed_everything(a_subject, save, predicted, tmp_path):
    save(tmp_path / "epoch_1" / "pt_1.nii.gz", np.zeros_like(predicted))
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    (found,) = find_predictions(tmp_path)
    masks = _masks(candidates_of(found, a_subject), a_subject)
    assert set(masks) == {"liver", "spleen"}
    assert not any(mask.any() for mask in masks.values())


def test_structures_that_the_reference_lacks_are_left_out(a_subject, save, predicted, tmp_path):
    del a_subject.structures[2]
    save(tmp_path / "epoch_1" / "pt_1.nii.gz", predicted)
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    (found,) = find_predictions(tmp_path)
    assert [candidate.value for candidate in candidates_of(found, a_subject)] == [1]


def test_a_damaged_prediction_is_named_skipped_and_counted(a_subject, save, predicted, tmp_path):
    save(tmp_path / "epoch_1" / "pt_1.nii.gz", predicted)
    path = tmp_path / "epoch_1" / "pt_1.nii.gz"
    path.write_bytes(path.read_bytes()[:-60])
    (tmp_path / "labels.json").write_text(json.dumps(NAMES))
    (found,) = find_predictions(tmp_path)
    skipped = []
    assert candidates_of(found, a_subject, skipped) == []
    assert len(skipped) == 1
    assert str(path) in skipped[0]
    with pytest.raises(InputError, match="pt_1.nii.gz"):
        candidates_of(found, a_subject)


def test_labels_without_names_are_refused_with_the_remedy(a_subject, save, predicted, tmp_path):
    save(tmp_path / "epoch_1" / "pt_1.nii.gz", predicted)
    (found,) = find_predictions(tmp_path)
    with pytest.raises(InputError, match="dataset.json"):
        candidates_of(found, a_subject)


def test_a_folder_in_no_known_layout_is_refused_in_one_line(tmp_path):
    (tmp_path / "what" / "ever").mkdir(parents=True)
    (tmp_path / "what" / "notes.txt").write_text("no image")
    with pytest.raises(InputError, match="nnU-Net.*TotalSegmentator.*MONAI") as caught:
        find_predictions(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="no such folder"):
        find_predictions(tmp_path / "absent")


@pytest.mark.parametrize(
    ("name", "stage"),
    [
        ("epoch_0010", 10),
        ("epoch=12-step=3400", 12),
        ("model_ep_050", 50),
        ("checkpoint_400", 400),
        ("final", -1),
        ("nnUNetTrainer_250epochs__nnUNetPlans__3d_fullres", 250),
        ("50_epochs", 50),
        ("step_3", 3),
    ],
)
def test_the_stage_is_the_number_in_the_folders_name(name, stage):
    assert stage_of(name) == stage
