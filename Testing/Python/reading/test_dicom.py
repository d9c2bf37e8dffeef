"""DICOM: a folder with a CT series, and DICOM SEG objects."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError, MismatchError
from QualitySentinelLib.reading import read_ct, read_segmentation

pydicom = pytest.importorskip("pydicom")


@pytest.fixture
def a_series(a_torso, write_series, tmp_path):
    """The synthetic CT as a DICOM series; file names and instance numbers run against the position."""
    return write_series(tmp_path / "dicom", a_torso.hu, a_torso.ijk_to_ras)


def test_a_series_is_sorted_by_position_and_in_hu(a_torso, a_series):
    ct = read_ct(a_series[0].parent)
    assert np.array_equal(ct.hu, a_torso.hu)
    assert ct.hu.dtype == np.int16
    assert np.allclose(ct.frame.ijk_to_ras, a_torso.ijk_to_ras, atol=1e-4)
    assert ct.warnings == []


def test_a_sagittal_series_is_read_as_the_same_ct(a_torso, write_series, tmp_path):
    turned = np.transpose(a_torso.hu, (2, 0, 1))[:, ::-1]  # slices from right to left, rows from head to feet
    matrix = np.zeros((4, 4))
    matrix[0, 2] = matrix[1, 0] = matrix[3, 3] = 1
    matrix[2, 1], matrix[2, 3] = -1, a_torso.hu.shape[0] - 1
    write_series(tmp_path / "sagittal", turned, a_torso.ijk_to_ras @ matrix)
    ct = read_ct(tmp_path / "sagittal")
    assert np.array_equal(ct.hu, a_torso.hu)
    assert np.allclose(ct.frame.ijk_to_ras, a_torso.ijk_to_ras, atol=1e-3)


def test_the_largest_of_several_series_is_taken_with_a_warning(a_torso, a_series, write_series):
    write_series(a_series[0].parent / "scout", a_torso.hu[:4], a_torso.ijk_to_ras)
    write_series(a_series[0].parent / "mr", np.concatenate([a_torso.hu] * 2), a_torso.ijk_to_ras, Modality="MR")
    (a_series[0].parent / "README.txt").write_text("not DICOM")
    (a_series[0].parent / "broken.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"nonsense")
    ct = read_ct(a_series[0].parent)
    assert np.array_equal(ct.hu, a_torso.hu)
    assert len(ct.warnings) == 2
    assert "(broken.dcm)" in ct.warnings[0]
    assert "2 CT series" in ct.warnings[1]


@pytest.mark.parametrize("image_type", ["LOCALIZER", ["ORIGINAL", "PRIMARY", "LOCALIZER"]])
def test_a_localizer_is_no_ct(a_torso, a_series, write_series, image_type):
    write_series(a_series[0].parent / "localizer", a_torso.hu, a_torso.ijk_to_ras, ImageType=image_type)
    assert read_ct(a_series[0].parent).warnings == []


def test_missing_slices_are_reported(a_series):
    a_series[7].unlink()
    a_series[8].unlink()
    ct = read_ct(a_series[0].parent)
    assert ct.hu.shape[0] == 18
    assert "about 2 slices of the CT are missing" in ct.warnings[0]


def test_a_second_phase_at_the_same_places_is_left_out_with_a_warning(a_torso, write_series, tmp_path):
    uids = {"series": "1.2.3", "study": "1.2", "frame": "1.4"}
    write_series(tmp_path / "d", a_torso.hu, a_torso.ijk_to_ras, **uids)
    write_series(tmp_path / "d" / "late", a_torso.hu + 7, a_torso.ijk_to_ras, **uids)
    ct = read_ct(tmp_path / "d")
    assert ct.hu.shape == a_torso.hu.shape
    assert "20 slices have the position of another one" in ct.warnings[0]


def test_a_folder_without_a_ct_says_what_it_holds(a_torso, write_series, tmp_path):
    write_series(tmp_path / "mr", a_torso.hu[:2], a_torso.ijk_to_ras, Modality="MR")
    with pytest.raises(InputError, match=r"mr: holds no DICOM CT series \(only MR\); give"):
        read_ct(tmp_path / "mr")


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageOrientationPatient", b"1\\0\\0 "), ("ImagePositionPatient", b"1\\0 "),
        ("ImageOrientationPatient", b"0\\0\\0\\0\\0\\0 "), ("ImagePositionPatient", b"nan\\0\\0 "),
        ("PixelSpacing", b"0\\0 "), ("PixelSpacing", b"6 "), ("InstanceNumber", b"x "),
    ],
)  # fmt: skip
def test_a_ct_image_with_a_damaged_header_is_left_out_and_a_series_of_them_refused(capfd, a_series, keyword, value):
    with_damage(a_series[0], keyword, value)
    ct = read_ct(a_series[0].parent)
    assert len(ct.hu) == len(a_series) - 1
    assert "1 CT images without a valid position" in ct.warnings[0]
    for path in a_series[1:]:
        with_damage(path, keyword, value)
    capfd.readouterr()
    with pytest.raises(InputError, match=r"\.dcm: .*; export the CT again"):
        read_ct(a_series[0].parent)
    assert capfd.readouterr().err == ""


def with_damage(path, keyword: str, value: bytes) -> None:
    """Put bytes into a DICOM file that its value representation does not allow."""
    dataset = pydicom.dcmread(path)
    tag = pydicom.tag.Tag(keyword)
    vr = pydicom.datadict.dictionary_VR(tag)
    dataset[tag] = pydicom.dataelem.RawDataElement(tag, vr, len(value), value, 0, False, True)
    dataset.save_as(path)


def test_a_series_whose_slices_all_lie_at_one_place_is_refused(a_torso, write_series, tmp_path):
    write_series(tmp_path / "ct", a_torso.hu, a_torso.ijk_to_ras, ImagePositionPatient=[0, 0, 0])
    with pytest.raises(InputError, match="one position"):
        read_ct(tmp_path / "ct")


def test_a_truncated_slice_is_refused(a_series):
    a_series[3].write_bytes(a_series[3].read_bytes()[:1500])
    with pytest.raises(InputError, match="again") as caught:
        read_ct(a_series[0].parent)
    assert "\n" not in str(caught.value)


def code(value: str, meaning: str, scheme: str = "SCT"):
    from highdicom.sr.coding import CodedConcept

    return CodedConcept(value, scheme, meaning)


@pytest.fixture
def write_seg(a_torso, a_series, tmp_path):
    """``write_seg(kind, pixels)``: a DICOM SEG of liver and spleen, pixels ``[k, j, i]`` or ``[k, j, i, segment]``."""
    highdicom = pytest.importorskip("highdicom")
    from highdicom.seg import Segmentation, SegmentDescription

    def write(kind: str, pixels: np.ndarray, **options):
        descriptions = [
            SegmentDescription(
                number, label, code("123037004", "Anatomical Structure"), code(value, meaning), "MANUAL",
            )
            for number, label, value, meaning in (
                (1, "Segment, one/ü", "10200004", "Liver"), (2, "Segment, one/ü", "78961009", "Spleen"),
            )
        ]  # fmt: skip
        seg = Segmentation(
            [pydicom.dcmread(p) for p in a_series], pixels, kind, descriptions, pydicom.uid.generate_uid(), 7,
            pydicom.uid.generate_uid(), 1, "Phantoms", "Test", "1", "1", **options,
        )  # fmt: skip
        path = tmp_path / "seg.dcm"
        seg.save_as(path)
        return path

    assert highdicom
    return write


def whole(segment, shape) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[segment.box] = segment.voxels()
    return mask


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_a_dicom_seg_lands_on_its_ct(a_torso, a_series, write_seg, kind):
    ct = read_ct(a_series[0].parent)
    pixels = a_torso.labels.copy()
    if kind == "FRACTIONAL":
        pixels = np.stack([(pixels == v).astype(np.float32) * 0.8 for v in (1, 2)], axis=-1)
    seg = read_segmentation(write_seg(kind, pixels), ct)
    assert [(s.id, s.name) for s in seg] == [("1", "Segment, one/ü"), ("2", "Segment, one/ü")]
    assert [s.structure for s in seg] == ["liver", "spleen"]  # by their codes
    for value, segment in enumerate(seg, start=1):
        assert np.array_equal(whole(segment, ct.hu.shape), a_torso.labels == value)
    assert [w for w in seg.warnings if "fractional" in w] if kind == "FRACTIONAL" else seg.warnings == []


def test_overlapping_segments_of_a_dicom_seg_stay_whole(a_torso, a_series, write_seg):
    ct = read_ct(a_series[0].parent)
    both = a_torso.labels > 0
    pixels = np.stack([both, a_torso.labels == 2], axis=-1).astype(np.uint8)
    seg = read_segmentation(write_seg("BINARY", pixels), ct)
    assert np.array_equal(whole(seg["1"], ct.hu.shape), both)
    assert np.array_equal(whole(seg["2"], ct.hu.shape), a_torso.labels == 2)


def test_frames_may_lack_where_a_segment_has_none(a_torso, a_series, write_seg):
    ct = read_ct(a_series[0].parent)
    labels = np.where(np.arange(20)[:, None, None] % 3 == 0, a_torso.labels, 0).astype(np.uint8)
    seg = read_segmentation(write_seg("BINARY", labels, omit_empty_frames=True), ct)
    assert np.array_equal(whole(seg["1"], ct.hu.shape), labels == 1)


def test_a_folder_with_the_ct_and_one_seg_serves_as_both(a_torso, a_series, write_seg):
    path = write_seg("BINARY", a_torso.labels.copy())
    path.rename(a_series[0].parent / "seg.dcm")
    folder = a_series[0].parent
    seg = read_segmentation(folder, read_ct(folder), segments=["liver"])
    assert [s.id for s in seg] == ["1"]


def test_a_seg_of_another_place_is_refused(a_torso, a_series, write_seg, write_series, tmp_path):
    path = write_seg("BINARY", a_torso.labels.copy())
    moved = a_torso.ijk_to_ras.copy()
    moved[2, 3] += 500
    write_series(tmp_path / "other", a_torso.hu, moved)
    with pytest.raises(MismatchError, match=r"seg\.dcm"):
        read_segmentation(path, read_ct(tmp_path / "other"))


def test_dicom_that_is_no_seg_is_refused_as_one_and_a_seg_as_a_ct(a_torso, a_series, a_ct, write_seg):
    with pytest.raises(InputError, match="not a SEG object"):
        read_segmentation(a_series[0], a_ct)
    with pytest.raises(InputError, match="SEG object, not a CT"):
        read_ct(write_seg("BINARY", a_torso.labels.copy()))


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_seg_is_refused(a_torso, a_ct, write_seg, share):
    path = write_seg("BINARY", a_torso.labels.copy())
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(InputError, match=r"seg\.dcm") as caught:
        read_segmentation(path, a_ct)
    assert "\n" not in str(caught.value)


def test_a_seg_with_a_frame_kilometres_away_is_refused_and_takes_no_memory(a_torso, a_ct, write_seg):
    path = write_seg("BINARY", a_torso.labels.copy())
    dataset = pydicom.dcmread(path)
    dataset.PerFrameFunctionalGroupsSequence[0].PlanePositionSequence[0].ImagePositionPatient = [0, 0, 900_000]
    dataset.save_as(path)
    with pytest.raises(InputError, match=r"seg\.dcm: its frames lie \d+ mm apart"):
        read_segmentation(path, a_ct)


def test_the_dcmqi_example_agrees_with_its_label_map(shared):
    folder = shared / "data" / "dcmqi"
    ct = read_ct(folder / "ct-3slice")
    from_dicom = read_segmentation(folder / "liver.dcm", ct)["1"]
    from_nrrd = read_segmentation(folder / "liver_seg.nrrd", ct).segments[0]
    assert from_dicom.structure == from_nrrd.structure == "liver"
    assert from_dicom.box == from_nrrd.box
    assert np.array_equal(from_dicom.voxels(), from_nrrd.voxels())
    assert [round(255 * c) for c in from_dicom.color] == [221, 130, 101]  # Slicer's color of a liver
    assert "~SRT^T-62000^Liver~" in from_dicom.tags["TerminologyEntry"]
