"""Looking through a folder of DICOM files by their headers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import InputError

SEGMENTATION_STORAGE = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes Segmentation Storage and Label Map Segmentation Storage."""


def dicom_headers(
    folder: Path, keywords: Sequence[str], files: Sequence[Path] | None = None
) -> Iterator[tuple[Path, object]]:
    """Path and pydicom data set (``keywords`` only) of each DICOM file below ``folder``; other files are passed over.

    ``files``: look at these only, instead of all below ``folder``.

    Files without the ``DICM`` mark are passed over too, unless their name ends in ``.dcm`` or ``.ima``.
    """
    import pydicom
    from pydicom.errors import InvalidDicomError

    for path in sorted(p for p in folder.rglob("*") if p.is_file()) if files is None else files:
        try:
            with open(path, "rb") as stream:
                marked = stream.read(132)[128:] == b"DICM"
            if not marked and path.suffix.lower() not in (".dcm", ".ima"):
                continue
            yield path, pydicom.dcmread(path, stop_before_pixels=True, force=not marked, specific_tags=list(keywords))
        except (InvalidDicomError, EOFError, ValueError, KeyError, AttributeError, NotImplementedError):
            continue  # not DICOM after all, or damaged beyond telling what it is
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error}); check its rights") from error
