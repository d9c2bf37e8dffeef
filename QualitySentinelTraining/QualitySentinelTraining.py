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

    Each method runs the `quality-sentinel` command that it names, and returns its exit code: 0 when all went well.
    `options` are further options of that command, as `quality-sentinel COMMAND --help` shows them.
    """

    def run(self, arguments: list[str]) -> int:
        """Run one `quality-sentinel` command, for example ``["info", "--json"]``.

        :param arguments: the command line without the program's name
        :return: the exit code: 0 when all went well
        """
        # Imported here, because the commands need packages that Slicer does not have when it starts.
        from QualitySentinelLib.commands.main import main

        return main([str(argument) for argument in arguments])

    def makePairs(self, dataFolder: str, outputFolder: str, options: list[str] | None = None) -> int:
        """Make pairs (slices of masks with errors, and their true DSC) of every subject of a data set: `make-pairs`."""
        return self.run(["make-pairs", "--data", dataFolder, "--out", outputFolder, *(options or [])])

    def trainSegmenters(self, dataFolder: str, outputFolder: str, options: list[str] | None = None) -> int:
        """Train small segmentation networks and write their predictions of unseen subjects: `train-segmenters`."""
        return self.run(["train-segmenters", "--data", dataFolder, "--out", outputFolder, *(options or [])])

    def train(self, pairFolders: str | list[str], outputFolder: str, options: list[str] | None = None) -> int:
        """Train a predictor on one or several folders of pairs, or resume it: `train`."""
        folders = pairFolders if isinstance(pairFolders, (list, tuple)) else [pairFolders]
        return self.run(["train", "--pairs", *folders, "--out", outputFolder, *(options or [])])

    def average(self, modelFiles: list[str], outputFile: str) -> int:
        """Write a model whose weights are the mean of several stages of one training: `average`."""
        return self.run(["average", "--models", *modelFiles, "--out", outputFile])

    def evaluate(self, modelFile: str, outputFolder: str, options: list[str]) -> int:
        """Measure a model file, or `bundled`, on the subjects that the options name: `evaluate`."""
        return self.run(["evaluate", "--model", modelFile, "--out", outputFolder, *options])

    def calibrate(self, modelFile: str, tables: list[str], outputFile: str, options: list[str] | None = None) -> int:
        """Write a copy of a model file with calibrations from slice tables of evaluate: `calibrate`."""
        return self.run(["calibrate", "--model", modelFile, "--scores", *tables, "--out", outputFile, *(options or [])])

    def audit(self, dataset: str, outputFolder: str, options: list[str] | None = None) -> int:
        """Score every case of a data set, or resume it: `audit`. The exit code is 6 when some could not be scored."""
        return self.run(["audit", dataset, "--out", outputFolder, *(options or [])])


#
# QualitySentinelTrainingTest
#


class QualitySentinelTrainingTest(ScriptedLoadableModuleTest):
    """Tests that run inside Slicer."""

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
