"""Layer 8b: files out. The HTML page that a reader opens without a network, and the scored segmentation."""

from .html_report import write_html_report
from .results import write_results
from .scored_segmentation import write_scored_segmentation
