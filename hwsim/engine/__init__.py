"""Exact, fast execution of spiking networks with counters for every core and step."""

from hwsim.engine.counts import Counts
from hwsim.engine.executor import Engine, Result, run

__all__ = ["Counts", "Engine", "Result", "run"]
