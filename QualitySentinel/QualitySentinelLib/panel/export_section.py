"""Needs ``qt`` and ``slicer``. The section Export: a folder, a button, and where the files lie."""

from __future__ import annotations

import os
from html import escape
from pathlib import Path
from types import SimpleNamespace

import qt
import slicer
from slicer.i18n import tr as _

from ..scene.nodes import file_of
from .open_review import OpenReview


class ExportSection:
    """Writes the results of the review that is shown, by the module's ``logic``."""

    def __init__(self, ui: SimpleNamespace, logic) -> None:
        self._ui, self._logic = ui, logic
        self._review: OpenReview | None = None
        self._proposed = ""
        ui.exportButton.connect("clicked(bool)", self._on_export)
        ui.exportFolderEdit.connect("currentPathChanged(QString)", lambda _path: self._draw())

    def show(self, review: OpenReview | None) -> None:
        """Export this review from now on; a folder is proposed where the user has not chosen one."""
        if review is not self._review:
            self._ui.exportLabel.text = ""
        self._review = review
        qt.QTimer.singleShot(0, self._propose)  # a scene learns after its nodes where its file lies
        self._draw()

    def _propose(self) -> None:
        edit, review = self._ui.exportFolderEdit, self._review
        if review is not None and edit.currentPath in ("", self._proposed):
            self._proposed = proposed_folder(review.segmentation_node, review.volume_node)
            edit.currentPath = self._proposed

    def _draw(self) -> None:
        self._ui.exportButton.enabled = self._review is not None and bool(self._ui.exportFolderEdit.currentPath)

    def _on_export(self, *_args) -> None:
        edit = self._ui.exportFolderEdit
        self._ui.exportLabel.text = ""
        with slicer.util.tryWithErrorDisplay(_("Failed to export the results."), waitCursor=True):
            self._propose()  # a scene may have been saved meanwhile
            review, nodes = self._review, (self._review.volume_node, self._review.segmentation_node)
            # A relative path would mean the folder that Slicer was started in, which nobody knows.
            folder = findable_folder(review.segmentation_node, review.volume_node) / Path(edit.currentPath).expanduser()
            edit.currentPath = str(folder)
            case, session = review.session.case, review.session
            self._logic.exportResults(*nodes, case, str(folder), session=session, drawings=review.drawings)
            edit.addCurrentPathToHistory()
            self._ui.exportLabel.text = links_to(folder)


def proposed_folder(segmentation_node, volume_node) -> str:
    """A folder named after the segmentation, where the user can find it; absolute."""
    name = "".join(c if c.isalnum() or c in " -_." else "_" for c in segmentation_node.GetName()).strip(" .")
    return str(findable_folder(segmentation_node, volume_node) / f"{name or 'segmentation'} quality")


def findable_folder(segmentation_node, volume_node) -> Path:
    """A folder that is there, can be written and is the user's: the inputs', else the scene's, else for documents.

    Slicer's own folders do not count: it deletes there what was unpacked from a scene or downloaded.
    """
    scene = slicer.mrmlScene
    own = [Path(slicer.app.temporaryPath), Path(scene.GetCacheManager().GetRemoteCacheDirectory() or os.devnull)]
    files = (file_of(segmentation_node), file_of(volume_node))
    folders = [*(f.parent for f in files if f), Path(scene.GetRootDirectory()), Path(slicer.app.defaultScenePath)]
    for folder in folders:
        within = folder.resolve()
        if folder.is_absolute() and folder.is_dir() and os.access(folder, os.W_OK):
            if not any(within.is_relative_to(place.resolve()) for place in own):
                return folder
    return Path.home()


def links_to(folder: Path) -> str:
    """HTML: where the files lie, with links that open the folder and the report."""
    links = (
        f'<a href="{qt.QUrl.fromLocalFile(str(path)).toString()}">{text}</a>'
        for path, text in ((folder / "report.html", _("report")), (folder, _("folder")))
    )
    return _("Saved in {path}. Open: {links}").format(path=escape(str(folder)), links=", ".join(links))
