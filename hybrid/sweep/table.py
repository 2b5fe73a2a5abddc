"""The points of a sweep as rows of a Parquet table."""

from __future__ import annotations

import pyarrow as pa

TABLE = "points.parquet"

TEXT, WHOLE, REAL = pa.string(), pa.int64(), pa.float64()
SCHEMA = pa.schema([
    ("key", TEXT), ("model", TEXT), ("interval", WHOLE), ("split", TEXT), ("on_chip", TEXT), ("chip", TEXT),
    ("link", TEXT), ("host", TEXT), ("reason", TEXT), ("cores", WHOLE), ("link_bytes", WHOLE),
    *((f"{name}_{edge}", REAL) for name in ("energy_j", "latency_s") for edge in ("low", "nominal", "high")),
    ("top1", REAL), ("samples", WHOLE),
])  # fmt: skip
"""A column for each number of a point, as in points.csv."""
