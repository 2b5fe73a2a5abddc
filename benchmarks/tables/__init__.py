"""The paper's tables, rebuilt: every method at its published size, counted by one counter.

python -m benchmarks.tables --out runs/tables
"""
