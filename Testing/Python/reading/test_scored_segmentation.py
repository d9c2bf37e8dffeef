"""The scored ``.seg.nrrd``: what is written, is read again, by us and by Slicer."""

from __future__ import annotations

import gzip

import numpy as np
import pytest

from QualitySentinelLib.colors import dsc_color
from QualitySentinelLib.errors import InputError
from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.report.scored_segmentation import write_scored_segmentation
from QualitySentinelLib.scores import CaseScore, SegmentScore, Status
from QualitySentinelLib.volume import Segment, Segmentation
from QualitySentinelLib.volume.segmentation import segment_from_mask

TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^123037004^Anatomical Structure"
    "~SCT^10200004^Liver~^^~Anatomic codes - DICOM master list~^^~^^"
)


@pytest.fixture(params=["canonical", "flipped", "sagittal"])
def a_scored_case(request, a_torso, write_volume, tmp_path):
    """CT, segmentation with an overlap, hard names and an empty segment, and its scores."""
    hu, affine = a_torso.hu, a_torso.ijk_to_ras
    if request.param == "flipped":
        hu, affine = hu[::-1, :, ::-1], affine @ np.array([[-1, 0, 0, 47], [0, 1, 0, 0], [0, 0, -1, 19], [0, 0, 0, 1]])
    if request.param == "sagittal":
        hu = np.transpose(hu, (2, 0, 1))
        affine = affine @ np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    ct = read_ct(write_volume(tmp_path / "ct.nii.gz", hu, affine))
    liver = a_torso.labels == 1
    tumour = np.zeros_like(liver)
    tumour[8:11, 14:18, 12:16] = True
    dot = np.zeros_like(liver)
    dot[0, 0, 0] = True
    segments = [
        segment_from_mask(liver, id="liver", name="liver", tags={"TerminologyEntry": TERMINOLOGY}, structure="liver"),
        segment_from_mask(tumour, id="liver_2", name="Läsion, 'S4'/S5 \\ a|b\nzwei", color=(0.1, 0.2, 0.3)),
        segment_from_mask(dot, id="dot", name="liver"),
        Segment(id="none", name="empty one"),
    ]
    scores = [
        SegmentScore("liver", "liver", "liver", Status.SCORED, predicted_dsc=0.912345),
        SegmentScore("dot", "liver", None, Status.UNKNOWN_STRUCTURE, predicted_dsc=0.3),
        SegmentScore("none", "empty one", None, Status.EMPTY),
    ]
    return ct, Segmentation(segments, ct.frame, "seg"), CaseScore(scores, 0.8)


def assert_same(read: Segmentation, written: Segmentation) -> None:
    assert [s.id for s in read] == [s.id for s in written]
    assert [s.name for s in read] == [s.name for s in written]
    assert [s.box for s in read] == [s.box for s in written]
    for one, other in zip(read, written, strict=True):
        assert one.is_empty or np.array_equal(one.voxels(), other.voxels())


def test_it_is_read_again_as_it_was_written(a_scored_case, tmp_path):
    ct, segmentation, scores = a_scored_case
    path = write_scored_segmentation(tmp_path / "scored.seg.nrrd", segmentation, scores)
    again = read_segmentation(path, ct)
    assert_same(again, segmentation)
    assert again.warnings == []
    assert again["liver"].structure == "liver"


def test_scores_are_tags_and_colors_and_the_terminology_is_kept(a_scored_case, tmp_path):
    ct, segmentation, scores = a_scored_case
    again = read_segmentation(write_scored_segmentation(tmp_path / "s.seg.nrrd", segmentation, scores), ct)
    liver, tumour, dot, empty = again
    assert liver.tags["TerminologyEntry"] == TERMINOLOGY
    assert liver.tags["QualitySentinel.PredictedDSC"] == "0.9123"
    assert liver.tags["QualitySentinel.Status"] == "scored"
    assert liver.color == pytest.approx(dsc_color(0.912345), abs=1e-5)
    assert tumour.color == (0.1, 0.2, 0.3)  # it has no score
    assert dot.tags["QualitySentinel.Status"] == "unknown structure"
    assert "QualitySentinel.PredictedDSC" not in empty.tags


def test_segments_share_a_layer_unless_they_overlap(a_scored_case, tmp_path):
    _, segmentation, scores = a_scored_case
    header = write_scored_segmentation(tmp_path / "s.seg.nrrd", segmentation, scores).read_bytes().split(b"\n\n")[0]
    layers = [line.split(b":=")[1] for line in header.splitlines() if b"_Layer:=" in line]
    assert layers == [b"0", b"1", b"0", b"0"]


def test_many_segments_fit(a_torso, a_ct, tmp_path):
    segments = []
    for number in range(300):
        mask = np.zeros(a_torso.hu.shape, bool)
        mask.flat[number * 3] = True
        segments.append(segment_from_mask(mask, id=str(number), name=f"n{number}"))
    segmentation = Segmentation(segments, a_ct.frame)
    path = write_scored_segmentation(tmp_path / "s.seg.nrrd", segmentation, CaseScore([], 0.8))
    assert_same(read_segmentation(path, a_ct), segmentation)


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(a_scored_case, tmp_path):
    _, segmentation, scores = a_scored_case
    (tmp_path / "out").write_text("a file where a folder should be")
    with pytest.raises(InputError, match="out"):
        write_scored_segmentation(tmp_path / "out" / "s.seg.nrrd", segmentation, scores)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["ct.nii.gz", "out"]


@pytest.fixture(scope="module")
def slicer_scene():
    """A MRML scene of the real Slicer libraries."""
    core = pytest.importorskip("trame_slicer.core", reason="needs slicer-core and trame-slicer")
    return core.SlicerApp().scene


def slicer_node(scene, path):
    import slicer

    node, storage = slicer.vtkMRMLSegmentationNode(), slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(node)
    scene.AddNode(storage)
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def test_slicer_opens_it(a_scored_case, slicer_scene, tmp_path):
    import vtk

    _, segmentation, scores = a_scored_case
    path = write_scored_segmentation(tmp_path / "scored.seg.nrrd", segmentation, scores)
    slicer_segmentation = slicer_node(slicer_scene, path).GetSegmentation()
    assert slicer_segmentation.GetNumberOfSegments() == 4
    assert slicer_segmentation.GetNumberOfLayers() == 2
    for number, segment in enumerate(segmentation):
        assert slicer_segmentation.GetNthSegmentID(number) == segment.id
        assert slicer_segmentation.GetNthSegment(number).GetName() == segment.name
    dsc = vtk.reference("")
    assert slicer_segmentation.GetNthSegment(0).GetTag("QualitySentinel.PredictedDSC", dsc)
    assert dsc.get() == "0.9123"


def test_what_slicer_saves_from_it_is_read_on_the_same_grid(a_scored_case, slicer_scene, tmp_path):
    """Slicer crops to the segments, orders fields its own way and keeps layers."""
    import slicer

    ct, segmentation, scores = a_scored_case
    node = slicer_node(slicer_scene, write_scored_segmentation(tmp_path / "scored.seg.nrrd", segmentation, scores))
    storage = slicer.vtkMRMLSegmentationStorageNode()
    slicer_scene.AddNode(storage)
    storage.SetFileName(str(tmp_path / "saved.seg.nrrd"))
    storage.SetCropToMinimumExtent(True)
    assert storage.WriteData(node)
    again = read_segmentation(tmp_path / "saved.seg.nrrd", ct)
    assert_same(again, segmentation)
    assert again["liver"].tags["QualitySentinel.PredictedDSC"] == "0.9123"


def test_a_segmentation_of_old_slicer_has_a_layer_for_each_segment(a_torso, a_ct, tmp_path):
    """Before Slicer 4.11: 4D, no Layer and no LabelValue, colors and ids only."""
    masks = np.stack([a_torso.labels == 1, a_torso.labels > 0], axis=-1).astype(np.uint8)
    header = "\n".join(
        [
            "NRRD0004", "type: unsigned char", "dimension: 4", "space: left-posterior-superior", "sizes: 2 48 32 20",
            "space directions: none (6,0,0) (0,6,0) (0,0,5)", "kinds: list domain domain domain", "encoding: gzip",
            "space origin: (-141,-93,-100)", "Segment0_ID:=Segment_1", "Segment0_Name:=liver", "Segment0_Color:=1 0 0",
            "Segment1_ID:=Segment_1", "Segment1_Name:=liver", "Segment1_Color:=no color",
        ]
    )  # fmt: skip
    (tmp_path / "old.seg.nrrd").write_bytes(header.encode() + b"\n\n" + gzip.compress(masks.tobytes()))
    seg = read_segmentation(tmp_path / "old.seg.nrrd", a_ct)
    assert [(s.id, s.name, s.color) for s in seg] == [
        ("Segment_1", "liver", (1.0, 0.0, 0.0)), ("Segment_1_2", "liver", None),
    ]  # fmt: skip
    assert seg["Segment_1"].areas.sum() == (a_torso.labels == 1).sum()
    assert seg["Segment_1_2"].areas.sum() == (a_torso.labels > 0).sum()


@pytest.mark.parametrize("line", ["Segment0_Layer:=7", "Segment0_LabelValue:=many"])
def test_a_damaged_header_is_refused(a_ct, tmp_path, line):
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\nsizes: 2 2 2\n"
        "space directions: (6,0,0) (0,6,0) (0,0,5)\nkinds: domain domain domain\nencoding: raw\n"
        f"space origin: (-141,-93,-100)\nSegment0_ID:=a\n{line}\n\n"
    )
    (tmp_path / "bad.seg.nrrd").write_bytes(header.encode() + bytes(8))
    with pytest.raises(InputError, match=r"bad\.seg\.nrrd"):
        read_segmentation(tmp_path / "bad.seg.nrrd", a_ct)


def test_an_endless_segment_number_is_no_segment(a_torso, a_ct, tmp_path):
    header = (
        f"NRRD0004\ntype: unsigned char\ndimension: 3\nspace: left-posterior-superior\nsizes: 48 32 20\n"
        "space directions: (6,0,0) (0,6,0) (0,0,5)\nkinds: domain domain domain\nencoding: raw\n"
        f"space origin: (-141,-93,-100)\nSegment{'9' * 5000}_ID:=a\n\n"
    )
    (tmp_path / "odd.seg.nrrd").write_bytes(header.encode() + a_torso.labels.tobytes())
    assert [s.id for s in read_segmentation(tmp_path / "odd.seg.nrrd", a_ct)] == ["1", "2"]
