"""Needs ``qt``. The table of segments, worst first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager

import qt

from ..review import ReviewPresenter
from ..review.presenter import Row

SEGMENT, DSC, FLAGGED, MISSED, OPEN = range(5)
"""Columns, as the ``.ui`` file has them."""

SWATCH = 14
"""Pixels of the square in the color of a DSC."""


class ResultsTable:
    """Fills a QTableWidget from a review.

    ``on_choose`` is called with a segment id when the reader clicks a row or moves to it with the keyboard.
    """

    def __init__(self, table: qt.QTableWidget, on_choose: Callable[[str], object]) -> None:
        self._table, self._on_choose = table, on_choose
        self._ids: list[str] = []
        self._filling = False
        self._fit_columns(True)
        table.horizontalHeader().setHighlightSections(False)
        table.connect("cellClicked(int,int)", self._on_cell)
        table.connect("currentCellChanged(int,int,int,int)", self._on_cell)

    def show(self, presenter: ReviewPresenter | None, segment_ids: Iterable[str] | None = None) -> None:
        """List the segments of a review, an empty list for ``None``; or only show some anew where they stand."""
        ids = [s.segment_id for s in presenter.session.segments] if presenter else []
        anew = segment_ids is None or ids != self._ids
        with self._being_filled():
            if anew:
                self._ids = ids
                self._table.setRowCount(len(ids))
            for row in presenter.rows(None if anew else segment_ids) if presenter else ():
                self._fill(self._ids.index(row.id), row)
        if anew:
            self.select(presenter.session.selected if presenter else None)

    def select(self, segment_id: str | None) -> None:
        """Mark the segment's row, and bring it into sight."""
        row = self._ids.index(segment_id) if segment_id in self._ids else -1
        self._filling = True
        try:
            if self._table.currentRow() != row:
                self._table.setCurrentCell(row, SEGMENT if row >= 0 else -1)
            if row >= 0:
                self._table.scrollToItem(self._table.item(row, SEGMENT))
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

    def _fill(self, number: int, row: Row) -> None:
        flagged = f"{row.flagged} / {row.n_scored}" if row.n_scored else ""
        for column, text in enumerate((row.name, row.dsc, flagged, str(row.missed or ""), str(row.open or ""))):
            item = self._table.item(number, column)
            if item is None:
                item = qt.QTableWidgetItem()
                if column != SEGMENT:
                    item.setTextAlignment(qt.Qt.AlignCenter)
                self._table.setItem(number, column, item)
            item.setText(text)
            item.setToolTip(row.tip)
        swatch = qt.QIcon()
        if row.dsc:
            pixmap = qt.QPixmap(SWATCH, SWATCH)
            pixmap.fill(qt.QColor(row.color))
            for mode in (qt.QIcon.Normal, qt.QIcon.Selected):  # Qt would tint that of the selected row
                swatch.addPixmap(pixmap, mode)
        self._table.item(number, DSC).setIcon(swatch)

    def _on_cell(self, row: int, _column: int, *_before: int) -> None:
        if not self._filling and 0 <= row < len(self._ids):
            self._on_choose(self._ids[row])
