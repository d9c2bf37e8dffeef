"""Needs ``slicer``. The scores and the review of a segmentation, kept in the scene and saved with it.

They are one text in a hidden text node that the segmentation refers to. The text is written into the scene's own file:
Slicer saves the files of hidden nodes in some ways of saving and not in others. So it is packed, as JSON in XML would
grow many times over; ``text_of`` and ``json.loads`` show what is in it.
"""

from __future__ import annotations

import base64
import json
import logging
import zlib

import slicer

from ..errors import InputError
from ..review import ReviewSession
from ..scores import CaseScore, case_document, case_from_document

REVIEW_ROLE = "QualitySentinelReview"
"""Node reference role from the segmentation node to the text node."""

SCHEMA = "quality-sentinel-kept-review/1"
"""The number goes up when a reader of the old form would misread the new one; new keys alone do not raise it."""

_PREFIX = "QualitySentinel zlib base64 "
_MOST_BYTES = 1 << 28
"""More than any review unpacks to: a damaged text must not fill the memory."""


def keep_review(segmentation_node, session: ReviewSession) -> None:
    """Keep the scores and the review in the scene; what was kept of this segmentation before is replaced.

    Takes some hundredths of a second for a large case: to be called when the scene is about to be saved, or when
    nothing else happens.
    """
    document = {"schema": SCHEMA, "scores": case_document(session.case), "review": session.to_state()}
    packed = zlib.compress(json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii"), 1)
    text = _PREFIX + base64.b64encode(packed).decode("ascii")
    node = segmentation_node.GetNodeReference(REVIEW_ROLE)
    if node is None or _is_shared(node, segmentation_node):
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTextNode", f"{segmentation_node.GetName()} quality review")
        node.SetHideFromEditors(True)
        segmentation_node.SetNodeReferenceID(REVIEW_ROLE, node.GetID())
    node.SetForceCreateStorageNode(node.CreateStorageNodeNever)
    if node.GetText() != text:
        node.SetText(text)


def kept_review(segmentation_node) -> ReviewSession | None:
    """The review kept with a segmentation, or ``None`` when there is none or it cannot be read.

    Segments that are gone are left out; those that were renamed keep their scores under the new name. Both are said
    in the log as warnings, and so is a damaged text; nothing is raised. Whether masks were edited since is not looked
    at: score again with ``previous=session.case``, and what changed is scored.
    """
    node = segmentation_node.GetNodeReference(REVIEW_ROLE)
    if node is None:
        return None
    if node.IsA("vtkMRMLTextNode"):
        node.SetForceCreateStorageNode(node.CreateStorageNodeNever)  # the scene's file does not tell
    try:
        document = json.loads(text_of(node))
        if document.get("schema") != SCHEMA:
            raise ValueError(f"its schema is {str(document.get('schema'))[:60]!r}, not {SCHEMA!r}")
        case = case_from_document(document["scores"])
        warnings = _fitted(case, segmentation_node)
        session = ReviewSession.from_state(case, document["review"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InputError) as error:
        reason = " ".join(str(error).split())[:200]
        logging.warning(
            f"{segmentation_node.GetName()}: the quality review kept in the scene cannot be read ({reason}); "
            "score the segmentation again"
        )
        return None
    for warning in (*warnings, *session.warnings):
        logging.warning(f"{segmentation_node.GetName()}: {warning}")
    return session


def forget_review(segmentation_node) -> None:
    """Keep nothing of the review of this segmentation any more."""
    node = segmentation_node.GetNodeReference(REVIEW_ROLE)
    if node is not None:
        shared = _is_shared(node, segmentation_node)
        segmentation_node.RemoveNodeReferenceIDs(REVIEW_ROLE)
        if not shared:
            slicer.mrmlScene.RemoveNode(node)


def text_of(text_node) -> str:
    """The JSON text in a text node.

    Raises:
        ValueError: it is damaged.
    """
    text = text_node.GetText()
    if not text.startswith(_PREFIX):
        raise ValueError("it does not begin as such a text does")
    try:
        unpacking = zlib.decompressobj()
        unpacked = unpacking.decompress(base64.b64decode(text[len(_PREFIX) :], validate=True), _MOST_BYTES)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacking.eof:
        raise ValueError("its end is missing")
    return unpacked.decode("ascii")


def _is_shared(node, segmentation_node) -> bool:
    """Whether another segmentation refers to the node, too: a copy of a segmentation copies its references."""
    others = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
    return any(o.GetNodeReference(REVIEW_ROLE) == node and o != segmentation_node for o in others)


def _fitted(case: CaseScore, segmentation_node) -> list[str]:
    """Leave out segments that are gone, call the others as they are called now, and say so."""
    segmentation = segmentation_node.GetSegmentation()
    names = {segment_id: segmentation.GetSegment(segment_id).GetName() for segment_id in segmentation.GetSegmentIDs()}
    gone = [s.name for s in case.segments if s.segment_id not in names]
    case.segments = [s for s in case.segments if s.segment_id in names]
    renamed = [s.name for s in case.segments if s.name != names[s.segment_id]]
    for score in case.segments:
        score.name = names[score.segment_id]
    warnings = [f"segments of the kept review are gone: {_listed(gone)}"] if gone else []
    if renamed:
        warnings.append(f"segments of the kept review are called otherwise now: {_listed(renamed)}")
    return warnings


def _listed(names: list[str]) -> str:
    return ", ".join(" ".join(name.split())[:60] for name in names[:8]) + (", ..." if len(names) > 8 else "")
