"""Severity ladders: one content at several severities of one degradation, as views on disk.

    python -m aigv_reward.training.ladders OUT --first 0 --count 2000 --processes 2

Every ladder follows from its number alone. Numbers from `HELD_OUT` on are never trained on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from aigv_reward.dimensions import Dimension
from aigv_reward.distortions import DISTORTIONS, codec_noise, distort, render_scene
from aigv_reward.views import Views, ViewSampling, build_views, frame_plan, normalize

SEVERITIES = (0, 1, 2, 3, 4)
HELD_OUT = 1_000_000
RUNGS = 3  # of a ladder to train on: contents teach more than rungs
LENGTHS = (16, 24, 32, 48)
CLEAN, STEP = 4.7, 0.9  # opinion of a clean clip, and what one step of severity takes away
SIZES = ((192, 320), (256, 256), (256, 384), (288, 512), (384, 256), (320, 320), (360, 480))
VISIBLE = 0.4  # grey levels that the strongest severity must change on average
PACES = (1.0, 0.5, 0.25, 0.1, 0.0)  # low dynamic degree as the scene itself moving less


@dataclass(frozen=True)
class LadderInfo:
    """What was done to a ladder's content.

    Attributes:
        number: seed of everything about the ladder.
        distortion: name of the degradation whose severity rises.
        other: name of a second one of another dimension, at one severity all along, or None.
        other_severity: 0 without a second one.
        caption: what the clean content shows.
        severities: of the rungs, rising.
    """

    number: int
    distortion: str
    other: str | None
    other_severity: int
    caption: str
    severities: tuple[int, ...] = SEVERITIES

    def targets(self) -> dict[Dimension, Tensor]:
        """{dimension: (R,)} synthetic opinion on the MOS scale, one a rung."""
        rungs = torch.tensor(self.severities, dtype=torch.float32)
        result: dict[Dimension, Tensor] = {}
        for name in ("technical", "motion", "semantic"):
            severity = torch.zeros(len(rungs))
            if self.other is not None and DISTORTIONS[self.other].dimension == name:
                severity += self.other_severity
            if DISTORTIONS[self.distortion].dimension == name:
                severity += rungs
            result[name] = CLEAN - STEP * severity.clamp(max=4)
        parts = torch.stack(list(result.values()))
        result["overall"] = 0.6 * parts.amin(dim=0) + 0.4 * parts.mean(dim=0)
        return result


def make_ladder(
    number: int,
    sampling: ViewSampling,
    photos: Sequence[Tensor] = (),
    *,
    severities: Sequence[int] | None = None,
) -> tuple[LadderInfo, dict[str, Tensor]]:
    """One ladder: what it is, and its views as bytes, {view: (R, T, 3, S, S) uint8}.

    Args:
        number: seed of everything about it.
        sampling: the views' frames and sides.
        photos: see `render_scene`.
        severities: of the rungs; None: `RUNGS` of them, drawn.
    """
    generator = torch.Generator().manual_seed(number)

    def draw(count: int) -> int:
        return int(torch.randint(count, (1,), generator=generator))

    height, width = SIZES[draw(len(SIZES))]
    render = partial(
        render_scene,
        number,
        num_frames=LENGTHS[draw(len(LENGTHS))],
        height=height,
        width=width,
        photos=photos,
    )
    drawn = torch.randperm(len(SEVERITIES), generator=generator)[:RUNGS].sort().values.tolist()
    severities = tuple(drawn if severities is None else severities)
    scene = render()
    names = sorted(DISTORTIONS)
    while True:
        name, seed = names[draw(len(names))], draw(2**31)
        slowed = name == "low_dynamic" and draw(2) == 0
        if slowed:
            strongest = render(pace=PACES[4]).frames
        else:
            strongest = _degrade(scene.frames, name, 4, seed)
        if (strongest.float() - scene.frames.float()).abs().mean() >= VISIBLE:
            break
    elsewhere = [n for n in names if DISTORTIONS[n].dimension != DISTORTIONS[name].dimension]
    other = elsewhere[draw(len(elsewhere))] if draw(3) == 0 else None
    other_severity, other_seed = (1 + draw(4), draw(2**31)) if other else (0, 0)
    view_seed = draw(2**31) if draw(2) else None
    rungs = []
    for severity in severities:
        if slowed:
            frames = scene.frames if severity == 0 else render(pace=PACES[severity]).frames
        else:
            frames = _degrade(scene.frames, name, severity, seed)
        if other is not None:
            frames = _degrade(frames, other, other_severity, other_seed)
        frames = codec_noise(harmless(frames, generator), generator=generator)
        rungs.append(_byte_views(frames, sampling, view_seed))
    info = LadderInfo(number, name, other, other_severity, scene.caption, severities)
    return info, {key: torch.stack([rung[key] for rung in rungs]) for key in rungs[0]}


def harmless(frames: Tensor, generator: torch.Generator) -> Tensor:
    """The clip mirrored or not, up to 3 % brighter or darker, and without a pixel at its edges.

    Every rung gets its own, so that nothing of it can stand for severity.
    """
    if int(torch.randint(2, (1,), generator=generator)):
        frames = frames.flip(-1)
    gain = 0.97 + 0.06 * float(torch.rand(1, generator=generator))
    y, x = torch.randint(3, (2,), generator=generator).tolist()
    frames = frames[..., y : frames.shape[-2] - 2 + y, x : frames.shape[-1] - 2 + x]
    return frames.float().mul_(gain).add_(0.5).clamp_(0, 255).to(torch.uint8)


def write_ladder(folder: Path, sampling: ViewSampling, number: int) -> Path:
    """Write one ladder, unless it is there, under a temporary name first; returns its path."""
    path = folder / f"{number:08d}.safetensors"
    if not path.exists():
        held_out = number >= HELD_OUT
        severities = SEVERITIES if held_out else None
        info, views = make_ladder(number, sampling, photographs(held_out), severities=severities)
        temporary = path.with_suffix(".part")
        save_file(views, temporary, metadata={"info": json.dumps(asdict(info))})
        temporary.rename(path)
    return path


def read_info(path: Path) -> LadderInfo:
    """A ladder's description alone."""
    with safe_open(path, framework="pt") as file:
        values = json.loads(file.metadata()["info"])
    return LadderInfo(**values | {"severities": tuple(values["severities"])})


def read_ladder(path: Path, sampling: ViewSampling) -> tuple[LadderInfo, Views]:
    """A ladder's description and its normalised views, (R, ...)."""
    with safe_open(path, framework="pt") as file:
        parts = [
            normalize(file.get_tensor(key), mean=sampling.mean, std=sampling.std)
            for key in ("key_frames", "fragments", "fast")
        ]
    return read_info(path), Views(*parts)


@lru_cache(maxsize=2)
def photographs(held_out: bool) -> tuple[Tensor, ...]:
    """Photographs, (3, H, W) uint8, that two test dependencies ship: other ones when held out.

    Raises:
        ModuleNotFoundError: scikit-image and scikit-learn are not installed (extra `train`).
    """
    import skimage
    from skimage import data, io
    from sklearn.datasets import load_sample_image

    if held_out:
        images = [load_sample_image("china.jpg"), load_sample_image("flower.jpg"), data.chelsea()]
    else:
        root = Path(skimage.__file__).parent / "data"
        names = ("astronaut.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "ihc.png")
        greys = ("brick.png", "grass.png", "gravel.png", "camera.png", "moon.png", "page.png")
        images = [io.imread(root / name)[..., :3] for name in names]
        images += [io.imread(root / name)[..., None].repeat(3, axis=-1) for name in greys]
    return tuple(torch.from_numpy(image.copy()).permute(2, 0, 1) for image in images)


def _degrade(frames: Tensor, name: str, severity: int, seed: int) -> Tensor:
    return distort(frames, name, severity, generator=torch.Generator().manual_seed(seed))


def _byte_views(frames: Tensor, sampling: ViewSampling, seed: int | None) -> dict[str, Tensor]:
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    plan = frame_plan(frames.shape[0], sampling, generator=generator)
    views = build_views(frames[None], plan, sampling, generator=generator)
    mean = torch.tensor(sampling.mean).view(3, 1, 1)
    std = torch.tensor(sampling.std).view(3, 1, 1)
    return {
        name: (getattr(views, name)[0] * std + mean).round().clamp(0, 255).to(torch.uint8)
        for name in ("key_frames", "fragments", "fast")
    }


def _one_thread(folder: Path, sampling: ViewSampling, number: int) -> Path:
    torch.set_num_threads(1)
    return write_ladder(folder, sampling, number)


def main() -> None:
    """Write ladders `first` .. `first + count - 1` of the lite checkpoint's sampling."""
    from aigv_reward.training.lite import SAMPLING

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--processes", type=int, default=2)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    numbers = range(args.first, args.first + args.count)
    write = partial(_one_thread, args.out, SAMPLING)
    with ProcessPoolExecutor(args.processes, mp_context=get_context("spawn")) as pool:
        for path in pool.map(write, numbers):
            print(path, flush=True)


if __name__ == "__main__":
    main()
