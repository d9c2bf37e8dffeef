"""A scored case for the report, and a browser without a network to open it in."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, aggregate, flag
from QualitySentinelLib.volume import AxialFrame, CtVolume, Segment, Segmentation
from QualitySentinelLib.volume.segmentation import boxes_of_labels, segment_from_mask

HOSTILE_NAME = '"><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">\n{{ 7 * 7 }}'
CALIBRATION = {
    "coverage": 0.9,
    "slice": {"predicted": [0.0, 1.0], "low": [0.0, 0.9], "high": [0.2, 1.0]},
    "segment": {"aggregated": [0.0, 1.0], "dsc": [0.0, 1.0], "low": [0.0, 0.9], "high": [0.1, 1.0]},
    "missed": {"threshold": 0.4, "reach_mm": 10.0},
}


@dataclass
class ScoredCase:
    score: CaseScore
    ct: CtVolume
    segmentation: Segmentation


def scored(segment, frame, dsc, status=Status.SCORED):
    """A segment's score with one predicted DSC per occupied slice."""
    slices = [
        SliceScore(segment.id, int(k), frame.file_slice(k), frame.position_mm(k), float(d), float(d),
                   float(segment.areas[k - segment.box[0].start]), segment.slice_digest(k))
        for k, d in zip(segment.occupied_slices(), dsc, strict=True)
    ]  # fmt: skip
    score = SegmentScore(segment.id, segment.name, segment.structure, status, len(slices), slices=slices)
    aggregate(score, calibration=CALIBRATION)
    return score


@pytest.fixture
def a_scored_case(a_torso):
    """Liver (some slices poor), spleen (good), a part of the liver with a hostile name (poor), and an empty segment."""
    frame = AxialFrame.from_affine(a_torso.ijk_to_ras, a_torso.hu.shape)
    boxes = boxes_of_labels(a_torso.labels, a_torso.names)
    liver, spleen = (
        Segment(str(v), n, boxes[v], a_torso.labels[boxes[v]], v, structure=n) for v, n in a_torso.names.items()
    )
    odd = replace(liver, id="3", name=HOSTILE_NAME, structure=None)
    empty = Segment("4", "gallbladder", structure="gallbladder")
    n_liver, n_spleen = len(liver.occupied_slices()), len(spleen.occupied_slices())
    liver_dsc = np.full(n_liver, 0.9)
    liver_dsc[[0, n_liver // 2, -1]] = 0.3, 0.5, 0.4
    case = CaseScore(
        [
            scored(liver, frame, liver_dsc),
            scored(spleen, frame, np.full(n_spleen, 0.95)),
            scored(odd, frame, np.full(n_liver, 0.2), Status.UNKNOWN_STRUCTURE),
            SegmentScore("4", "gallbladder", "gallbladder", Status.EMPTY),
        ],
        threshold=0.8,
        model={
            "name": "small",
            "sha256": "0123456789abcdef" * 4,
            "calibration": {"coverage": 0.9},
            "backend": "openvino",
            "precision": "float32",
        },
        device="cpu",
        seconds=75.0,
        warnings=["the CT was offset by 1024 & corrected"],
    )
    flag(case)
    ct = CtVolume(a_torso.hu, frame, "/home/somebody/a <b>case.nii.gz")
    return ScoredCase(case, ct, Segmentation([liver, spleen, odd, empty], frame, "C:\\masks\\seg.nii.gz"))


@pytest.fixture
def a_case_with_missed_slices(a_scored_case):
    """As before, but the mask of the spleen lacks a slice inside and one at its lower end; the CT goes on there."""
    ct, segmentation = a_scored_case.ct, a_scored_case.segmentation
    spleen = segmentation["2"]
    inner = int(spleen.occupied_slices()[4])
    mask = spleen.voxels().copy()
    mask[inner - spleen.box[0].start] = False
    corner = tuple(side.start for side in spleen.box)
    segmentation.segments[1] = spleen = segment_from_mask(
        mask, corner, id="2", name="spleen", structure="spleen", color=spleen.color
    )
    score = scored(spleen, ct.frame, np.full(len(spleen.occupied_slices()), 0.95))
    end = int(spleen.occupied_slices()[0])
    for k, near, dsc in ((end - 1, end, 0.3), (inner, inner - 1, 0.1), (end - 2, end, 0.9)):
        score.empty_slices.append(
            SliceScore(
                "2", k, ct.frame.file_slice(k), ct.frame.position_mm(k), dsc, dsc, 100.0, "", nearest_k=near,
                inner=k == inner,
            )
        )  # fmt: skip
    aggregate(score, calibration=CALIBRATION)
    a_scored_case.score.segments[1] = score
    return a_scored_case
