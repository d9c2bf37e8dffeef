"""Quality Sentinel: predict the Dice coefficient of CT segmentations, slice by slice, without a ground truth.

The package imports without Slicer and without Qt; importing it runs no code and loads no heavy library.
Layers (each knows only those above it): anatomy, volume, slices, network/text/checkpoint, scorer, scores,
review, then scene (MRML) and reading/report/commands (files). See docs/ARCHITECTURE.md.
"""

__version__ = "0.1.0"
