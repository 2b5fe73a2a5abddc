"""Every codec whose vectors can be followed, and the streams where they cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid.errors import BadInputError
from hybrid.video import read
from hybrid.video.codecs import SINGLE_REFERENCE, h264_reference_frames, traceability

CIF_ONLY = {"h261", "h263", "rv10"}
ENCODERS = [
    ("mpeg4", "avi"), ("mpeg1video", "mpg"), ("mpeg2video", "mpg"), ("h261", "avi"), ("h263", "avi"),
    ("h263p", "avi"), ("flv", "flv"), ("msmpeg4v2", "avi"), ("msmpeg4", "avi"), ("wmv1", "asf"), ("wmv2", "asf"),
    ("rv10", "rm"), ("rv20", "rm"),
]  # fmt: skip


def x264(references, b_frames=0):
    return {"x264-params": f"ref={references}:bframes={b_frames}:scenecut=0"}


def rebuilt(gops):
    return np.concatenate([np.concatenate([gop.iframe[None], gop.reconstruct()]) for gop in gops])


@pytest.mark.parametrize(("codec", "suffix"), ENCODERS)
def test_a_codec_with_one_reference_is_read_exactly(codec, suffix, tmp_path, clip_frames, encode, decode):
    frames = clip_frames[:26, :144, :176] if codec in CIF_ONLY else clip_frames[:26]
    path = encode(tmp_path / f"clip.{suffix}", frames, codec, gop_size=12, max_b_frames=0)
    gops = list(read(path))
    assert [gop.steps for gop in gops] == [11, 11, 1]
    assert all(gop.exact for gop in gops)
    assert any(gop.motion.any() for gop in gops)
    assert np.array_equal(rebuilt(gops), decode(path))


def test_h264_with_one_reference_is_exact(tmp_path, clip_frames, encode, decode):
    path = encode(tmp_path / "one.mp4", clip_frames[:26], "libx264", x264(1), gop_size=12)
    gops = list(read(path))
    assert all(gop.exact for gop in gops)
    assert np.array_equal(rebuilt(gops), decode(path))


@pytest.mark.parametrize(("references", "b_frames"), [(3, 0), (1, 2)])
def test_h264_that_cannot_be_followed_is_refused_or_marked(references, b_frames, tmp_path, clip_frames, encode):
    path = encode(tmp_path / "many.mp4", clip_frames[:26], "libx264", x264(references, b_frames), gop_size=12)
    with pytest.raises(BadInputError, match="reference frames") as error:
        next(read(path))
    assert "hybrid transcode" in error.value.fix
    assert not any(gop.exact for gop in read(path, approximate=True))


def test_a_codec_without_vectors_is_refused_even_approximately(tmp_path, clip_frames, encode):
    path = encode(tmp_path / "clip.avi", clip_frames[:5], "mjpeg", pix_fmt="yuvj420p")
    for approximate in (False, True):
        with pytest.raises(BadInputError, match="mjpeg exports no motion vectors"):
            next(read(path, approximate=approximate))


def test_the_table_of_codecs_is_what_traceability_says():
    assert all(traceability(codec, None).exact for codec in SINGLE_REFERENCE)
    assert not traceability("snow", None).exact
    assert not traceability("hevc", None).exported


@given(st.binary(max_size=60))
def test_any_header_gives_a_count_or_none(data):
    for extradata in (data, b"\x00\x00\x01\x67" + data, b"\x01\x64\x00\x1f\xff\xe1\x00\x20\x67" + data):
        count = h264_reference_frames(extradata)
        assert count is None or count >= 0
