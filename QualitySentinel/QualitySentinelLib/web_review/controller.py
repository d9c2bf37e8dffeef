"""What the reader does on the page, without trame: the page calls these, and shows :meth:`ReviewController.state`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..colors import SCALES, css_color
from ..errors import QualitySentinelError, one_line, reason_of
from ..report import write_results, write_scored_segmentation
from ..review import Changed, Rescoring, ReviewEvent, ReviewPresenter, ReviewSession
from ..review.cases import copied
from ..review.presenter import distinct_lines, time_left
from ..scores import CaseScore
from ..suggestions import Drawings
from ..volume import CtVolume, Segment, Segmentation
from ..volume.segmentation import chosen_segments
from .review_store import ReviewStore, with_masks
from .scoring import LoopTimer, Scoring

if TYPE_CHECKING:
    from ..scorer import Scorer

_LOG = logging.getLogger(__name__)
_KEEP_SECONDS = 1.0
"""The review is written this long after the last change, not at each of them."""
_PAUSE_SECONDS = 0.5
"""An edit is over when nothing was edited for so long."""


class ReviewController:
    """One case under review, its scoring and its folder.

    Args:
        options: of the run, for the report.
        corrected: masks differ from those of the input.

    Attributes:
        changed: called whenever the page should be drawn anew; the page sets it.
        presenter: what is shown of the review, and its reader's actions.
        drawings: what the model would draw in the slices scored so far; ``None`` when it draws nothing.
        segmentation: the masks as they are now; a new object after every edit.
        n_edits: how many edits there were.
        read_masks: reads segments, by id, from the scene where they are edited; the page sets it.
        note: the last thing worth telling the reader, ``{"text", "kind"}``; kind is ``done``, ``error`` or empty.
    """

    def __init__(
        self,
        ct: CtVolume,
        segmentation: Segmentation,
        session: ReviewSession,
        scorer: Scorer,
        store: ReviewStore,
        options: Mapping | None = None,
        corrected: bool = False,
    ) -> None:
        self.ct, self.segmentation, self.session, self.store = ct, segmentation, session, store
        self.presenter = ReviewPresenter(session, place_of=self._place_of)
        self.changed: Callable[[], None] = lambda: None
        self.drawings = Drawings(complete=False) if scorer.model.draws else None
        self.scoring = Scoring(scorer, session, self.drawings, lambda: self.changed())
        self.rescoring = Rescoring(lambda begin: LoopTimer(_PAUSE_SECONDS, begin), self._start, self._scored)
        self.read_masks: Callable[[set[str]], Awaitable[list[Segment]]] = _no_masks
        self._unread: set[str] = set()
        self.note = {"text": "", "kind": ""}
        self.exporting = False
        self.n_edits = 0
        self._options = dict(options or {})
        self._wanted = set(chosen_segments(segmentation, scorer.options.segments))
        self._corrected, self._masks_kept = corrected, True
        self._tasks: set[asyncio.Task] = set()
        self._keeping = LoopTimer(_KEEP_SECONDS, lambda: self._spawn(self.keep()))
        self._writing, self._reading = asyncio.Lock(), asyncio.Lock()
        session.observe(self._session_changed)

    # Scoring

    def score(self) -> None:
        """Score every segment that was asked for; slices whose mask is known keep their score."""
        self.rescoring.edited(self.session, self._wanted)
        self.rescoring.begin()

    @property
    def unfinished(self) -> bool:
        """Whether segments wait for a scoring that was cancelled, or failed."""
        return bool(self.rescoring.unscored(self.session)) and not self.scoring.running

    def masks_edited(self, segment_ids: set[str]) -> None:
        """Segments were edited in the scene: read them when the stroke is over, and score the slices that changed."""
        self._unread |= segment_ids
        self.rescoring.edited(self.session, segment_ids)

    def find_errors(self, segment_id: str) -> None:
        """Score slices of a segment again for what the model would draw in them: a review that is resumed lacks it."""
        if self.drawings is not None:
            self.drawings.complete = True
            self.rescoring.edited(self.session, {segment_id})
            self.rescoring.begin()

    def _start(self, _session: ReviewSession, segment_ids: set[str], end: Callable) -> Callable[[], None]:
        self.scoring.cancelled = False
        self._spawn(self._score(segment_ids, end))
        return self.scoring.cancel

    async def _score(self, segment_ids: set[str], end: Callable[[Exception | None], None]) -> None:
        try:
            await self._read_edited()
            await self.scoring.run(self.ct, self.segmentation, segment_ids & self._wanted)
        except Exception as error:  # a page cannot show a trace; the reader goes on without scores
            end(error)
        else:
            end(None)

    def _scored(self, _session: ReviewSession, error: Exception | None) -> None:
        known = error is None or isinstance(error, QualitySentinelError)
        if not known:
            _LOG.error("unexpected", exc_info=error)
        self.scoring.failure = "" if error is None else f"{'' if known else 'Scoring failed: '}{reason_of(error, 500)}"
        self.changed()

    async def _read_edited(self) -> None:
        """Take over what was edited in the scene, where it differs."""
        async with self._reading:  # who saves the masks waits for what is being read
            while self._unread:
                edited, self._unread = self._unread, set()
                try:
                    masks = await self.read_masks(edited)
                except Exception:
                    self._unread |= edited
                    raise
                different = await asyncio.to_thread(_different, masks, self.segmentation)
                if different:
                    # names, structures and tags stay: the user's names (``--names``) are not in the scene
                    self.segmentation = with_masks(self.segmentation, different)
                    self.n_edits += 1
                    self._corrected, self._masks_kept = True, False
                    self._keeping.start()

    # What the page shows

    def state(self, shown_k: int | None) -> dict[str, object]:
        """Everything that the page shows of the review; ``shown_k``: canonical slice in the axial view."""
        session, presenter, scoring = self.session, self.presenter, self.scoring
        counts, current, bars = session.counts, presenter.current(), presenter.bars()
        return {
            "rows": list(map(vars, presenter.rows())),
            "counts": vars(counts) | {"total": counts.total, "share": round(100 * counts.share)},
            "legend": css_gradient(presenter.scale),
            "selected": session.selected or "",
            "profile": {
                "name": current.segment,
                "first": bars[0].k if bars else 0,
                "n": bars[-1].k - bars[0].k + 1 if bars else 1,
                "threshold": presenter.threshold,
                "bars": list(map(vars, bars)),
            },
            "threshold": session.threshold,
            "own_thresholds": vars(presenter.own_thresholds) | {"on": session.own_thresholds},
            "threshold_note": presenter.threshold_note,
            "current": vars(current),
            "here": [] if shown_k is None else list(map(vars, presenter.open_in_slice(shown_k))),
            "shown": "" if shown_k is None else "slice {} · S {:.1f} mm".format(*self._place_of(shown_k)),
            "actions": {name: vars(action) for name, action in presenter.actions().items()},
            "scoring": {
                "running": scoring.running,
                "unfinished": self.unfinished,
                "done": scoring.done,
                "total": scoring.total,
                "left": time_left(scoring.done, scoring.total, scoring.seconds),
                "failure": scoring.failure,
            },
            "warnings": distinct_lines([*session.case.warnings, *session.warnings]),
            "note": self.note,
            "exporting": self.exporting,
        }

    def tell(self, text: str, kind: str = "") -> None:
        """Show a line to the reader."""
        self.note = {"text": one_line(text), "kind": kind}
        self.changed()

    # Files

    def start_export(self) -> None:
        """Write the results; the reader goes on meanwhile."""
        self._spawn(self.export())

    async def export(self) -> None:
        """Write tables, report and scored segmentation into the folder, beside the kept review."""
        if self.exporting:
            return
        self.exporting = True
        self.changed()
        try:
            # a copy: the reader goes on while the thread writes
            session = ReviewSession.from_state(self.session.case, self.session.to_state())
            await asyncio.to_thread(
                write_results, self.store.folder, session.case, self.ct, self.segmentation, inputs=self.store.inputs,
                options=self._options, session=session, drawings=self.drawings,
                error_maps=bool(self.drawings),
            )  # fmt: skip
            self.tell(f"Exported to {self.store.folder}", "done")
        except QualitySentinelError as error:
            self.tell(str(error), "error")
        finally:
            self.exporting = False
            self.changed()

    async def save_masks(self, path: Path) -> None:
        """Write the masks as they are in the scene now."""
        await self._read_edited()
        await asyncio.to_thread(write_scored_segmentation, path, self.segmentation, CaseScore([], 0.0))

    async def keep(self) -> None:
        """Write the review now."""
        self._keeping.stop()
        async with self._writing:
            try:
                if not self._masks_kept:
                    self._masks_kept = True
                    await asyncio.to_thread(self.store.write_masks, self.segmentation)
                case, state = copied(self.session.case), self.session.to_state()  # as it is now, for the thread
                await asyncio.to_thread(self.store.write, case, state, self._corrected)
            except QualitySentinelError as error:
                self._masks_kept = False
                self.tell(f"The review could not be saved: {error}", "error")

    async def close(self) -> None:
        """Stop scoring, finish what is being written, and keep the review with what was painted last."""
        self.rescoring.forget()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await self._read_edited()
        except QualitySentinelError as error:
            _LOG.error("the last edit is lost: %s", error)
        await self.keep()

    # Within

    def _place_of(self, k: int) -> tuple[int, float]:
        return self.ct.frame.file_slice(k), self.ct.frame.position_mm(k)

    def _session_changed(self, event: ReviewEvent) -> None:
        if event.changed is not Changed.SCORES or not self.scoring.running:
            self._keeping.start()
        self.changed()

    def _spawn(self, coroutine) -> None:
        task = asyncio.ensure_future(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:  # a page cannot show a trace
            _LOG.error("unexpected", exc_info=error)
            self.tell(f"Something went wrong ({type(error).__name__}: {reason_of(error)})", "error")


async def _no_masks(_segment_ids: set[str]) -> list[Segment]:
    return []


def _different(masks: list[Segment], known: Segmentation) -> list[Segment]:
    """Those of ``masks`` that are others than the known ones of the same id."""
    before = {s.id: s for s in known}
    pairs = ((s, before[s.id]) for s in masks if s.id in before)
    return [s for s, old in pairs if s.box != old.box or not np.array_equal(s.voxels(), old.voxels())]


def css_gradient(scale: str) -> str:
    """A color scale from DSC 0 to 1."""
    stops = ", ".join(f"{css_color(rgb)} {100 * dsc:g}%" for dsc, rgb in SCALES[scale])
    return f"linear-gradient(to right, {stops})"
