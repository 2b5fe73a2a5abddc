"""The search that is made by hand elsewhere: split points, accumulation intervals, chips, links and hosts."""

from hybrid.sweep.pareto import front_of
from hybrid.sweep.record import Point
from hybrid.sweep.search import Axes, sweep
from hybrid.sweep.subject import Source

__all__ = ["Axes", "Point", "Source", "front_of", "sweep"]
