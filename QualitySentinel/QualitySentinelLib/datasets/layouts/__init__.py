"""The layouts of data sets, one file each. To add one, write its file and list it here."""

from . import (
    abdomenatlas,
    bids,
    decathlon,
    dicom,
    folders,
    manifest,
    nnunet,
    openkbp,
    published,
    totalsegmentator,
)
from .layout import Layout

LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        totalsegmentator.LAYOUT, abdomenatlas.LAYOUT, openkbp.LAYOUT, nnunet.LAYOUT, decathlon.LAYOUT, bids.LAYOUT,
        published.LAYOUT, folders.LAYOUT, dicom.LAYOUT, manifest.LAYOUT,
    )
}  # fmt: skip
"""By name, in the order in which general ones are tried."""
