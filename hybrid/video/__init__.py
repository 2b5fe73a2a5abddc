"""Compressed-domain reader: I-frames, motion vectors and residuals, GOP by GOP, traced back exactly."""

from hybrid.video.follow import Following
from hybrid.video.gop import Gop
from hybrid.video.reader import read, sample, sample_each

__all__ = ["Following", "Gop", "read", "sample", "sample_each"]
