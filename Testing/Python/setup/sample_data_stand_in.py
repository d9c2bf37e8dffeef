"""Stand-in for tests, no product logic: Slicer's module ``SampleData``, its registration alone.

Signatures, checks and what is kept where are those of Slicer 5.12's ``Modules/Scripted/SampleData/SampleData.py``.
"""

from __future__ import annotations

import slicer


class SampleDataSource:
    """One entry of the Sample Data module; it may have several files."""

    def __init__(
        self,
        sampleName=None,
        sampleDescription=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        checksums=None,
        loadFiles=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFileProperties=None,
        loadFileType=None,
    ):
        count = len(uris)
        self.sampleName, self.sampleDescription = sampleName, sampleDescription or sampleName
        self.uris, self.fileNames, self.nodeNames = uris, fileNames, nodeNames
        self.checksums = checksums or [None] * count
        self.loadFiles = loadFiles or [None] * count
        self.loadFileTypes = loadFileTypes or [None] * count
        self.loadFileProperties = loadFileProperties or {}
        self.customDownloader, self.thumbnailFileName = customDownloader, thumbnailFileName
        lists = (self.fileNames, self.nodeNames, self.checksums, self.loadFiles, self.loadFileTypes)
        if any(len(values) != count for values in lists):
            raise ValueError("All fields of sample data source must have the same length")

    def __eq__(self, other):
        return vars(self) == vars(other)


class SampleDataLogic:
    """Keeps ``slicer.modules.sampleDataSources``: entries by category."""

    @staticmethod
    def registerCustomSampleDataCategory(category, title):
        """The category's title in the panel."""
        if not hasattr(slicer.modules, "sampleDataSourceCategories"):
            slicer.modules.sampleDataSourceCategories = {}
        slicer.modules.sampleDataSourceCategories.setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom",
        sampleName=None,
        uris=None,
        fileNames=None,
        nodeNames=None,
        customDownloader=None,
        thumbnailFileName=None,
        loadFileTypes=None,
        loadFiles=None,
        loadFileProperties={},  # noqa: B006, as in Slicer
        checksums=None,
        loadFileType=None,
    ):
        """Add an entry, unless it is there already."""
        if not hasattr(slicer.modules, "sampleDataSources"):
            slicer.modules.sampleDataSources = {}
        source = SampleDataSource(
            sampleName=sampleName,
            uris=uris,
            fileNames=fileNames,
            nodeNames=nodeNames,
            thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes,
            loadFiles=loadFiles,
            loadFileProperties=loadFileProperties,
            checksums=checksums,
            customDownloader=customDownloader,
        )
        sources = slicer.modules.sampleDataSources.setdefault(category, [])
        if source not in sources:
            sources.append(source)
