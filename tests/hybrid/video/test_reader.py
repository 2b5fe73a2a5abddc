"""GOPs from real files, and every way a file can be wrong."""

from __future__ import annotations

import contextlib
import gc
import os
import struct
import threading
import time
import wave

import av
import numpy as np
import pytest

from hybrid.errors import BadInputError
from hybrid.video import Following, read, sample
from hybrid.video.gop import turn
from hybrid.video.reader import index


@pytest.mark.parametrize("accumulate", [True, False])
def test_iframe_motion_and_residual_rebuild_every_decoded_frame(demo_clips, accumulate, decode):
    rebuilt = []
    for gop in read(demo_clips[0], accumulate=accumulate):
        rebuilt += [gop.iframe[None], gop.reconstruct()]
    assert np.array_equal(np.concatenate(rebuilt), decode(demo_clips[0]))


def test_accumulated_and_raw_agree_on_the_first_p_frame_and_differ_later(demo_clips):
    accumulated, raw = next(read(demo_clips[0])), next(read(demo_clips[0], accumulate=False))
    assert np.array_equal(accumulated.motion[0], raw.motion[0])
    assert np.array_equal(accumulated.residual[0], raw.residual[0])
    assert not np.array_equal(accumulated.motion[-1], raw.motion[-1])


def test_no_decoded_frame_waits_for_the_garbage_collection(demo_clips):
    def alive():
        return sum(isinstance(x, av.VideoFrame) for x in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = alive()
        assert sum(gop.steps for gop in read(demo_clips[0])) > 0
        assert alive() == before
    finally:
        gc.enable()


def test_times_are_the_streams_own(demo_clips):
    gops = list(read(demo_clips[0]))
    times = np.concatenate([gop.times for gop in gops])
    assert np.allclose(times, np.arange(len(times)) / 30, atol=1e-3)


def test_the_index_counts_what_decoding_finds(demo_clips):
    for clip in demo_clips:
        assert [entry.frames for entry in index(clip)] == [gop.steps + 1 for gop in read(clip)]


@pytest.mark.parametrize("suffix", ["avi", "mp4", "mkv", "mpg"])
def test_the_containers_index_and_its_packets_name_the_same_gops(suffix, tmp_path, clip_frames, encode):
    codec = "mpeg1video" if suffix == "mpg" else "mpeg4"
    path = encode(tmp_path / f"clip.{suffix}", clip_frames[:30], codec, gop_size=12, max_b_frames=0)
    assert [entry.frames for entry in index(path)] == [12, 12, 6]
    for gop, whole in zip(sample(path, 2), list(read(path))[:2], strict=True):
        assert gop.index == whole.index
        assert np.array_equal(gop.residual, whole.residual)


def test_sampling_gives_the_same_gops_as_reading_all(demo_clips):
    whole = {gop.index: gop for gop in read(demo_clips[1])}
    for gop in sample(demo_clips[1], 3):
        assert gop.steps == 11
        assert np.array_equal(gop.iframe, whole[gop.index].iframe)
        assert np.array_equal(gop.motion, whole[gop.index].motion)
        assert np.array_equal(gop.residual, whole[gop.index].residual)


def test_a_size_not_divisible_by_16_is_rebuilt_exactly(clip_frames, tmp_path, encode, decode):
    path = encode(tmp_path / "odd.avi", clip_frames[:14, :90, :150], "mpeg4", gop_size=12, max_b_frames=0)
    gops = list(read(path))
    rebuilt = np.concatenate([np.concatenate([gop.iframe[None], gop.reconstruct()]) for gop in gops])
    assert np.array_equal(rebuilt, decode(path))


def not_a_video(path, clip, frames, encode):
    path.write_text("no video at all " * 100)
    return path


def missing(path, clip, frames, encode):
    return path


def truncated(path, clip, frames, encode):
    data = clip.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def audio_only(path, clip, frames, encode):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\1" * 8000)
    return path


def h264(path, clip, frames, encode):
    return encode(path.with_suffix(".mp4"), frames[:14], "libx264")


def b_frames(path, clip, frames, encode):
    return encode(path, frames[:30], "mpeg4", gop_size=12, max_b_frames=2)


def cut_mp4(path, clip, frames, encode):
    """The index stands before the data and promises more than is there."""
    whole = encode(path.with_suffix(".mp4"), frames[:30], "mpeg4", gop_size=12, max_b_frames=0)
    front = path.with_name("front.mp4")
    with av.open(str(whole)) as source, av.open(str(front), "w", options={"movflags": "faststart"}) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    front.write_bytes(front.read_bytes()[: front.stat().st_size * 2 // 3])
    return front


def shorter_than_a_gop(path, clip, frames, encode):
    return encode(path, frames[:7], "mpeg4", gop_size=12, max_b_frames=0)


@pytest.mark.parametrize(
    ("make", "what", "fix"),
    [
        (not_a_video, "cannot be read", "complete video"),
        (missing, "no such file", "path"),
        (truncated, "ends in the middle of frame", "complete video"),
        (cut_mp4, "ends before the last", "complete video"),
        (audio_only, "no video stream", "video"),
        (h264, "H.264 with", "hybrid transcode"),
        (b_frames, "B-frames", "hybrid transcode"),
        (shorter_than_a_gop, "shorter than one GOP", "at least 12 frames"),
    ],
)
def test_an_unusable_file_is_refused_with_the_reason_and_the_way_out(
    make, what, fix, tmp_path, demo_clips, clip_frames, encode
):
    path = make(tmp_path / "bad.avi", demo_clips[0], clip_frames, encode)
    with pytest.raises(BadInputError) as error:
        sample(path, 3)
    assert what in error.value.what
    assert fix in error.value.fix
    assert path.name in error.value.where


def test_a_file_object_and_a_pipe_give_the_same_gops_as_the_path(demo_clips, tmp_path, encode, clip_frames):
    path = encode(tmp_path / "stream.mpg", clip_frames[:40], "mpeg1video", gop_size=12, max_b_frames=0)
    expected = list(read(path))
    with path.open("rb") as file:
        assert_equal(list(read(file)), expected)
    reader, writer = os.pipe()

    def feed():
        with os.fdopen(writer, "wb") as out, path.open("rb") as file:
            while block := file.read(999):
                out.write(block)

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(reader, "rb") as file:
        assert_equal(list(read(file)), expected)
    thread.join()


def test_a_growing_file_is_read_gop_by_gop_while_it_is_written(tmp_path, encode, clip_frames):
    fine = {"qmin": "2", "qmax": "2"}
    whole = encode(tmp_path / "whole.ts", clip_frames[:50], "mpeg2video", fine, gop_size=12, max_b_frames=0)
    expected, data = list(read(whole)), whole.read_bytes()
    growing, first_gop_read = tmp_path / "growing.ts", threading.Event()
    half = len(data) * 2 // 3
    growing.write_bytes(data[:half])

    def write_the_rest():
        assert first_gop_read.wait(30)
        with growing.open("ab") as file:
            for start in range(half, len(data), 5000):
                file.write(data[start : start + 5000])
                file.flush()
                time.sleep(0.01)

    thread = threading.Thread(target=write_the_rest)
    thread.start()
    found = []
    with Following(growing, idle_s=1.0) as stream:
        for gop in read(stream):
            found.append(gop)
            first_gop_read.set()
    thread.join()
    assert_equal(found, expected)


def assert_equal(found, expected):
    assert [gop.index for gop in found] == [gop.index for gop in expected]
    for a, b in zip(found, expected, strict=True):
        assert np.array_equal(a.iframe, b.iframe)
        assert np.array_equal(a.motion, b.motion)
        assert np.array_equal(a.residual, b.residual)


def test_a_long_gop_grows_and_is_cut_where_asked(tmp_path, clip_frames, encode, decode):
    path = encode(
        tmp_path / "long.avi", clip_frames[:40], "mpeg4", {"sc_threshold": "1000000000"}, gop_size=100, max_b_frames=0
    )
    (gop,) = read(path)
    assert gop.steps == 39
    assert np.array_equal(gop.reconstruct(), decode(path)[1:])
    (cut,) = read(path, max_steps=7)
    assert np.array_equal(cut.motion, gop.motion[:7])


def test_subpel_vectors_refine_the_integer_ones(demo_clips):
    whole, fine = next(read(demo_clips[0], accumulate=False)), next(read(demo_clips[0], accumulate=False, subpel=True))
    assert fine.motion_scale == 4
    assert np.array_equal(np.trunc(fine.motion / 4), whole.motion)
    assert (fine.motion % 4 != 0).mean() > 0.01  # half pixels do occur
    with pytest.raises(ValueError, match="integer vectors"):
        fine.reconstruct()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_turning_a_gop_turns_its_vectors_with_the_picture(demo_clips, quarters):
    gop = next(read(demo_clips[0], max_steps=4))
    turned = turn(gop, quarters)
    assert np.array_equal(turned.reconstruct(), np.rot90(gop.reconstruct(), quarters, (1, 2)))
    assert np.array_equal(turn(turned, 4 - quarters).motion, gop.motion)


def rotated(path, clip):
    """The clip in a QuickTime file whose track header asks for a quarter turn (ISO 14496-12, 8.3.2)."""
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


def test_rotation_metadata_is_honoured(tmp_path, demo_clips, decode):
    path = rotated(tmp_path / "turned.mov", demo_clips[0])
    with av.open(str(path)) as container:
        rotation = round(next(container.decode(video=0)).rotation)
    assert rotation == -90  # this matrix turns clockwise
    gop = next(read(path, max_steps=3))
    assert gop.iframe.shape == (320, 240, 3)
    assert np.array_equal(gop.reconstruct(), np.rot90(decode(path)[1:4], rotation // 90, (1, 2)))


def test_a_picture_size_that_changes_is_refused(tmp_path, clip_frames, encode):
    parts = []
    for name, side in (("a.mpg", 96), ("b.mpg", 160)):
        frames = clip_frames[:24, :side, :side]
        parts.append(encode(tmp_path / name, frames, "mpeg1video", gop_size=12, max_b_frames=0).read_bytes())
    path = tmp_path / "both.mpg"
    path.write_bytes(b"".join(parts))
    with pytest.raises(BadInputError, match="picture size changes"):
        list(read(path))


def test_damage_gives_a_clear_error_or_only_whole_gops(demo_clips, tmp_path, caplog):
    clip = demo_clips[0]
    good = {gop.index: gop for gop in read(clip)}
    data = bytearray(clip.read_bytes())
    rng = np.random.default_rng(0)
    path, refused, whole = tmp_path / "damaged.avi", 0, 0
    for cut in rng.integers(1, len(data), 200).tolist():
        path.write_bytes(data[:cut])
        try:
            list(read(path))
        except BadInputError:
            refused += 1
        try:
            found = list(read(path, strict=False))
        except BadInputError:
            continue  # not even a header is left
        for gop in found:
            original = good[gop.index]
            assert np.array_equal(gop.motion, original.motion[: gop.steps])
            assert np.array_equal(gop.residual, original.residual[: gop.steps])
            whole += 1
    assert refused > 150
    assert whole > 150


def test_flipped_bytes_never_crash_or_hang(demo_clips, tmp_path):
    data = demo_clips[0].read_bytes()
    rng = np.random.default_rng(1)
    path = tmp_path / "flipped.avi"
    for _ in range(200):
        damaged = bytearray(data)
        for place in rng.integers(0, len(data), rng.integers(1, 20)):
            damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        for strict in (True, False):
            with contextlib.suppress(BadInputError):
                for gop in read(path, strict=strict):
                    assert gop.motion.shape[:3] == gop.residual.shape[:3]
