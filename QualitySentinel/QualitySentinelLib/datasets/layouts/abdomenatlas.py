"""AbdomenAtlas: ``BDMAP_00000001/ct.nii.gz``, ``BDMAP_00000001/segmentations/liver.nii.gz``."""

from .case_folders import named_folders

LAYOUT = named_folders("abdomenatlas", r"BDMAP_\w+")
