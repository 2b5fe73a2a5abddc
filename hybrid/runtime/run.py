"""Run a bundle on videos and account for everything."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ann_part.measure import Measurement, resolve_device
from ann_part.precision import Precision, check_precision
from hybrid.bundle import Bundle, load_bundle
from hybrid.errors import BadInputError, HybridError, VerificationError
from hybrid.executor import WorkerDiedError, Workers, run_items
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


@dataclass(frozen=True, slots=True)
class Help:
    """Workers that classify all videos but the first.

    Attributes:
        bundle: folder of the bundle that is run, from which each of them reads it.
        workers: who they are.
    """

    bundle: Path
    workers: Workers


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
    where = resolve_device(device)
    return Settings(
        bundle=digest_of(bundle), backend=backend, check=tuple(dict.fromkeys(check)), device=where.type,
        repeats=repeats, precision=check_precision(precision, where),
    )  # fmt: skip


def digest_of(bundle: Bundle) -> str:
    """The hash of a bundle's manifest, which holds those of all its files."""
    return hashlib.sha256(bundle.manifest.model_dump_json().encode()).hexdigest()


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
    helped: Help | None = None,
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
        helped: by whom; all is done in this process without. It needs a journal, since results come in any order.
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
    if helped is not None and journal is not None:
        found = aggregate(run.outcomes_of_workers(videos, helped, journal, tell))
    else:
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

    def outcomes_of_workers(
        self, videos: Sequence[Path], helped: Help, journal: Journal, tell: Tell
    ) -> Iterator[VideoResult | Failure]:
        """Every video in order. The first ones are made here, to the first that can be used, which times the ANN part
        for all; then the workers make the rest, each result going to the journal as it comes, and are read from there.
        """
        failed: dict[Path, Failure] = {}
        missing = iter([video for video in dict.fromkeys(videos) if not journal.holds(video)])
        timed: dict[Precision, Measurement] = {}
        with open_classifier(self._bundle, self.settings, self._warn) as classifier:
            while not timed and (video := next(missing, None)) is not None:
                tell(video.name, journal.finished, len(videos))
                outcome = self._outcome(video, lambda video=video: self._load(video), classifier, tell)  # type: ignore[misc]
                journal.add(video, outcome, self.device)
                if isinstance(outcome, Failure):
                    failed[video] = outcome
                timed = classifier.timed
        rest = list(missing)
        work = _Work(helped.bundle.absolute(), self.settings, timed)
        for done in run_items(rest, work, helped.workers) if rest else ():
            if isinstance(done.error, WorkerDiedError):
                died = done.error
                made = _Made(Failure(video=str(done.item), where=died.where, what=died.what, fix=died.fix), "", ())
            else:
                made = done.get()
            journal.add(done.item, made.outcome, made.device)
            if isinstance(made.outcome, Failure):
                failed[done.item] = made.outcome
            for line in made.warnings:
                self._warn(line)
            tell(done.item.name, journal.finished + len(failed), len(videos))
        for video in videos:
            if video in failed:
                yield failed[video]
                continue
            before, device = journal.result(video)
            self.device = self.device or device
            yield before

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


@dataclass(frozen=True, slots=True)
class _Made:
    """What a worker made of a video: the outcome, what ran the ANN part in words, and what there is to warn of."""

    outcome: VideoResult | Failure
    device: str
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Work:
    """Classifies a video in any process that can read the bundle's folder."""

    bundle: Path
    settings: Settings
    timed: Mapping[Precision, Measurement]

    def __call__(self, video: Path) -> _Made:
        run, classifier, warnings = _opened(self.bundle, self.settings)
        classifier.take(self.timed)
        outcome = run._outcome(video, lambda: run._load(video), classifier, lambda what, done, total: None)
        told = tuple(warnings)
        warnings.clear()
        return _Made(outcome, run.device, told)


@lru_cache(maxsize=1)
def _opened(folder: Path, settings: Settings) -> tuple[_Run, Classifier, list[str]]:
    """A bundle made ready in a worker, once; it ends with the process.

    Raises:
        BadInputError: for a folder that holds another bundle by now.
    """
    bundle, warnings, stack = load_bundle(folder), list[str](), ExitStack()
    if digest_of(bundle) != settings.bundle:
        raise BadInputError(str(folder), "the bundle was changed while it ran", "run the same command again")
    run = _Run(bundle, settings, None, None, warnings.append, strict=False)
    return run, stack.enter_context(open_classifier(bundle, settings, warnings.append)), warnings
