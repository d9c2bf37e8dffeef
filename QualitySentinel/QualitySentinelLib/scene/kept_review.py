"""Needs ``slicer``. The scores and the review of a segmentation, kept in the scene and saved with it.

They are one text in a hidden text node that the segmentation refers to. The text is written into the scene's own
file: Slicer saves the files of hidden nodes in some ways of saving and not in others. It is made of words, because
JSON in XML would grow many times over: each is JSON, deflated, in base64. The first has the review, the others a
segment each, so that after an edit only its word is made anew.
"""

from __future__ import annotations

import base64
import json
import logging
import zlib
from dataclasses import replace
from weakref import WeakKeyDictionary

import slicer

from ..errors import InputError, MismatchError, reason_of
from ..review import ReviewSession
from ..review.cases import all_slices
from ..scores import CaseScore, SegmentScore, case_document, case_from_document
from ..steps import Steps, at_once
from .nodes import frame_of, is_shared

REVIEW_ROLE = "QualitySentinelReview"
"""Node reference role from the segmentation node to the text node."""

SCHEMA = "quality-sentinel-kept-review/1"
"""The number goes up when a reader of the old form would misread the new one; new keys alone do not raise it."""

_PREFIX = "QualitySentinel zlib base64 "
_MOST_BYTES = 1 << 28
"""More than any review unpacks to: a damaged text must not fill the memory."""

_SAME_PLACE_MM = 0.1

_words: WeakKeyDictionary[ReviewSession, dict[str, tuple[SegmentScore, str]]] = WeakKeyDictionary()
"""Of each review, by segment id, the score that was packed last, and its word. Flags change in place, but those follow
from the threshold and are set anew when a review is read."""


def keep_review_steps(segmentation_node: slicer.vtkMRMLSegmentationNode, session: ReviewSession) -> Steps[None]:
    """Keep the scores and the review in the scene; what was kept of this segmentation before is replaced.

    In a step of a few milliseconds for each segment that has changed since; the last one writes. A review that changes
    between two steps is to be kept again; what is written then is of both, and is replaced.
    """
    case = session.case
    known = _words.setdefault(session, {})
    for score in case.segments:
        before = known.get(score.segment_id)
        if before is None or before[0] is not score:  # equal scores stay the same object in a session
            known[score.segment_id] = (score, _packed(case_document(replace(case, segments=[score]))["segments"][0]))
            yield
    words = [known[score.segment_id][1] for score in case.segments]
    head = {
        "schema": SCHEMA,
        "scores": case_document(replace(case, segments=[])),
        "review": session.to_state(),
        "n_segments": len(words),
    }
    text = _PREFIX + " ".join([_packed(head), *words])
    node = segmentation_node.GetNodeReference(REVIEW_ROLE)
    if node is None or not node.IsA("vtkMRMLTextNode") or is_shared(segmentation_node, REVIEW_ROLE):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", f"{segmentation_node.GetName()} quality review")
        node.SetHideFromEditors(True)
        segmentation_node.SetNodeReferenceID(REVIEW_ROLE, node.GetID())
    node.SetForceCreateStorageNode(node.CreateStorageNodeNever)
    if node.GetText() != text:
        node.SetText(text)


keep_review = at_once(keep_review_steps)


def kept_review(segmentation_node: slicer.vtkMRMLSegmentationNode) -> ReviewSession | None:
    """The review kept with a segmentation, or ``None`` when there is none or it cannot be read.

    Segments that are gone are left out; those that were renamed keep their scores under the new name. What the reader
    did in segments that are gone is told in the log as a warning, and so is a damaged text; nothing is raised. Whether
    masks were edited since is not looked at: ``edits.edited_since_steps`` finds out.
    """
    node = segmentation_node.GetNodeReference(REVIEW_ROLE)
    if node is None:
        return None
    if node.IsA("vtkMRMLTextNode"):
        node.SetForceCreateStorageNode(node.CreateStorageNodeNever)  # the scene's file does not tell
    try:
        head, segments = _unpacked(node.GetText())
        if head.get("schema") != SCHEMA:
            raise ValueError(f"its schema is {str(head.get('schema'))[:60]!r}, not {SCHEMA!r}")
        if head["n_segments"] != len(segments):
            raise ValueError("a part is missing")
        case = case_from_document({**head["scores"], "segments": segments})
        session = ReviewSession.from_state(_fit(case, segmentation_node), head["review"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
        what = "the quality review saved in the scene cannot be read"
        logging.warning(f"{segmentation_node.GetName()}: {what} ({reason_of(error)}); score the segmentation again")
        return None
    for warning in session.warnings:
        logging.warning(f"{segmentation_node.GetName()}: {warning}")
    return session


def lies_on(case: CaseScore, volume_node: slicer.vtkMRMLScalarVolumeNode) -> bool:
    """Whether a volume has its slices where those of the scores are: else they are not of this CT, or it was moved."""
    if volume_node.GetImageData() is None:
        return False
    try:
        frame = frame_of(volume_node)
    except (MismatchError, ValueError):  # bent, or flat: nothing can have been scored on it
        return False
    positions = [frame.position_mm(k) for k in range(frame.shape[0])]
    return all(
        s.k < len(positions) and abs(s.position_mm - positions[s.k]) < _SAME_PLACE_MM
        for segment in case.segments
        for s in all_slices(segment)
    )


def _packed(document: object) -> str:
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(zlib.compress(text.encode("ascii"), 1)).decode("ascii")


def _unpacked(text: str) -> tuple[dict, list[dict]]:
    """What the first word says, and what the others say of their segments.

    Raises:
        ValueError: it is damaged.
    """
    if not text.startswith(_PREFIX):
        raise ValueError("it does not begin as such a text does")
    left, documents = _MOST_BYTES, []
    for word in text[len(_PREFIX) :].split(" "):
        unpacking = zlib.decompressobj()
        try:
            unpacked = unpacking.decompress(base64.b64decode(word, validate=True), left)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        if not unpacking.eof:
            raise ValueError("an end is missing")
        left = max(1, left - len(unpacked))  # 0 would mean without limit
        documents.append(json.loads(unpacked))
    return documents[0], documents[1:]


def _fit(case: CaseScore, segmentation_node: slicer.vtkMRMLSegmentationNode) -> CaseScore:
    """The scores of segments that are there, which are called as they are called now."""
    segmentation = segmentation_node.GetSegmentation()
    names = {segment_id: segmentation.GetSegment(segment_id).GetName() for segment_id in segmentation.GetSegmentIDs()}
    there = [s for s in case.segments if s.segment_id in names]
    return replace(case, segments=[replace(s, name=names[s.segment_id]) for s in there])
