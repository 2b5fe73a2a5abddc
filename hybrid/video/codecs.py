"""Which streams can be traced back exactly: the decoder exports vectors, and their references are known."""

from __future__ import annotations

from dataclasses import dataclass

TRANSCODE = "hybrid transcode"

SINGLE_REFERENCE = frozenset(
    {
        "mpeg4", "mpeg1video", "mpeg2video", "h261", "h263", "flv", "msmpeg4v1", "msmpeg4v2", "msmpeg4", "wmv1", "wmv2",
        "rv10", "rv20",
    }
)  # fmt: skip
"""A P-frame of these refers to the I- or P-frame before it, and to nothing else."""


@dataclass(frozen=True, slots=True)
class Traceability:
    """Whether vectors can be followed back to the I-frame.

    Attributes:
        exact: their references are known.
        reason: why not, in words; empty where exact.
        exported: FFmpeg exports vectors for this codec at all.
    """

    exact: bool
    reason: str = ""
    exported: bool = True


def traceability(codec: str, extradata: bytes | None) -> Traceability:
    """Judge a stream by its codec and, for H.264, by the number of reference frames in its header."""
    if codec in SINGLE_REFERENCE:
        return Traceability(True)
    if codec == "h264":
        count = h264_reference_frames(extradata or b"")
        if count is not None and count <= 1:
            return Traceability(True)
        found = "an unknown number of" if count is None else str(count)
        why = f"H.264 with {found} reference frames, which the exported vectors do not tell apart"
        return Traceability(False, why)
    if codec == "snow":
        return Traceability(False, "Snow's overlapping blocks have no single source")
    return Traceability(False, f"{codec} exports no motion vectors", exported=False)


def h264_reference_frames(extradata: bytes) -> int | None:
    """`max_num_ref_frames` of the first sequence parameter set (ITU-T H.264, 7.3.2.1.1); None where there is none.

    Args:
        extradata: in avcC or in Annex B form.
    """
    sps = _sequence_parameter_set(extradata)
    if sps is None:
        return None
    try:
        return _max_num_ref_frames(_Bits(sps.replace(b"\x00\x00\x03", b"\x00\x00")))
    except IndexError:
        return None


def _sequence_parameter_set(extradata: bytes) -> bytes | None:
    if extradata[:1] == b"\x01" and len(extradata) > 8 and extradata[5] & 31:  # avcC
        length = int.from_bytes(extradata[6:8], "big")
        return extradata[9 : 8 + length]
    for part in extradata.replace(b"\x00\x00\x00\x01", b"\x00\x00\x01").split(b"\x00\x00\x01"):
        if part and part[0] & 31 == 7:
            return part[1:]
    return None


def _max_num_ref_frames(bits: _Bits) -> int:
    profile = bits.take(8)
    bits.take(16)
    bits.golomb()
    if profile in (100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135):
        chroma = bits.golomb()
        if chroma == 3:
            bits.take(1)
        bits.golomb()
        bits.golomb()
        bits.take(1)
        if bits.take(1):
            for i in range(12 if chroma == 3 else 8):
                if bits.take(1):
                    _skip_scaling_list(bits, 16 if i < 6 else 64)
    bits.golomb()
    order = bits.golomb()
    if order == 0:
        bits.golomb()
    elif order == 1:
        bits.take(1)
        bits.golomb()
        bits.golomb()
        for _ in range(bits.golomb()):
            bits.golomb()
    return bits.golomb()


def _skip_scaling_list(bits: _Bits, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            code = bits.golomb()
            delta = (code + 1) // 2 if code % 2 else -(code // 2)
            following = (last + delta) % 256
        last = following or last


class _Bits:
    """Reads bits and unsigned Exp-Golomb codes; IndexError past the end."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, count: int) -> int:
        value = 0
        for _ in range(count):
            value = 2 * value + (self._data[self._place // 8] >> (7 - self._place % 8) & 1)
            self._place += 1
        return value

    def golomb(self) -> int:
        zeros = 0
        while not self.take(1):
            zeros += 1
        return (1 << zeros) - 1 + self.take(zeros)
