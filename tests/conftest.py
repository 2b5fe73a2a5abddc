"""Shared fixtures. Never import from `tests`: lava-nc and lava-dl install a package of that name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st

import hybrid
from snn_export.network import (
    LIF,
    REAL,
    Arithmetic,
    Connection,
    Conv2d,
    Dense,
    InputPort,
    Layer,
    NetworkError,
    Reset,
    Sparse,
    SpikingNetwork,
    SumPool2d,
    Synapse,
)
from tools.browser import Browser, NoBrowserError
from tools.browser import browser as start_browser

settings.register_profile(
    "default",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("default")

Case = tuple[SpikingNetwork, dict[str, np.ndarray]]


def _conv(draw: Any, rng: np.random.Generator, shape: tuple[int, ...]) -> Conv2d:
    groups = draw(st.sampled_from([g for g in (1, 2) if shape[0] % g == 0]))
    out_channels = groups * draw(st.integers(1, 3))
    kernel = (draw(st.integers(1, min(3, shape[1]))), draw(st.integers(1, min(3, shape[2]))))
    dilation = tuple(draw(st.integers(1, 2)) if (k - 1) * 2 < n else 1 for k, n in zip(kernel, shape[1:], strict=True))
    weight = rng.integers(-128, 128, (out_channels, shape[0] // groups, *kernel), dtype=np.int8)
    weight[rng.random(weight.shape) < draw(st.sampled_from([0.0, 0.3, 0.9]))] = 0
    stride, padding = ((draw(st.integers(low, low + 2)), draw(st.integers(low, low + 2))) for low in (1, 0))
    return Conv2d(weight, stride, padding, dilation, groups)


def _pool(draw: Any, shape: tuple[int, ...]) -> SumPool2d:
    kernel = (draw(st.integers(1, min(3, shape[1]))), draw(st.integers(1, min(3, shape[2]))))
    stride, padding = ((draw(st.integers(low, low + 2)), draw(st.integers(low, low + 2))) for low in (1, 0))
    return SumPool2d(kernel, stride, padding)


def _sparse(draw: Any, rng: np.random.Generator, features: int) -> Sparse:
    size = (draw(st.integers(1, 6)), features)
    there = rng.random(size) < draw(st.sampled_from([0.1, 0.5, 1.0]))
    there[rng.integers(size[0]), rng.integers(size[1])] = True
    rows, columns = (x.astype(np.int32) for x in np.nonzero(there))
    weight = rng.integers(-128, 128, rows.size, dtype=np.int8)
    weight[rng.random(weight.size) < 0.2] = 0
    return Sparse(weight, rows, columns, size)


def _synapse(draw: Any, rng: np.random.Generator, shape: tuple[int, ...], options: Mapping[str, Any]) -> Synapse | None:
    features = int(np.prod(shape))
    if options["dense"] and (len(shape) == 1 or draw(st.integers(0, 4)) == 0):
        return Dense(rng.integers(-128, 128, (draw(st.integers(1, 6)), features), dtype=np.int8))
    if options["sparse"] and (len(shape) == 1 or draw(st.integers(0, 3)) == 0):
        return _sparse(draw, rng, features)
    if len(shape) == 1:
        return None
    return _pool(draw, shape) if options["pool"] and draw(st.integers(0, 3)) == 0 else _conv(draw, rng, shape)


def _twin(synapse: Synapse, rng: np.random.Generator) -> Synapse:
    """Other weights in the same pattern."""
    if isinstance(synapse, SumPool2d):
        return synapse
    return replace(synapse, weight=rng.integers(-20, 20, synapse.weight.shape, dtype=np.int8))


def _neuron(draw: Any, rng: np.random.Generator, channels: int, options: Mapping[str, Any]) -> LIF:
    count = channels if options["per_channel"] and draw(st.booleans()) else 1
    keep = rng.integers(0, 4097, count).astype(np.int32)
    vth = rng.integers(0, draw(st.sampled_from([64, 2048, 2**17])), count).astype(np.int32)
    bias = (
        rng.integers(-9999, 9999, count).astype(np.int32)
        if options["bias"] and draw(st.booleans())
        else np.zeros(1, np.int32)
    )
    ukeep = draw(st.sampled_from([0, 0, 1000, 4096])) if options["current"] else 0
    interval = draw(st.sampled_from([0, 0, 1, 2, 3, 7])) if options["interval"] else 0
    return LIF(keep, vth, draw(st.sampled_from(options["resets"])), False, ukeep, bias, interval)


def _as_readout(layer: Layer) -> Layer:
    neuron = replace(layer.neuron, reset=Reset.NONE, readout=True)
    return replace(layer, neuron=neuron)


@st.composite
def _cases(
    draw: Any,
    resets: tuple[Reset, ...] = tuple(Reset),
    per_channel: bool = True,
    bias: bool = True,
    current: bool = True,
    graph: bool = True,
    dense: bool = True,
    sparse: bool = True,
    pool: bool = True,
    interval: bool = True,
    depth: int = 3,
    size: tuple[int, int] | None = None,
) -> Case:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    options = {
        "resets": resets, "per_channel": per_channel, "bias": bias, "current": current,
        "dense": dense, "sparse": sparse, "pool": pool, "interval": interval,
    }  # fmt: skip
    inputs = tuple(
        InputPort(
            f"in{i}",
            (draw(st.integers(1, 4)), draw(st.integers(1, 9)), draw(st.integers(1, 9))),
            draw(st.sampled_from([1, 4, 8])),
        )
        for i in range(draw(st.integers(1, 2)) if graph else 1)
    )
    shapes = {port.name: port.shape for port in inputs}
    layers: list[Layer] = []
    last = {port.name: port.name for port in inputs}
    for n in range(draw(st.integers(1, depth))):
        trunk = draw(st.sampled_from(sorted(last)))
        source = last[trunk]
        synapse = _synapse(draw, rng, shapes[source], options)
        if synapse is None:
            continue
        connections = [Connection(source, synapse)]
        shape = synapse.output_shape(shapes[source])
        if graph and draw(st.booleans()):  # a second connection of the same pattern: a skip or a branch
            twins = [name for name, s in shapes.items() if s == shapes[source]]
            connections.append(Connection(draw(st.sampled_from(twins)), _twin(synapse, rng)))
        layer = Layer(f"layer{n}", shape, tuple(connections), _neuron(draw, rng, shape[0], options))
        layers.append(layer)
        shapes[layer.name], last[trunk] = shape, layer.name
    used = {c.source for layer in layers for c in layer.connections}
    readouts = {x.name for x in layers if x.name not in used and draw(st.booleans())}
    layers = [_as_readout(layer) if layer.name in readouts else layer for layer in layers]
    try:
        network = SpikingNetwork(inputs, tuple(layers))
    except NetworkError as error:
        # graded input can be too large for the weights drawn: draw again; anything else is a bug here
        assume("2^17" not in error.what)
        raise
    gops, steps = size or (draw(st.integers(1, 3)), draw(st.integers(1, 6)))
    density = draw(st.sampled_from([0.0, 0.1, 0.5, 1.0]))
    arrays = {}
    for port in inputs:
        low, high = port.interval
        values = rng.integers(low, high + 1, (gops, steps, *port.shape)).astype(np.int16)
        values[rng.random(values.shape) >= density] = 0
        arrays[port.name] = values
    return network, arrays


@st.composite
def _float_cases(draw: Any, dyadic: bool, **features: Any) -> Case:
    """A random network with real constants and inputs; dyadic ones, for which float64 is exact, on demand."""
    network, inputs = draw(_cases(**features))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def real(values: np.ndarray, unit: float) -> np.ndarray:
        factor = 1.0 if dyadic else rng.uniform(0.9, 1.1, values.shape)
        return np.rint(values / unit) / 16 * factor

    layers = []
    for layer in network.layers:
        connections = [
            c if isinstance(c.synapse, SumPool2d)
            else replace(c, synapse=replace(c.synapse, weight=real(c.synapse.weight, 4).astype(np.float32)))
            for c in layer.connections
        ]  # fmt: skip
        n = layer.neuron
        neuron = replace(
            n, keep=np.minimum(real(n.keep, 256), 1), vth=real(n.vth, 64), bias=real(n.bias, 64),
            ukeep=round(n.ukeep / 256) / 16,
        )  # fmt: skip
        layers.append(replace(layer, connections=tuple(connections), neuron=neuron))
    ports = tuple(replace(port, bits=REAL) if port.bits == 8 else port for port in network.inputs)
    values = {port.name: real(inputs[port.name], 1) if port.bits == REAL else inputs[port.name] for port in ports}
    return SpikingNetwork(ports, tuple(layers), Arithmetic.FLOAT), values


@pytest.fixture(scope="session")
def float_cases() -> Callable[..., st.SearchStrategy[Case]]:
    """A strategy of random float networks with inputs, dyadic or not; features as in `cases`."""
    return _float_cases


@pytest.fixture(scope="session")
def cases() -> Callable[..., st.SearchStrategy[Case]]:
    """A strategy of random networks with inputs; switch features off where a backend lacks them.

    `depth` bounds the layers; `size` fixes the numbers of GOPs and of steps.
    """
    return _cases


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Where the test data lie."""
    return Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def demo_clips() -> tuple[Path, ...]:
    """The real clips that the package ships."""
    return tuple(sorted((Path(hybrid.__file__).parent / "data" / "clips").glob("*.avi")))


@pytest.fixture(scope="session")
def clip_frames(demo_clips) -> np.ndarray:
    """The decoded frames of a shipped clip, uint8 [N, H, W, 3]."""
    return _decode(demo_clips[0])


@pytest.fixture(scope="session")
def decode() -> Callable[[Path], np.ndarray]:
    """Decode a whole video with PyAV alone."""
    return _decode


@pytest.fixture(scope="session")
def encode() -> Callable[..., Path]:
    """Encode frames with any of FFmpeg's encoders; extra names are attributes of the codec context."""
    return _encode


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser. Not kept longer than a module: while it lives, the thread has a running event loop."""
    try:
        with start_browser() as found:
            yield found
    except NoBrowserError as error:
        pytest.skip(str(error))


def _decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def _encode(
    path: Path, frames: np.ndarray, codec: str, options: dict[str, str] | None = None, **attributes: Any
) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=30, options=options or {})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "yuv420p"
        for name, value in attributes.items():
            setattr(stream.codec_context, name, value)
        for array in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(array, format="rgb24")))
        container.mux(stream.encode())
    return path
