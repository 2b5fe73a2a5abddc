"""Re-encoding one file to the paper's format."""

from __future__ import annotations

import shutil
import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from hybrid.errors import BadInputError
from hybrid.video import read
from hybrid.video.reader import index
from hybrid.video.transcode import Format, transcode


@pytest.fixture
def h264(tmp_path, clip_frames, encode):
    """B-frames, several references: what cannot be traced."""
    return encode(tmp_path / "new.mp4", clip_frames[:40], "libx264", gop_size=30)


def kinds(path):
    with av.open(str(path)) as container:
        return [int(frame.pict_type) for frame in container.decode(video=0)]


def test_h264_with_b_frames_becomes_gops_of_exactly_12_without_b_frames(h264, tmp_path, clip_frames, decode):
    with pytest.raises(BadInputError):
        next(read(h264))
    target = tmp_path / "out" / "old.avi"
    assert transcode(h264, target) == 40
    assert kinds(target) == ([1] + [2] * 11) * 3 + [1] + [2] * 3
    gops = list(read(target))
    frames = np.concatenate([np.concatenate([gop.iframe[None], gop.reconstruct()]) for gop in gops])
    assert np.array_equal(frames, decode(target))
    assert psnr(frames, clip_frames[:40]) > 28
    assert [path.name for path in target.parent.iterdir()] == ["old.avi"]


def test_scene_cuts_insert_no_iframes(tmp_path, clip_frames, encode):
    cuts = np.concatenate([clip_frames[:9], clip_frames[:9][:, ::-1, ::-1], 255 - clip_frames[:9]])
    source = encode(tmp_path / "cuts.mp4", np.ascontiguousarray(cuts), "libx264")
    transcode(source, tmp_path / "cuts.avi")
    assert [entry.frames for entry in index(tmp_path / "cuts.avi")] == [12, 12, 3]


def test_lines_and_width_are_even_and_keep_the_aspect(tmp_path, clip_frames, encode):
    source = encode(tmp_path / "wide.mp4", np.ascontiguousarray(clip_frames[:13, :130, :318]), "libx264")
    transcode(source, tmp_path / "wide.avi", Format(lines=64, gop=5))
    assert next(read(tmp_path / "wide.avi")).iframe.shape == (64, 156, 3)
    assert [entry.frames for entry in index(tmp_path / "wide.avi")] == [5, 5, 3]


def test_the_frame_rate_is_kept(tmp_path, demo_clips):
    transcode(demo_clips[0], tmp_path / "a.avi")
    assert np.allclose(next(read(tmp_path / "a.avi")).times, np.arange(12) / 30, atol=1e-6)


def test_a_shipped_clip_keeps_its_frames_and_its_picture(tmp_path, demo_clips, clip_frames, decode):
    assert transcode(demo_clips[0], tmp_path / "a.avi") == len(clip_frames)
    again = decode(tmp_path / "a.avi")
    assert again.shape == clip_frames.shape
    assert psnr(again, clip_frames) > 30


def psnr(a, b):
    return 10 * np.log10(255**2 / np.square(a.astype(float) - b).mean())


def test_the_picture_is_turned_upright(tmp_path, demo_clips, clip_frames, decode):
    source = tmp_path / "turned.mov"
    with av.open(str(demo_clips[0])) as clip, av.open(str(source), "w") as container:
        stream = container.add_stream_from_template(clip.streams.video[0])
        for packet in clip.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    data = bytearray(source.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40  # a quarter turn in the track header (ISO 14496-12, 8.3.2)
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    source.write_bytes(data)
    transcode(source, tmp_path / "upright.avi", Format(lines=320, quantiser=2))
    upright = decode(tmp_path / "upright.avi")
    assert upright.shape == (len(clip_frames), 320, 240, 3)
    assert psnr(upright, np.rot90(clip_frames, -1, (1, 2))) > 33
    with av.open(str(tmp_path / "upright.avi")) as container:
        assert round(next(container.decode(video=0)).rotation) == 0


def test_pixels_that_are_not_square_become_square(tmp_path, clip_frames):
    source = tmp_path / "wide.mp4"
    encode_at(source, clip_frames[:13], np.arange(13) * 10, Fraction(1, 300), sample_aspect_ratio=Fraction(4, 3))
    transcode(source, tmp_path / "wide.avi", Format(lines=120))
    assert next(read(tmp_path / "wide.avi")).iframe.shape == (120, 214, 3)  # 320 * 4/3 : 240


@pytest.mark.parametrize(("name", "codec", "clock"), [("v.mp4", "libx264", 90_000), ("v.webm", "libvpx", 1000)])
def test_a_varying_rate_becomes_its_mean(tmp_path, clip_frames, name, codec, clock):
    steps = np.random.default_rng(0).integers(clock // 50, clock // 16, 39)
    stamps = np.concatenate([[0], np.cumsum(steps)])
    source = encode_at(tmp_path / name, clip_frames[:40], stamps, Fraction(1, clock))
    assert transcode(source, tmp_path / "v.avi") == 40
    times = np.concatenate([gop.times for gop in read(tmp_path / "v.avi")])
    assert times[-1] == pytest.approx(stamps[-1] / clock, rel=0.02)
    assert np.allclose(np.diff(times), times[1], atol=1e-6)


def test_the_rate_of_ntsc_is_exact_although_webm_rounds_its_time_stamps(tmp_path, clip_frames):
    stamps = np.rint(np.arange(40) * 1001 / 30).astype(int)
    source = encode_at(tmp_path / "n.webm", clip_frames[:40], stamps, Fraction(1, 1000), rate=Fraction(30000, 1001))
    transcode(source, tmp_path / "n.avi")
    with av.open(str(source)) as a, av.open(str(tmp_path / "n.avi")) as b:
        assert b.streams.video[0].average_rate == a.streams.video[0].average_rate


def encode_at(path, frames, stamps, clock, rate=30, **attributes):
    """Encode frames at given times, in ticks of `clock` seconds."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx" if path.suffix == ".webm" else "libx264", rate=rate)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        stream.codec_context.time_base = clock
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        for array, stamp in zip(frames, stamps, strict=True):
            frame = av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = int(stamp), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("values", [{"lines": 121}, {"lines": 8}, {"gop": 0}, {"quantiser": 1}, {"quantiser": 32}])
def test_a_format_that_cannot_be_encoded_is_refused(values):
    with pytest.raises(BadInputError):
        Format(**values)


@pytest.mark.parametrize(
    ("target", "what"),
    [
        ("clip.avi", "the source itself"), ("folder.avi", "is a folder"), ("out.mp4", "AVI"),
        ("file/out.avi", "cannot be made"),
    ],
)  # fmt: skip
def test_a_target_that_cannot_be_written_is_refused_and_the_source_left_alone(tmp_path, demo_clips, target, what):
    source = tmp_path / "clip.avi"
    shutil.copyfile(demo_clips[0], source)
    (tmp_path / "folder.avi").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(BadInputError, match=what):
        transcode(source, tmp_path / target)
    assert source.read_bytes() == demo_clips[0].read_bytes()
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("damage", ["text", "half", "absent"])
def test_a_broken_source_is_refused_and_leaves_nothing(tmp_path, demo_clips, damage):
    source = tmp_path / "in" / "bad.avi"
    source.parent.mkdir()
    data = demo_clips[0].read_bytes()
    if damage != "absent":
        source.write_bytes(data[: len(data) // 2] if damage == "half" else b"no video")
    with pytest.raises(BadInputError):
        transcode(source, tmp_path / "out" / "bad.avi")
    assert not list((tmp_path / "out").iterdir() if (tmp_path / "out").exists() else [])
