"""Needs ``slicer`` when called. One click in Slicer's Sample Data module: a public CT and its segmentation.

The CT is Slicer's own sample CTLiver (from the Medical Segmentation Decathlon, CC-BY-SA 4.0). The segmentation of it is
the one that the Sandbox extension of Slicer publishes. Addresses and checksums are those of their source code; Slicer
downloads both when the user clicks, and never before.
"""

from __future__ import annotations

from pathlib import Path

CATEGORY = "QualitySentinel"
SAMPLE_NAME = "CTLiverSegmented"
CT_NAME, SEGMENTATION_NAME = "CTLiver", "CTLiverSegmentation"
_CT_SHA256 = "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e"
_SEGMENTATION_SHA256 = "ce9a7182a666788a2556f6cf4f59ad5dadd944171cc279e80c164496729a7032"
_SEGMENTATION_URL = (
    "https://github.com/PerkLab/SlicerSandbox/releases/download/TestingData/CTLiverSegmentation.seg.nrrd"
)
_THUMBNAIL = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "CTLiverSegmented.png"


def register_sample_data() -> None:
    """Add the sample to Slicer's Sample Data module. To be connected to ``slicer.app``'s ``startupCompleted()``."""
    import SampleData
    import slicer.util
    from slicer.i18n import tr as _

    logic = SampleData.SampleDataLogic
    logic.registerCustomSampleDataCategory(CATEGORY, title=_("Quality Sentinel"))
    logic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=SAMPLE_NAME,
        thumbnailFileName=str(_THUMBNAIL),
        # The CT under the file name that Slicer gives it: who has loaded CTLiver before does not download it again.
        uris=[f"{slicer.util.TESTING_DATA_URL}SHA256/{_CT_SHA256}", _SEGMENTATION_URL],
        fileNames=[f"{CT_NAME}.nrrd", f"{SEGMENTATION_NAME}.seg.nrrd"],
        nodeNames=[CT_NAME, SEGMENTATION_NAME],
        loadFileTypes=["VolumeFile", "SegmentationFile"],
        checksums=[f"SHA256:{_CT_SHA256}", f"SHA256:{_SEGMENTATION_SHA256}"],
    )
