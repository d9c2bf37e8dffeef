"""Reading segmentations: label maps, masks, folders of masks, names."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.reading.names import name_presets

LABEL_TABLE = (
    '<?xml version="1.0" encoding="UTF-8"?> <CaretExtension><VolumeInformation Index="0"><LabelTable>'
    '<Label Key="1" Red="0"><![CDATA[liver]]></Label><Label Key="2"><![CDATA[spleen]]></Label>'
    "</LabelTable></VolumeInformation></CaretExtension>   "
)


def assert_same_masks(segmentation, labels: np.ndarray) -> None:
    """Segments 1, 2, ... hold exactly the voxels of the labels, in tight boxes."""
    for value, segment in enumerate(segmentation, start=1):
        whole = np.zeros(labels.shape, bool)
        whole[segment.box] = segment.voxels()
        assert np.array_equal(whole, labels == value)
        for axis in range(3):
            inside = segment.voxels().any(axis=tuple(a for a in range(3) if a != axis))
            assert inside[0]
            assert inside[-1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_label_map_of_any_number_type_is_read(a_torso, a_ct, write_volume, tmp_path, dtype, suffix):
    path = write_volume(tmp_path / f"seg{suffix}", a_torso.labels.astype(dtype), a_torso.ijk_to_ras)
    seg = read_segmentation(path, a_ct, {"1": "liver", "2": "spleen"})
    assert [(s.id, s.name, s.structure) for s in seg] == [("1", "liver", "liver"), ("2", "spleen", "spleen")]
    assert_same_masks(seg, a_torso.labels)
    assert seg.warnings == []


@pytest.mark.parametrize(("dtype", "labels"), [(np.int16, 1), (np.int16, 7), (np.uint16, 30)])
def test_a_label_map_saved_as_scaled_integers_is_read(a_torso, a_ct, tmp_path, dtype, labels):
    header = nibabel.Nifti1Image(a_torso.hu.T.copy(), a_torso.ijk_to_ras).header  # a CT's header, used again for labels
    header.set_data_dtype(dtype)
    values = a_torso.labels.T.astype(np.float64)
    values[:labels, 0, 0] = np.arange(3, 3 + labels)
    nibabel.save(nibabel.Nifti1Image(values, a_torso.ijk_to_ras, header), tmp_path / "seg.nii.gz")
    stored = np.asarray(nibabel.load(tmp_path / "seg.nii.gz").dataobj)
    assert not np.array_equal(stored, np.rint(stored))
    seg = read_segmentation(tmp_path / "seg.nii.gz", a_ct)
    assert [s.id for s in seg] == [str(n) for n in range(1, 3 + labels)]
    assert_same_masks(seg.segments[:2], a_torso.labels * (a_torso.labels < 3))


@pytest.mark.parametrize("value", [1, 255, 1.0])
def test_a_mask_of_one_value_is_one_segment_named_after_its_file(a_torso, a_ct, write_volume, tmp_path, value):
    mask = np.where(a_torso.labels == 1, value, 0).astype(np.float32 if isinstance(value, float) else np.uint8)
    seg = read_segmentation(write_volume(tmp_path / "liver_seg.nii.gz", mask, a_torso.ijk_to_ras), a_ct)
    assert [(s.name, s.structure) for s in seg] == [("liver", "liver")]
    assert_same_masks(seg, (a_torso.labels == 1).astype(np.uint8))


def test_probabilities_are_cut_at_one_half_with_a_warning(a_torso, a_ct, write_volume, tmp_path):
    probability = np.where(a_torso.labels == 1, 0.8, 0.3).astype(np.float32)
    seg = read_segmentation(write_volume(tmp_path / "liver.nii.gz", probability, a_torso.ijk_to_ras), a_ct)
    assert_same_masks(seg, (a_torso.labels == 1).astype(np.uint8))
    assert "probabilities" in seg.warnings[0]


def test_nan_in_a_mask_is_background_with_a_warning(a_torso, a_ct, write_volume, tmp_path):
    mask = (a_torso.labels == 1).astype(np.float32)
    mask[0, 0, 0] = np.nan
    seg = read_segmentation(write_volume(tmp_path / "liver.nii.gz", mask, a_torso.ijk_to_ras), a_ct)
    assert_same_masks(seg, (a_torso.labels == 1).astype(np.uint8))
    assert "1 voxels" in seg.warnings[0]


def test_label_values_above_16_bit_keep_their_numbers(a_torso, a_ct, write_volume, tmp_path):
    labels = np.where(a_torso.labels > 0, a_torso.labels.astype(np.int32) + 100_000, 0)
    seg = read_segmentation(write_volume(tmp_path / "seg.nrrd", labels, a_torso.ijk_to_ras), a_ct)
    assert [s.id for s in seg] == ["100001", "100002"]
    assert_same_masks(seg, a_torso.labels)


def test_an_empty_segmentation_is_an_empty_segment_and_a_warning(a_torso, a_ct, write_volume, tmp_path):
    path = write_volume(tmp_path / "spleen.nii.gz", np.zeros_like(a_torso.labels), a_torso.ijk_to_ras)
    seg = read_segmentation(path, a_ct)
    assert [(s.name, s.is_empty) for s in seg] == [("spleen", True)]
    assert "no labeled voxel" in seg.warnings[0]


def test_one_voxel_and_a_mask_that_touches_every_border_are_segments(a_torso, a_ct, write_volume, tmp_path):
    labels = np.ones_like(a_torso.labels)
    labels[19, 31, 47] = 2
    seg = read_segmentation(write_volume(tmp_path / "seg.nii.gz", labels, a_torso.ijk_to_ras), a_ct)
    assert_same_masks(seg, labels)
    assert seg["1"].box == (slice(0, 20), slice(0, 32), slice(0, 48))


def test_names_in_the_header_are_used_and_may_be_overruled(a_torso, a_ct, tmp_path):
    image = nibabel.Nifti1Image(a_torso.labels.T.copy(), a_torso.ijk_to_ras)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, LABEL_TABLE.encode()))
    nibabel.save(image, tmp_path / "seg.nii.gz")
    assert [s.name for s in read_segmentation(tmp_path / "seg.nii.gz", a_ct)] == ["liver", "spleen"]
    overruled = read_segmentation(tmp_path / "seg.nii.gz", a_ct, {"2": "stomach"})
    assert [(s.name, s.structure) for s in overruled] == [("liver", "liver"), ("stomach", "stomach")]


@pytest.mark.parametrize(
    "table",
    [
        "<LabelTable>",
        '<LabelTable><Label Key="x">liver</Label></LabelTable>',
        '<!DOCTYPE a [<!ENTITY b "liver">]><LabelTable><Label Key="1">&b;</Label></LabelTable>',
    ],
)
def test_a_label_table_that_cannot_be_trusted_is_passed_over(a_torso, a_ct, tmp_path, table):
    image = nibabel.Nifti1Image(a_torso.labels.T.copy(), a_torso.ijk_to_ras)
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension(0, table.encode()))
    nibabel.save(image, tmp_path / "seg.nii.gz")
    assert [s.name for s in read_segmentation(tmp_path / "seg.nii.gz", a_ct)] == ["label 1", "label 2"]


def test_labels_without_names_are_not_guessed(a_case_on_disk, a_ct):
    seg = read_segmentation(a_case_on_disk.seg, a_ct)
    assert [(s.name, s.structure) for s in seg] == [("label 1", None), ("label 2", None)]
    assert "--names" in seg.warnings[0]


def test_names_come_from_json_presets_and_nnunet_files(a_case_on_disk, a_ct, tmp_path):
    assert [s.name for s in read_segmentation(a_case_on_disk.seg, a_ct, a_case_on_disk.names)] == ["liver", "spleen"]
    btcv = read_segmentation(a_case_on_disk.seg, a_ct, "btcv")
    assert [s.structure for s in btcv] == ["spleen", "kidney right"]
    nnunet = tmp_path / "dataset.json"
    nnunet.write_text(json.dumps({"labels": {"background": 0, "liver": 1, "spleen": 2}, "numTraining": 3}))
    assert [s.name for s in read_segmentation(a_case_on_disk.seg, a_ct, nnunet)] == ["liver", "spleen"]


def test_names_that_fit_nothing_are_remarked_on(a_case_on_disk, a_ct):
    seg = read_segmentation(a_case_on_disk.seg, a_ct, {"77": "liver"})
    assert any("--names" in w and "none" in w for w in seg.warnings)


def test_the_known_conventions_have_presets():
    assert {"totalsegmentator", "totalsegmentator_v1", "btcv", "amos", "openkbp", "dap"} <= set(name_presets())


def test_segments_are_chosen_by_id_name_or_structure(a_case_on_disk, a_ct):
    names = {"1": "Liver", "2": "spleen"}
    for wanted in ("1", "Liver", "liver", "LIVER"):
        assert [s.id for s in read_segmentation(a_case_on_disk.seg, a_ct, names, segments=[wanted])] == ["1"]


@pytest.fixture
def a_folder_of_masks(a_torso, write_volume, tmp_path):
    """liver and spleen as masks, an empty one, and files that are no masks."""
    folder = tmp_path / "masks"
    folder.mkdir()
    for value, name in a_torso.names.items():
        write_volume(folder / f"{name}.nii.gz", (a_torso.labels == value).astype(np.uint8), a_torso.ijk_to_ras)
    write_volume(folder / "pancreas.nrrd", np.zeros_like(a_torso.labels), a_torso.ijk_to_ras)
    (folder / "statistics.json").write_text("{}")
    (folder / "._liver.nii.gz").write_bytes(b"left by a Mac")
    return folder


def test_a_folder_of_masks_has_a_segment_for_each_file(a_torso, a_ct, a_folder_of_masks):
    seg = read_segmentation(a_folder_of_masks, a_ct)
    assert [(s.id, s.structure, s.is_empty) for s in seg] == [
        ("liver", "liver", False), ("pancreas", "pancreas", True), ("spleen", "spleen", False),
    ]  # fmt: skip
    assert_same_masks([seg["liver"], seg["spleen"]], a_torso.labels)
    assert seg["liver"].labels.base.size == seg["liver"].labels.size  # the file's whole array is let go
    assert seg.warnings == []


def test_a_ct_and_a_label_map_among_masks_are_left_out_with_a_warning(a_torso, a_ct, a_folder_of_masks, write_volume):
    write_volume(a_folder_of_masks / "another_ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
    write_volume(a_folder_of_masks / "multi.nii.gz", a_torso.labels, a_torso.ijk_to_ras)
    seg = read_segmentation(a_folder_of_masks, a_ct)
    assert [s.id for s in seg] == ["liver", "pancreas", "spleen"]
    assert [w.split(": ")[0].split("/")[-1] for w in seg.warnings] == ["another_ct.nii.gz", "multi.nii.gz"]


def test_a_case_folder_with_masks_in_segmentations_is_understood(a_torso, a_ct, a_folder_of_masks, write_volume):
    case = a_folder_of_masks.parent / "s0001"
    case.mkdir()
    write_volume(case / "ct.nii.gz", a_torso.hu, a_torso.ijk_to_ras)
    a_folder_of_masks.rename(case / "segmentations")
    seg = read_segmentation(case, a_ct)
    assert [s.id for s in seg] == ["liver", "pancreas", "spleen"]


def test_names_map_file_stems_to_structures(a_torso, a_ct, write_volume, tmp_path):
    (tmp_path / "m").mkdir()
    write_volume(tmp_path / "m" / "organ, 17.nii.gz", (a_torso.labels == 1).astype(np.uint8), a_torso.ijk_to_ras)
    seg = read_segmentation(tmp_path / "m", a_ct, {"organ, 17": "liver"})
    assert [(s.id, s.name, s.structure) for s in seg] == [("organ, 17", "organ, 17", "liver")]


def test_equal_stems_get_unique_ids(a_torso, a_ct, a_folder_of_masks, write_volume):
    write_volume(a_folder_of_masks / "liver.nrrd", (a_torso.labels == 1).astype(np.uint8), a_torso.ijk_to_ras)
    seg = read_segmentation(a_folder_of_masks, a_ct)
    assert [s.id for s in seg] == ["liver", "liver_2", "pancreas", "spleen"]
    assert [s.name for s in seg][:2] == ["liver", "liver"]


def test_the_totalsegmentator_example_is_read_with_names_from_its_header(shared):
    folder = shared / "data" / "totalsegmentator"
    seg = read_segmentation(folder / "example_seg_fast_force_split.nii.gz", read_ct(folder / "example_ct.nii.gz"))
    assert len(seg) == 61
    assert [s.name for s in seg if s.structure is None] == []
    assert seg.warnings == []


def test_the_totalsegmentator_mask_folders_are_read(shared):
    folder = shared / "data" / "totalsegmentator" / "pulmonary_report" / "models"
    seg = read_segmentation(folder, read_ct(folder / "ct_cropped.nii.gz"))
    assert "heart" in [s.structure for s in seg]  # its mask is on a larger grid, in step with the CT's
    assert not any("resampled" in w for w in seg.warnings)


def one_hot(labels: np.ndarray, *values: int) -> np.ndarray:
    return np.stack([labels.T == v for v in values], axis=-1).astype(np.uint8)


@pytest.mark.parametrize(("values", "names"), [((0, 1, 2), "12"), ((1, 2), "12"), ((1, 2), "01")])
def test_a_4d_file_with_a_mask_in_each_layer_is_read(a_torso, a_ct, tmp_path, values, names):
    nibabel.save(nibabel.Nifti1Image(one_hot(a_torso.labels, *values), a_torso.ijk_to_ras), tmp_path / "seg.nii.gz")
    seg = read_segmentation(tmp_path / "seg.nii.gz", a_ct, dict(zip(names, ("liver", "spleen"), strict=True)))
    assert [(s.id, s.structure) for s in seg] == [(names[0], "liver"), (names[1], "spleen")]
    assert_same_masks(seg, a_torso.labels)
    assert seg.warnings == []


def test_layers_of_a_vector_image_are_segments_and_ask_for_names(a_torso, a_ct, tmp_path):
    layers = np.moveaxis(one_hot(a_torso.labels, 1, 2, 3), (0, 1, 2), (2, 1, 0))
    image = sitk.GetImageFromArray(np.ascontiguousarray(layers), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "seg.nrrd"))
    ct = read_ct(write_bare(tmp_path / "ct.nrrd", a_torso.hu))
    seg = read_segmentation(tmp_path / "seg.nrrd", ct)
    assert [(s.name, s.is_empty) for s in seg] == [("label 1", False), ("label 2", False), ("label 3", True)]
    assert_same_masks(seg.segments[:2], a_torso.labels)
    assert "no names for its 3 layers" in seg.warnings[0]


def write_bare(path, voxels: np.ndarray):
    sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))
    return path


def test_a_4d_file_of_label_maps_is_refused(a_torso, a_ct, tmp_path):
    times = np.stack([a_torso.labels.T] * 3, axis=-1)
    nibabel.save(nibabel.Nifti1Image(times, a_torso.ijk_to_ras), tmp_path / "seg.nii.gz")
    with pytest.raises(InputError, match="4D image with 2 label values in one layer"):
        read_segmentation(tmp_path / "seg.nii.gz", a_ct)


def test_several_files_are_one_segmentation_without_those_that_cannot_be_read(a_torso, a_ct, write_volume, tmp_path):
    paths = [
        write_volume(tmp_path / f"{name}.nrrd", (a_torso.labels == value).astype(np.uint8), a_torso.ijk_to_ras)
        for value, name in a_torso.names.items()
    ]
    (tmp_path / "broken.nrrd").write_bytes(b"nothing")
    seg = read_segmentation([paths[0], tmp_path / "broken.nrrd", paths[1]], a_ct)
    assert [(s.id, s.structure) for s in seg] == [("liver", "liver"), ("spleen", "spleen")]
    assert_same_masks(seg, a_torso.labels)
    assert len(seg.warnings) == 1
    assert "broken.nrrd: " in seg.warnings[0]
    assert seg.warnings[0].endswith("(left out)")


def test_one_bad_mask_does_not_fail_a_folder(a_torso, a_ct, a_folder_of_masks):
    liver = a_folder_of_masks / "liver.nii.gz"
    liver.write_bytes(liver.read_bytes()[:200])
    (a_folder_of_masks / "stomach.nii.gz").write_bytes(b"")
    seg = read_segmentation(a_folder_of_masks, a_ct)
    assert [s.id for s in seg] == ["pancreas", "spleen"]
    assert ["liver.nii.gz: ends too early" in seg.warnings[0], "stomach.nii.gz" in seg.warnings[1]] == [True, True]
