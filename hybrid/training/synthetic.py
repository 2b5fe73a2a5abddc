"""Synthetic clips to pretrain on: textured figures that walk, run, jump, sit down, stand up and turn, as real MPEG-4.

Nothing is drawn from real footage: body, view, speed, texture, background and noise are random. What the clips
teach is how a stream of motion vectors and residuals looks when a body moves in one of these ways.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.ndimage import gaussian_filter, map_coordinates

from hybrid.errors import BadInputError

Array: TypeAlias = npt.NDArray[Any]

HEIGHT, WIDTH, RATE, GOP = 240, 320, 30, 12
FRAMES = 48
THIGH, SHIN, TORSO, UPPER_ARM, FOREARM = 0.245, 0.245, 0.32, 0.17, 0.16
HIP_WIDTH, SHOULDER_WIDTH, HEAD = 0.08, 0.12, 0.07
"""Lengths as shares of the body's height, after Drillis and Contini (1966), rounded."""
DISTANCE = 5.0
"""Of the camera, in body heights."""


@dataclass(frozen=True, slots=True)
class Pose:
    """A figure at one moment; angles in radians, lengths in body heights.

    Attributes:
        forward: way gone in the direction it faces.
        lift: of the lower foot above the ground.
        yaw: direction it faces; 0 is to the right, pi / 2 towards the camera.
        lean: of the trunk, forward.
        thighs: left and right, forward of straight down.
        knees: left and right, bend.
        arms: left and right, forward of straight down.
        elbows: bend of both.
    """

    forward: float = 0.0
    lift: float = 0.0
    yaw: float = 0.0
    lean: float = 0.0
    thighs: tuple[float, float] = (0.0, 0.0)
    knees: tuple[float, float] = (0.05, 0.05)
    arms: tuple[float, float] = (0.0, 0.0)
    elbows: float = 0.2


Motion = Callable[[float], Pose]
"""The pose at a time in seconds."""


def walk(rng: np.random.Generator) -> Motion:
    """About 0.6 to 0.9 body heights a second, the arms against the legs."""
    return _gait(rng, speed=rng.uniform(0.5, 0.95), swing=rng.uniform(0.35, 0.5), knee=0.5, elbow=0.3, lean=0.05)


def run(rng: np.random.Generator) -> Motion:
    """Two to three times as fast, with bent knees and elbows and a moment in the air."""
    return _gait(rng, speed=rng.uniform(1.5, 2.8), swing=rng.uniform(0.6, 0.9), knee=1.4, elbow=1.4, lean=0.2)


def jump(rng: np.random.Generator) -> Motion:
    """Crouch, fly, land, again and again."""
    period, height, crouch = rng.uniform(0.7, 1.3), rng.uniform(0.1, 0.3), rng.uniform(0.5, 1.0)
    phase, start = rng.uniform(0, 1), Pose(yaw=rng.uniform(0, 2 * math.pi))

    def pose(t: float) -> Pose:
        p = (t / period + phase) % 1
        flight = max(0.0, math.sin(math.pi * (p - 0.4) / 0.6)) if p > 0.4 else 0.0
        bend = crouch * math.sin(math.pi * p / 0.4) if p < 0.4 else 0.0
        arm = -0.5 * bend + 2.0 * flight
        return replace(start, lift=height * flight, thighs=(bend, bend), knees=(2 * bend, 2 * bend), arms=(arm, arm))

    return pose


def sit(rng: np.random.Generator) -> Motion:
    """From standing to sitting, once."""
    return _chair(rng, down=True)


def stand(rng: np.random.Generator) -> Motion:
    """From sitting to standing, once."""
    return _chair(rng, down=False)


def turn(rng: np.random.Generator) -> Motion:
    """Around the own axis, with small steps."""
    begin, length = rng.uniform(0, 0.4), rng.uniform(0.9, 2.0)
    way, first = rng.choice([-1, 1]) * rng.uniform(math.pi / 2, 2 * math.pi), rng.uniform(0, 2 * math.pi)
    step = rng.uniform(0.15, 0.3)

    def pose(t: float) -> Pose:
        share = _smooth((t - begin) / length)
        beat = step * math.sin(4 * math.pi * t) * (0 < share < 1)
        legs = max(0.0, beat), max(0.0, -beat)
        return Pose(yaw=first + way * share, thighs=legs, knees=(2 * legs[0], 2 * legs[1]), arms=(-beat, beat))

    return pose


ACTIONS: dict[str, Callable[[np.random.Generator], Motion]] = {
    "Jump": jump, "Run": run, "Sit": sit, "Stand": stand, "Turn": turn, "Walk": walk
}  # fmt: skip


def write_clips(
    root: Path, count: int, seed: int, on_clip: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """Write `count` clips of each action as `root/Action/Action_N_0.avi`; each is a group of its own.

    Raises:
        BadInputError: where `root` exists and is not empty.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise BadInputError(str(root), "it exists and is not empty", "choose another folder, or remove it")
    for done, (label, number) in enumerate((label, n) for n in range(count) for label in ACTIONS):
        rng = np.random.default_rng([seed, list(ACTIONS).index(label), number])
        (root / label).mkdir(parents=True, exist_ok=True)
        _encode(frames(ACTIONS[label](rng), rng), root / label / f"{label}_{number}_0.avi")
        on_clip(done + 1, count * len(ACTIONS))


def frames(motion: Motion, rng: np.random.Generator) -> Iterator[Array]:
    """Pictures of a moving figure, seen by a hand that holds, or follows it with, a camera; uint8 [240, 320, 3]."""
    background, tint = _background(rng), 1 + 0.2 * rng.standard_normal(3)
    skin = [_texture(rng, (64, 64), rng.uniform(1, 4)) for _ in range(4)]
    colours = rng.uniform(10, 220) + 60 * rng.standard_normal((4, 3))
    noise, size = rng.uniform(1, 9), rng.uniform(100, 330)
    foot = np.array([rng.uniform(0.3, 0.7) * WIDTH, HEIGHT * rng.uniform(0.8, 0.9) + 0.3 * max(0, size - 180)])
    camera = _camera(motion, rng)
    middle = motion(FRAMES / RATE / 2).forward
    for i in range(FRAMES):
        pose = motion(i / RATE)
        follow, pan, zoom = camera(i / RATE)
        gone = (pose.forward - middle) * (1 - follow)
        near = DISTANCE / max(DISTANCE - gone * math.sin(pose.yaw), 1.0)
        x, y = foot[0] + gone * math.cos(pose.yaw) * size + pan[0] * (1 - 0.7 * follow), foot[1] + pan[1]
        picture = _seen(background, pan * size / 200, zoom)[..., None] * tint
        for part, a, b, radius in _parts(replace(pose, forward=0.0)):
            start, end = ((x + p[0] * size * near, y - p[1] * size * near) for p in (a, b))
            _capsule(picture, *start, *end, radius * size * near, colours[part], skin[part])
        yield (picture + rng.normal(0, noise, picture.shape)).clip(0, 255).astype(np.uint8)


def _camera(motion: Motion, rng: np.random.Generator) -> Callable[[float], tuple[float, Array, float]]:
    """How the camera moves: 1 where it keeps pace with the figure, its shift in pixels, and its zoom, over time."""
    speed, yaw = motion(1.0).forward - motion(0.0).forward, motion(0.0).yaw
    follow = float(speed > 0 and rng.random() < 0.6)
    shake, beat = rng.uniform(0, 5), rng.uniform(1.2, 2.2) * (1 + (speed > 1.2))
    bounce = follow * speed * rng.uniform(1, 4)
    phases, rates = rng.uniform(0, 2 * math.pi, (2, 3)), rng.uniform(0.2, 1.2, (2, 3))
    across, along = -60 * follow * speed * math.cos(yaw), -0.15 * follow * speed * math.sin(yaw)

    def at(t: float) -> tuple[float, Array, float]:
        drift = shake * np.sin(2 * math.pi * rates * t + phases).sum(axis=1)
        steps = bounce * np.array([math.sin(math.pi * beat * t), abs(math.sin(math.pi * beat * t))])
        return follow, drift + steps + np.array([across * t, 0.0]), math.exp(along * (t - 1))

    return at


def _background(rng: np.random.Generator) -> Array:
    """A wide grey wall: smooth noise, with bars and boxes."""
    shape = (2 * HEIGHT, 3 * WIDTH)
    wall = _texture(rng, shape, rng.uniform(3, 40)) * rng.uniform(5, 25) + rng.uniform(20, 140)
    for _ in range(int(rng.integers(0, 40))):
        y, x = rng.integers(0, shape[0]), rng.integers(0, shape[1])
        wall[y : y + int(rng.integers(3, 150)), x : x + int(rng.integers(3, 150))] += rng.normal(0, 40)
    return np.asarray(gaussian_filter(wall, 0.7))


def _seen(wall: Array, pan: Array, zoom: float) -> Array:
    """The part of the wall in view, [240, 320]."""
    rows = (np.arange(HEIGHT) - HEIGHT / 2 - pan[1]) / zoom + wall.shape[0] / 2
    columns = (np.arange(WIDTH) - WIDTH / 2 - pan[0]) / zoom + wall.shape[1] / 2
    return np.asarray(map_coordinates(wall, np.meshgrid(rows, columns, indexing="ij"), order=1, mode="mirror"))


def _gait(rng: np.random.Generator, *, speed: float, swing: float, knee: float, elbow: float, lean: float) -> Motion:
    cadence, phase = speed / (2.8 * swing), rng.uniform(0, 1)
    start = Pose(yaw=rng.uniform(0, 2 * math.pi), lean=lean, elbows=elbow)

    def pose(t: float) -> Pose:
        p = 2 * math.pi * (cadence * t + phase)
        legs = swing * math.sin(p), -swing * math.sin(p)
        bends = tuple(knee * max(0.0, math.cos(p + shift)) + 0.05 for shift in (0, math.pi))
        lift = 0.04 * max(0.0, abs(math.sin(p)) - 0.3) * (knee > 1)
        return replace(
            start, forward=speed * t, lift=lift, thighs=legs, knees=(bends[0], bends[1]), arms=(legs[1], legs[0])
        )

    return pose


def _chair(rng: np.random.Generator, *, down: bool) -> Motion:
    begin, length = rng.uniform(0, 0.6), rng.uniform(0.6, 1.4)
    depth, lean, start = rng.uniform(1.2, 1.6), rng.uniform(0.3, 0.9), Pose(yaw=rng.uniform(0, 2 * math.pi))

    def pose(t: float) -> Pose:
        share = _smooth((t - begin) / length)
        share = share if down else 1 - share
        bend, bow = depth * share, lean * math.sin(math.pi * share) + 0.1 * share
        return replace(start, lean=bow, thighs=(bend, bend), knees=(bend, bend), arms=(bend * 0.5, bend * 0.5))

    return pose


def _smooth(share: float) -> float:
    share = min(max(share, 0.0), 1.0)
    return share * share * (3 - 2 * share)


def _parts(pose: Pose) -> list[tuple[int, tuple[float, float], tuple[float, float], float]]:
    """The figure as capsules (texture, start, end, radius), farthest first; screen units of body heights, y up."""
    legs = [(THIGH * math.cos(a) + SHIN * math.cos(a - k)) for a, k in zip(pose.thighs, pose.knees, strict=True)]
    hip = max(legs) + pose.lift
    chest = (TORSO * math.sin(pose.lean), hip + TORSO * math.cos(pose.lean))
    limbs: list[tuple[int, tuple[float, float, float], tuple[float, float, float], float]] = []
    for side, thigh, knee, arm in zip((-1, 1), pose.thighs, pose.knees, pose.arms, strict=True):
        y = side * HIP_WIDTH
        bent = (THIGH * math.sin(thigh), y, hip - THIGH * math.cos(thigh))
        foot = (bent[0] + SHIN * math.sin(thigh - knee), y, bent[2] - SHIN * math.cos(thigh - knee))
        limbs += [(0, (0.0, y, hip), bent, 0.06), (0, bent, foot, 0.045)]
        y = side * (SHOULDER_WIDTH + 0.04)
        elbow = (chest[0] + UPPER_ARM * math.sin(arm), y, chest[1] - UPPER_ARM * math.cos(arm))
        bend = arm + pose.elbows
        hand = (elbow[0] + FOREARM * math.sin(bend), y, elbow[2] - FOREARM * math.cos(bend))
        limbs += [(1, (chest[0], y, chest[1]), elbow, 0.04), (2, elbow, hand, 0.035)]
    for half in (-0.5, 0.5):
        limbs.append((1, (0.0, half * HIP_WIDTH, hip), (chest[0], half * SHOULDER_WIDTH, chest[1]), 0.09))
    neck = math.sin(pose.lean) * 0.12, math.cos(pose.lean) * 0.12
    head = chest[0] + neck[0], 0.0, chest[1] + neck[1]
    limbs.append((3, head, (head[0], 0.0, head[2] + 0.03), HEAD))
    cos, sin = math.cos(pose.yaw), math.sin(pose.yaw)

    def seen(p: tuple[float, float, float]) -> tuple[float, float]:
        return (pose.forward + p[0]) * cos - p[1] * sin, p[2]

    limbs.sort(key=lambda limb: (limb[1][0] + limb[2][0]) * sin + (limb[1][1] + limb[2][1]) * cos)
    return [(part, seen(a), seen(b), radius) for part, a, b, radius in limbs]


def _texture(rng: np.random.Generator, shape: tuple[int, int], grain: float) -> Array:
    """Smooth noise of unit variance; `grain` is its length scale in pixels."""
    noise = gaussian_filter(rng.standard_normal(shape), grain, mode="wrap")
    return np.asarray(noise / noise.std())


@njit(cache=True)
def _capsule(
    picture: Array, x0: float, y0: float, x1: float, y1: float, radius: float, colour: Array, skin: Array
) -> None:
    """Draw a thick line whose texture moves with it."""
    height, width = picture.shape[:2]
    length = max(math.hypot(x1 - x0, y1 - y0), 1e-6)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    for y in range(max(0, int(min(y0, y1) - radius)), min(height, int(max(y0, y1) + radius) + 2)):
        for x in range(max(0, int(min(x0, x1) - radius)), min(width, int(max(x0, x1) + radius) + 2)):
            along = (x - x0) * dx + (y - y0) * dy
            across = (x - x0) * dy - (y - y0) * dx
            over = along - min(max(along, 0.0), length)
            distance = math.hypot(across, over)
            if distance < radius:
                shade = 25 * skin[int(along) % 64, int(across) % 64] - 40 * (distance / radius) ** 2
                for c in range(3):
                    picture[y, x, c] = colour[c] + shade


def _encode(pictures: Iterator[Array], target: Path) -> None:
    with av.open(str(target), "w", format="avi") as out:
        options = {"qmin": "5", "qmax": "5", "sc_threshold": "1000000000"}
        stream = out.add_stream("mpeg4", rate=Fraction(RATE), options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = GOP, 0
        for picture in pictures:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode())
