"""Compressed-domain reader: I-frames, motion vectors and residuals of MPEG-4 part 2, GOP by GOP."""

from hybrid.video.gop import Gop
from hybrid.video.reader import read, sample

__all__ = ["Gop", "read", "sample"]
