"""Stand-in for tests, no product logic: ``slicer.app`` and the module manager."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

from PySide6 import QtCore, QtWidgets


class Application:
    """What tests and modules ask of the application; in testing mode, so no message box ever opens."""

    applicationName = "Slicer"
    majorVersion, minorVersion = 5, 12
    applicationVersion, revision, repositoryRevision, platform = "5.12.0", "34567", "a5df714", "linux-amd64"

    def __init__(self, core):
        from .io_manager import CoreIOManager
        from .modules import ModuleManager

        self.qt = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        self.exit_code = None
        self.testing = True
        self._options = SimpleNamespace(runPythonAndExit=False, testingEnabled=True)
        self._slots = {}
        self.main_window = None
        self._core, self._io_manager, self._module_manager = core, CoreIOManager(core), ModuleManager()
        self._folder = tempfile.TemporaryDirectory(prefix="slicer-")
        self.temporaryPath = self._folder.name
        self.defaultScenePath = str(Path.home())  # in Slicer, the user's documents
        core.scene.SetRootDirectory(self.defaultScenePath)
        self.slicerUserSettingsFilePath = str(Path(self._folder.name) / "Slicer.ini")

    def commandOptions(self):
        """Command-line options."""
        return self._options

    def testingEnabled(self):
        """Message boxes are logged instead of shown."""
        return self.testing

    def connect(self, signature, slot):
        """Only ``startupCompleted()``, which :meth:`startupCompleted` sends."""
        self._slots.setdefault(signature, []).append(slot)
        return True

    def startupCompleted(self):
        """Tell everyone that the application is up."""
        for slot in self._slots.pop("startupCompleted()", []):
            slot()

    def processEvents(self, *_):
        """Let the event loop run once."""
        self.qt.processEvents()

    def topLevelWidgets(self):
        """The main window, where one was opened."""
        return [] if self.main_window is None else [self.main_window]

    def layoutManager(self):
        """The views, where a main window was opened, else None."""
        return None if self.main_window is None else self.main_window.layout_manager

    def moduleManager(self):
        """All modules."""
        return self._module_manager

    def coreIOManager(self):
        """Reads and writes files."""
        return self._io_manager

    ioManager = coreIOManager

    def applicationLogic(self):
        """The real vtkSlicerApplicationLogic."""
        return self._core.app_logic

    def mrmlScene(self):
        """The scene."""
        return self._core.scene

    def userSettings(self):
        """Settings in a file of this process alone."""
        return QtCore.QSettings(self.slicerUserSettingsFilePath, QtCore.QSettings.Format.IniFormat)

    settings = revisionUserSettings = userSettings

    def palette(self):
        """The colors of the style."""
        return self.qt.palette()

    def focusWidget(self):
        """The widget that has the keyboard."""
        return self.qt.focusWidget()

    def pauseRender(self):
        """Renderings go on: nothing depends on it."""

    resumeRender = pauseRender

    def setOverrideCursor(self, cursor):
        """As in Qt."""
        self.qt.setOverrideCursor(cursor)

    def restoreOverrideCursor(self):
        """As in Qt."""
        self.qt.restoreOverrideCursor()

    def translate(self, context, text):
        """There is no translation."""
        return text

    def thread(self):
        """The main thread."""
        return self.qt.thread()

    def exit(self, status=0):
        """Remember the exit code; whoever started the host ends the process."""
        self.exit_code = status
        QtCore.QCoreApplication.exit(status)
