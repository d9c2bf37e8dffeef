"""Layer 6: the results of scoring as plain data, their aggregation and flags, and their tables."""

from .aggregation import AGGREGATIONS, DEFAULT_AGGREGATION, aggregate
from .colors import dsc_color
from .flags import DEFAULT_THRESHOLD, flag
from .labels import segment_labels
from .progress import Progress, Stage
from .report_json import (
    case_document,
    case_from_document,
    read_report_document,
    read_report_json,
    write_report_json,
)
from .score import CaseScore, SegmentScore, SliceScore, Status
from .tables import read_segments_csv, read_slices_csv, write_segments_csv, write_slices_csv
from .versions import software_versions
