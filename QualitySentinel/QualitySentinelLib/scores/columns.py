"""The columns of every table: what kind of value each holds, in which unit, and where a score has it.

CSV, Parquet, data frames and Slicer's tables are made from this list, and docs/OUTPUTS.md is checked against it. A new
column is one entry here, and its name in the tables that have it.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str  # its head
    kind: type = str  # ``str``, ``int``, ``float`` or ``bool``. Only texts and numbers may be missing
    meaning: str = ""  # in one line; numbers of DSC are 0..1
    decimals: int | None = 4  # of a float; ``None``: ten significant digits
    attribute: str = ""  # where the object that a row is made from has it; by default under the column's name

    def of(self, score: object) -> object:
        """The value in the row of ``score``."""
        return attrgetter(self.attribute or self.name)(score)

    @property
    def unit(self) -> str:
        """Unit of the values, ``mm`` or empty."""
        return "mm" if self.name.endswith("_mm") else ""


_COLUMNS = (
    Column("segment", str, "name of the segment; name [id] where two share a name"),
    Column("structure", str, "anatomical structure that it was matched to"),
    Column("n_slices", int, "slices that hold voxels of the mask"),
    Column("n_scored", int, "slices of the mask that were scored"),
    Column("predicted_dsc", float, "predicted DSC; of a missed slice, the probability that nothing is missed"),
    Column("dsc_low", float, "lower end of the range around the predicted DSC"),
    Column("dsc_high", float, "upper end of the range around the predicted DSC"),
    Column("n_flagged", int, "scored slices below the threshold"),
    Column("status", str, "scored, unknown structure, empty or not scored"),
    Column("missed_slices", int, "slices without mask where the structure is expected", attribute="n_missed"),
    Column("slice_index", int, "the file's own number of the slice, from 0"),
    Column("position_mm", float, "patient coordinate S of the slice's center", decimals=3),
    Column("flagged", bool, "below the threshold"),
    Column("missed", bool, "no mask in this slice, but the structure is expected"),
    Column("n_accepted", int, "flagged or missed slices that the reader accepted"),
    Column("n_corrected", int, "slices that an edit left neither flagged nor missed"),
    Column("n_open", int, "flagged or missed slices still to be reviewed"),
    Column("accepted", bool, "the reader accepted the slice"),
    Column("edited", bool, "its mask differs from the one that was scored first"),
    Column("first_dsc", float, "predicted DSC before the edit"),
    # of an audit
    Column("case", str, "name of the case"),
    Column("dataset", str, "name of the data set"),
    Column("reason", str, "why the case failed"),
    Column("ct", str, "path of the CT"),
    Column("seg", str, "path of the segmentation"),
    Column("n_segments", int, "segments of the case"),
    Column("device", str, "where it was scored"),
    Column("model_sha256", str, "fingerprint of the model"),
    Column("warnings", str, "remarks, separated by |"),
    Column("read_seconds", float, "time to read the case", None),
    Column("score_seconds", float, "time to score the case", None),
    Column("volume_ml", float, "volume of the mask", 3),
    Column("centroid_r_mm", float, "patient coordinate R of the mask's center of mass", 2),
    Column("centroid_a_mm", float, "patient coordinate A of the mask's center of mass", 2),
    Column("centroid_s_mm", float, "patient coordinate S of the mask's center of mass", 2),
    Column("area_mm2", float, "area of the mask in the slice", 3, "own_area_mm2"),
    Column("k", int, "canonical slice, 0 most inferior"),
    Column("gain", float, "expected gain of the mean DSC by correcting the slice", 8),
    Column("gain_so_far", float, "expected gain by correcting this and all slices above it", 8),
)
COLUMNS = {column.name: column for column in _COLUMNS}

SEGMENT_COLUMNS = tuple(
    "segment structure n_slices n_scored predicted_dsc dsc_low dsc_high n_flagged status missed_slices".split()
)
SLICE_COLUMNS = tuple(
    "segment structure slice_index position_mm predicted_dsc flagged dsc_low dsc_high missed".split()
)
REVIEW_SEGMENT_COLUMNS = (*SEGMENT_COLUMNS, "n_accepted", "n_corrected", "n_open")
REVIEW_SLICE_COLUMNS = (*SLICE_COLUMNS, "accepted", "edited", "first_dsc")
