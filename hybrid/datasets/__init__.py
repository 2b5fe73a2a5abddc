"""Labelled clips from the standard data sets, in the layouts in which they are published."""

from hybrid.datasets.folder import folder
from hybrid.datasets.hmdb51 import hmdb51
from hybrid.datasets.kinetics import kinetics
from hybrid.datasets.records import DataSet, LabelledClip
from hybrid.datasets.something import something_something
from hybrid.datasets.ucf101 import ucf101

__all__ = ["DataSet", "LabelledClip", "folder", "hmdb51", "kinetics", "something_something", "ucf101"]
