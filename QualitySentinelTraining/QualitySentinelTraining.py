import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import *

#
# QualitySentinelTraining
#


class QualitySentinelTraining(ScriptedLoadableModule):
    """Headless companion of Quality Sentinel: builds training pairs, trains, evaluates and audits whole data sets.

    It has no panel. Use its logic from the Python console or from a script, or the `quality-sentinel` command.

    Uses ScriptedLoadableModule base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("Quality Sentinel Training")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        self.parent.dependencies = ["QualitySentinel"]
        self.parent.contributors = ["Quality Sentinel contributors"]
        self.parent.helpText = _("""
Trains the predictor of segmentation quality and applies it to whole data sets, without a user interface.
See more information in <a href="https://github.com/QualitySentinel/SlicerQualitySentinel">module documentation</a>.
""")
        self.parent.acknowledgementText = _("""
The method follows Chen et al., Quality Sentinel: Estimating Label Quality and Errors in Medical Segmentation Datasets.
""")
        # There is nothing to show: the module is used from scripts.
        self.parent.hidden = True
        self.parent.widgetRepresentationCreationEnabled = False


#
# QualitySentinelTrainingLogic
#


class QualitySentinelTrainingLogic(ScriptedLoadableModuleLogic):
    """Runs the training library's commands in this process. Needs no main window and no scene.

    Uses ScriptedLoadableModuleLogic base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def run(self, arguments: list[str]) -> int:
        """Run one `quality-sentinel` command, for example ``["info", "--json"]``.

        :param arguments: the command line without the program's name
        :return: the exit code: 0 when all went well
        """
        # Imported here, because the commands need packages that Slicer does not have when it starts.
        from QualitySentinelLib.commands.main import main

        return main([str(argument) for argument in arguments])

    def train(self, dataFolder: str, outputFolder: str, options: list[str] | None = None) -> int:
        """Train a predictor and write its model file into the output folder.

        :param dataFolder: cases with reference segmentations, laid out as `quality-sentinel train --help` says
        :param outputFolder: folder for the model file, made when missing
        :param options: further options of `quality-sentinel train`
        :return: the exit code: 0 when all went well
        """
        return self.run(["train", "--data", dataFolder, "--out", outputFolder, *(options or [])])


#
# QualitySentinelTrainingTest
#


class QualitySentinelTrainingTest(ScriptedLoadableModuleTest):
    """Tests that run inside Slicer.

    Uses ScriptedLoadableModuleTest base class, available at:
    https://github.com/Slicer/Slicer/blob/main/Base/Python/slicer/ScriptedLoadableModule.py
    """

    def setUp(self):
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self):
        """Run all tests of the module."""
        self.setUp()
        self.test_ModuleIsHidden()
        self.test_LogicNeedsNoTorchToStart()

    def test_ModuleIsHidden(self):
        """The module has no panel, so that the module selector does not offer it."""
        self.delayDisplay("The module is hidden")
        self.assertTrue(slicer.modules.qualitysentineltraining.hidden)

    def test_LogicNeedsNoTorchToStart(self):
        """The logic can be made before PyTorch is installed."""
        self.delayDisplay("The logic starts without PyTorch")
        self.assertIsNotNone(QualitySentinelTrainingLogic())
