"""The same case gives the same scores however its voxels are stored."""

import itertools

import nibabel
import numpy as np
import pytest

from QualitySentinelLib.reading import read_ct, read_segmentation
from QualitySentinelLib.scorer import Scorer

FLIPS = ["".join(code) for code in itertools.product("RL", "AP", "SI")]
TURNED = ["PSR", "ASL", "LIP", "RSA", "IPR"]  # sagittal, coronal and other axis orders


@pytest.fixture
def scores_of(a_case_on_disk, a_small_model, tmp_path):
    """Scores of the synthetic case stored with its axes running in the directions of ``code``, e.g. ``LPS``."""

    def scores(code):
        paths = []
        for path in (a_case_on_disk.ct, a_case_on_disk.seg):
            image = nibabel.load(path)
            turn = nibabel.orientations.ornt_transform(
                nibabel.io_orientation(image.affine), nibabel.orientations.axcodes2ornt(code)
            )
            paths.append(tmp_path / f"{code}_{path.name}")
            nibabel.save(image.as_reoriented(turn), paths[-1])
        ct = read_ct(paths[0])
        segmentation = read_segmentation(paths[1], ct, names=str(a_case_on_disk.names))
        return Scorer(a_small_model, device="cpu").score(ct, segmentation), nibabel.load(paths[1])

    return scores


@pytest.mark.parametrize("code", FLIPS + TURNED)
def test_scores_do_not_depend_on_the_orientation_of_the_file(scores_of, code):
    expected, _ = scores_of("LPS")
    case, image = scores_of(code)
    labels = np.asarray(image.dataobj)
    axis = next(a for a, letter in enumerate(code) if letter in "SI")
    for a, b in zip(expected.segments, case.segments, strict=True):
        assert a.predicted_dsc == pytest.approx(b.predicted_dsc, abs=1e-6)
        by_position = {round(s.position_mm, 3): s.raw for s in a.slices}
        assert len(by_position) == len(b.slices)
        for s in b.slices:
            assert s.raw == pytest.approx(by_position[round(s.position_mm, 3)], abs=1e-5)
            in_file = np.count_nonzero(np.take(labels, s.slice_index, axis=axis) == int(b.segment_id))
            assert s.area_mm2 == pytest.approx(in_file * 36.0)
