"""The review behind the page, without trame: scoring beside a living event loop, edits, files."""

from __future__ import annotations

import argparse
import asyncio
import csv
import json
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from QualitySentinelLib.errors import InputError, ModelError, UsageError
from QualitySentinelLib.options import ScoringOptions
from QualitySentinelLib.reading import read_segmentation
from QualitySentinelLib.review import ReviewSession
from QualitySentinelLib.scorer import Scorer
from QualitySentinelLib.web_review.controller import ReviewController
from QualitySentinelLib.web_review.opening import _opened, blank_scores, open_review
from QualitySentinelLib.web_review.review_store import ReviewStore

from . import own_loop

FLAGS = {"threshold": [0, 1], "share": [0, 1], "structures_share": 0.06}
INPUTS = {"ct": {"path": "ct", "sha256": "1"}, "seg": {"path": "seg", "sha256": "2"}}


@pytest.fixture
def make_review(a_ct_with_a_liver, a_small_model, tmp_path):
    """Makes reviews of the synthetic case; to be called inside an event loop."""

    def make(batch_size: int | None = None, segments=None, **options) -> ReviewController:
        ct, segmentation = a_ct_with_a_liver
        session = ReviewSession(blank_scores(segmentation, ScoringOptions()))
        scorer = Scorer(a_small_model, device="cpu", batch_size=batch_size, segments=segments)
        return ReviewController(ct, segmentation, session, scorer, ReviewStore(tmp_path / "kept", INPUTS), **options)

    return make


async def scored(review: ReviewController) -> None:
    """Wait until nothing is scored any more."""
    end = time.monotonic() + 120
    while time.monotonic() < end:
        await asyncio.sleep(0.005)
        if not review.scoring.running and all(s.predicted_dsc is not None for s in review.session.segments):
            return
    raise AssertionError(f"not scored: {review.scoring.failure}")


def with_a_slice_erased(review: ReviewController, segment_id: str, k: int):
    """The segment of the review without its mask in slice ``k``."""
    segment = review.segmentation[segment_id]
    labels = segment.voxels().astype(np.uint8)
    labels[k - segment.box[0].start, :2] = 0
    labels[k - segment.box[0].start, :, :3] = 0
    return replace(segment, labels=labels, value=1, name="as the scene calls it", structure=None)


def edit(review: ReviewController, segment) -> None:
    """As the page does when a stroke has changed the segment in the scene."""

    async def read(segment_ids):
        assert segment_ids == {segment.id}
        return [segment]

    review.read_masks = read
    review.masks_edited({segment.id})


@own_loop.in_own_loop
async def test_the_event_loop_stays_alive_while_scoring(make_review):
    shown, turns, turns_when_shown = [], 0, []
    review = make_review(batch_size=2)

    def changed():
        shown.append(review.state(None)["scoring"])
        turns_when_shown.append(turns)

    review.changed = changed
    review.score()
    while any(s.predicted_dsc is None for s in review.session.segments):
        await asyncio.sleep(0)
        turns += 1
    await scored(review)
    assert {step["running"] for step in shown} == {True, False}
    done = [step["done"] for step in shown if step["running"]]
    assert done == sorted(done) and len(set(done)) > 5
    assert len(set(turns_when_shown)) > 5, "others have their turn between two steps"
    await review.close()


@own_loop.in_own_loop
async def test_a_cancelled_scoring_keeps_its_scores_and_goes_on(make_review):
    review = make_review(batch_size=1)
    review.changed = lambda: review.scoring.done == 5 and review.scoring.cancel()
    review.score()
    while not review.unfinished:
        await asyncio.sleep(0.005)
    total = review.scoring.total
    kept = sum(s.n_scored for s in review.session.segments)
    assert 0 < kept < total
    state = review.state(None)["scoring"]
    assert state["unfinished"] and "Canceled" in state["failure"]
    review.changed = lambda: None
    review.score()
    await scored(review)
    assert review.scoring.total == total - 5, "what was scored is not scored again"
    assert not review.unfinished and not review.scoring.failure
    await review.close()


@own_loop.in_own_loop
async def test_only_the_edited_slice_is_scored_again(make_review):
    review = make_review()
    review.score()
    await scored(review)
    before = {p.k: p.predicted_dsc for p in review.session.profile("1")}
    k = sorted(before)[len(before) // 2]
    review.session.accept("1", k)
    edit(review, with_a_slice_erased(review, "1", k))
    while not review.session.edits():
        await asyncio.sleep(0.005)
    after = {p.k: p.predicted_dsc for p in review.session.profile("1")}
    assert {n for n in before if before[n] != after.get(n)} == {k}
    assert review.scoring.total <= 3, "the slice, and empty slices that look at it"
    assert not review.session.is_accepted("1", k), "another mask than the accepted one"
    liver = review.segmentation["1"]
    assert (liver.name, liver.structure) == ("liver", "liver"), "the scene does not know the user's names"
    await review.close()


@own_loop.in_own_loop
async def test_an_edit_while_scoring_ends_with_every_segment_scored(make_review):
    review = make_review(batch_size=1)
    review.score()
    while review.scoring.done < 3:
        await asyncio.sleep(0.001)
    k = int(review.segmentation["1"].occupied_slices()[2])
    edited = with_a_slice_erased(review, "1", k)
    edit(review, edited)
    await scored(review)
    while review.scoring.running:
        await asyncio.sleep(0.005)
    assert review.session.slice_score("1", k).digest == edited.slice_digest(k)
    assert not review.unfinished
    await review.close()


def test_what_the_model_refuses_is_told_and_the_review_goes_on(make_review):
    def refuse(*_, **__):
        raise ModelError("its weights are damaged")

    async def story():
        review = make_review()
        review.scoring._scorer = SimpleNamespace(run=refuse)
        review.score()
        while not review.scoring.failure:
            await asyncio.sleep(0.005)
        assert "damaged" in review.state(None)["scoring"]["failure"]
        review.session.select("1")
        await review.close()

    own_loop.run(story())


@own_loop.in_own_loop
async def test_what_a_reader_must_know_of_the_scores_is_shown_once(make_review):
    review = make_review()
    review.ct = replace(review.ct, warnings=["its values\nmay not be HU"] * 2)
    review.score()
    await scored(review)
    assert review.state(None)["warnings"].count("its values may not be HU") == 1
    await review.close()


@own_loop.in_own_loop
async def test_what_was_painted_last_is_kept_though_it_was_not_scored(make_review):
    review = make_review()
    review.score()
    await scored(review)
    k = int(review.segmentation["1"].occupied_slices()[2])
    edited = with_a_slice_erased(review, "1", k)
    edit(review, edited)
    await review.close()
    assert np.array_equal(review.segmentation["1"].voxels(), edited.voxels())
    assert review.store.read()[1] and review.store.masks_file.exists()


@own_loop.in_own_loop
async def test_masks_are_saved_with_the_edit_that_is_being_read(make_review, tmp_path):
    review, begun, go_on = make_review(), asyncio.Event(), asyncio.Event()
    edited = with_a_slice_erased(review, "1", int(review.segmentation["1"].occupied_slices()[2]))

    async def read(_segment_ids):
        begun.set()
        await go_on.wait()
        return [edited]

    review.read_masks = read
    review.masks_edited({"1"})
    review.rescoring.begin()
    await begun.wait()
    saving = asyncio.ensure_future(review.save_masks(tmp_path / "saved.seg.nrrd"))
    await asyncio.sleep(0.05)
    go_on.set()
    await saving
    saved = read_segmentation(tmp_path / "saved.seg.nrrd", review.ct)
    assert np.array_equal(saved["1"].voxels(), edited.voxels())
    await review.close()


@own_loop.in_own_loop
async def test_a_review_is_taken_up_again_without_a_segment_that_was_removed_elsewhere(
    a_case_on_disk, a_model_file, tmp_path
):
    options = options_of(a_case_on_disk, a_model_file, tmp_path / "kept")
    first = open_review(options)()
    gone = first.segmentation.segments[0].id
    first.session.go_to(gone, 0)
    await first.keep()
    fewer = replace(first.segmentation, segments=first.segmentation.segments[1:])
    again = _opened(first.ct, fewer, first.store, first.scoring._scorer, {}, since=time.time())()
    assert again.session.selected != gone and [s.segment_id for s in again.session.segments] == ["2"]


@own_loop.in_own_loop
async def test_an_edit_that_cannot_be_read_is_told_and_read_again(make_review):
    review = make_review()
    review.score()
    await scored(review)
    k = int(review.segmentation["1"].occupied_slices()[2])
    edited = with_a_slice_erased(review, "1", k)

    async def fail(_segment_ids):
        raise InputError("Slicer has no such segment; undo the last edit")

    review.read_masks = fail
    review.masks_edited({"1"})
    while not review.unfinished:
        await asyncio.sleep(0.005)
    assert "undo the last edit" in review.state(None)["scoring"]["failure"]
    edit(review, edited)
    while not review.session.edits():
        await asyncio.sleep(0.005)
    assert not review.unfinished and not review.scoring.failure
    await review.close()


@own_loop.in_own_loop
async def test_the_export_says_what_the_reader_did(make_review, tmp_path):
    review = make_review()
    review.score()
    await scored(review)
    worst = review.session.select(review.session.segments[0].segment_id)
    review.session.accept()
    await review.export()
    assert review.note["kind"] == "done"
    with open(tmp_path / "kept" / "slices.csv", encoding="utf-8", newline="") as stream:
        accepted = [row for row in csv.DictReader(stream) if row["accepted"] == "1"]
    assert [int(row["slice_index"]) for row in accepted] == [review.ct.frame.file_slice(worst.k)]
    await review.close()


@own_loop.in_own_loop
async def test_a_folder_that_cannot_be_written_is_told(make_review, tmp_path):
    review = make_review()
    (tmp_path / "kept").write_text("a file where the folder should be", encoding="utf-8")
    await review.export()
    assert review.note["kind"] == "error" and "kept" in review.note["text"]
    await review.keep()
    assert "could not be saved" in review.note["text"]


def test_the_page_has_the_threshold_of_the_selected_structure_if_the_model_does(make_review):
    async def story():
        review = make_review()
        review.score()
        await scored(review)
        review.session.select("1")
        without = review.state(None)
        review.session.case.model["calibration"] = {"flags": {"structures": {"liver": 0.1}, **FLAGS}}
        review.session.set_threshold(0.8, True)
        having = review.state(None)
        await review.close()
        return without, having

    without, having = own_loop.run(story())
    assert not without["own_thresholds"]["enabled"] and without["own_thresholds"]["reason"]
    assert (without["profile"]["threshold"], having["profile"]["threshold"], having["threshold"]) == (0.8, 0.1, 0.8)
    assert having["own_thresholds"]["enabled"] and having["own_thresholds"]["on"]


def options_of(case, model, out) -> argparse.Namespace:
    return argparse.Namespace(
        ct=case.ct, series=None, seg=[case.seg], names=str(case.names), out=out, model=str(model), embeddings=None,
        device="cpu", slices="all", threshold=0.8, segments=None, backend="auto", precision="float32",
    )  # fmt: skip


def test_the_same_command_takes_the_review_up_again(a_case_on_disk, a_model_file, tmp_path):
    options = options_of(a_case_on_disk, a_model_file, tmp_path / "kept")

    async def first():
        review = open_review(options)()
        review.score()
        await scored(review)
        k = int(review.segmentation["1"].occupied_slices()[3])
        edited = with_a_slice_erased(review, "1", k)
        edit(review, edited)
        while not review.session.edits():
            await asyncio.sleep(0.005)
        review.session.set_threshold(0.55)
        review.session.go_to("1", k)
        review.session.accept()
        await review.close()
        return review

    async def second():
        review = open_review(options)()
        assert review.session.threshold == 0.55
        review.score()
        while review.scoring.running or not review.scoring.total == 0:
            await asyncio.sleep(0.005)
        await review.close()
        return review

    before, after = own_loop.run(first()), own_loop.run(second())
    assert after.session.current == before.session.current
    assert after.session.is_accepted(*after.session.current)
    assert after.session.edits() == before.session.edits()
    assert after.segmentation["1"].structure == "liver"
    assert np.array_equal(after.segmentation["1"].voxels(), before.segmentation["1"].voxels())
    assert after.scoring.total == 0, "nothing had to be scored again"


def test_the_review_of_another_case_is_not_overwritten(a_case_on_disk, a_model_file, tmp_path):
    options = options_of(a_case_on_disk, a_model_file, tmp_path / "kept")

    async def keep():
        await open_review(options)().keep()

    own_loop.run(keep())
    document = json.loads((tmp_path / "kept" / "review.json").read_text(encoding="utf-8"))
    document["inputs"]["ct"]["sha256"] = "of another CT"
    (tmp_path / "kept" / "review.json").write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UsageError, match="review of another case"):
        open_review(options)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "quality-sentinel-web-review/1"}'])
def test_a_damaged_review_is_named_with_a_remedy(tmp_path, text):
    store = ReviewStore(tmp_path, INPUTS)
    (tmp_path / "review.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="move it away"):
        store.read()


def test_segments_that_are_not_there_are_refused_before_the_page_opens(a_case_on_disk, a_model_file, tmp_path):
    options = options_of(a_case_on_disk, a_model_file, tmp_path / "kept")
    options.segments = ["liver", "brain"]
    with pytest.raises(UsageError, match="brain"):
        open_review(options)


def test_a_review_begins_with_the_scores_of_an_earlier_run(a_case_on_disk, a_model_file, tmp_path):
    options = options_of(a_case_on_disk, a_model_file, tmp_path / "kept")

    async def story():
        first = open_review(options)()
        first.score()
        await scored(first)
        scores = first.session.case
        scores.segments.append(replace(scores.segments[0], segment_id="of another case"))
        second = open_review(options, scores)()
        assert {s.segment_id: s.predicted_dsc for s in second.session.segments} == {
            s.id: first.session.segment(s.id).predicted_dsc for s in second.segmentation
        }
        await second.scoring.run(second.ct, second.segmentation, {"1", "2"})
        assert second.scoring.total == 0
        first.rescoring.forget()

    own_loop.run(story())
