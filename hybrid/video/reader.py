"""Read GOPs through PyAV: whole videos, streams, or only the GOPs that a sampler asks for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path
from typing import IO, Any, TypeVar

import av

from hybrid.errors import BadInputError
from hybrid.video.builder import GopBuilder, Workspace, vectors_of
from hybrid.video.codecs import TRANSCODE, traceability
from hybrid.video.gop import Gop

log = logging.getLogger(__name__)

I_FRAME, P_FRAME, B_FRAME = 1, 2, 3
Source = str | Path | IO[bytes] | RawIOBase
Result = TypeVar("Result")
LIVE_PROBE_BYTES = 32768
"""How much of a stream is looked at before its first frame: FFmpeg's 5 MB would hold up a camera for seconds."""


@dataclass(frozen=True, slots=True)
class GopEntry:
    """Where a GOP begins and how many frames it has.

    Attributes:
        index: number of the GOP in the file, from 0.
        pts: presentation time stamp of its I-frame, in units of the stream's time base.
        frames: number of frames, the I-frame included.
    """

    index: int
    pts: int
    frames: int


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read.

    Attributes:
        accumulate: back-trace motion and residuals to the I-frame, or leave them frame to frame.
        subpel: give vectors in quarter pixels instead of cut to whole ones.
        approximate: accept streams whose references are unknown, and B-frames; GOPs say so by `exact`.
        strict: raise on damaged data; otherwise skip to the next whole GOP and log how many were lost.
        max_steps: P-frames to keep of each GOP; the later ones are decoded and dropped.
    """

    accumulate: bool = True
    subpel: bool = False
    approximate: bool = False
    strict: bool = True
    max_steps: int | None = None


def read(
    source: Source,
    *,
    accumulate: bool = True,
    subpel: bool = False,
    approximate: bool = False,
    strict: bool = True,
    max_steps: int | None = None,
) -> Iterator[Gop]:
    """Yield every GOP of a video in order, holding one at a time.

    Args:
        source: a path, or an open binary file; one that cannot seek is read as a stream, GOP by GOP.
        accumulate: back-trace motion and residuals to the I-frame, or leave them frame to frame.
        subpel: give vectors in quarter pixels (`Gop.motion_scale` is 4) instead of cut to whole ones.
        approximate: accept streams whose references are unknown, and B-frames; their GOPs say so by `exact`.
        strict: raise on damaged data; otherwise skip to the next whole GOP and log how many were lost.
        max_steps: P-frames to keep of each GOP; the later ones are decoded and dropped.

    Raises:
        BadInputError: for a file that cannot be traced back, or is broken.
    """
    options = ReadOptions(accumulate, subpel, approximate, strict, max_steps)
    with open_video(source, approximate=approximate) as (container, stream):
        yield from GopReader(source, container, stream, options).gops()


def index(path: str | Path, *, approximate: bool = False) -> tuple[GopEntry, ...]:
    """List the GOPs of a video from the container's index, or from its packets, without decoding.

    Raises:
        BadInputError: for a file that cannot be traced back, or ends before its time.
    """
    path = Path(path)
    with open_video(path, approximate=approximate) as (container, stream):
        entries = _gop_entries(path, container, stream)
    return entries


def sample(
    path: str | Path, segments: int = 8, *, steps: int = 11, accumulate: bool = True, approximate: bool = False
) -> tuple[Gop, ...]:
    """Read one GOP from the middle of each of `segments` equal parts of a video.

    Only GOPs with at least `steps` P-frames count, each cut to `steps`. Where the video has fewer such GOPs
    than segments, GOPs repeat. Only the chosen ones are decoded (seek to the keyframe).

    Args:
        path: the video.
        segments: how many GOPs to return.
        steps: P-frames per GOP.
        accumulate: as for `read`.
        approximate: as for `read`.

    Raises:
        BadInputError: for a broken video, or one without a single whole GOP.
    """
    return sample_each(path, segments, _itself, steps=steps, accumulate=accumulate, approximate=approximate)


def sample_each(
    path: str | Path,
    segments: int,
    convert: Callable[[Gop], Result],
    *,
    steps: int = 11,
    accumulate: bool = True,
    approximate: bool = False,
) -> tuple[Result, ...]:
    """What `convert` makes of each GOP that `sample` gives, holding one GOP at a time.

    Raises:
        BadInputError: as `sample`.
    """
    path = Path(path)
    options = ReadOptions(accumulate, approximate=approximate, max_steps=steps)
    found: dict[int, Result] = {}
    with open_video(path, approximate=approximate) as (container, stream):
        whole = [entry for entry in _gop_entries(path, container, stream) if entry.frames > steps]
        if not whole:
            raise BadInputError(
                str(path),
                f"no GOP has an I-frame and {steps} P-frames: the clip is shorter than one GOP",
                f"use a clip of at least {steps + 1} frames, encoded with a GOP of {steps + 1}",
            )
        chosen = [whole[int((i + 0.5) * len(whole) / segments)] for i in range(segments)]
        reader = GopReader(path, container, stream, options)
        for entry in dict.fromkeys(chosen):
            container.seek(entry.pts, stream=stream)
            gop = reader.gop_at(entry)
            if gop is None or gop.steps != steps:
                break  # a container whose seeking cannot be relied on, such as an MPEG program stream
            found[entry.index] = convert(gop)
    if any(entry.index not in found for entry in chosen):
        wanted = {entry.index for entry in chosen}
        every = read(path, accumulate=accumulate, approximate=approximate, max_steps=steps)
        found = {gop.index: convert(gop) for gop in every if gop.index in wanted and gop.steps == steps}
    lost = [entry.index for entry in chosen if entry.index not in found]
    if lost:
        raise _broken(path, f"GOP {lost[0]} could not be decoded")
    return tuple(found[entry.index] for entry in chosen)


def _itself(gop: Gop) -> Gop:
    return gop


@contextmanager
def open_video(source: Source, *, approximate: bool = False) -> Iterator[tuple[Any, Any]]:
    """Open a video for decoding with exported vectors: (container, stream).

    Raises:
        BadInputError: for a file that is no video, or one whose vectors cannot be followed.
    """
    if isinstance(source, (str, Path)) and not Path(source).is_file():
        raise BadInputError(str(source), "there is no such file", "check the path")
    try:
        live = not isinstance(source, (str, Path)) and not source.seekable()
        options = {"probesize": str(LIVE_PROBE_BYTES), "analyzeduration": "0"} if live else {}
        with av.open(source if live or not isinstance(source, Path) else str(source), options=options) as container:
            if not container.streams.video:
                raise BadInputError(_name(source), "it has no video stream", "give a file with video in it")
            stream = container.streams.video[0]
            context = stream.codec_context
            verdict = traceability(context.name, context.extradata)
            if not verdict.exported or not (verdict.exact or approximate):
                raise _untraceable(source, verdict.reason)
            # Set before the first decode, or PyAV ignores it without a word.
            context.options = {"flags2": "+export_mvs"}
            yield container, stream
    except av.error.FFmpegError as error:
        raise _broken(source, error.strerror or str(error)) from error


def _gop_entries(path: Path, container: Any, stream: Any) -> tuple[GopEntry, ...]:
    listed = stream.index_entries
    if stream.frames > 0 and abs(len(listed) - stream.frames) <= 1:
        last = listed[-1]
        if last.pos + last.size > path.stat().st_size:
            raise _broken(path, f"it ends before the last of its {stream.frames} frames")
        packets = [(entry.timestamp, bool(entry.is_keyframe)) for entry in listed]
    else:
        packets = list(_packets(path, container, stream))
    entries: list[GopEntry] = []
    for stamp, keyframe in packets:
        if keyframe:
            entries.append(GopEntry(len(entries), stamp, 1))
        elif entries:
            last_gop = entries[-1]
            entries[-1] = GopEntry(last_gop.index, last_gop.pts, last_gop.frames + 1)
    if not entries:
        raise _broken(path, "it has no I-frame")
    return tuple(entries)


def _packets(path: Path, container: Any, stream: Any) -> Iterator[tuple[int, bool]]:
    """Time stamp and whether it begins a GOP, of every packet in the file."""
    count = 0
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.is_corrupt:
            raise _broken(path, f"it ends in the middle of frame {count}")
        count += 1
        stamp = packet.pts if packet.pts is not None else packet.dts
        yield int(stamp or 0), bool(packet.is_keyframe)
    # Packed B-frame AVIs hold one frame fewer than they declare; more is missing data.
    if count < stream.frames - 1:
        raise _broken(path, f"it ends after {count} of {stream.frames} declared frames")


class GopReader:
    """Decodes one opened video and cuts it into GOPs; see `read`."""

    def __init__(self, source: Source, container: Any, stream: Any, options: ReadOptions) -> None:
        self._source, self._container, self._stream, self._options = source, container, stream, options
        context = stream.codec_context
        self._exact = traceability(context.name, context.extradata).exact
        self._workspace: Workspace | None = None
        self._lost = 0

    def gops(self, frames: Iterable[Any] | None = None) -> Iterator[Gop]:
        """Every GOP from here to the end, or of what `frames` gave elsewhere."""
        builder: GopBuilder | None = None
        number = 0
        for frame in self.frames() if frames is None else frames:
            kind = None if frame is None else int(frame.pict_type)
            if frame is None or kind == I_FRAME:
                if builder is not None:
                    if frame is None:
                        self._lost += 1
                    else:
                        yield builder.finish()
                builder = None
            if kind == I_FRAME:
                builder, number = self._begin(frame, number), number + 1
            elif kind is not None and builder is not None:
                self._add(builder, frame, kind)
                if builder.steps == self._options.max_steps:  # a stream's next I-frame may be long in coming
                    yield builder.finish()
                    builder = None
        if builder is not None:
            yield builder.finish()
        if self._lost:
            log.warning("%s: %d damaged GOPs were left out", _name(self._source), self._lost)

    def gop_at(self, entry: GopEntry) -> Gop | None:
        """The GOP of an index entry, after a seek to it; None where it is not there."""
        builder: GopBuilder | None = None
        steps = self._options.max_steps
        for frame in self.frames():
            if frame is None or (builder is None and frame.pts is not None and frame.pts < entry.pts):
                continue
            kind = int(frame.pict_type)
            if builder is None:
                if kind != I_FRAME:
                    return None
                builder = self._begin(frame, entry.index)
            elif kind == I_FRAME:
                break
            else:
                self._add(builder, frame, kind)
            if builder.steps == steps:
                break
        return None if builder is None else builder.finish()

    def frames(self, packets: Iterable[Any] | None = None) -> Iterator[Any]:
        """Frames decoded from here to the end; None where data were damaged and what follows has lost its reference."""
        for packet in self._container.demux(self._stream) if packets is None else packets:
            if packet.is_corrupt and packet.size:
                if self._options.strict:
                    raise _broken(self._source, "it is cut off in the middle of a frame")
                yield None
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                if self._options.strict:
                    raise _broken(self._source, f"a frame cannot be decoded ({error.strerror})") from error
                yield None
                continue
            for frame in frames:
                if frame.is_corrupt:
                    if self._options.strict:
                        raise _broken(self._source, "a frame is damaged")
                    yield None
                else:
                    yield frame

    def _begin(self, frame: Any, number: int) -> GopBuilder:
        shape = (int(frame.height), int(frame.width))
        if self._workspace is None:
            self._workspace = Workspace(shape)
        elif self._workspace.shape != shape:
            raise BadInputError(
                _name(self._source),
                f"the picture size changes from {self._workspace.shape} to {shape} at GOP {number}",
                f"re-encode it: {TRANSCODE} {_name(self._source)} OUT.avi",
            )
        options, exact = self._options, self._exact and not frame.interlaced_frame
        if not exact and not options.approximate:
            raise _untraceable(self._source, "it is interlaced, whose vectors refer to fields")
        return GopBuilder(
            frame, number, self._workspace, accumulate=options.accumulate, subpel=options.subpel, exact=exact
        )

    def _add(self, builder: GopBuilder, frame: Any, kind: int) -> None:
        if self._options.max_steps is not None and builder.steps >= self._options.max_steps:
            return
        if (frame.height, frame.width) != builder.shape:
            raise _broken(self._source, f"the picture size changes inside GOP {builder.index}")
        vectors = vectors_of(frame)
        if kind == B_FRAME:
            if not self._options.approximate:
                raise _untraceable(self._source, "it has B-frames, whose vectors also point forward")
            builder.exact = False
        if not builder.exact:
            vectors = vectors[vectors["source"] < 0]
        builder.add(frame, vectors)


def _name(source: Source) -> str:
    return str(source) if isinstance(source, (str, Path)) else str(getattr(source, "name", "stream"))


def _untraceable(source: Source, reason: str) -> BadInputError:
    name = _name(source)
    fix = f"re-encode it: {TRANSCODE} {name} OUT.avi (or read it with approximate=True)"
    return BadInputError(name, f"its motion cannot be traced back exactly: {reason}", fix)


def _broken(source: Source, what: str) -> BadInputError:
    return BadInputError(_name(source), f"the video cannot be read: {what}", "check that the file is a complete video")
