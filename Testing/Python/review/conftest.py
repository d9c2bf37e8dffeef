"""A case under review, and how it changes when somebody edits a mask and it is scored again."""

from __future__ import annotations

import copy
import random

import pytest

from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.scores import CaseScore, SegmentScore, SliceScore, Status, aggregate, flag

MODEL = {"name": "compact", "sha256": "ab" * 32}


def segment_of(segment_id, dsc_by_k, empty_by_k=None, name=None, n_slices=None):
    """A scored segment: predicted DSC of its slices by k, and of its empty ones (below 0.5: missed)."""
    name = name or segment_id
    segment = SegmentScore(
        segment_id,
        name,
        name,
        Status.SCORED if dsc_by_k else Status.EMPTY,
        n_slices=len(dsc_by_k) if n_slices is None else n_slices,
        slices=[_masked(segment_id, k, dsc, f"{segment_id}{k}") for k, dsc in dsc_by_k.items()],
        empty_slices=[_empty(segment_id, k, dsc) for k, dsc in (empty_by_k or {}).items()],
    )
    aggregate(segment)
    return segment


def _masked(segment_id, k, dsc, digest):
    return SliceScore(segment_id, k, 99 - k, -50.0 + 2.5 * k, dsc, dsc, 100.0, digest)


def _empty(segment_id, k, dsc):
    return SliceScore(segment_id, k, 99 - k, -50.0 + 2.5 * k, dsc, dsc, 100.0, f"near{k - 1}+1", nearest_k=k - 1)


def case_of(*segments, threshold=0.8):
    """A case of these segments, flagged."""
    case = CaseScore(list(segments), threshold, dict(MODEL), "cpu", 1.0)
    flag(case)
    return case


def edited_case(case, segment_id, painted=None, erased=()):
    """The case after an edit and another scoring: slices with a new mask and their DSC; slices without any now."""
    case = copy.deepcopy(case)
    segment = case[segment_id]
    gone = {*(painted or {}), *erased}
    segment.slices = [s for s in segment.slices if s.k not in gone]
    segment.empty_slices = [s for s in segment.empty_slices if s.k not in gone]
    segment.slices += [_masked(segment_id, k, dsc, f"edited{random.random()}") for k, dsc in (painted or {}).items()]
    segment.slices.sort(key=lambda s: s.k)
    segment.n_slices = len(segment.slices)
    segment.status = Status.SCORED if segment.slices else Status.EMPTY
    aggregate(segment)
    flag(case)
    return case


@pytest.fixture
def edited():
    return edited_case


@pytest.fixture
def make_case():
    return case_of


@pytest.fixture
def make_segment():
    return segment_of


@pytest.fixture
def a_case():
    """Threshold 0.8. Worst first: spleen (3 flagged of 4), liver (2 flagged of 5, 1 missed), aorta (fine), gone."""
    return case_of(
        segment_of("aorta", {10: 0.95, 11: 0.93}),
        segment_of("liver", {20: 0.7, 21: 0.9, 22: 0.92, 23: 0.6, 24: 0.95}, {25: 0.2, 26: 0.9}),
        segment_of("gone", {}),
        segment_of("spleen", {5: 0.5, 6: 0.4, 7: 0.85, 8: 0.6}),
    )


@pytest.fixture
def a_session(a_case):
    """A review of the case, nothing done yet."""
    return ReviewSession(a_case)


@pytest.fixture
def heard(a_session):
    """The events of the session from now on."""
    events = []
    a_session.observe(events.append)
    return events
