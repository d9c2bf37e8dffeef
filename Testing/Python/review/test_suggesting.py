"""What a reader does with suggestions, on the page and in the panel alike."""

from __future__ import annotations

import numpy as np
import pytest

from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.review.cases import copied
from QualitySentinelLib.review.suggesting import SuggestionPresenter
from QualitySentinelLib.suggestions import Drawing, Drawings, Kind, changed_segment
from QualitySentinelLib.volume.segmentation import segment_from_mask

from .conftest import case_of, segment_of

SHAPE, SPACING = (30, 20, 20), (2.0, 1.0, 1.0)
ROWS = slice(6, 14)
"""Rows and columns of every mask."""


class Reader:
    """A review of a liver in slices 4 to 9, all flagged but the last, and of a spleen that is fine."""

    def __init__(self) -> None:
        mask = np.zeros(SHAPE, bool)
        mask[4:10, ROWS, ROWS] = True
        self.masks = {n: segment_from_mask(mask, id=n, name=n) for n in ("liver", "spleen")}
        case = case_of(
            segment_of("liver", {k: 0.9 if k == 9 else 0.3 for k in range(4, 10)}, {10: 0.1}),
            segment_of("spleen", dict.fromkeys(range(4, 10), 0.95)),
        )
        for segment in case.segments:
            for score in segment.slices:
                score.digest = self.masks[segment.segment_id].slice_digest(score.k)
        case["liver"].empty_slices[0].missed = True
        self.drawings, self.changes = Drawings(), []
        self.session = ReviewSession(case)
        self.presenter = SuggestionPresenter(
            self.session, self.drawings, self.masks.get, SHAPE, SPACING, lambda *c: self.changes.append(c)
        )

    def draw(self, k, wrong=None, missing=None, segment_id="liver") -> None:
        """The network finds some (rows, columns) of a mask wrong, and others missing."""
        shares = np.zeros((2, *SHAPE[1:]), np.uint8)
        shares[0] = 255
        if wrong:
            shares[0][wrong] = 0
        if missing:
            shares[1][missing] = 255
        score = self.session.slice_score(segment_id, k)
        self.drawings.keep(segment_id, k, Drawing((0.0, 20.0, 0.0, 20.0), shares, score.digest))

    def draw_all(self) -> None:
        for k in range(4, 11):
            self.draw(k)
        for k in (5, 6):
            self.draw(k, wrong=(slice(6, 8), ROWS))  # 2 x 2 x 8 pixels: the largest
        self.draw(8, missing=(slice(14, 15), ROWS))
        self.draw(9, wrong=(slice(6, 14), slice(6, 7)))  # the slice is not flagged
        self.draw(10, missing=(slice(6, 8), slice(6, 8)))

    def enabled(self, name) -> bool:
        return self.presenter.actions()[name].enabled


@pytest.fixture
def reader() -> Reader:
    return Reader()


def test_without_a_segment_nothing_happens_and_nothing_is_refused(reader):
    for name in reader.presenter.ACTIONS:
        assert not reader.enabled(name)
        getattr(reader.presenter, name)()
    assert reader.changes == [] and reader.session.current is None


def test_errors_that_are_not_known_yet_are_asked_for(reader):
    reader.session.select("liver")
    assert reader.presenter.told() == ""
    reader.presenter.toggle_errors()
    assert reader.presenter.lacks_drawings and "not known yet" in reader.presenter.told()
    assert not reader.enabled("next_island") and not reader.enabled("apply_to_slice")
    reader.session.case.model["kind"] = "published"
    assert "does not say where" in reader.presenter.told()
    reader.session.case.model["kind"] = "pyramid"
    reader.draw_all()
    assert not reader.presenter.lacks_drawings and reader.enabled("next_island")


def test_islands_come_largest_first_from_slices_that_are_flagged_or_missed(reader):
    reader.draw_all()
    reader.session.select("liver")
    seen = []
    for _ in range(4):
        reader.presenter.next_island()
        seen.append((reader.presenter.island.kind, reader.session.current.k))
    assert seen == [(Kind.REMOVE, 5), (Kind.ADD, 8), (Kind.ADD, 10), (Kind.REMOVE, 5)]
    assert reader.presenter.told() == "Island 1 of 3: remove 64 mm³"
    assert reader.presenter.place[0] == 5 and 6 <= reader.presenter.place[1] < 8
    reader.presenter.previous_island()
    assert reader.session.current.k == 10
    reader.session.accept("liver", 8)
    assert len(reader.presenter.islands()) == 2


def test_another_segment_starts_with_its_own_largest(reader):
    reader.draw_all()
    reader.session.select("liver")
    reader.presenter.next_island()
    reader.session.select("spleen")
    assert reader.presenter.island is not None and not reader.enabled("apply_to_island")
    assert reader.presenter.islands() == [] and not reader.enabled("next_island")
    reader.presenter.apply_to_island()
    assert reader.changes == []


def test_an_island_is_applied_and_the_next_one_takes_its_place(reader):
    reader.draw_all()
    reader.session.select("liver")
    reader.presenter.next_island()
    assert reader.enabled("apply_to_island")
    reader.presenter.apply_to_island()
    ((segment_id, change),) = reader.changes
    assert segment_id == "liver" and list(change) == [Kind.REMOVE] and set(change[Kind.REMOVE][:, 0]) == {5, 6}
    assert not reader.enabled("apply_to_island")
    reader.masks["liver"] = changed_segment(reader.masks["liver"], Kind.REMOVE, change[Kind.REMOVE])
    reader.presenter.next_island()  # the edited slices have no suggestion until they are scored again
    assert reader.session.current.k == 8
    assert reader.presenter.told() == "Island 1 of 2: add 16 mm³"


def test_a_slice_gets_the_expected_mask(reader):
    reader.draw(5, wrong=(slice(6, 8), ROWS), missing=(slice(14, 15), ROWS))
    reader.session.go_to("liver", 5)
    reader.presenter.toggle_errors()
    assert reader.presenter.told() == "This slice: remove 16 mm², add 8 mm²"
    reader.presenter.apply_to_slice()
    ((segment_id, change),) = reader.changes
    mask = reader.masks[segment_id]
    for kind, voxels in change.items():
        mask = changed_segment(mask, kind, voxels)
    assert mask.box[1:] == (slice(6, 15), slice(6, 14))
    rows = [row.sum() for row in mask.slice_mask(5)]
    assert rows == [0, 0, 8, 8, 8, 8, 8, 8, 8]
    reader.session.go_to("liver", 4)
    assert not reader.enabled("apply_to_slice")


def test_hidden_errors_are_not_applied(reader):
    reader.draw_all()
    reader.session.select("liver")
    reader.presenter.next_island()
    reader.presenter.toggle_errors()
    assert not reader.enabled("apply_to_slice") and not reader.enabled("apply_to_island")
    assert reader.enabled("next_island")  # it shows them again
    assert reader.presenter.actions()["toggle_errors"].text == "Show errors"


@pytest.mark.parametrize(
    ("dsc", "said"),
    [
        (0.55, "Applied: predicted DSC 0.30 → 0.55"), (0.3, "Applied: predicted DSC 0.30 → 0.30"),
        (0.2, "Applied: predicted DSC 0.30 → 0.20, worse. Undo edit takes it back"),
    ],
)  # fmt: skip
def test_what_a_suggestion_did_is_told_where_it_was_applied(reader, dsc, said):
    reader.draw_all()
    reader.session.select("liver")
    reader.presenter.next_island()
    before = copied(reader.session.case)
    reader.presenter.apply_to_island()
    assert "Applied" not in reader.presenter.told(), "it is not scored again yet"
    scored = copied(before)
    for score in scored["liver"].slices:
        if score.k in (5, 6):
            score.predicted_dsc, score.digest = dsc, "another"
    reader.session.update(scored)
    assert reader.presenter.told() == said
    reader.session.go_to("liver", 8)
    assert reader.presenter.told() == "This slice: add 8 mm²"
    reader.session.go_to("liver", 6)
    assert reader.presenter.told() == said
    reader.session.update(before)  # undone, and scored again
    assert "Applied" not in reader.presenter.told()


def test_a_slice_that_a_suggestion_emptied_has_no_predicted_dsc_to_compare(reader):
    reader.draw(5, wrong=(ROWS, ROWS))
    reader.session.go_to("liver", 5)
    reader.presenter.toggle_errors()
    reader.presenter.apply_to_slice()
    scored = copied(reader.session.case)
    scored["liver"].slices = [score for score in scored["liver"].slices if score.k != 5]
    reader.session.update(scored)
    assert reader.presenter.told() == "Applied. There is no predicted DSC to compare"
