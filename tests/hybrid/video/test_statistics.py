"""Statistics against counts made here, by other means."""

from __future__ import annotations

import av
import numpy as np
import pytest

from hybrid.errors import BadInputError
from hybrid.video import read
from hybrid.video.statistics import DEAD_ZONE, statistics


def test_shares_and_percentiles_equal_those_of_the_whole_arrays(demo_clips):
    found = statistics(demo_clips[0])
    for form, accumulate in ((found.raw, False), (found.accumulated, True)):
        gops = list(read(demo_clips[0], accumulate=accumulate))
        motion = np.concatenate([gop.motion for gop in gops])
        residual = np.concatenate([gop.residual for gop in gops])
        assert form.motion_zero == pytest.approx(1 - (motion != 0).any(-1).mean())
        assert form.residual_zero == pytest.approx((residual == 0).mean())
        assert form.residual_quiet == pytest.approx((abs(residual) <= DEAD_ZONE).mean())
        length = np.hypot(motion[..., 0].astype(float), motion[..., 1])
        length = length[length > 0]
        assert form.motion_median == pytest.approx(np.median(length), abs=0.15)
        assert form.motion_p99 == pytest.approx(np.percentile(length, 99), abs=0.5)


def test_bits_and_frames_are_those_of_the_packets(demo_clips):
    found = statistics(demo_clips[0])
    with av.open(str(demo_clips[0])) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    iframes = [8 * packet.size for packet in packets if packet.is_keyframe]
    assert found.gops == len(iframes)
    assert sum(found.gop_frames) == len(packets)
    total = found.i_bits * len(iframes) + found.p_bits * (len(packets) - len(iframes))
    assert total == pytest.approx(8 * sum(packet.size for packet in packets))
    assert (found.codec, found.width, found.height, found.rate) == ("mpeg4", 320, 240, 30)
    assert (found.i_frames, found.p_frames) == (len(iframes), len(packets) - len(iframes))
    assert found.duration == pytest.approx(len(packets) / 30)


def test_intra_area_is_what_no_block_with_a_vector_lies_on(demo_clips, tmp_path, clip_frames, encode):
    odd = encode(tmp_path / "odd.avi", clip_frames[:14, :90, :150], "mpeg4", gop_size=12, max_b_frames=0)
    for path in (*demo_clips, odd):
        free = []
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            stream.codec_context.options = {"flags2": "+export_mvs"}
            for frame in container.decode(stream):
                if int(frame.pict_type) == 2:
                    free.append(painted(frame) == 0)
        assert statistics(path).intra_share == pytest.approx(np.mean(free))


def painted(frame):
    """How many blocks lie on each pixel."""
    mask = np.zeros((frame.height, frame.width), int)
    for v in frame.side_data.get("MOTION_VECTORS").to_ndarray():
        left, top = int(v["dst_x"]) - int(v["w"]) // 2, int(v["dst_y"]) - int(v["h"]) // 2
        mask[max(top, 0) : top + int(v["h"]), max(left, 0) : left + int(v["w"])] += 1
    return mask


def test_a_video_that_cannot_be_traced_is_refused(tmp_path, clip_frames, encode):
    with pytest.raises(BadInputError, match="reference frames"):
        statistics(encode(tmp_path / "new.mp4", clip_frames[:5], "libx264"))
