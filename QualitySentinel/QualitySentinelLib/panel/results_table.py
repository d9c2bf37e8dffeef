"""Needs ``qt``. The table of segments, worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager

import qt
from slicer.i18n import tr as _

from ..review import ReviewCounts, ReviewSession
from ..scores import SegmentScore
from ..scores.colors import DEFAULT_SCALE, dsc_color
from .figures import Figures

SEGMENT, DSC, FLAGGED, MISSED, OPEN = range(5)
"""Columns, as the ``.ui`` file has them."""

SWATCH = 14
"""Pixels of the square in the color of a DSC."""


class ResultsTable:
    """Fills a QTableWidget from a review; a row that is chosen is told as a segment id.

    Args:
        table: the widget, with its columns.
        on_choose: called with a segment id when the reader clicks a row or moves to it with the keyboard.
    """

    def __init__(self, table: qt.QTableWidget, on_choose: Callable[[str], object]) -> None:
        self._table, self._on_choose = table, on_choose
        self._ids: list[str] = []
        self._filling = False
        self._scale = DEFAULT_SCALE
        self._fit_columns(True)
        table.horizontalHeader().setHighlightSections(False)
        table.connect("cellClicked(int,int)", self._on_cell)
        table.connect("currentCellChanged(int,int,int,int)", self._on_cell)

    def show(self, session: ReviewSession | None, figures: Figures) -> None:
        """List the segments of a review with their figures; an empty list for ``None``."""
        with self._being_filled():
            segments = session.segments if session else ()
            self._ids = [s.segment_id for s in segments]
            self._table.setRowCount(len(segments))
            labels = session.labels if session else {}
            for row, segment in enumerate(segments):
                self._fill(row, segment, labels[segment.segment_id], figures.of(segment.segment_id))
        self.select(session.selected if session else None)

    def update(self, session: ReviewSession, figures: Figures, segment_ids: Iterable[str]) -> None:
        """Show these segments anew; all of them when their order is another now."""
        segments = session.segments
        if self._ids != [s.segment_id for s in segments]:
            self.show(session, figures)
            return
        changed, labels = set(segment_ids), session.labels
        with self._being_filled():
            for row, segment in enumerate(segments):
                if segment.segment_id in changed:
                    self._fill(row, segment, labels[segment.segment_id], figures.of(segment.segment_id))

    def show_scale(self, scale: str, session: ReviewSession | None) -> None:
        """Use another color scale."""
        self._scale = scale
        for row, segment in enumerate(session.segments if session else ()):
            self._table.item(row, DSC).setIcon(self._swatch(segment))

    def select(self, segment_id: str | None) -> None:
        """Mark the segment's row, and bring it into sight."""
        self._filling = True
        try:
            if segment_id in self._ids:
                row = self._ids.index(segment_id)
                if self._table.currentRow() != row:
                    self._table.setCurrentCell(row, SEGMENT)
                self._table.scrollToItem(self._table.item(row, SEGMENT))
            else:
                self._table.setCurrentCell(-1, -1)
        finally:
            self._filling = False

    @contextmanager
    def _being_filled(self):
        """Choose no row, and fit the columns once at the end: with each text, it takes a quarter of a second for 60."""
        self._filling = True
        self._fit_columns(False)
        try:
            yield
        finally:
            self._fit_columns(True)
            self._filling = False

    def _fit_columns(self, to_contents: bool) -> None:
        header = self._table.horizontalHeader()
        header.setSectionResizeMode(qt.QHeaderView.ResizeToContents if to_contents else qt.QHeaderView.Fixed)
        header.setSectionResizeMode(SEGMENT, qt.QHeaderView.Stretch)

    def _fill(self, row: int, segment: SegmentScore, label: str, counts: ReviewCounts) -> None:
        scored = bool(segment.n_scored)
        texts = (
            label,
            "" if segment.predicted_dsc is None else f"{segment.predicted_dsc:.2f}" + " ?" * segment.is_unknown,
            f"{counts.flagged} / {segment.n_scored}" if scored else "",
            str(counts.missed) if counts.missed else "",
            str(counts.open) if counts.open else "",
        )
        tip = segment_tip(segment, label)
        for column, text in enumerate(texts):
            item = self._table.item(row, column)
            if item is None:
                item = qt.QTableWidgetItem()
                if column != SEGMENT:
                    item.setTextAlignment(qt.Qt.AlignCenter)
                self._table.setItem(row, column, item)
            item.setText(text)
            item.setToolTip(tip)
        self._table.item(row, DSC).setIcon(self._swatch(segment))

    def _swatch(self, segment: SegmentScore) -> qt.QIcon:
        swatch = qt.QIcon()
        if segment.predicted_dsc is not None:
            pixmap = qt.QPixmap(SWATCH, SWATCH)
            pixmap.fill(qt_color(dsc_color(segment.predicted_dsc, self._scale)))
            for mode in (qt.QIcon.Normal, qt.QIcon.Selected):  # Qt would tint that of the selected row
                swatch.addPixmap(pixmap, mode)
        return swatch

    def _on_cell(self, row: int, _column: int, *_before: int) -> None:
        if not self._filling and 0 <= row < len(self._ids):
            self._on_choose(self._ids[row])


def segment_tip(segment: SegmentScore, label: str) -> str:
    """What a row's tooltip says of its segment, some lines."""
    lines = [label]
    if segment.structure:
        lines.append(_("Structure: {name}").format(name=segment.structure))
    else:
        lines.append(_("Unknown structure: scored without knowing what it is, so trust the score less"))
    if segment.predicted_dsc is None:
        lines.append(_("No score: {reason}").format(reason=segment.status))
    elif segment.dsc_low is None or segment.dsc_high is None:
        lines.append(_("Predicted DSC {dsc:.2f}").format(dsc=segment.predicted_dsc))
    else:
        lines.append(
            _("Predicted DSC {dsc:.2f}, likely {low:.2f} to {high:.2f}").format(
                dsc=segment.predicted_dsc, low=segment.dsc_low, high=segment.dsc_high
            )
        )
    if segment.n_scored:
        lines.append(_("{scored} of {slices} slices scored").format(scored=segment.n_scored, slices=segment.n_slices))
    return "\n".join(lines)


def qt_color(rgb: Iterable[float]) -> qt.QColor:
    """RGB in 0..1 as a QColor."""
    red, green, blue = (round(255 * c) for c in rgb)
    return qt.QColor(red, green, blue)
