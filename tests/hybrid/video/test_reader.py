"""GOPs from real files, and every way a file can be wrong."""

from __future__ import annotations

import wave
from pathlib import Path

import av
import numpy as np
import pytest

from hybrid.errors import BadInputError
from hybrid.video import read, sample
from hybrid.video.reader import index


def decoded(path):
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def encode(path: Path, frames: np.ndarray, codec: str, **options) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30)
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        for array in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("accumulate", [True, False])
def test_iframe_motion_and_residual_rebuild_every_decoded_frame(demo_clips, accumulate):
    rebuilt = []
    for gop in read(demo_clips[0], accumulate=accumulate):
        rebuilt += [gop.iframe[None], gop.reconstruct()]
    assert np.array_equal(np.concatenate(rebuilt), decoded(demo_clips[0]))


def test_accumulated_and_raw_agree_on_the_first_p_frame_and_differ_later(demo_clips):
    accumulated, raw = next(read(demo_clips[0])), next(read(demo_clips[0], accumulate=False))
    assert np.array_equal(accumulated.motion[0], raw.motion[0])
    assert np.array_equal(accumulated.residual[0], raw.residual[0])
    assert not np.array_equal(accumulated.motion[-1], raw.motion[-1])


def test_times_are_the_streams_own(demo_clips):
    gops = list(read(demo_clips[0]))
    times = np.concatenate([gop.times for gop in gops])
    assert np.allclose(times, np.arange(len(times)) / 30, atol=1e-3)


def test_the_index_counts_what_decoding_finds(demo_clips):
    for clip in demo_clips:
        assert [entry.frames for entry in index(clip)] == [gop.steps + 1 for gop in read(clip)]


def test_sampling_gives_the_same_gops_as_reading_all(demo_clips):
    whole = {gop.index: gop for gop in read(demo_clips[1])}
    for gop in sample(demo_clips[1], 3):
        assert gop.steps == 11
        assert np.array_equal(gop.iframe, whole[gop.index].iframe)
        assert np.array_equal(gop.motion, whole[gop.index].motion)
        assert np.array_equal(gop.residual, whole[gop.index].residual)


def test_a_size_not_divisible_by_16_is_rebuilt_exactly(demo_clips, tmp_path):
    frames = decoded(demo_clips[0])[:14, :90, :150]
    path = encode(tmp_path / "odd.avi", frames, "mpeg4", gop_size=12, max_b_frames=0)
    gops = list(read(path))
    rebuilt = np.concatenate([np.concatenate([gop.iframe[None], gop.reconstruct()]) for gop in gops])
    assert np.array_equal(rebuilt, decoded(path))


def not_a_video(tmp_path, clip):
    path = tmp_path / "notes.avi"
    path.write_text("no video at all " * 100)
    return path


def missing(tmp_path, clip):
    return tmp_path / "nowhere.avi"


def truncated(tmp_path, clip):
    path = tmp_path / "cut.avi"
    data = clip.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    return path


def audio_only(tmp_path, clip):
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(b"\0\1" * 8000)
    return path


def h264(tmp_path, clip):
    return encode(tmp_path / "new.mp4", decoded(clip)[:14], "libx264")


def b_frames(tmp_path, clip):
    return encode(tmp_path / "b.avi", decoded(clip)[:30], "mpeg4", gop_size=12, max_b_frames=2)


def shorter_than_a_gop(tmp_path, clip):
    return encode(tmp_path / "short.avi", decoded(clip)[:7], "mpeg4", gop_size=12, max_b_frames=0)


@pytest.mark.parametrize(
    ("make", "what", "fix"),
    [
        (not_a_video, "cannot be read", "complete video"),
        (missing, "no such file", "path"),
        (truncated, "ends in the middle of frame", "complete video"),
        (audio_only, "no video stream", "video"),
        (h264, "H.264 with", "hybrid transcode"),
        (b_frames, "B-frames", "hybrid transcode"),
        (shorter_than_a_gop, "shorter than one GOP", "at least 12 frames"),
    ],
)
def test_an_unusable_file_is_refused_with_the_reason_and_the_way_out(make, what, fix, tmp_path, demo_clips):
    path = make(tmp_path, demo_clips[0])
    with pytest.raises(BadInputError) as error:
        sample(path, 3)
    assert what in error.value.what
    assert fix in error.value.fix
    assert path.name in error.value.where
