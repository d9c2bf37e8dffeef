"""A scored case for the report, and a browser without a network to open it in."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace

import numpy as np
import pytest

from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, aggregate, flag
from QualitySentinelLib.volume import AxialFrame, CtVolume, Segment, Segmentation
from QualitySentinelLib.volume.segmentation import boxes_of_labels

HOSTILE_NAME = '"><script>window.hacked = 1</script><img src=x onerror="window.hacked = 1">\n{{ 7 * 7 }}'
CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()


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
    aggregate(score, calibration={"segment_halfwidth": 0.05})
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
        model={"name": "small", "sha256": "0123456789abcdef" * 4},
        device="cpu",
        seconds=75.0,
        warnings=["the CT was offset by 1024 & corrected"],
    )
    flag(case)
    ct = CtVolume(a_torso.hu, frame, "/home/somebody/a <b>case.nii.gz")
    return ScoredCase(case, ct, Segmentation([liver, spleen, odd, empty], frame, "C:\\masks\\seg.nii.gz"))


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright to look at pages")
    chromium = next((p for p in map(shutil.which, ("chromium", "chromium-browser", "google-chrome")) if p), None)
    if chromium is None:
        pytest.skip("needs Chromium to look at pages, and there is none on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
