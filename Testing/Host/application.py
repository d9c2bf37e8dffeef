"""Stand-in for tests, no product logic: ``slicer.app`` and the module manager."""

from __future__ import annotations

from types import SimpleNamespace

from PySide6 import QtCore, QtWidgets


class Application:
    """What tests and modules ask of the application; in testing mode, so no message box ever opens."""

    applicationName = "Slicer"
    majorVersion, minorVersion = 5, 12

    def __init__(self):
        self.qt = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        self.exit_code = None
        self.testing = True
        self._options = SimpleNamespace(runPythonAndExit=False, testingEnabled=True)
        self._slots = {}

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
        """There is no main window."""
        return []

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
