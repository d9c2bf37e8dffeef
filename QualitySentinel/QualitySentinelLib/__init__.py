"""Quality Sentinel: predict the Dice coefficient of CT segmentations, slice by slice, without a ground truth.

    from QualitySentinelLib import read_ct, read_segmentation, score

    ct = read_ct("ct.nii.gz")
    case = score(ct, read_segmentation("segmentation.nii.gz", ct))
    print(case.worst_first()[0].name)

The package imports without Slicer and without Qt. What it exports is loaded when it is first asked for, so that
importing it loads no heavy library.
Layers (each knows only those above it): anatomy, volume, slices, network/text/checkpoint, scorer, scores,
review, then scene (MRML) and reading/report/commands (files). See docs/ARCHITECTURE.md.
"""

__version__ = "0.1.0"

_EXPORTS = {
    "score": "scorer",
    "Scorer": "scorer",
    "load_model": "checkpoint",
    "read_ct": "reading",
    "read_segmentation": "reading",
    "write_results": "report",
    "CaseScore": "scores",
    "SegmentScore": "scores",
    "SliceScore": "scores",
    "QualitySentinelError": "errors",
}
"""Name and the room that holds it."""

__all__ = list(_EXPORTS)


def __getattr__(name: str) -> object:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f".{_EXPORTS[name]}", __name__), name)
