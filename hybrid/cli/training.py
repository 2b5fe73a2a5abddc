"""Training and measuring models: synthesize, extract, train, evaluate, figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from hybrid.cli.common import ADDRESS, JSON, WORKERS, app, err, out, print_json, progress

if TYPE_CHECKING:
    from hybrid.datasets import DataSet
    from hybrid.errors import BadInputError
    from hybrid.training.evaluate import Evaluation

DATA = typer.Argument(help="Folder with the clips; one sub-folder per class, unless --layout says otherwise.")
LAYOUT = typer.Option("folder", help="folder, ucf101, hmdb51, kinetics or something-something.")
ANNOTATIONS = typer.Option(None, help="The data set's annotation files (a folder, or a CSV file).")
SPLIT = typer.Option(1, min=1, max=3, help="Which official split, where there are three.")
MISSING = typer.Option("fail", help="fail, or skip a clip that is not there or cannot be used.")
HELD_OUT = typer.Option(0.25, min=0.0, max=1.0, help="Share of each class held out, in whole recording groups.")


@app.command()
def train(
    data: Path = DATA,
    config: str = typer.Option("tiny", help="A shipped config (tiny, base, large), or a TOML file."),
    changes: list[str] = typer.Option([], "--set", help="Change a key of the config: stm.kind=none. Repeatable."),
    to: Path = typer.Option(Path("runs/model.safetensors"), "--out", help="The checkpoint to write."),
    initial: Path | None = typer.Option(None, "--from", help="Checkpoint of the same config to start from."),
    layout: str = LAYOUT,
    annotations: Path | None = ANNOTATIONS,
    split: int = SPLIT,
    missing: str = MISSING,
    held_out: float = HELD_OUT,
    seed: int = typer.Option(0, help="Seed of everything random."),
    cache: Path | None = typer.Option(None, help="Folder to keep the prepared clips in, for the next run."),
    accelerator: str = typer.Option("auto", help="Lightning's: auto, cpu, gpu."),
    devices: int = typer.Option(1, min=1, help="How many, each a process that takes its part of every batch."),
    strategy: str = typer.Option("auto", help="Lightning's: auto, ddp, ..."),
    precision: str = typer.Option("auto", help="Lightning's; auto is bf16-mixed on a GPU, else 32-true."),
    workers: int = typer.Option(0, min=0, help="Processes that load clips."),
) -> None:
    """Train a model; official test clips, or whole recording groups, are held out and measured at the end.

    A training that was stopped goes on where it was when the same command is given again.

    Example: [bold]hybrid train clips --config tiny --set stm.kind=none --out model.safetensors[/bold]
    """
    from lightning.pytorch.utilities import rank_zero_only

    from hybrid.model.checkpoint import load_checkpoint
    from hybrid.model.config import load_config
    from hybrid.training.splits import check_labels
    from hybrid.training.splits import split as divide
    from hybrid.training.train import Hardware
    from hybrid.training.train import train as fit

    loaded = load_config(config, changes)
    dataset = _load(data, layout, annotations, split, missing)
    check_labels(dataset, loaded.classes)
    words = ["hybrid train DATA", f"--config {Path(config).name}", *(f"--set {x!r}" for x in changes)]
    start = load_checkpoint(initial) if initial is not None else None
    words += [f"--from {start.sha256[:12]}"] if start is not None else []
    command = " ".join([*words, f"--held-out {held_out}", f"--seed {seed}"])
    with progress() as tell:
        result = fit(
            divide(dataset, held_out), loaded, to, seed=seed, command=command, cache=cache,
            initial=start.model if start is not None else None,
            hardware=Hardware(accelerator, devices, strategy, precision, workers),
            on_load=rank_zero_only(lambda done, total: tell("read the clips", done, total)),
            on_epoch=rank_zero_only(lambda done, loss: tell(f"train (loss {loss:.3f})", done, loaded.training.epochs)),
            on_bad=_left_out if missing == "skip" else None,
        )  # fmt: skip
    if not result.leads:
        return
    if result.resumed_from:
        out.print(f"went on after epoch {result.resumed_from}")
    if result.accuracy is not None:
        out.print(f"top-1 {result.accuracy:.1%} on {result.held_out_clips} held-out clips")
    out.print(f"trained on {result.train_clips} clips; {result.compute_share:.0%} of the time in compute")
    out.print(f"checkpoint: {to}\nlogs: {to.with_suffix('.train') / 'logs'}", soft_wrap=True)


@app.command()
def synthesize(
    to: Path = typer.Argument(help="Folder to write: one sub-folder per action."),
    clips: int = typer.Option(100, min=1, help="Clips of each action."),
    seed: int = typer.Option(0, min=0, help="Seed of everything random."),
) -> None:
    """Draw clips to pretrain on: figures that jump, run, sit, stand, turn and walk, encoded as real MPEG-4.

    Example: [bold]hybrid synthesize synthetic --clips 100 && hybrid train synthetic --out pretrained.safetensors[/bold]
    """
    from hybrid.training.synthetic import write_clips

    with progress() as tell:
        write_clips(to, clips, seed, lambda done, total: tell("draw and encode", done, total))
    out.print(f"clips: {to}", soft_wrap=True)


@app.command()
def extract(
    data: Path = DATA,
    config: str = typer.Option("tiny", help="A shipped config (tiny, base, large), or a TOML file."),
    changes: list[str] = typer.Option([], "--set", help="Change a key of the config: input.resize=160. Repeatable."),
    cache: Path = typer.Option(Path("runs/cache"), help="Folder to keep the prepared clips in, for `train --cache`."),
    layout: str = LAYOUT,
    annotations: Path | None = ANNOTATIONS,
    split: int = SPLIT,
    missing: str = MISSING,
    held_out: float = HELD_OUT,
    workers: int | None = WORKERS,
    address: str | None = ADDRESS,
    as_json: bool = JSON,
) -> None:
    """Prepare the clips of a data set for training: I-frames, motion and residual, as the config wants them.

    What is in the cache is not prepared again, so that the same command goes on where it was stopped.

    Example: [bold]hybrid extract clips --cache runs/cache --workers 4 && hybrid train clips --cache runs/cache[/bold]
    """
    import hashlib

    from hybrid.executor import Workers
    from hybrid.model.config import load_config
    from hybrid.training.apart import extract as prepare
    from hybrid.training.splits import split as divide

    loaded = load_config(config, changes)
    clips = divide(_load(data, layout, annotations, split, missing), held_out)
    settings = loaded.input.model_dump_json() + str(loaded.training.later_starts)
    table = cache / f"clips-{hashlib.sha256(settings.encode()).hexdigest()[:8]}.parquet"
    done, failed, total = 0, 0, sum(map(len, clips))
    with progress() as tell:
        for outcome in prepare(clips, loaded, cache, table, Workers(workers, address)):
            done += 1
            tell(outcome.item.clip.path.name, done, total)
            if outcome.error is not None:
                failed += 1
                err.print(
                    f"left out: {outcome.item}: {outcome.error.what}", markup=False, highlight=False, soft_wrap=True
                )
    if as_json:
        print_json({"clips": done - failed, "failed": failed, "cache": str(cache), "table": str(table)})
    else:
        out.print(f"{done - failed} clips prepared, {failed} left out", highlight=False)
        out.print(f"cache: {cache}\ntable: {table}", soft_wrap=True, highlight=False)
    if failed and missing == "fail":
        raise typer.Exit(1)


@app.command()
def evaluate(
    checkpoint: Path = typer.Argument(help="Checkpoint that `hybrid train` wrote."),
    data: Path = DATA,
    backend: str = typer.Option(
        "hwsim", help="torch for the float model; hwsim, lava-fused, ... for the quantised one."
    ),
    layout: str = LAYOUT,
    annotations: Path | None = ANNOTATIONS,
    split: int = SPLIT,
    missing: str = MISSING,
    held_out: float = HELD_OUT,
    picture: Path | None = typer.Option(None, help="PNG file for the confusion matrix."),
    table: Path | None = typer.Option(
        None, help="Folder for a Parquet table of every clip's logits; the same command goes on with it."
    ),
    workers: int | None = WORKERS,
    address: str | None = ADDRESS,
    as_json: bool = JSON,
) -> None:
    """Measure a checkpoint on labelled clips: the held-out ones, or all with --held-out 1.

    Example: [bold]hybrid evaluate model.safetensors clips --backend hwsim --picture confusion.png[/bold]
    """
    from dataclasses import asdict

    from hybrid.errors import HybridError
    from hybrid.executor import Workers
    from hybrid.model.checkpoint import load_checkpoint
    from hybrid.training.apart import evaluate_apart
    from hybrid.training.evaluate import evaluate as measure
    from hybrid.training.splits import check_labels
    from hybrid.training.splits import split as divide

    loaded = load_checkpoint(checkpoint)
    dataset = _load(data, layout, annotations, split, missing)
    check_labels(dataset, loaded.model.config.classes)
    chosen = dataset.clips if held_out == 1 else divide(dataset, held_out)[1]
    crew, died = Workers(workers, address), list[HybridError]()
    with progress() as tell:
        done = iter(range(1, len(chosen) + 1))
        bad = _left_out if missing == "skip" else None

        def told() -> None:
            tell(f"classify on {backend}", next(done), len(chosen))

        if crew.here and table is None:
            result = measure(loaded, chosen, backend, told, bad)
        else:
            where = table or Path("runs") / f"evaluate-{loaded.sha256[:8]}-{backend}.parquet"
            result = evaluate_apart(checkpoint, chosen, backend, where, crew, told, bad, died.append)
    for error in died:
        err.print(f"left out: {error.where}: {error.what}", style="red", markup=False, highlight=False, soft_wrap=True)
    if picture is not None:
        from hybrid.report.confusion import draw_confusion

        draw_confusion(result, picture)
    if as_json:
        rows = [asdict(row) for row in result.per_class()]
        print_json(asdict(result) | {"clips": len(result.predictions), "per_class": rows})
    else:
        _show(result, backend, picture)
    if died:
        raise typer.Exit(1)


def _show(result: Evaluation, backend: str, picture: Path | None) -> None:
    for table in _tables(result):
        out.print(table)
    out.print(f"top-1 {result.top1:.1%}, top-5 {result.top5:.1%} on {len(result.predictions)} clips ({backend})")
    if picture is not None:
        out.print(f"picture: {picture}", soft_wrap=True)


@app.command()
def figures(
    checkpoint: Path = typer.Argument(help="Checkpoint that `hybrid train` wrote."),
    videos: list[Path] = typer.Argument(help="Clips; the feature maps are those of the first."),
    to: Path = typer.Option(Path("runs/figures"), "--out", help="Folder for the pictures."),
) -> None:
    """Draw the paper's Fig. 1, t-SNE of RGB frames and of P-frames, and Fig. 5, feature maps over the clip.

    Example: [bold]hybrid figures model.safetensors walk_left.avi walk_right.avi --out runs/figures[/bold]
    """
    from hybrid.model.checkpoint import load_checkpoint
    from hybrid.report.features import write_figures

    for path in write_figures(load_checkpoint(checkpoint).model, videos, to):
        out.print(f"picture: {path}", soft_wrap=True)


def _left_out(path: Path, why: BadInputError) -> None:
    err.print(f"left out: {path}: {why.what}", markup=False, highlight=False, soft_wrap=True)


def _load(data: Path, layout: str, annotations: Path | None, split: int, missing: str) -> DataSet:
    from hybrid.datasets.layouts import load_data

    dataset = load_data(data, layout, annotations, split=split, missing=missing)
    if dataset.skipped:
        err.print(dataset.summary(), highlight=False)
    return dataset


def _tables(result: Evaluation) -> tuple[Table, ...]:
    def share(value: float | None) -> Any:
        return "-" if value is None else f"{value:.1%}"

    classes = Table("class", "clips", "recall", "precision")
    for row in result.per_class():
        classes.add_row(row.label, str(row.clips), share(row.recall), share(row.precision))
    if len(result.classes) > 12:
        return (classes,)
    matrix = Table("true \\ predicted", *result.classes)
    for label, counts in zip(result.classes, result.confusion, strict=True):
        matrix.add_row(label, *map(str, counts))
    return matrix, classes
