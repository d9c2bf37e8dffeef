"""DICOM RTSTRUCT: contours on the slices of a CT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading import read_ct, read_segmentation

pydicom = pytest.importorskip("pydicom")
pytest.importorskip("skimage")


def write_rtstruct(path: Path, structures: dict[str, list[np.ndarray]]) -> Path:
    """Write contours ``[N, 3]`` in LPS mm of each structure."""
    from pydicom.dataset import Dataset, FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.481.3"
    meta.MediaStorageSOPInstanceUID, meta.TransferSyntaxUID = "1.2.3", pydicom.uid.ImplicitVRLittleEndian
    file = FileDataset(path, {}, file_meta=meta, preamble=b"\0" * 128)
    file.SOPClassUID, file.SOPInstanceUID, file.Modality = meta.MediaStorageSOPClassUID, "1.2.3", "RTSTRUCT"
    file.StructureSetROISequence, file.ROIContourSequence = [], []
    for number, (name, contours) in enumerate(structures.items(), start=1):
        roi, drawn = Dataset(), Dataset()
        roi.ROINumber, roi.ROIName = number, name
        drawn.ReferencedROINumber, drawn.ROIDisplayColor, drawn.ContourSequence = number, [255, 0, 51], []
        for points in contours:
            contour = Dataset()
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(points)
            contour.ContourData = [f"{v:.3f}" for v in points.ravel()]
            drawn.ContourSequence.append(contour)
        file.StructureSetROISequence.append(roi)
        file.ROIContourSequence.append(drawn)
    file.save_as(path, enforce_file_format=True)
    return path


def box_contours(affine: np.ndarray, ks, rows: tuple[float, float], columns: tuple[float, float]) -> list[np.ndarray]:
    """Rectangles around the pixels of rows and columns (both ends inclusive) on slices ``ks``, LPS mm."""
    (top, bottom), (left, right) = (rows[0] - 0.5, rows[1] + 0.5), (columns[0] - 0.5, columns[1] + 0.5)
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
    boxes = [np.column_stack((corners, np.full(4, k), np.ones(4))) @ affine.T for k in ks]
    return [box[:, :3] * [-1, -1, 1] for box in boxes]


def whole(segment, shape) -> np.ndarray:
    mask = np.zeros(shape, bool)
    if not segment.is_empty:
        mask[segment.box] = segment.voxels()
    return mask


@pytest.fixture
def a_rtstruct(a_torso, tmp_path):
    """A liver with a hole, a spleen without contours, and an unknown structure that leaves the CT."""
    affine = a_torso.ijk_to_ras
    liver = box_contours(affine, range(4, 10), (5, 14), (8, 20)) + box_contours(affine, [6], (8, 10), (10, 12))
    gtv = box_contours(affine, [2, 3], (10, 20), (40, 55))
    return write_rtstruct(tmp_path / "rs.dcm", {"Liver": liver, "Spleen": [], "GTV 1": gtv})


def expected_liver(shape) -> np.ndarray:
    liver = np.zeros(shape, bool)
    liver[4:10, 5:15, 8:21] = True
    liver[6, 8:11, 10:13] = False
    return liver


def test_contours_are_filled_with_their_holes_on_a_dicom_ct(a_torso, a_rtstruct, write_series, tmp_path):
    series = write_series(tmp_path / "ct", a_torso.hu, a_torso.ijk_to_ras)
    a_rtstruct.rename(tmp_path / "ct" / "rs")
    ct = read_ct(tmp_path / "ct")
    assert ct.warnings == []
    seg = read_segmentation(tmp_path / "ct", ct)
    assert [(s.id, s.name, s.structure) for s in seg] == [
        ("1", "Liver", "liver"), ("2", "Spleen", "spleen"), ("3", "GTV 1", None),
    ]  # fmt: skip
    assert seg["1"].color == pytest.approx((1, 0, 0.2))
    assert np.array_equal(whole(seg["1"], ct.hu.shape), expected_liver(ct.hu.shape))
    assert seg["2"].is_empty
    assert len(seg.warnings) == 1
    assert "50.0 % of segment 'GTV 1' lies outside the CT" in seg.warnings[0]
    assert len(series) == 20


def test_contours_keep_their_slices_where_slices_of_the_ct_are_missing(a_torso, a_rtstruct, write_series, tmp_path):
    series = write_series(tmp_path / "ct", a_torso.hu, a_torso.ijk_to_ras)
    for k in (7, 8, 13):
        series[k].unlink()
    ct = read_ct(tmp_path / "ct")
    seg = read_segmentation(a_rtstruct, ct)
    assert np.array_equal(whole(seg["1"], ct.hu.shape), np.delete(expected_liver(a_torso.hu.shape), (7, 8, 13), axis=0))
    assert "contours on 2 planes lie between the CT's slices and were left out" in seg.warnings[0]


@pytest.mark.parametrize("permutation", [(0, 1, 2), (2, 1, 0)])
def test_contours_land_on_a_converted_ct_in_any_axis_order(a_torso, a_rtstruct, write_volume, tmp_path, permutation):
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3)[[2 - p for p in permutation[::-1]]].T
    path = write_volume(tmp_path / "ct.nii.gz", np.transpose(a_torso.hu, permutation), a_torso.ijk_to_ras @ matrix)
    ct = read_ct(path)
    assert np.array_equal(ct.hu, a_torso.hu)
    seg = read_segmentation(a_rtstruct, ct)
    assert np.array_equal(whole(seg["1"], ct.hu.shape), expected_liver(ct.hu.shape))


def test_contours_serve_for_the_slices_of_a_finer_ct(a_torso, a_rtstruct, write_volume, tmp_path):
    affine = a_torso.ijk_to_ras @ np.diag([1, 1, 0.5, 1])
    ct = read_ct(write_volume(tmp_path / "ct.nii.gz", a_torso.hu.repeat(2, axis=0), affine))
    seg = read_segmentation(a_rtstruct, ct)
    mask = whole(seg["1"], ct.hu.shape)
    assert np.array_equal(mask[::2], expected_liver(a_torso.hu.shape))
    assert np.array_equal(mask[9:19:2], mask[8:18:2])
    assert "do not lie on every slice of the CT" in seg.warnings[0]


@pytest.mark.parametrize("keyword", ["StructureSetROISequence", "ContourData", "ROINumber"])
def test_a_damaged_rtstruct_is_refused_in_one_line(capfd, a_ct, a_rtstruct, keyword):
    dataset = pydicom.dcmread(a_rtstruct)
    if keyword == "ContourData":
        dataset.ROIContourSequence[0].ContourSequence[0].ContourData = ["1", "2", "3", "4"]
    else:
        del (dataset if keyword in dataset else dataset.StructureSetROISequence[0])[keyword]
    dataset.save_as(a_rtstruct)
    with pytest.raises(InputError, match=r"rs\.dcm: the RTSTRUCT is damaged or incomplete"):
        read_segmentation(a_rtstruct, a_ct)
    assert capfd.readouterr().err == ""
