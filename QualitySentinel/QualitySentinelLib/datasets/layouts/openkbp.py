"""OpenKBP: ``pt_1/ct.nii.gz``, ``pt_1/seg.nii.gz``; its label values where no file of names is there."""

from .case_folders import named_folders

LAYOUT = named_folders("openkbp", r"pt_\d+", names="openkbp", title="OpenKBP")
