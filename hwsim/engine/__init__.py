"""Exact, fast execution of spiking networks with counters for every core and step."""

from hwsim.engine.counts import Counts
from hwsim.engine.executor import Engine, run
from hwsim.engine.result import Result

__all__ = ["Counts", "Engine", "Result", "run"]
