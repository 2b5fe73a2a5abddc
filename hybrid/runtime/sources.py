"""Which videos a run is about: files, folders and lists of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from hybrid.errors import BadInputError
from hybrid.video.transcode_tree import SUFFIXES

LIST_MARK = "@"


def find_videos(named: Sequence[str], lists: Sequence[Path] = ()) -> tuple[Path, ...]:
    """The videos that a command line names, each once, in the order of their first mention.

    Args:
        named: files, folders (searched with all below them, sorted), or `@FILE` for a list.
        lists: files with one video or folder a line, relative to the list's own folder; `#` begins a comment.

    Raises:
        BadInputError: for a list that cannot be read, a folder without videos, or nothing at all.
    """
    found: dict[Path, None] = {}
    for name in named:
        if name.startswith(LIST_MARK):
            found |= dict.fromkeys(_of_list(Path(name[len(LIST_MARK) :])))
        else:
            found |= dict.fromkeys(_expand(Path(name)))
    for path in lists:
        found |= dict.fromkeys(_of_list(path))
    if not found:
        raise BadInputError("videos", "no video was given", "name files, folders, or a list as @list.txt")
    return tuple(found)


def _of_list(path: Path) -> Iterable[Path]:
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        what = f"the list cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}"
        raise BadInputError(str(path), what, "give a text file with one video a line") from error
    for line in map(str.strip, lines):
        if line and not line.startswith("#"):
            yield from _expand(path.parent / line)


def _expand(path: Path) -> Iterable[Path]:
    if not path.is_dir():
        return [path]
    videos = sorted(x for x in path.rglob("*") if x.suffix.lower() in SUFFIXES and x.is_file())
    if not videos:
        raise BadInputError(str(path), "no videos were found in it", f"videos end in {', '.join(sorted(SUFFIXES))}")
    return videos
