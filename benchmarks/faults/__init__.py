"""The fault campaign: commands killed at random moments, and started where there is no room; nothing may be lost.

python -m benchmarks.faults --kills 200 --places 72 --seed 0 --out runs/faults.json
"""
