"""A Slicer without its application, for tests: real MRML scene and logics, stand-ins for what needs the application.

Real, from the slicer-core wheel: every vtkMRML class and logic, ``slicer.util``. Stand-ins, in the files beside this
one: ``slicer.app``, the main window, ``slicer.ScriptedLoadableModule``, ``slicer.parameterNodeWrapper``,
``slicer.i18n``, ``slicer.packaging``, the Segment Editor, ``qt``, ``ctk`` and qMRML widgets. Where a stand-in and
Slicer differ, Slicer is right.

    from Testing.Host.headless_slicer import start, load_module
    start()
    import slicer

With ``main_window.open_main_window`` there are a module panel and views, too.
"""

from __future__ import annotations

import importlib
import os
import sys
import types
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

_started = None


def start():
    """Make ``import slicer``, ``qt`` and ``ctk`` work as in Slicer; returns trame-slicer's application object."""
    global _started
    if _started is not None:
        return _started
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    with suppress(ImportError):  # torchvision imports it, and it crashes once VTK has rendered: Mesa has another LLVM
        import triton  # noqa: F401
    import slicer
    import slicer.util
    from trame_slicer.core import SlicerApp

    from . import packaging_stand_in, parameter_node_wrapper, pythonqt
    from .application import Application

    core = SlicerApp()
    core.scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())  # in Slicer vtkSlicerColorLogic does it
    slicer.mrmlScene = core.scene
    slicer.app = Application(core)
    slicer.selfTests = {}

    i18n = types.ModuleType("slicer.i18n", "Stand-in for tests: nothing is translated.")
    i18n.tr = lambda text: text
    i18n.translate = lambda context, text: text
    sys.modules["qt"] = pythonqt.qt_module()
    _install("slicer.i18n", i18n)
    _install("slicer.packaging", packaging_stand_in)
    _install("slicer.parameterNodeWrapper", parameter_node_wrapper)
    from . import ctk_stand_in, qmrml_stand_in, scripted_loadable_module

    sys.modules["ctk"] = ctk_stand_in
    slicer.qMRMLWidget, slicer.qMRMLNodeComboBox = qmrml_stand_in.qMRMLWidget, qmrml_stand_in.qMRMLNodeComboBox
    _install("slicer.ScriptedLoadableModule", scripted_loadable_module)
    from . import modules, segment_editor

    slicer.qSlicerScriptedLoadableModule = modules.qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = modules.qSlicerScriptedLoadableModuleWidget
    slicer.qMRMLSegmentEditorWidget = segment_editor.qMRMLSegmentEditorWidget
    slicer.modules = SimpleNamespace(
        volumes=modules.Module("Volumes", logic=core.volumes_logic),
        segmentations=modules.Module("Segmentations", logic=core.segmentations_logic),
        terminologies=modules.Module("Terminologies", logic=core.terminologies_logic),
        colors=modules.Module("Colors", logic=core.color_logic),
        segmenteditor=segment_editor.module(),
    )
    _started = core
    return core


def load_module(path: str | Path):
    """Import a scripted module and make its module object, as Slicer does at startup; returns the imported module."""
    import slicer

    path = Path(path)
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    module = importlib.import_module(path.stem)
    if not hasattr(slicer.modules, path.stem.lower()):
        parent = slicer.qSlicerScriptedLoadableModule(path.stem, str(path), getattr(module, f"{path.stem}Widget", None))
        parent.instance = getattr(module, path.stem)(parent)
        setattr(slicer.modules, path.stem.lower(), parent)
    return module


def _install(name: str, module: types.ModuleType) -> None:
    import slicer

    sys.modules[name] = module
    setattr(slicer, name.rpartition(".")[2], module)
