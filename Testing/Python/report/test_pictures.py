from __future__ import annotations

import base64
import io
import time

import numpy as np
import pytest
from PIL import Image

from QualitySentinelLib.report import write_html_report
from QualitySentinelLib.report.drawing import MISSED_COLOR
from QualitySentinelLib.report.overview import overview_pictures
from QualitySentinelLib.report.plot import dsc_strip
from QualitySentinelLib.report.slice_picture import slice_picture
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, dsc_color, flag
from QualitySentinelLib.suggestions import ErrorMap
from QualitySentinelLib.volume import AxialFrame, CtVolume, Segment, Segmentation
from QualitySentinelLib.volume.segmentation import boxes_of_labels, segment_from_mask


def decoded(uri):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.split(",")[1])))).astype(int)


def a_ct(shape=(12, 100, 100), spacing=(5.0, 1.0, 1.0)):
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    return CtVolume(np.full(shape, 40, np.int16), AxialFrame.from_affine(affine, shape))


def cyan(picture):
    return (picture[..., 2] > 150) & (picture[..., 2] - picture[..., 0] > 60)


def a_box(shape, *ranges):
    mask = np.zeros(shape, bool)
    mask[tuple(slice(*r) for r in ranges)] = True
    return mask


def test_the_contour_runs_along_the_masks_edge_and_nowhere_else():
    ct = a_ct()
    segment = segment_from_mask(a_box(ct.hu.shape, (3, 5), (30, 70), (40, 60)), id="1", name="liver")
    rows, columns = np.nonzero(cyan(decoded(slice_picture(ct, segment, 4).uri)))
    px_per_mm = 360 / 90  # 40 mm and 25 mm on either side
    assert np.ptp(rows) == pytest.approx(40 * px_per_mm, abs=5)
    assert np.ptp(columns) == pytest.approx(20 * px_per_mm, abs=5)
    assert rows.mean() == pytest.approx(180, abs=3)


def test_pixels_that_are_not_square_are_shown_in_true_proportion():
    ct = a_ct((4, 50, 100), (5.0, 2.0, 1.0))
    segment = segment_from_mask(a_box(ct.hu.shape, (1, 2), (15, 35), (30, 70)), id="1", name="liver")  # 40 x 40 mm
    rows, columns = np.nonzero(cyan(decoded(slice_picture(ct, segment, 1).uri)))
    assert np.ptp(rows) == pytest.approx(np.ptp(columns), abs=4)


def test_the_patients_right_is_on_the_left_of_the_picture():
    ct = a_ct()
    ct.hu[:, :, :50] = 1000  # canonical columns run from right to left: this is the patient's right
    segment = segment_from_mask(a_box(ct.hu.shape, (3, 5), (40, 60), (40, 60)), id="1", name="liver")
    picture = decoded(slice_picture(ct, segment, 4).uri)
    assert picture[100:140, 30:100].mean() > 220 > picture[100:140, 260:330].mean()


@pytest.mark.parametrize(
    "ranges", [((0, 12), (0, 100), (0, 100)), ((0, 1), (0, 1), (99, 100)), ((11, 12), (99, 100), (0, 60))]
)
def test_masks_at_the_borders_and_single_voxels_are_drawn(ranges):
    ct = a_ct()
    segment = segment_from_mask(a_box(ct.hu.shape, *ranges), id="1", name="liver")
    assert cyan(decoded(slice_picture(ct, segment, ranges[0][0]).uri)).sum() > 8


def test_a_slice_without_the_mask_has_no_picture():
    ct = a_ct()
    mask = a_box(ct.hu.shape, (3, 8), (30, 70), (40, 60))
    mask[5] = False
    with pytest.raises(ValueError, match="slice 5"):
        slice_picture(ct, segment_from_mask(mask, id="1", name="liver"), 5)


def test_a_missed_slice_is_shown_with_the_nearest_slices_mask_dashed_in_another_color():
    ct = a_ct()
    ct.hu[5, 45:55, 45:55] = 200
    mask = a_box(ct.hu.shape, (3, 8), (30, 70), (40, 60))
    mask[5] = False
    segment = segment_from_mask(mask, id="1", name="liver")
    missed = decoded(slice_picture(ct, segment, 5, mask_from=4).uri)
    assert missed[180, 180].min() > 200  # the CT of slice 5, not of slice 4
    assert (missed[..., 1] - missed[..., 0]).max() < 60  # nothing is cyan
    violet = (missed[..., 2] - missed[..., 1] > 40) & (missed[..., 0] - missed[..., 1] > 15)
    whole = cyan(decoded(slice_picture(ct, segment, 4).uri))
    assert np.ptp(np.nonzero(violet)[0]) == pytest.approx(np.ptp(np.nonzero(whole)[0]), abs=14)
    left = violet[:, violet[:, :180].sum(axis=0).argmax()]
    assert np.count_nonzero(np.diff(left.astype(int)) == 1) > 5  # dashes along the left side


def pink(picture):
    """Where a picture (int ``[height, width, 3]``) has the color of the expected contour."""
    return (picture[..., 0] - picture[..., 1] > 45) & (picture[..., 2] - picture[..., 1] > 30)


def test_the_expected_contour_is_dashed_in_pink_where_it_is_not_the_masks():
    ct = a_ct()
    segment = segment_from_mask(a_box(ct.hu.shape, (3, 5), (30, 70), (40, 60)), id="1", name="liver")
    mask = np.ones((40, 20), bool)
    upper_half_is_wrong = np.zeros(mask.shape, np.float32)
    upper_half_is_wrong[:20] = 0.9
    nothing = np.zeros(mask.shape, np.float32)
    errors = ErrorMap(4, (30, 40), mask, upper_half_is_wrong, nothing)
    picture = decoded(slice_picture(ct, segment, 4, errors=errors).uri)
    assert cyan(picture).sum() > 100  # the mask's own contour stays
    rows = np.nonzero(pink(picture))[0]
    assert rows.size > 60 and rows.min() > 165 and rows.max() < 300  # the lower half, 90 mm shown in 360 pixels
    right = ErrorMap(4, (30, 40), mask, nothing, nothing)
    assert pink(decoded(slice_picture(ct, segment, 4, errors=right).uri)).sum() == 0


def test_a_missed_slice_shows_what_is_expected_in_it_instead_of_the_nearest_mask():
    ct = a_ct()
    mask = a_box(ct.hu.shape, (3, 8), (30, 70), (40, 60))
    mask[5] = False
    segment = segment_from_mask(mask, id="1", name="liver")
    missing = np.full((10, 10), 0.8, np.float32)
    errors = ErrorMap(5, (45, 45), np.zeros((10, 10), bool), np.zeros((10, 10), np.float32), missing)
    rows = np.nonzero(pink(decoded(slice_picture(ct, segment, 5, mask_from=4, errors=errors).uri)))[0]
    assert 0 < np.ptp(rows) < 60  # 10 mm, not the 40 mm of the nearest mask


def test_the_overview_has_true_proportions_superior_on_top_and_the_dsc_colors():
    ct = a_ct((20, 60, 100), (5.0, 1.0, 1.0))
    segment = segment_from_mask(a_box(ct.hu.shape, (10, 20), (20, 40), (20, 80)), id="1", name="liver")
    case = CaseScore([SegmentScore("1", "liver", "liver", Status.SCORED, 10, predicted_dsc=0.2)], 0.8)
    coronal, sagittal = overview_pictures(case, ct, Segmentation([segment], ct.frame), {"1": 1})
    assert (coronal.plane, sagittal.plane) == ("Coronal", "Sagittal")
    assert coronal.height / coronal.width == pytest.approx(1.0, abs=0.01)
    assert sagittal.height / sagittal.width == pytest.approx(100 / 60, abs=0.03)
    assert coronal.ranks == (1,)
    picture = decoded(coronal.uris["red-yellow-green"])
    red = picture[..., 0] - picture[..., 1] > 30
    height = picture.shape[0]
    assert red[: height // 2].sum() > 10 * red[height // 2 + 8 :].sum()


def test_a_brain_that_the_brain_window_would_show_black_is_shown_in_a_wider_one():
    ct = a_ct()
    segment = segment_from_mask(a_box(ct.hu.shape, (3, 5), (30, 70), (40, 60)), id="1", name="brain")
    assert slice_picture(ct, segment, 4).window.name == "brain"
    ct.hu[:] = -60
    dark = slice_picture(ct, segment, 4)
    assert dark.window.name == "soft tissue"
    assert decoded(dark.uri)[150, 150].min() > 40
    ct.hu[:] = 5000
    assert 60 < decoded(slice_picture(ct, segment, 4).uri)[150, 150].max() < 200


def test_a_thin_stack_is_shown_in_an_axial_plane_and_numbers_do_not_cover_each_other():
    ct = a_ct((6, 100, 100), (3.0, 1.0, 1.0))
    boxes = [(20, 40), (41, 61)], [(20, 40), (62, 64)], [(70, 90), (20, 40)]
    segments = [
        segment_from_mask(a_box(ct.hu.shape, (1, 4), *box), id=str(n), name=f"s{n}") for n, box in enumerate(boxes, 1)
    ]
    scores = [SegmentScore(s.id, s.name, None, Status.SCORED, 3, predicted_dsc=0.1 * int(s.id)) for s in segments]
    ranks = {s.id: int(s.id) for s in segments}
    (axial,) = overview_pictures(CaseScore(scores, 0.8), ct, Segmentation(segments, ct.frame), ranks)
    assert axial.plane == "Axial" and (axial.width, axial.height) == (450, 450)
    assert axial.ranks == (1, 2, 3)
    red = decoded(axial.uris["red-yellow-green"])
    safe = decoded(axial.uris["color-blind-safe"])
    assert red[330, 115, 0] - red[330, 115, 1] > 30 > safe[330, 115, 0] - safe[330, 115, 1]
    for n, left in enumerate((48, 52)):
        mask = a_box(ct.hu.shape, (1, 4), (28, 32), (left, left + 4))
        segments[n] = segment_from_mask(mask, id=segments[n].id, name=segments[n].name)
    (axial,) = overview_pictures(CaseScore(scores, 0.8), ct, Segmentation(segments, ct.frame), ranks)
    assert axial.ranks == (1, 3)


def test_the_overview_of_a_case_without_masks_is_the_ct_alone():
    ct = a_ct()
    pictures = overview_pictures(CaseScore([], 0.8), ct, Segmentation([], ct.frame), {})
    assert len(pictures) == 2
    assert pictures[0].ranks == ()


def test_the_strip_has_one_pixel_per_slice_inferior_first_and_gaps_where_nothing_was_scored():
    slices = [SliceScore("1", k, k, float(k), d, d, 1.0, "") for k, d in ((8, 0.95), (5, 0.1))]
    pixels = decoded(dsc_strip(SegmentScore("1", "a", None, Status.SCORED, 4, slices=slices)))
    assert pixels.shape == (1, 4, 4)
    assert pixels[0, :, 3].tolist() == [255, 0, 0, 255]
    assert pixels[0, 0, :3] == pytest.approx([255 * c for c in dsc_color(0.1)], abs=1)


def test_missed_slices_fill_the_lower_half_of_the_strip_in_a_color_of_their_own():
    segment = SegmentScore("1", "a", None, Status.SCORED, 1, slices=[SliceScore("1", 5, 5, 5.0, 0.9, 0.9, 1.0, "")])
    segment.empty_slices = [
        SliceScore("1", k, k, float(k), 0.1, 0.1, 1.0, "", nearest_k=5, missed=k == 6) for k in (4, 6)
    ]
    pixels = decoded(dsc_strip(segment))
    assert pixels[..., 3].tolist() == [[255, 0], [255, 255]]
    assert pixels[1, 1, :3] == pytest.approx([255 * c for c in MISSED_COLOR], abs=1)


def test_a_page_of_sixty_structures_is_small_and_takes_seconds_and_little_memory(tmp_path):
    resource = pytest.importorskip("resource", reason="memory is measured the Unix way")
    shape = (112, 256, 256)
    ct = a_ct(shape, (3.0, 1.5, 1.5))
    ct.hu[:] = np.random.default_rng(0).normal(40, 30, shape)
    labels = np.zeros(shape, np.uint8)
    for n in range(60):
        row, column = 20 + 28 * (n // 8), 16 + 28 * (n % 8)
        labels[:, row : row + 22, column : column + 22] = n + 1
    boxes = boxes_of_labels(labels, range(1, 61))
    segmentation = Segmentation([Segment(str(v), f"s{v}", b, labels[b], v) for v, b in boxes.items()], ct.frame)
    case = CaseScore(
        [
            SegmentScore(
                s.id, s.name, None, Status.SCORED, 112, 0.5,
                slices=[SliceScore(s.id, k, k, ct.frame.position_mm(k), 0.5, 0.5, 99.0, "") for k in range(112)],
            )
            for s in segmentation
        ],
        0.8,
    )  # fmt: skip
    flag(case)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    path = write_html_report(tmp_path / "report.html", case, ct, segmentation)
    assert time.process_time() - started < 20
    assert path.stat().st_size < 6e6
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024  # KiB on Linux
