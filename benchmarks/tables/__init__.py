"""The paper's tables, rebuilt: every method at its published size, counted by one counter.

python -m benchmarks.tables --out runs/tables
"""

import os

# Before torch is loaded: its threads otherwise spin at barriers, which on a busy machine can cost a factor of fifty.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
