"""Needs ``slicer`` and trame-slicer. A MRML scene without Slicer's application, and one case in it.

``scene/`` is written for Slicer, where ``slicer.mrmlScene`` and the modules' logics are always there. The ``slicer``
package outside Slicer has the classes alone; :func:`start_scene` puts the scene and the logics where that room looks
for them. Nothing else of Slicer is imitated.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import slicer
import slicer.util
from trame_slicer.core import SlicerApp
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow

from ..errors import InputError
from ..report import write_scored_segmentation
from ..scores import CaseScore
from ..volume import CtVolume, Segmentation

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


def add_ct(ct: CtVolume):
    """A scalar volume node of the CT, in the file's voxel order."""
    voxels = np.ascontiguousarray(ct.frame.to_file(ct.hu))
    return slicer.util.addVolumeFromArray(voxels, ct.frame.file_ijk_to_ras, Path(ct.source).name or "CT")


def add_segmentation(app: SlicerApp, segmentation: Segmentation):
    """A segmentation node with the same ids, names, colors and tags.

    By way of a ``.seg.nrrd``: Slicer's own reader builds the layers, and what we write it reads.

    Raises:
        InputError: Slicer cannot read it.
    """
    with tempfile.TemporaryDirectory(prefix="quality-sentinel-") as folder:
        path = write_scored_segmentation(Path(folder) / "segmentation.seg.nrrd", segmentation, CaseScore([], 0.0))
        node = app.segmentation_editor.load_segmentation_from_file(str(path))
    if node is None:
        raise InputError(f"{segmentation.source}: Slicer cannot read it; save it as .seg.nrrd")
    node.SetName(Path(segmentation.source).name or "Segmentation")
    node.CreateDefaultDisplayNodes()
    return node
