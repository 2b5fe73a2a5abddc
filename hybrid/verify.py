"""See whether a bundle is what was compiled: every file, every part, and the parity check made again."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from hybrid import exports, parity
from hybrid.bundle import MANIFEST, SEAL, Bundle, Manifest, read_contents, read_manifest
from hybrid.errors import BadInputError, HybridError, VerificationError
from hybrid.runtime.backends import BACKENDS, check_equal, executors
from hybrid.runtime.spikes import Values
from hybrid.sealed import check, reading
from snn_export import files, netx, nir, reference
from snn_export.lava import LavaError
from snn_export.network import Recording, SpikingNetwork

MISSING_LIBRARY = 5
RECORDING_LIMIT = 2**33
"""Bytes of a recording that is made."""

T = TypeVar("T")
Tell = Callable[[str, int, int], None]
Forms = Mapping[str, SpikingNetwork]
"""The spiking network, or a part of it, as a file for another tool has it, by the file's name."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: the file, part or backend.
        what: what was compared.
        exit_code: 0 where it is as it should be; else as a command that failed on it.
        where: the place of a failure.
        detail: what is wrong.
        fix: how to go on.
    """

    name: str
    what: str
    exit_code: int = 0
    where: str = ""
    detail: str = ""
    fix: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is as it should be."""
        return self.exit_code == 0


@dataclass(slots=True)
class Verification:
    """What was checked, in order; what depends on a failed check is left out and named.

    Attributes:
        checks: all that were made.
        left_out: what was not checked, since something before it failed.
    """

    checks: list[Check] = field(default_factory=list)
    left_out: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """Of the first failure; a missing library counts only where nothing else failed."""
        codes = [check.exit_code for check in self.checks if not check.ok]
        return next((code for code in codes if code != MISSING_LIBRARY), codes[0] if codes else 0)

    def attempt(self, name: str, what: str, work: Callable[[], T]) -> T | None:
        """Do `work` and note how it went; None where it failed."""
        try:
            result = work()
        except (HybridError, LavaError) as error:
            self.checks.append(Check(name, what, error.exit_code, error.where, error.what, error.fix))
            return None
        self.checks.append(Check(name, what))
        return result


def verify(
    folder: Path, *, backends: Sequence[str] = (), gops: int = 1, tell: Tell = lambda what, done, total: None
) -> Verification:
    """Check a bundle: rehash every file, read every part, and make the parity check again.

    The reference must give what it gave at compile time, and equal hwsim, the reference on the networks of the
    shipped NIR and netx files, and `backends`, every layer and step.

    Args:
        folder: the bundle.
        backends: to compare besides hwsim.
        gops: GOPs to compare: those in the bundle, then random ones.
        tell: told (what, done, of how many).

    Raises:
        BadInputError: for an unknown backend.
    """
    for name in backends:
        if name not in BACKENDS:
            raise BadInputError(name, "there is no such backend", f"use one of {', '.join(BACKENDS)}")
    found = Verification()
    manifest = found.attempt(MANIFEST, "schema, checksum", lambda: read_manifest(folder))
    if manifest is None:
        found.left_out = ("files", "contents", "parity")
        return found
    _check_files(found, folder, manifest, tell)
    if found.exit_code:
        found.left_out = ("contents", "parity")
        return found
    bundle = found.attempt("contents", "all parts, and that they belong together", lambda: _read(folder, manifest))
    if bundle is None:
        found.left_out = ("parity",)
        return found
    forms = _read_forms(found, folder, manifest)
    _check_parity(found, folder, bundle, forms, tuple(dict.fromkeys(("hwsim", *backends))), gops, tell)
    return found


def _check_files(found: Verification, folder: Path, manifest: Manifest, tell: Tell) -> None:
    for i, (name, record) in enumerate(manifest.files.items()):
        tell(name, i, len(manifest.files))
        found.attempt(name, "size, checksum", partial(check, folder / name, record))
    known = {MANIFEST, SEAL, *manifest.files}
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in known and path.name[0] != ".")
    for name in foreign:
        error = VerificationError(str(folder / name), "it is not in the manifest: it was added", "remove it")
        found.attempt(name, "listed in the manifest", partial(_fail, error))


def _fail(error: HybridError) -> None:
    raise error


def _read(folder: Path, manifest: Manifest) -> Bundle:
    bundle = read_contents(folder, manifest)
    path = folder / MANIFEST
    inputs = sum(node.op == "placeholder" for node in bundle.ann.graph.nodes)
    if inputs != len(manifest.host_inputs):
        what = f"{inputs} inputs, and the manifest names {len(manifest.host_inputs)}"
        raise BadInputError(str(folder / "ann.json"), what, "compile the model again")
    weights = sum(tensor.numel() * tensor.element_size() for tensor in bundle.ann.buffers())
    if weights != manifest.host_weight_bytes:
        what = f"it says {manifest.host_weight_bytes:,} bytes of weights, and ann.safetensors has {weights:,}"
        raise VerificationError(f"{path}: $.host_weight_bytes", what, "compile the model again")
    return bundle


def _read_forms(found: Verification, folder: Path, manifest: Manifest) -> Forms:
    forms = {}
    for name in manifest.files:
        if name == exports.NIR or exports.NETX.fullmatch(name):
            network = found.attempt(name, "read as another tool's file", partial(_read_form, folder / name))
            if network is not None:
                forms[name] = network
    return forms


def _read_form(path: Path) -> SpikingNetwork:
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a graph that was changed gives another network, which is found
        return nir.read(path) if path.name == exports.NIR else netx.read(path)


def _check_parity(
    found: Verification, folder: Path, bundle: Bundle, forms: Forms, backends: Sequence[str], gops: int, tell: Tell
) -> None:
    network, path = bundle.network, folder / parity.FILE
    inputs = found.attempt(parity.FILE, "fits the network", lambda: _inputs(path, bundle, gops))
    if inputs is None:
        found.left_out = ("parity",)
        return
    count, steps = next(iter(inputs.values())).shape[:2]
    what = f"{count} GOP{'s' * (count > 1)} of {steps} steps"
    truth = found.attempt("reference", f"{what}, as when compiled", lambda: _truth(path, bundle, inputs))
    if truth is None:
        found.left_out = ("hwsim", *forms)
        return
    for name, form in forms.items():
        found.attempt(name, f"{what}, bit for bit", partial(_compare_form, folder / name, network, form, inputs, truth))
    with ExitStack() as stack:
        executor = stack.enter_context(executors(network))
        for i, name in enumerate(backends):
            tell(name, i, len(backends))

            def compare(name: str = name) -> None:
                with torch.no_grad():
                    recording = executor(name)(inputs, partial(tell, name))
                check_equal(network, truth, recording, ("reference", name))

            found.attempt(name, f"{what}, bit for bit", compare)


def _inputs(path: Path, bundle: Bundle, gops: int) -> Values:
    with reading(path):
        kept, replay = parity.loads(bundle.network, path.read_bytes()), bundle.manifest.replay
        count, steps = next(iter(kept.values())).shape[:2]
        if count != replay.gops:
            raise ValueError(f"{count} GOPs, and the manifest says {replay.gops}")
        size = parity.recording_bytes(bundle.network, max(gops, count), steps)
        if size > RECORDING_LIMIT:
            raise ValueError(f"its recording takes {size:,} bytes; this program takes up to {RECORDING_LIMIT:,}")
        return parity.more(bundle.network, kept, replay, gops)


def _truth(path: Path, bundle: Bundle, inputs: Values) -> Recording:
    truth, replay = reference.run(bundle.network, inputs), bundle.manifest.replay
    hashes = parity.layer_hashes(truth, replay.gops)
    for name in (layer.name for layer in bundle.network.layers):
        if replay.layers.get(name) != hashes[name]:
            what = f"layer {name!r} does not do what it did when the bundle was compiled"
            raise VerificationError(str(path), what, "compile the model again, or use the versions that wrote it")
    return truth


def _compare_form(path: Path, network: SpikingNetwork, form: SpikingNetwork, inputs: Values, truth: Recording) -> None:
    """Compare what a file's network does; of NIR, which loses nothing, also the network itself."""
    if any(network.shapes.get(name) != shape for name, shape in form.shapes.items()) or not form.fixed:
        raise VerificationError(str(path), "it holds another network than spiking.json", "compile the model again")
    recording = reference.run(form, {port.name: inputs[port.name] for port in form.inputs})
    check_equal(form, truth, recording, ("spiking.json", str(path)))
    if path.name == exports.NIR and files.dumps(form) != files.dumps(network):
        what = "it does the same on these inputs, and yet holds another network than spiking.json"
        raise VerificationError(str(path), what, "compile the model again")
