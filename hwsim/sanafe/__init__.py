"""Write a network and its mapping as plain data for the SANA-FE simulator, and compare what it reports.

SANA-FE (Boyle et al., IEEE TCAD 2025) is a simulator of its own, in C++. Nothing here needs or imports it: a
script in its own process reads the data, runs SANA-FE, and writes a report (`benchmarks/run_sanafe.py`).
"""

from hwsim.sanafe.compare import Agreement, compare
from hwsim.sanafe.export import export

__all__ = ["Agreement", "compare", "export"]
