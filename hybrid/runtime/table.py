"""The results of a run as rows of a Parquet table."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from hybrid.report.model import Counts, VideoResult

TABLE = "videos.parquet"
BANDS = ("energy_j", "response_s", "per_gop_s", "throughput_vps")
EDGES = ("low", "nominal", "high")

SCHEMA = pa.schema([
    ("key", pa.string()), ("video", pa.string()), ("bytes", pa.int64()), ("modified_ns", pa.int64()),
    ("label", pa.string()), ("probability", pa.float64()), ("exact", pa.bool_()), ("precision", pa.string()),
    ("device", pa.string()),
    *((f"{name}_{edge}", pa.float64()) for name in BANDS for edge in EDGES),
    *((name, pa.float64()) for name in Counts.model_fields),
])  # fmt: skip


def key_of(video: str, size: int, modified_ns: int) -> str:
    """What tells rows apart: another size or time means another video."""
    return f"{video}:{size}:{modified_ns}"


def row_of(identity: tuple[str, int, int], result: VideoResult, device: str) -> dict[str, Any]:
    """One video as a row of `SCHEMA`.

    Args:
        identity: path, size in bytes and time of modification in nanoseconds of the file.
        result: of the video.
        device: what ran the ANN part, in words.
    """
    name, size, modified_ns = identity
    label, latency = result.prediction.label, result.latency_s
    bands = dict(zip(BANDS, (result.energy_j, latency.response, latency.per_gop, result.throughput_vps), strict=True))
    return {
        "key": key_of(*identity), "video": name, "bytes": size, "modified_ns": modified_ns, "label": label,
        "probability": result.prediction.probabilities[label], "exact": result.exact, "precision": result.precision,
        "device": device,
        **{f"{kind}_{edge}": getattr(band, edge) for kind, band in bands.items() for edge in EDGES},
        **result.counts.model_dump(),
    }  # fmt: skip
