"""A reader's actions on what the model would change in the masks under review: for every view alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from ..scores import SliceScore
from ..suggestions import Drawings, ErrorMap, Island, Kind, error_map, islands
from ..suggestions.islands import suggested_voxels
from ..volume import Segment
from .edits import SHOWN_DECIMALS
from .presenter import Action
from .session import ReviewSession

_DRAWS_NOT = "published"
"""Kind of the networks that do not draw the reference that they expect."""
Change = Mapping[Kind, np.ndarray]
"""Canonical ``(k, j, i)`` of voxels to remove and to add, int32 ``[n, 3]``."""


class SuggestionPresenter:
    """Shows what is suggested for the segment that is looked at, island by island, and lets the reader apply it.

    Like :class:`ReviewPresenter`, a view calls the actions from its buttons and keys at any time.

    Args:
        mask_of: the mask of a segment as it is now, by id; the same object as long as it is the same mask. ``None``:
            it cannot be had.
        shape, spacing: of the CT, ``(k, j, i)``, voxels and mm.
        edit: changes a segment's mask, so that it can be undone and is scored again: ``edit(segment_id, change)``.
        _: translates; in Slicer ``slicer.i18n.tr``.
    """

    # names of the methods that need nothing but the reader's wish
    ACTIONS = ("toggle_errors", "next_island", "previous_island", "apply_to_slice", "apply_to_island")

    def __init__(
        self,
        session: ReviewSession,
        drawings: Drawings,
        mask_of: Callable[[str], Segment | None],
        shape: tuple[int, ...],
        spacing: tuple[float, ...],
        edit: Callable[[str, Change], None],
        _: Callable[[str], str] = str,
    ) -> None:
        self._session, self._drawings, self._mask_of, self._edit, self._tr = session, drawings, mask_of, edit, _
        self._shape, self._spacing = shape, spacing
        self._known: dict[tuple[str, int], tuple] = {}
        self._maps: list[ErrorMap] = []
        self._found: tuple[list[ErrorMap], set[int], list[Island]] = [], set(), []
        self._applied: tuple[str, dict[int, SliceScore | None]] = "", {}
        self._number, self._of = -1, session.selected
        self.shown = False
        self.island: Island | None = None

    def actions(self) -> dict[str, Action]:
        """Every action of :attr:`ACTIONS` as it is now."""
        _, selected = self._tr, self._session.selected is not None
        reason = _("Select a segment in the table")
        states = {"toggle_errors": (_("Hide errors") if self.shown else _("Show errors"), selected)}
        if selected and self.shown:
            reason = _("Nothing is suggested here")
        for name, text in (("next_island", _("Next island")), ("previous_island", _("Previous island"))):
            states[name] = text, selected and (not self.shown or bool(self.islands()))
        states["apply_to_slice"] = _("Apply to slice"), self.shown and bool(self._change_of_slice())
        states["apply_to_island"] = _("Apply to island"), self.shown and self._looked_at() is not None
        if selected and not self.shown:
            reason = _("Show the errors first")
        return {name: Action(text, can, "" if can else reason) for name, (text, can) in states.items()}

    @property
    def lacks_drawings(self) -> bool:
        """Whether slices of the selected segment must be scored again to know what is suggested for them."""
        selected = self._session.selected
        scores = [] if selected is None else self._session.segment(selected).listed_slices
        return any(self._drawings.of(score) is None for score in scores)

    def maps(self) -> list[ErrorMap]:
        """The error maps of the selected segment, inferior to superior; the same list as long as they are the same."""
        selected, maps = self._session.selected, []
        if selected is not None and (mask := self._mask_of(selected)) is not None:
            found = (self._map(mask, score) for score in self._session.segment(selected).listed_slices)
            maps = [one for one in found if one is not None]
        if len(maps) != len(self._maps) or any(a is not b for a, b in zip(maps, self._maps, strict=True)):
            self._maps = maps
        return self._maps

    def islands(self) -> list[Island]:
        """The islands of the selected segment that reach into an open slice, flagged or missed; largest first."""
        maps, selected = self.maps(), self._session.selected
        scores = [] if selected is None else self._session.segment(selected).listed_slices
        doubtful = {s.k for s in scores if s.is_doubtful and not self._session.is_accepted(s.segment_id, s.k)}
        known, before, found = self._found
        if doubtful != before or maps is not known:
            found = [one for one in islands(maps, self._spacing) if doubtful.intersection(one.voxels[:, 0].tolist())]
            self._found = maps, doubtful, found
        return found

    @property
    def place(self) -> tuple[int, int, int] | None:
        """Canonical ``(k, j, i)`` of the middle of the island that is looked at: views should cut it."""
        island = self._looked_at()
        return None if island is None else (island.k, *island.middle)

    def told(self) -> str:
        """What was applied here last, or what is suggested, in a line; empty while errors are not shown."""
        _ = self._tr
        if not self.shown or self._session.selected is None:
            return ""
        if effect := self._effect():
            return effect
        island = self._looked_at()
        if island is not None:
            doing = _("remove") if island.kind is Kind.REMOVE else _("add")
            return _("Island {number} of {count}: {doing} {volume}").format(
                number=self._number + 1, count=len(self.islands()), doing=doing, volume=_volume(island.volume_mm3)
            )
        change = self._change_of_slice()
        if change:
            pixel = self._spacing[1] * self._spacing[2]
            areas = (f"{_(str(kind))} {len(voxels) * pixel:.0f} mm²" for kind, voxels in change.items())
            return _("This slice: {areas}").format(areas=", ".join(areas))
        if self._session.case.model.get("kind") == _DRAWS_NOT:
            return _("This model does not say where a mask is wrong")
        if self.lacks_drawings:
            return _("Errors of this slice are not known yet")
        return _("No change is suggested for this slice")

    # Actions

    def toggle_errors(self) -> None:
        self.shown = not self.shown

    def next_island(self) -> None:
        """Look at the next smaller island; after the last at the first."""
        self._step(1)

    def previous_island(self) -> None:
        """Look at the next larger island; before the first at the last."""
        self._step(-1)

    def apply_to_slice(self) -> None:
        """Make the mask of the slice that is looked at the expected one."""
        change, current = self._change_of_slice(), self._session.current
        if change and current is not None:
            self._note(current.segment_id, [current.k])
            self._edit(current.segment_id, change)

    def apply_to_island(self) -> None:
        """Remove, or add, the island that is looked at."""
        island, selected = self._looked_at(), self._session.selected
        if island is not None and selected is not None:
            self._number -= 1  # the next one takes its place
            self.island = None
            self._note(selected, np.unique(island.voxels[:, 0]).tolist())
            self._edit(selected, {island.kind: island.voxels})

    # Within

    def _map(self, mask: Segment, score) -> ErrorMap | None:
        drawing = self._drawings.of(score)
        place = score.segment_id, score.k
        known = self._known.get(place)
        if known is None or known[0] is not drawing or known[1] is not mask:
            known = drawing, mask, error_map(drawing, mask, score.k, self._shape[1:])
            self._known[place] = known
        return known[2]

    def _note(self, segment_id: str, slices: list[int]) -> None:
        """Remember the scores of slices to which a suggestion is applied now."""
        self._applied = segment_id, {k: self._session.slice_score(segment_id, k) for k in slices}

    def _effect(self) -> str:
        """What the last suggestion did to the predicted DSC, in a line, while the reader is in a slice that it changed.

        Empty while they are not scored again, and once they are as they were.
        """
        _, (segment_id, before), current = self._tr, self._applied, self._session.current
        if current is None or current.segment_id != segment_id or current.k not in before:
            return ""
        pairs = [(was, self._session.slice_score(segment_id, k)) for k, was in before.items()]
        if any(was and now and was.digest == now.digest and was.has_mask == now.has_mask for was, now in pairs):
            return ""
        known = [(a.predicted_dsc, b.predicted_dsc) for a, b in pairs if a and b and a.has_mask and b.has_mask]
        if not known:
            return _("Applied. There is no predicted DSC to compare")
        was, now = np.mean(known, axis=0).round(SHOWN_DECIMALS)
        told = _("Applied: predicted DSC {was} → {now}").format(was=f"{was:.2f}", now=f"{now:.2f}")
        return told if now >= was else told + _(", worse. Undo edit takes it back")

    def _change_of_slice(self) -> Change:
        current = self._session.current
        here = [] if current is None else [found for found in self.maps() if found.k == current.k]
        change = {kind: suggested_voxels(here, kind) for kind in Kind}
        return {kind: voxels for kind, voxels in change.items() if len(voxels)}

    def _step(self, step: int) -> None:
        self.shown = True
        found, selected = self.islands(), self._session.selected
        if not found or selected is None:
            return
        if self._of != selected:
            self._number, self._of = -1, selected
        at = max(self._number, 0) if step < 0 else self._number
        self._number = (at + step) % len(found)
        self.island = found[self._number]
        self._session.go_to(selected, self.island.k)

    def _looked_at(self) -> Island | None:
        """The island that is looked at, if it is still there and the reader is still in one of its slices."""
        current, island = self._session.current, self.island
        if island is None or current is None or current.k not in island.voxels[:, 0]:
            return None
        found = self.islands()
        return island if self._number < len(found) and found[self._number] is island else None


def _volume(mm3: float) -> str:
    return f"{mm3:.0f} mm³" if mm3 < 1000 else f"{mm3 / 1000:.1f} cm³"
