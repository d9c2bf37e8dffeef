"""DICOM: every slice and frame has its own place, pixel type and rescale."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError, UsageError
from QualitySentinelLib.reading import read_ct, read_segmentation

pydicom = pytest.importorskip("pydicom")

STEP_MM = 5.0


@pytest.fixture
def a_series(a_torso, write_series, tmp_path):
    """Paths of the synthetic CT's slices, from its lowest."""
    return write_series(tmp_path / "dicom", a_torso.hu, a_torso.ijk_to_ras)


def changed(path: Path, change) -> None:
    dataset = pydicom.dcmread(path)
    change(dataset)
    dataset.save_as(path)


def moved(path: Path, *by: float) -> None:
    def move(dataset):
        dataset.ImagePositionPatient = [float(p) + b for p, b in zip(dataset.ImagePositionPatient, by, strict=True)]

    changed(path, move)


def write_seg(path: Path, slices: list[Path], labels: np.ndarray) -> Path:
    """A DICOM SEG of labels 1 and 2 on these very slices."""
    highdicom = pytest.importorskip("highdicom")
    from pydicom.sr.codedict import codes

    described = [
        highdicom.seg.SegmentDescription(n, name, codes.SCT.Organ, code, "MANUAL")
        for n, name, code in ((1, "liver", codes.SCT.Liver), (2, "spleen", codes.SCT.Spleen))
    ]
    uids = [pydicom.uid.generate_uid() for _ in range(2)]
    source = [pydicom.dcmread(p) for p in slices]
    highdicom.seg.Segmentation(source, labels, "BINARY", described, uids[0], 7, uids[1], 1, "A", "B", "1", "1").save_as(
        path
    )
    return path


def whole(segment, shape) -> np.ndarray:
    mask = np.zeros(shape, bool)
    if not segment.is_empty:
        mask[segment.box] = segment.voxels()
    return mask


def assert_masks(segmentation, labels: np.ndarray) -> None:
    for value, segment in enumerate(segmentation, start=1):
        assert np.array_equal(whole(segment, labels.shape), labels == value)


def missing(series: list[Path]) -> list[int]:
    for k in (6, 7, 12):
        series[k].unlink()
    return [k for k in range(20) if k not in (6, 7, 12)]


def uneven(series: list[Path]) -> list[int]:
    rng = np.random.default_rng(3)
    for k, path in enumerate(series):
        moved(path, 0, 0, STEP_MM * max(0, k - 9) + (rng.uniform(-1, 1) if 0 < k < 19 else 0))
    return list(range(20))


@pytest.mark.parametrize("change", [missing, uneven])
def test_a_seg_lands_on_the_slices_that_it_was_drawn_on(a_torso, a_series, tmp_path, change):
    ks = change(a_series)
    slices, labels = [a_series[k] for k in ks], a_torso.labels[ks]
    positions = [float(pydicom.dcmread(p).ImagePositionPatient[2]) for p in slices]
    ct = read_ct(a_series[0].parent)
    assert np.array_equal(ct.hu, a_torso.hu[ks])
    assert [ct.frame.position_mm(k) for k in range(len(ks))] == pytest.approx(positions, abs=1e-3)
    assert len(ct.warnings) == 1
    assert "its own place" in ct.warnings[0]
    seg = read_segmentation(write_seg(tmp_path / "seg.dcm", slices, labels), ct)
    assert_masks(seg, labels)
    assert seg.warnings == []


@pytest.mark.parametrize("upside_down", [False, True])
def test_a_mask_of_the_whole_ct_lands_on_the_slices_that_are_there(
    a_torso, a_series, write_volume, tmp_path, upside_down
):
    ks = missing(a_series)
    ct = read_ct(a_series[0].parent)
    labels, affine = a_torso.labels, a_torso.ijk_to_ras
    if upside_down:
        labels, affine = labels[::-1], affine @ np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, -1, 19], [0, 0, 0, 1]])
    path = write_volume(tmp_path / "seg.nii.gz", labels, affine)
    seg = read_segmentation(path, ct, {"1": "liver", "2": "spleen"})
    assert_masks(seg, a_torso.labels[ks])
    lost = 100 * (a_torso.labels[[6, 7, 12]] == 1).sum() / (a_torso.labels == 1).sum()
    assert f"{lost:.1f} % of segment 'liver' lies outside the CT or between its slices" in seg.warnings[0]
    assert not [w for w in seg.warnings if "resampled" in w]


def test_a_mask_on_the_even_grid_that_other_programs_make_of_an_uneven_ct_is_taken_slice_by_slice(
    a_torso, a_series, write_volume, tmp_path
):
    ks = uneven(a_series)
    ct = read_ct(a_series[0].parent)
    path = write_volume(tmp_path / "seg.nii.gz", a_torso.labels, ct.frame.file_ijk_to_ras)
    seg = read_segmentation(path, ct, {"1": "liver", "2": "spleen"})
    assert_masks(seg, a_torso.labels[ks])
    assert seg.warnings == []


def test_a_sagittal_series_with_missing_slices_keeps_their_places(a_torso, write_series, write_volume, tmp_path):
    turned = np.transpose(a_torso.hu, (2, 0, 1))[:, ::-1]  # slices from right to left, rows from head to feet
    matrix = np.zeros((4, 4))
    matrix[0, 2] = matrix[1, 0] = matrix[3, 3] = 1
    matrix[2, 1], matrix[2, 3] = -1, a_torso.hu.shape[0] - 1
    series = write_series(tmp_path / "sagittal", turned, a_torso.ijk_to_ras @ matrix)
    kept = [i for i in range(len(series)) if i not in (20, 21, 22)]
    for i in (20, 21, 22):
        series[i].unlink()
    ct = read_ct(tmp_path / "sagittal")
    seg = read_segmentation(write_volume(tmp_path / "seg.nii.gz", a_torso.labels, a_torso.ijk_to_ras), ct)
    assert np.array_equal(ct.hu, a_torso.hu[:, :, kept])
    assert_masks(seg, a_torso.labels[:, :, kept])


def test_each_slice_has_its_own_pixel_type_and_rescale(a_torso, a_series):
    def unsigned(dataset):
        dataset.PixelData = a_torso.hu[0].clip(0).astype(np.uint16).tobytes()
        dataset.RescaleIntercept = 0

    def doubled(dataset):
        dataset.PixelData = (a_torso.hu[5].astype(np.int32) * 2 + 4000).astype(np.uint16).tobytes()
        dataset.RescaleSlope, dataset.RescaleIntercept = 0.5, -2000

    changed(a_series[0], unsigned)
    changed(a_series[5], doubled)
    expected = a_torso.hu.copy()
    expected[0] = expected[0].clip(0)
    assert np.array_equal(read_ct(a_series[0].parent).hu, expected)


@pytest.mark.parametrize("implicit", [False, True])
def test_padding_that_the_header_names_is_air(a_torso, a_series, implicit):
    def pad(dataset):
        stored = np.frombuffer(dataset.PixelData, np.uint16).reshape(a_torso.hu.shape[1:]).copy()
        stored[:3] = 63536
        dataset.PixelData = stored.tobytes()
        dataset.add_new("PixelPaddingValue", "US", 63536)
        if implicit:
            dataset.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian

    for path in a_series:
        changed(path, pad)
    expected = a_torso.hu.copy()
    expected[:, :3] = -1024
    assert np.array_equal(read_ct(a_series[0].parent).hu, expected)


@pytest.mark.parametrize("noise", [1e-6, 4e-4])
def test_slices_whose_orientation_differs_by_rounding_are_one_series(a_torso, a_series, noise):
    for k, path in enumerate(a_series):
        changed(path, lambda d, k=k: setattr(d, "ImageOrientationPatient", [1, noise * (k % 3 - 1), 0, 0, 1, 0]))
    ct = read_ct(a_series[0].parent)
    assert np.array_equal(ct.hu, a_torso.hu)
    assert ct.warnings == []


def test_slices_that_lie_on_another_grid_are_left_out_with_a_warning(a_torso, a_series):
    for path in a_series[14:]:
        moved(path, 40, 0, 0)
    ct = read_ct(a_series[0].parent)
    assert np.array_equal(ct.hu, a_torso.hu[:14])
    assert "do not lie on one grid" in ct.warnings[0]
    assert "6 slices left out" in ct.warnings[0]
    changed(a_series[3], lambda d: setattr(d, "PixelSpacing", [2, 2]))
    assert len(read_ct(a_series[0].parent).hu) == 13


def test_a_tilted_gantry_is_one_grid(a_torso, a_series):
    for k, path in enumerate(a_series):
        moved(path, 0, 1.5 * k, 0)
    ct = read_ct(a_series[0].parent)
    assert len(ct.hu) == 20
    assert ct.frame.ijk_to_ras[:3, 2] == pytest.approx([0, -1.5, STEP_MM], abs=1e-3)


def enhanced(path: Path, slices: list[Path], order, intercepts, **changes) -> Path:
    """An Enhanced CT of the frames ``order``, each with its own position and rescale."""
    from pydicom.dataset import Dataset

    def item(**values):
        made = Dataset()
        for keyword, value in values.items():
            setattr(made, keyword, value)
        return [made]

    file = pydicom.dcmread(slices[0])
    position, pixels = Dataset(), []
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    shared = Dataset()
    shared.PixelMeasuresSequence = item(PixelSpacing=file.PixelSpacing, SliceThickness=5)
    shared.PlaneOrientationSequence = item(ImageOrientationPatient=file.ImageOrientationPatient)
    frames = []
    for k in order:
        one, frame = pydicom.dcmread(slices[k]), Dataset()
        position = one.ImagePositionPatient
        frame.PlanePositionSequence = item(ImagePositionPatient=position)
        frame.PixelValueTransformationSequence = item(RescaleSlope=1, RescaleIntercept=intercepts[k], RescaleType="HU")
        stored = one.pixel_array.astype(np.int32) - 1024 - intercepts[k]
        frames.append(frame)
        pixels.append(stored.astype(np.uint16).tobytes())
    for keyword in "ImagePositionPatient ImageOrientationPatient PixelSpacing RescaleSlope RescaleIntercept".split():
        delattr(file, keyword)
    file.SharedFunctionalGroupsSequence, file.PerFrameFunctionalGroupsSequence = [shared], frames
    file.NumberOfFrames, file.PixelData = len(frames), b"".join(pixels)
    for keyword, value in changes.items():
        setattr(file, keyword, value)
    file.save_as(path)
    return path


def test_frames_of_an_enhanced_ct_lie_where_they_say_and_have_their_own_rescale(a_torso, a_series, tmp_path):
    order = np.random.default_rng(1).permutation(20)
    intercepts = [-1024 if k % 2 else -2048 for k in range(20)]
    ct = read_ct(enhanced(tmp_path / "ct.dcm", a_series, order, intercepts))
    assert np.array_equal(ct.hu, a_torso.hu)
    assert np.allclose(ct.frame.ijk_to_ras, a_torso.ijk_to_ras, atol=1e-3)
    assert ct.warnings == []


def test_an_enhanced_ct_may_come_in_parts_and_beside_another(a_torso, a_series, tmp_path):
    (tmp_path / "both").mkdir()
    enhanced(tmp_path / "both" / "a.dcm", a_series, range(0, 20, 2), [-1024] * 20)
    enhanced(tmp_path / "both" / "b.dcm", a_series, range(1, 20, 2), [-2000] * 20)
    assert np.array_equal(read_ct(tmp_path / "both").hu, a_torso.hu)
    enhanced(tmp_path / "both" / "c.dcm", a_series, range(5), [-1024] * 20, SeriesInstanceUID="1.2.3")
    ct = read_ct(tmp_path / "both")
    assert np.array_equal(ct.hu, a_torso.hu)
    assert "2 CT series; the largest" in ct.warnings[0]


@pytest.fixture
def two_series(a_torso, write_series, tmp_path):
    """An axial original of 20 slices and a coronal reformat of 32."""
    coronal = np.transpose(a_torso.hu, (1, 0, 2))[:, ::-1]
    matrix = np.zeros((4, 4))
    matrix[0, 0] = matrix[1, 2] = matrix[3, 3] = 1
    matrix[2, 1], matrix[2, 3] = -1, 19
    described = {"ImageType": ["DERIVED", "SECONDARY", "REFORMATTED"], "SeriesDescription": "Coronal"}
    write_series(tmp_path / "two" / "b", coronal, a_torso.ijk_to_ras @ matrix, **described, SeriesNumber=4)
    described = {"ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"], "SeriesDescription": "Thorax 5.0"}
    write_series(tmp_path / "two" / "a", a_torso.hu, a_torso.ijk_to_ras, **described, SeriesNumber=3)
    return tmp_path / "two"


def test_the_axial_original_is_preferred_to_a_larger_reformat(a_torso, two_series):
    ct = read_ct(two_series)
    assert (ct.frame.permutation, ct.hu.shape) == ((0, 1, 2), a_torso.hu.shape)
    assert len(ct.warnings) == 1
    assert "the axial original was preferred to a reformat ('Thorax 5.0', 20 slices), 1 left out" in ct.warnings[0]
    assert "--series" in ct.warnings[0]


@pytest.mark.parametrize("wanted", ["4", "coronal"])
def test_a_series_is_chosen_by_number_or_description(a_torso, two_series, wanted):
    ct = read_ct(two_series, series=wanted)
    assert ct.frame.permutation == (1, 0, 2)
    assert np.array_equal(ct.hu, a_torso.hu)
    assert ct.warnings == []


def test_a_series_that_is_not_there_is_refused_with_those_that_are(two_series):
    with pytest.raises(UsageError, match=r"no CT series '7'.*3 \('Thorax 5.0', 20 slices\); 4 \('Coronal'"):
        read_ct(two_series, series="7")


@pytest.mark.parametrize("cut", [128, 132])
def test_files_without_suffix_and_preamble_are_read(a_torso, a_series, tmp_path, cut):
    (tmp_path / "bare").mkdir()
    for number, path in enumerate(a_series):
        content = path.read_bytes()
        (tmp_path / "bare" / f"IM{number:04d}").write_bytes(content if cut == 128 else content[132:])
    assert np.array_equal(read_ct(tmp_path / "bare").hu, a_torso.hu)


def harmed(path: Path, keyword: str) -> None:
    """Replace the value representation of an element by one that does not exist."""
    tag = pydicom.tag.Tag(keyword)
    content = path.read_bytes()
    place = content.index(tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little"), 132) + 4
    path.write_bytes(content[:place] + b"U\x7f" + content[place + 2 :])


@pytest.mark.parametrize(
    ("keyword", "count"), [("Rows", 19), ("Modality", 20), ("PatientID", 20), ("ImagePositionPatient", 19)]
)
def test_a_file_with_one_damaged_byte_is_read_or_named(capfd, a_torso, a_series, keyword, count):
    harmed(a_series[4], keyword)
    ct = read_ct(a_series[0].parent)
    assert np.array_equal(ct.hu, np.delete(a_torso.hu, 4, axis=0) if count < 20 else a_torso.hu)
    assert count == 20 or f"({a_series[4].name})" in ct.warnings[0]
    assert capfd.readouterr().err == ""


def test_a_truncated_and_an_empty_slice_are_named(a_series):
    a_series[5].write_bytes(b"")
    ct = read_ct(a_series[0].parent)
    assert len(ct.hu) == 19
    assert f"({a_series[5].name})" in ct.warnings[0]
    a_series[3].write_bytes(a_series[3].read_bytes()[:1500])
    with pytest.raises(InputError, match=f"{a_series[3].name}: is truncated"):
        read_ct(a_series[0].parent)
