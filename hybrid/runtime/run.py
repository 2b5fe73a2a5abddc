"""Run a bundle on videos and account for everything."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ann_part.measure import resolve_device
from ann_part.precision import check_precision
from hybrid.bundle import Bundle
from hybrid.errors import BadInputError, HybridError, VerificationError
from hybrid.report.aggregate import aggregate
from hybrid.report.build import How, build_report
from hybrid.report.model import Failure, Report, VideoResult
from hybrid.runtime.ahead import load_ahead
from hybrid.runtime.backends import check_names, executors
from hybrid.runtime.classify import Classified, Classifier, Tell, result_of
from hybrid.runtime.clip import load_clip
from hybrid.runtime.journal import Journal, Settings
from hybrid.video.transform import Views
from snn_export.lava import LavaError

ANN_REPEATS = 7
"""Timed runs of the ANN part on the first video; the median counts, the extremes are the band."""

Look = Callable[[Path, Classified], None]
Warn = Callable[[str], None]


def settings_of(
    bundle: Bundle,
    backend: str = "hwsim",
    check: Sequence[str] = (),
    device: str = "auto",
    repeats: int = ANN_REPEATS,
    precision: str = "fp32",
) -> Settings:
    """What the results of a run depend on.

    Raises:
        BadInputError: for an unknown backend.
        ann_part.measure.DeviceError: for a device that is not there, or a precision that it does not compute in.
    """
    check_names((backend, *check))
    digest = hashlib.sha256(bundle.manifest.model_dump_json().encode()).hexdigest()
    where = resolve_device(device)
    return Settings(
        bundle=digest, backend=backend, check=tuple(dict.fromkeys(check)), device=where.type, repeats=repeats,
        precision=check_precision(precision, where),
    )  # fmt: skip


@contextmanager
def open_classifier(bundle: Bundle, settings: Settings, warn: Warn = lambda line: None) -> Iterator[Classifier]:
    """A bundle made ready to run, with the backends that the settings name; they end with the context."""
    with executors(bundle.network, settings.device) as executor:
        yield Classifier(
            bundle, executor, backend=settings.backend, check=settings.check, device=resolve_device(settings.device),
            repeats=settings.repeats, precision=settings.precision, warn=warn,
        )  # fmt: skip


def run_videos(
    bundle: Bundle,
    videos: Sequence[Path],
    settings: Settings | None = None,
    *,
    journal: Journal | None = None,
    not_checked: Mapping[str, str] | None = None,
    readers: int = 2,
    look: Look | None = None,
    tell: Tell = lambda what, done, total: None,
    warn: Warn = lambda line: None,
) -> Report:
    """Classify each video once; counts and prices come from the simulator.

    With a journal, results are written as they come, those that it holds are not made again, and a video that
    fails is noted and left out. Without one, and where there is only one video, the first failure is raised.

    Args:
        bundle: the compiled model.
        videos: files to classify.
        settings: how, as `settings_of` gives them; the usual ones without.
        journal: where results are kept.
        not_checked: backends that the caller left out, and why; goes into the report.
        readers: threads that prepare the next videos.
        look: shown the first video that is classified now, with everything that it did.
        tell: told (what, done, of how many).
        warn: told where a precision could not be kept.

    Raises:
        BadInputError: for no videos, or an unusable one.
        VerificationError: at the first bit in which two backends differ.
        snn_export.lava.LavaError: where Lava was asked for and cannot run.
        HybridError: where no video could be classified, or a result cannot be written.
    """
    if not videos:
        raise BadInputError("videos", "no video was given", "name at least one file")
    used = settings or settings_of(bundle)
    run = _Run(bundle, used, journal, look, warn, strict=journal is None or len(videos) == 1)
    found = aggregate(run.outcomes(videos, readers, tell))
    checked = tuple(dict.fromkeys((used.backend, *used.check))) if used.check else ()
    how = How(used.backend, checked, not_checked or {}, run.device, used.precision)
    return build_report(bundle, found, how)


class _Run:
    """One run of a bundle on many videos; `device` is known, in words, after the first of them."""

    def __init__(
        self,
        bundle: Bundle,
        settings: Settings,
        journal: Journal | None,
        look: Look | None,
        warn: Warn,
        *,
        strict: bool,
    ) -> None:
        self.settings, self.device = settings, ""
        self._bundle, self._journal, self._look, self._warn, self._strict = bundle, journal, look, warn, strict
        self._warm = False

    def outcomes(self, videos: Sequence[Path], readers: int, tell: Tell) -> Iterator[VideoResult | Failure]:
        """Every video in order: from the journal, or made now and written there."""
        journal = self._journal
        kept = {video for video in videos if journal is not None and journal.holds(video)}
        with ExitStack() as stack:
            classifier = stack.enter_context(open_classifier(self._bundle, self.settings, self._warn))
            loading = load_ahead([video for video in videos if video not in kept], self._load, readers)
            stack.callback(loading.close)
            for number, video in enumerate(videos):
                tell(video.name, number, len(videos))
                if journal is not None and video in kept:
                    before, device = journal.result(video)
                    self.device = self.device or device
                    yield before
                    continue
                _, load = next(loading)
                outcome = self._outcome(video, load, classifier, tell)
                if journal is not None:
                    journal.add(video, outcome, self.device)
                yield outcome

    def _load(self, video: Path) -> tuple[Views, float]:
        config = self._bundle.video_model().input
        if not self._warm:  # the first reading compiles the reader's kernels, which is no part of a video's time
            load_clip(video, config)
            self._warm = True
        begin = time.perf_counter()
        views = load_clip(video, config)
        return views, time.perf_counter() - begin

    def _outcome(
        self, video: Path, load: Callable[[], tuple[Views, float]], classifier: Classifier, tell: Tell
    ) -> VideoResult | Failure:
        try:
            views, read_s = load()
            classified = classifier.classify(views, read_s, video.name, tell)
        except (VerificationError, LavaError):
            raise  # about the bundle or the machine: the next video would meet the same
        except HybridError as error:
            if self._strict:
                raise
            return Failure(video=str(video), where=error.where, what=error.what, fix=error.fix)
        except Exception as error:
            if self._strict:
                raise
            what = f"{type(error).__name__}: {error}"
            return Failure(video=str(video), where=str(video), what=what, fix="run it alone with --debug")
        self.device = classified.device
        if self._look is not None:
            self._look(video, classified)
            self._look = None
        return result_of(self._bundle, str(video), classified, True if self.settings.check else None)
