"""Needs ``qt`` and ``slicer``. The section Advanced: models, what is installed, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from html import escape
from types import SimpleNamespace

import qt
import slicer
from slicer.i18n import tr as _

from .. import setup
from ..errors import CancelledError

MODEL_FILTER = "{models} (*.safetensors *.pth *.pt *.ckpt);;{all} (*)"


class AdvancedSection:
    """Fills the section, and does what its buttons say; ``on_model`` gets the source of the model that is chosen."""

    def __init__(self, ui: SimpleNamespace, on_model: Callable[[str], object]) -> None:
        self._ui, self._on_model = ui, on_model
        self._sources: list[str] = []
        ui.modelComboBox.connect("currentIndexChanged(int)", self._on_index)
        ui.importModelButton.connect("clicked(bool)", self._on_import)
        ui.installButton.connect(
            "clicked(bool)",
            lambda *_args: self._install(lambda: setup.ensure_packages(force_cpu=ui.forceCpuCheckBox.checked)),
        )
        ui.openvinoButton.connect("clicked(bool)", lambda *_args: self._install(setup.install_openvino))
        ui.removeDownloadsButton.connect("clicked(bool)", self._on_remove)
        ui.packageInfoButton.connect("clicked(bool)", self._on_info)
        ui.advancedCollapsibleButton.connect(
            "contentsCollapsed(bool)", lambda folded: None if folded else self.show_state()
        )

    def show_model(self, source: str) -> None:
        """Offer all models there are, and show which one is chosen."""
        choices = setup.model_choices()
        if source not in [c.source for c in choices]:  # the file of a scene from another computer
            choices.append(setup.ModelChoice(_("(missing) {name}").format(name=source), source, source))
        combo = self._ui.modelComboBox
        combo.blockSignals(True)
        if self._sources != [c.source for c in choices]:
            combo.clear()
            for number, choice in enumerate(choices):
                combo.addItem(choice.name)
                combo.setItemData(number, choice.origin, qt.Qt.ToolTipRole)
            self._sources = [c.source for c in choices]
        combo.currentIndex = self._sources.index(source)
        combo.blockSignals(False)

    def show_state(self) -> None:
        """Show what is installed; not more often than needed, because files are looked at."""
        self._ui.installStateLabel.text = state_html(setup.install_state())

    def _on_index(self, index: int) -> None:
        if 0 <= index < len(self._sources):
            self._on_model(self._sources[index])

    def _on_import(self, *_args) -> None:
        kinds = MODEL_FILTER.format(models=_("Models"), all=_("All files"))
        path = qt.QFileDialog.getOpenFileName(self._ui.importModelButton, _("Import model"), "", kinds)
        if not path:
            return
        with slicer.util.tryWithErrorDisplay(_("Failed to import the model."), waitCursor=True):
            choice = setup.import_model(path)
            self._on_model(choice.source)
            self.show_model(choice.source)
            self.show_state()

    def _install(self, install: Callable[[], object]) -> None:
        try:
            with slicer.util.tryWithErrorDisplay(_("Failed to install packages.")), suppress(CancelledError):
                install()  # a user who cancels has just said so
        finally:
            self.show_state()

    def _on_remove(self, *_args) -> None:
        if not slicer.util.confirmOkCancelDisplay(
            _("Remove all imported models? The files they were imported from are kept."),
            _("Quality Sentinel - Remove Downloads"),
        ):
            return
        before = len(setup.model_choices())
        try:
            with slicer.util.tryWithErrorDisplay(_("Failed to remove downloads.")):
                freed = setup.remove_downloads()
                slicer.util.infoDisplay(removed_text(before - len(setup.model_choices()), freed))
        finally:
            source = self._sources[self._ui.modelComboBox.currentIndex]
            if source not in [c.source for c in setup.model_choices()]:
                source = "bundled"
                self._on_model(source)
            self.show_model(source)
            self.show_state()

    def _on_info(self, *_args) -> None:
        with slicer.util.tryWithErrorDisplay(_("Failed to gather package info."), waitCursor=True):
            text = setup.package_info()
        slicer.util.infoDisplay(
            _("Copy the text under Details into your support request. It contains no patient data."),
            _("Quality Sentinel - Package Info"),
            detailedText=text,
        )


def removed_text(models: int, freed: int) -> str:
    """What is said when so many models were removed; ``freed`` in bytes."""
    if not models:
        return _("There are no imported models.")
    return _("Models removed: {models}. Disk space freed: {megabytes:.1f} MB.").format(
        models=models, megabytes=freed / 1e6
    )


def state_html(parts: Sequence[setup.InstalledPart]) -> str:
    """HTML lines of what is installed: mark, name, version, advice."""
    lines = []
    for part in parts:
        mark, advice = ("\u2713", "") if part.ok else ("\u26a0", f": {part.advice}" if part.advice else "")
        lines.append(f"{mark} <b>{escape(part.name)}</b> {escape(part.version)}{escape(advice)}")
    return "<br>".join(lines)
