"""Prepare or measure the clips of a data set by workers: each clip by itself, in any order, on any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow as pa
import torch
from torch import Tensor

from hybrid.datasets.records import LabelledClip
from hybrid.errors import BadInputError, HybridError
from hybrid.executor import Outcome, WorkerDiedError, Workers, run_items
from hybrid.model.checkpoint import load_checkpoint
from hybrid.model.config import ModelConfig
from hybrid.parquet import Parts, read_rows
from hybrid.training.dataset import OnBad, prepare
from hybrid.training.evaluate import Evaluation, summarize
from hybrid.training.scorer import Scorer
from hybrid.training.splits import Clips

OnDied = Callable[[HybridError], None]
"""Told of a clip that killed its worker each time it was tried."""

CLIPS = pa.schema([
    ("key", pa.string()), ("clip", pa.string()), ("label", pa.string()), ("trained_on", pa.bool_()),
    ("copies", pa.int64()), ("gops", pa.int64()),
])  # fmt: skip
"""Rows of what `extract` prepared."""
SCORES = pa.schema([
    ("key", pa.string()), ("clip", pa.string()), ("label", pa.string()), ("predicted", pa.string()),
    ("logits", pa.list_(pa.float32())),
])  # fmt: skip
"""Rows of what `evaluate_apart` measured."""


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip to prepare, and whether it will be trained on."""

    clip: LabelledClip
    trained_on: bool

    def __str__(self) -> str:
        return str(self.clip.path)


@dataclass(frozen=True, slots=True)
class Prepare:
    """Puts a clip into the cache, in any process; gives the number of copies, and of GOPs of the first."""

    config: ModelConfig
    cache: Path

    def __call__(self, item: Clip) -> tuple[int, int]:
        """Prepare it, unless it is there.

        Raises:
            BadInputError: for a clip that cannot be used.
        """
        copies = prepare(item.clip.path, self.config, self.cache, drawn=item.trained_on)
        return len(copies), len(copies[0].iframe)


def extract(
    clips: tuple[Clips, Clips], config: ModelConfig, cache: Path, table: Path, workers: Workers | None = None
) -> Iterator[Outcome[Clip, tuple[int, int]]]:
    """Prepare the clips of a data set as a training reads them, into the cache that it reads.

    Args:
        clips: to train on, which may get copies that start later, and to measure on.
        config: of the model.
        cache: folder of the cache.
        table: folder of a Parquet table with a row for each clip, written as they come.
        workers: who prepares; this process without.

    Yields:
        What became of each clip, as they are done.

    Raises:
        BadInputError: where the table cannot be gone on with.
        HybridError: where cache or table cannot be written.
    """
    items = [Clip(clip, i == 0) for i, part in enumerate(clips) for clip in part]
    with Parts(table, CLIPS, "key") as parts:
        for outcome in run_items(items, Prepare(config, cache.absolute()), workers):
            if outcome.error is None:
                item, (copies, gops) = outcome.item, outcome.get()
                clip = item.clip
                parts.add({"key": _key(clip.path), "clip": str(clip.path), "label": clip.label,
                           "trained_on": item.trained_on, "copies": copies, "gops": gops})  # fmt: skip
            elif not isinstance(outcome.error, BadInputError | WorkerDiedError):
                raise outcome.error  # about the cache, not the clip
            yield outcome


@dataclass(frozen=True, slots=True)
class Score:
    """The logits of a clip by a checkpoint, in any process that can read it."""

    checkpoint: Path
    backend: str

    def __call__(self, clip: LabelledClip) -> Tensor:
        """The logits [classes].

        Raises:
            BadInputError: for a clip that cannot be used.
        """
        return _scorer(self.checkpoint, self.backend)(clip)


@lru_cache(maxsize=1)
def _scorer(checkpoint: Path, backend: str) -> Scorer:
    return Scorer(load_checkpoint(checkpoint), backend, ExitStack())  # ends with the process


def evaluate_apart(
    checkpoint: Path,
    clips: Sequence[LabelledClip],
    backend: str,
    table: Path,
    workers: Workers,
    on_clip: Callable[[], None] = lambda: None,
    on_bad: OnBad | None = None,
    on_died: OnDied = lambda error: None,
) -> Evaluation:
    """As `evaluate`, by workers, each clip's logits being written as they come; what is there is not measured again.

    Args:
        checkpoint: file of the model.
        clips: what to measure on.
        backend: `torch` for the float model, else one of the backends of the spiking graph.
        table: folder of a Parquet table with a row for each clip.
        workers: who measures.
        on_clip: told after each clip.
        on_bad: told of a clip that cannot be used, which is then left out; without it such a clip is an error.
        on_died: told of a clip that killed its worker each time, which is left out.

    Raises:
        BadInputError: as `evaluate` does, or where the table is of another model or backend.
    """
    loaded = load_checkpoint(checkpoint)
    classes, found = loaded.model.config.classes, dict[str, Tensor]()
    with Parts(table, SCORES, "key", f"{loaded.sha256} {backend}") as parts:
        keys = {clip: _key(clip.path) for clip in clips}
        found |= {row["key"]: torch.tensor(row["logits"]) for row in read_rows(table)}
        missing = [clip for clip in clips if keys[clip] not in found]
        errors: dict[str, HybridError] = {}
        for outcome in run_items(missing, Score(checkpoint.absolute(), backend), workers):
            clip, key = outcome.item, keys[outcome.item]
            if isinstance(outcome.error, WorkerDiedError):
                on_died(outcome.error)
            elif isinstance(outcome.error, BadInputError) and on_bad is not None:
                errors[key] = outcome.error
            else:
                logits = found[key] = outcome.get()
                parts.add({"key": key, "clip": str(clip.path), "label": clip.label,
                           "predicted": classes[int(logits.argmax())], "logits": logits.tolist()})  # fmt: skip
            on_clip()
    known = [clip for clip in clips if keys[clip] in found or keys[clip] in errors]
    outcomes = (Outcome(clip, found.get(keys[clip]), errors.get(keys[clip])) for clip in known)
    return summarize(classes, backend, outcomes, lambda: None, on_bad)


def _key(path: Path) -> str:
    """What tells clips apart: another size or time means another clip."""
    try:
        state = path.stat()
    except OSError:
        return str(path)
    return f"{path}:{state.st_size}:{state.st_mtime_ns}"
