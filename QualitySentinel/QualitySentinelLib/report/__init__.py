"""Layer 8b: files out. One HTML page per case that a reader opens without a network."""

from .html_report import write_html_report

__all__ = ["write_html_report"]
