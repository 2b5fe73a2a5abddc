"""The report: what ran, whether it was right, what it would cost, and where each number comes from.

`schema()` gives the JSON Schema. Every estimate is a band of low, nominal and high; all energies are joules,
all times seconds, and all counts are per video.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from hwsim.quantity import Quantity, Range

SCHEMA_VERSION = 3
DETAILED = 16
"""Videos of a report that keep every detail; those of the others are in the run's videos.jsonl."""
Precision = Literal["fp32", "bf16", "fp16"]
Verdict = Literal["higher", "lower", "equal", "undecided"]
OF_FIRST = f"; empty after the first {DETAILED} videos of a report"


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Band(_Record):
    """An estimate."""

    low: float
    nominal: float
    high: float

    @classmethod
    def of(cls, value: Range) -> Band:
        """The same numbers as a record."""
        return cls(low=value.low, nominal=value.nominal, high=value.high)


class Prediction(_Record):
    """What the model says of a video."""

    label: str = Field(description="the class with the largest probability")
    probabilities: dict[str, float] = Field(description="of every class, averaged over the views")


class Counts(_Record):
    """Events and operations of one video."""

    synops: float = Field(description="synaptic operations: nonzero weights met by nonzero inputs")
    synops_dense: float = Field(description="synaptic operations if every input were nonzero")
    acs: float = Field(description="synaptic operations on binary spikes: an accumulation each")
    macs: float = Field(description="synaptic operations on graded input, and the ANN part's products")
    macs_ann: float = Field(description="multiply-accumulates of the ANN part")
    neuron_updates: float = Field(description="updates of a membrane potential")
    spikes: float = Field(description="spikes fired")
    packets: float = Field(description="messages from a neuron to a core")
    hops: float = Field(description="tiles crossed by all packets")
    link_bytes: float = Field(description="bytes over the link between host and chip, both ways")


class EnergyPart(_Record):
    """One contribution to the energy of a video."""

    part: str = Field(description="`chip`, `link` or `ann`")
    kind: str = Field(description="what costs it")
    energy_j: Band
    status: str = Field(description="M measured, S simulated, F fitted, D derived, V vendor, ? estimate")
    source: str = Field(description="where the constant comes from")


class Energy(Band):
    """Energy of one video."""

    by_part: dict[str, Band] = Field(description="chip, link, ann")
    by_kind: tuple[EnergyPart, ...] = Field(description=f"by event{OF_FIRST}")


class Latency(_Record):
    """Times of one video's GOPs."""

    response: Band = Field(description="from the arrival of a GOP's last P-frame to the prediction")
    per_gop: Band = Field(description="compute time of one GOP, end to end, without waiting for frames")
    step_max: Band = Field(description="longest time step on the chip")


class Span(_Record):
    """One bar of the timeline of a GOP."""

    lane: Literal["frames", "link", "chip", "ann"]
    name: str
    start_s: float
    duration_s: float


class VideoResult(_Record):
    """One video."""

    video: str
    prediction: Prediction
    precision: Precision = Field(
        default="fp32", description="of the ANN part; fp32 where a lower one gave no finite numbers"
    )
    exact: bool | None = Field(description="all checked backends agree bit for bit; null when not checked")
    counts: Counts
    energy_j: Energy
    latency_s: Latency
    throughput_vps: Band = Field(description="videos per second in the pipelined steady state")
    stages_s: dict[str, Band] = Field(description="time per video of each stage of the pipeline")
    step_s: tuple[Band, ...] = Field(description=f"time of each chip step, mean over the GOPs{OF_FIRST}")
    core_load: tuple[float, ...] = Field(description=f"busy time of each core over the video, in seconds{OF_FIRST}")
    timeline: tuple[Span, ...] = Field(description=f"of the last GOP, from its last P-frame's arrival on{OF_FIRST}")


class Failure(_Record):
    """A video that could not be classified."""

    video: str
    where: str = Field(description="the file or setting at fault")
    what: str
    fix: str


class Spread(_Record):
    """How a figure differs between the videos of a run, by its nominal values."""

    mean: float
    std: float = Field(description="of the videos themselves, not of their mean")
    low: float = Field(description="smallest")
    median: float
    high: float = Field(description="largest")


class OpRow(_Record):
    """Where one op runs."""

    op: str
    target: Literal["chip", "host"]
    reason: str
    violations: tuple[str, ...]
    chip_j: Band | None
    host_j: Band
    undecided: bool = Field(False, description="the better side flips inside the bands of the constants")
    artificial: bool = Field(False, description="on the chip it would run in ANN mode")


class CrossingRow(_Record):
    """A value on the link."""

    op: str
    to: Literal["chip", "host"]
    kind: str
    shape: tuple[int, ...]
    bytes: int
    energy_j: Band


class FrontFigures(_Record):
    """What one plan costs per GOP."""

    energy_j: float
    latency_s: float | None
    cores: int


class FrontRow(_Record):
    """One plan that no other beats in both energy and latency."""

    on_chip: tuple[str, ...]
    figures: FrontFigures


class AnnModeEffect(_Record):
    """What the chip's artificial neurons do to the output on the calibration inputs."""

    bits: int
    samples: int
    changed: int = Field(description="samples whose largest output is another one")
    largest: float = Field(description="largest difference of an output, against the largest output")


class PlanSummary(_Record):
    """The partition."""

    coverage: str = Field(description="one line: how much is on the chip")
    ops: tuple[OpRow, ...]
    crossings: tuple[CrossingRow, ...]
    predicted_j_per_gop: float = Field(description="events and link, without static power")
    predicted_s_per_gop: float | None = Field(None, description="one part after the other; null where unknown")
    cores: int = Field(0, description="of the chip, as planned")
    baselines_j_per_gop: dict[str, float]
    front: tuple[FrontRow, ...] = Field((), description="plans that none beats in both, where asked for")
    effect: AnnModeEffect | None = None


class CoreRow(_Record):
    """One core in use."""

    id: int
    layer: str
    chip: int
    x: int
    y: int
    slot: int
    neurons: int


class ChipSummary(_Record):
    """The chip and how the network sits on it."""

    name: str
    title: str
    chips: int
    tiles_x: int
    tiles_y: int
    cores_per_tile: int
    cores: tuple[CoreRow, ...]
    utilization: dict[str, tuple[int, int | None]]


class ConstantRow(_Record):
    """One constant and its source."""

    owner: str
    name: str
    quantity: Quantity


class Comparison(_Record):
    """The same model accounted for in another way."""

    name: str
    energy_j: Band
    note: str


class Alternative(_Record):
    """One video, run in this or in another way."""

    name: str = Field(description="of the chip or the device")
    kind: Literal["this run", "chip", "device"] = Field(
        description="chip: the spiking part on another one; device: the whole model there, without a chip"
    )
    energy_j: Band | None = Field(description="null where it cannot be done, or not be priced")
    per_gop_s: Band | None = Field(description="compute time of one GOP; null where it cannot be done")
    energy_is: Verdict | None = Field(
        default=None, description="against this run; undecided where constants of one side only may give either order"
    )
    time_is: Verdict | None = Field(
        default=None, description="against this run; undecided where what differs may give either order"
    )
    note: str = Field(description="how it is known, or why it cannot be done")


class Alternatives(_Record):
    """The first video that was classified, in this and in other ways."""

    video: str
    rows: tuple[Alternative, ...] = Field(description="this run first")


class Report(_Record):
    """Everything about one run; the top level is the mean over its videos."""

    schema_version: Literal[1, 2, 3] = Field(
        3, description="1 had no failures, spread and means of steps and cores; 2 no precision and alternatives"
    )
    title: str
    versions: dict[str, str]
    model: dict[str, str] = Field(description="name, checkpoint hash and training notes")
    device: str = Field(description="what ran the ANN part")
    precision: Precision = Field(default="fp32", description="asked for the ANN part; each video has what it was")
    backend: str = Field(description="what ran the spiking part")
    prediction: Prediction = Field(description="of the first video; the others are under `videos`")
    exact: bool | None
    checked: tuple[str, ...] = Field(description="backends compared bit for bit, every step")
    not_checked: dict[str, str] = Field(description="backends that could not run, and why")
    counts: Counts
    energy_j: Energy
    latency_s: Latency
    throughput_vps: Band
    comparisons: tuple[Comparison, ...]
    alternatives: Alternatives | None = None
    plan: PlanSummary
    chip: ChipSummary
    constants: tuple[ConstantRow, ...]
    videos: tuple[VideoResult, ...] = Field(min_length=1)
    failures: tuple[Failure, ...] = Field((), description="videos that are in no figure")
    spread: dict[str, Spread] = Field({}, description="per figure, between the videos")
    stages_s: dict[str, Band] = Field({}, description="time per video of each stage of the pipeline")
    step_s: tuple[Band, ...] = Field((), description="time of each chip step, mean over GOPs and videos")
    core_load: tuple[float, ...] = Field((), description="busy time of each core per video, in seconds")


def schema() -> dict[str, Any]:
    """The JSON Schema of `report.json`."""
    return Report.model_json_schema()
