"""The command line in this process; the shipped model, clip and a bundle of it, made once."""

from __future__ import annotations

import contextlib
import hashlib
import json
import resource
import signal
import sys
from pathlib import Path

import pytest

from hwsim.chip import load
from hybrid import cli
from hybrid.bundle import load_bundle
from hybrid.compile import compile_model
from hybrid.graph import trace
from hybrid.model.checkpoint import load_checkpoint
from hybrid.model.inputs import to_tensors
from hybrid.partition import Aim
from hybrid.platform import load_host, load_link
from hybrid.runtime.clip import load_clip
from hybrid.shipped import CHECKPOINT

PINS = ("stm_motion", "stm_residual")


@pytest.fixture
def hybrid(monkeypatch, capsys):
    """Run a command in this process: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["hybrid", *map(str, arguments)])
        monkeypatch.setattr(signal, "signal", lambda *_: None)
        with pytest.raises(SystemExit) as end:
            cli.main()
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture
def little_room():
    """Within this context no file of this process can grow beyond a size, as on a disk that fills up."""

    @contextlib.contextmanager
    def limit(size: int):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


@pytest.fixture(scope="session")
def checkpoint():
    return load_checkpoint(CHECKPOINT)


@pytest.fixture(scope="session")
def tiny(checkpoint):
    return checkpoint.model


@pytest.fixture(scope="session")
def clip_views(tiny, demo_clips):
    return load_clip(demo_clips[0], tiny.config.input)


@pytest.fixture(scope="session")
def traced(tiny, clip_views):
    return trace(tiny, to_tensors(clip_views, tiny.config.input))


@pytest.fixture(scope="session")
def compiled(checkpoint, clip_views):
    """Compile the shipped model for a chip into a folder."""

    def to(folder: Path, chip: str = "loihi2", pins=PINS) -> Path:
        compile_model(
            checkpoint,
            clip_views,
            load(chip),
            load_host("horowitz45"),
            load_link("pcie4"),
            folder,
            aim=Aim(tuple(pins)),
        )
        return folder

    return to


@pytest.fixture(scope="session")
def bundle_dir(compiled, tmp_path_factory) -> Path:
    return compiled(tmp_path_factory.mktemp("bundle") / "loihi2")


@pytest.fixture(scope="session")
def bundle(bundle_dir):
    return load_bundle(bundle_dir)


@pytest.fixture(scope="session")
def seal():
    """Make every checksum of a changed bundle right again, as a stranger would."""

    def again(folder: Path, *changed: str) -> None:
        path = folder / "manifest.json"
        if changed:
            manifest = json.loads(path.read_text())
            for name in changed:
                data = (folder / name).read_bytes()
                manifest["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            path.write_text(json.dumps(manifest))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        (folder / "manifest.sha256").write_text(f"{digest}  manifest.json\n")

    return again
