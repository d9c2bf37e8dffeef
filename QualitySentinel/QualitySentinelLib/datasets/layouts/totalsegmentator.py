"""TotalSegmentator's data set: ``s0001/ct.nii.gz``, ``s0001/segmentations/liver.nii.gz``, ``meta.csv``."""

from .case_folders import named_folders

LAYOUT = named_folders("totalsegmentator", r"s\d{3,}")
