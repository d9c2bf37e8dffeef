"""Needs ``slicer`` and trame-slicer. A MRML scene without Slicer's application.

``scene/`` is written for Slicer, where ``slicer.mrmlScene`` and the modules' logics are always there. The ``slicer``
package outside Slicer has the classes alone; :func:`start_scene` puts the scene and the logics where that room looks
for them. Nothing else of Slicer is imitated.
"""

from __future__ import annotations

from types import SimpleNamespace

import slicer
import slicer.util
from trame_slicer.core import SlicerApp
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

_started: SlicerApp | None = None


def start_scene() -> SlicerApp:
    """trame-slicer's application object, with its scene as ``slicer.mrmlScene``; one for the whole process."""
    global _started
    if _started is None:
        vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_ERROR)
        app = SlicerApp()
        vtkOutputWindow.GetInstance().SetDisplayModeToNever()  # it says warnings; the logger says the errors, too
        slicer.mrmlScene = app.scene
        slicer.app = SimpleNamespace(applicationLogic=lambda: app.app_logic)
        slicer.modules = SimpleNamespace(
            volumes=SimpleNamespace(logic=lambda: app.volumes_logic),
            segmentations=SimpleNamespace(logic=lambda: app.segmentations_logic),
            terminologies=SimpleNamespace(logic=lambda: app.terminologies_logic),
        )
        _started = app
    return _started
