"""Needs ``qt`` and ``slicer``. The section Export: a folder, a button, and where the files lie."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import qt
import slicer
from slicer.i18n import tr as _

from .open_review import OpenReview
from .review_panel import escaped


class ExportSection:
    """Writes the results of the review that is shown.

    Args:
        ui: the widgets by name.
        write: called with a review and a folder; writes the files.
    """

    def __init__(self, ui: SimpleNamespace, write: Callable[[OpenReview, str], object]) -> None:
        self._ui, self._write = ui, write
        self._review: OpenReview | None = None
        self._proposed = ""
        ui.exportButton.connect("clicked(bool)", self._on_export)
        ui.exportFolderEdit.connect("currentPathChanged(QString)", lambda _path: self._draw())

    def show(self, review: OpenReview | None) -> None:
        """Export this review from now on; a folder is proposed where the user has not chosen one."""
        if review is not self._review:
            self._ui.exportLabel.text = ""
        self._review = review
        edit = self._ui.exportFolderEdit
        if review is not None and edit.currentPath in ("", self._proposed):
            self._proposed = proposed_folder(review.segmentation_node, review.volume_node)
            edit.currentPath = self._proposed
        self._draw()

    def _draw(self) -> None:
        self._ui.exportButton.enabled = self._review is not None and bool(self._ui.exportFolderEdit.currentPath)

    def _on_export(self, *_args) -> None:
        edit = self._ui.exportFolderEdit
        self._ui.exportLabel.text = ""
        with slicer.util.tryWithErrorDisplay(_("Failed to export the results."), waitCursor=True):
            self._write(self._review, edit.currentPath)
            edit.addCurrentPathToHistory()
            self._ui.exportLabel.text = links_to(Path(edit.currentPath))


def proposed_folder(segmentation_node, volume_node) -> str:
    """A folder named after the segmentation, beside the files it comes from; empty when it was never a file."""
    for node in (segmentation_node, volume_node):
        storage = node.GetStorageNode()
        path = storage.GetFileName() if storage else None
        if path:
            name = "".join(c if c.isalnum() or c in " -_." else "_" for c in segmentation_node.GetName()).strip(" .")
            return str(Path(path).parent / f"{name or 'segmentation'} quality")
    return ""


def links_to(folder: Path) -> str:
    """HTML: where the files lie, with links that open the folder and the report."""
    links = (
        f'<a href="{qt.QUrl.fromLocalFile(str(path)).toString()}">{text}</a>'
        for path, text in ((folder / "report.html", _("report")), (folder, _("folder")))
    )
    return _("Written to {path}. Open: {links}").format(path=escaped(str(folder)), links=", ".join(links))
