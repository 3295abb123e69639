"""Jointed figures made of sprites: parts that swing, flap and roll while the whole moves."""

from dataclasses import replace

import numpy as np

from aigv_reward.distortions.paths import Path, attached
from aigv_reward.distortions.sprites import Sprite
from aigv_reward.distortions.textures import draw_texture


def _walker(rng: np.random.Generator, base: Sprite, path: Path, scale: float) -> tuple[Sprite, ...]:
    rate = rng.uniform(0.35, 0.7)
    limb = replace(base, shape="limb", size=(0.13 * scale, 0.75 * scale))
    far = replace(limb, texture=base.texture * 0.7)
    legs = [
        replace(part, motion=attached(path, (0, 0.3 * scale), rock=0.6, rate=rate, phase=phase))
        for part, phase in ((far, 3.14), (limb, 0.0))
    ]
    arms = [
        replace(
            part,
            size=(0.1 * scale, 0.6 * scale),
            motion=attached(path, (0, -0.35 * scale), rock=0.7, rate=rate, phase=phase),
        )
        for part, phase in ((far, 0.0), (limb, 3.14))
    ]
    trunk = replace(
        base, shape="limb", size=(0.28 * scale, 0.7 * scale),
        motion=attached(path, (0, -0.4 * scale)),
    )  # fmt: skip
    head = replace(
        base, size=(0.26 * scale, 0.26 * scale), shading=0.6,
        motion=attached(path, (0, -0.85 * scale), rock=0.08, rate=2 * rate),
    )  # fmt: skip
    return (arms[0], legs[0], legs[1], trunk, head, arms[1])


def _windmill(
    rng: np.random.Generator, base: Sprite, path: Path, scale: float
) -> tuple[Sprite, ...]:
    spin = rng.uniform(0.06, 0.25) * rng.choice([-1, 1])
    pole = replace(base, shape="box", size=(0.16 * scale, scale))
    hub = attached(path, (0, -0.9 * scale), spin=float(spin))
    blades = [
        replace(
            base, shape="limb", size=(0.11 * scale, 0.8 * scale),
            motion=attached(hub, (0, 0), angle=2.0944 * k),
        )
        for k in range(3)
    ]  # fmt: skip
    return (pole, *blades, replace(base, size=(0.16 * scale, 0.16 * scale), motion=hub))


def _car(rng: np.random.Generator, base: Sprite, path: Path, scale: float) -> tuple[Sprite, ...]:
    body = replace(base, shape="box", size=(scale, 0.3 * scale))
    cabin = replace(
        base, shape="box", size=(0.5 * scale, 0.3 * scale), texture=1 - base.texture,
        motion=attached(path, (rng.uniform(-0.2, 0.2) * scale, -0.45 * scale)),
    )  # fmt: skip
    roll = path.travel[0] / max(path.num_frames - 1, 1) / (0.24 * scale)
    rubber, _ = draw_texture(
        rng, 40, 40, kind="stripes", scale=8, colours=np.array([[0.05] * 3, [0.45] * 3])
    )
    wheels = [
        replace(
            base, size=(0.24 * scale, 0.24 * scale), texture=rubber,
            motion=attached(path, (side * 0.58 * scale, 0.32 * scale), spin=roll),
        )
        for side in (-1, 1)
    ]  # fmt: skip
    return (cabin, body, *wheels)


def _bird(rng: np.random.Generator, base: Sprite, path: Path, scale: float) -> tuple[Sprite, ...]:
    rate = rng.uniform(0.4, 0.9)
    wing = replace(base, shape="limb", size=(0.14 * scale, 0.85 * scale))
    wings = [
        replace(wing, motion=attached(path, (0, 0), angle=a, rock=-s * 0.7, rate=rate))
        for a, s in ((1.9, -1), (-1.9, 1))
    ]
    body = replace(base, shape="blob", size=(0.45 * scale, 0.26 * scale), points=2)
    return (wings[0], body, wings[1])


def _pendulum(
    rng: np.random.Generator, base: Sprite, path: Path, scale: float
) -> tuple[Sprite, ...]:
    arm = attached(path, (0, -scale), rock=rng.uniform(0.4, 1.0), rate=rng.uniform(0.15, 0.4))
    rod = replace(base, shape="limb", size=(0.07 * scale, 1.5 * scale), motion=arm)
    bob = replace(
        base, size=(0.4 * scale, 0.4 * scale), shading=0.7, motion=attached(arm, (0, 1.5 * scale))
    )
    return (rod, bob)


FIGURE_PARTS = {
    "walker": _walker,
    "windmill": _windmill,
    "car": _car,
    "bird": _bird,
    "pendulum": _pendulum,
}
