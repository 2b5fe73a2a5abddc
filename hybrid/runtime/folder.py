"""A run as a folder: results as they come, the trace and the other ways of the first video, then the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from ann_part.measure import resolve_device
from hybrid.bundle import Bundle
from hybrid.files import make_folder, write_aside
from hybrid.report.model import Alternatives, Report
from hybrid.report.render import write_report
from hybrid.report.trace import TRACE, write_trace
from hybrid.runtime.alternatives import alternatives_of
from hybrid.runtime.classify import Classified, Tell
from hybrid.runtime.journal import Journal, Settings
from hybrid.runtime.run import Help, Warn, run_videos
from hybrid.runtime.trace import trace_of

ALTERNATIVES = "alternatives.json"


def run_to_folder(
    bundle: Bundle,
    videos: Sequence[Path],
    settings: Settings,
    folder: Path,
    *,
    journal: Journal | None = None,
    not_checked: Mapping[str, str] | None = None,
    readers: int = 2,
    helped: Help | None = None,
    tell: Tell = lambda what, done, total: None,
    warn: Warn = lambda line: None,
) -> tuple[Report, Path]:
    """Classify videos as `run_videos` does, and write everything about it.

    What is made from the first video, `trace.json` and `alternatives.json`, is made before anything is read ahead,
    so that its times are not disturbed, and written before the first result: a run that goes on finds it there.

    Args:
        bundle: the compiled model.
        videos: files to classify.
        settings: how.
        folder: where to write.
        journal: of that folder, where results are to be kept one by one.
        not_checked: backends that the caller left out, and why.
        readers: threads that prepare the next videos.
        helped: by whom, as `run_videos` takes it.
        tell: told (what, done, of how many).
        warn: told where a precision could not be kept.

    Returns:
        The report, and the path of its page.

    Raises:
        HybridError: what `run_videos` raises, and where a file cannot be written.
    """

    def look(video: Path, classified: Classified) -> None:
        make_folder(folder)
        write_trace(trace_of(bundle, video.name, classified, resolve_device(settings.device)), folder)
        found = alternatives_of(bundle, str(video), classified, settings, tell)
        write_aside(folder / ALTERNATIVES, (found.model_dump_json() + "\n").encode())

    goes_on = journal is not None and journal.finished > 0
    known = goes_on and all((folder / name).is_file() for name in (TRACE, ALTERNATIVES))
    report = run_videos(
        bundle, videos, settings, journal=journal, not_checked=not_checked, readers=readers, helped=helped,
        look=None if known else look, tell=tell, warn=warn,
    )  # fmt: skip
    if journal is not None:
        journal.write_table()
    report = report.model_copy(update={"alternatives": _read(folder / ALTERNATIVES)})
    tell("write the report", len(videos), len(videos))
    return report, write_report(report, folder)[1]


def _read(path: Path) -> Alternatives | None:
    """What a run of this folder wrote; None where the file is missing, or is none of ours."""
    try:
        return Alternatives.model_validate_json(path.read_text())
    except (OSError, ValueError, ValidationError):
        return None
