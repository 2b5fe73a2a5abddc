"""One Report record, several renderers."""

from hybrid.report.model import Report

__all__ = ["Report"]
