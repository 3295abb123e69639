"""The default's encoders as they start, and the warm-up of the technical one.

    python -m aigv_reward.training.warm_up ladders technical.safetensors --steps 900

A linear read-out sees the encoder's features of random patches. The read-out is thrown away. The
other two encoders learn in `training.fresh_warm_up`.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig

from aigv_reward.dimensions import Dimension
from aigv_reward.distortions import DISTORTIONS
from aigv_reward.encoders import (
    FastConfig,
    FastPathway,
    SemanticTower,
    SwinConfig,
    VideoSwin,
    init_encoder_weights,
)
from aigv_reward.encoders.swin3d import SwinBlock, SwinStage
from aigv_reward.training.ladders import HELD_OUT, LadderInfo, read_info
from aigv_reward.training.lite import ENCODERS, SAMPLING
from aigv_reward.views import normalize

VIEWS = {"technical": "fragments", "motion": "fast", "semantic": "key_frames"}
LUMA = torch.tensor([0.299, 0.587, 0.114])
CROP = 96


def cosine_filters(kernel: tuple[int, int, int]) -> Tensor:
    """(d*h*w, 3, d, h, w): cosine filters of luma, louder with frequency.

    A patch embedding that starts from them passes noise, blur and block edges on; random filters
    pass on little but brightness, since neighbouring pixels agree.
    """
    bases = []
    for size in kernel:
        order = torch.arange(size, dtype=torch.float32)
        wave = torch.cos(math.pi * (order[None] + 0.5) * order[:, None] / size)
        bases.append(wave / wave.norm(dim=1, keepdim=True))
    filters = torch.einsum("at,by,cx->abctyx", *bases).reshape(-1, *kernel)
    orders = [torch.arange(size, dtype=torch.float32) for size in kernel]
    frequency = torch.cartesian_prod(2 * orders[0], orders[1], orders[2]).norm(dim=1)
    gain = torch.where(frequency == 0, torch.tensor(0.3), 0.5 + 0.5 * frequency)
    luma = LUMA / LUMA.norm()
    return gain[:, None, None, None, None] * filters[:, None] * luma[:, None, None, None]


@torch.no_grad()
def start_from_band_energies(swin: VideoSwin) -> VideoSwin:
    """Let an untrained Video Swin put out the mean magnitude of each cosine band of its patches.

    Small networks trained on few clips find these statistics slowly or not at all. The patch
    embedding takes cosine filters and one constant channel, against which layer norm keeps
    amplitudes; the first block's MLP rectifies every channel; merging carries channels through.
    Everything else starts at random, on the scale that small widths need.
    """
    for module in swin.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_normal_(module.weight)
    first, width = swin.patch_embed.proj, swin.config.embed_dim
    filters = cosine_filters(swin.config.patch_size)[:width]
    first.weight.mul_(0.02)[: len(filters)] += filters
    assert first.bias is not None
    first.bias[0] = 4.0
    stages = cast(Sequence[SwinStage], swin.layers)
    mlp, same = cast(SwinBlock, stages[0].blocks[0]).mlp, torch.eye(width)
    mlp.fc1.weight[: 2 * width] = torch.cat([2 * same, -2 * same])
    mlp.fc2.weight.mul_(0.3)[:, : 2 * width] = torch.cat([same, same], dim=1)
    for number, stage in enumerate(stages):
        for block in cast(Sequence[SwinBlock], stage.blocks):
            block.attn.proj.weight.mul_(0.3 if number else 0.1)
            if number:
                block.mlp.fc2.weight.mul_(0.5)
        if stage.downsample is not None:
            merge = stage.downsample.reduction.weight  # (2C, 4C)
            channels = merge.shape[1] // 4
            merge[:channels] = 0.5 * torch.eye(channels).repeat(1, 4)
    return swin


def motion_filters() -> Tensor:
    """(8, 3, 5, 7, 7): blurred luma, its gradients, and its first and second change over time."""
    place = torch.arange(7, dtype=torch.float32) - 3
    blur = torch.exp(-(place**2) / (2 * 1.2**2))
    blur = blur / blur.sum()
    slope = -place * blur
    slope = slope / slope.abs().sum()
    flat, right, down = torch.outer(blur, blur), torch.outer(blur, slope), torch.outer(slope, blur)
    now = torch.tensor([0.0, 0, 1, 0, 0])
    change = torch.tensor([0.0, -1, 1, 0, 0])
    jerk = torch.tensor([0.0, -0.5, 1, -0.5, 0])
    pairs = [(now, flat), (now, right), (now, down), (change, flat), (-change, flat)]
    pairs += [(jerk, flat), (-jerk, flat), (change, right)]
    filters = torch.stack([torch.einsum("t,yx->tyx", when, where) for when, where in pairs])
    return filters[:, None] * LUMA[:, None, None, None]


def build_encoder(name: Dimension) -> VideoSwin | FastPathway | SemanticTower:
    """The default's encoder of a dimension, with a first layer that does not start blind."""
    with torch.no_grad():
        if name == "semantic":
            values = dict(ENCODERS["semantic_config"])
            token = ENCODERS["semantic_frame_token"]
            return SemanticTower(AutoConfig.for_model(values.pop("model_type"), **values), token)
        if name == "technical":
            swin = VideoSwin(SwinConfig(**ENCODERS["technical_config"])).apply(init_encoder_weights)
            return start_from_band_energies(swin)
        fast = FastPathway(FastConfig(**ENCODERS["motion_config"])).apply(init_encoder_weights)
        fast.stem.conv.weight.mul_(0.05)[: len(motion_filters())] += motion_filters()
        return fast


def crop(view: Tensor) -> Tensor:
    """The same random patches of every frame, whole ones."""
    step = SAMPLING.patch
    room = (view.shape[-1] - CROP) // step + 1
    y, x = (int(torch.randint(room, (1,))) * step for _ in range(2))
    return view[..., y : y + CROP, x : x + CROP].contiguous()


def warm_up_loss(scores: Tensor, targets: Tensor, rungs: int) -> Tensor:
    """Huber loss of the level, plus three times that of the differences within each ladder."""
    scores, targets = scores.view(-1, rungs), targets.view(-1, rungs)
    within = nn.functional.huber_loss(
        scores - scores.mean(dim=1, keepdim=True), targets - targets.mean(dim=1, keepdim=True)
    )
    return nn.functional.huber_loss(scores, targets) + 3 * within


def main() -> None:
    """Train the technical encoder and write its weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ladders", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--head-scale", type=float, default=1.0, help="read-out's lr over lr")
    parser.add_argument("--batch", type=int, default=4, help="ladders a step")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    name: Dimension = "technical"
    torch.manual_seed(args.seed)
    choice = random.Random(args.seed)
    paths = [p for p in sorted(args.ladders.glob("*.safetensors")) if int(p.stem) < HELD_OUT]
    ladders = [(path, read_info(path)) for path in paths]
    own = [item for item in ladders if DISTORTIONS[item[1].distortion].dimension == name]
    encoder = build_encoder(name)
    if args.start is not None:
        encoder.load_state_dict(load_file(args.start))
    head = nn.Sequential(nn.LayerNorm(encoder.out_dim), nn.Linear(encoder.out_dim, 1))
    parameters = [*encoder.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(
        [
            {"params": encoder.parameters(), "scale": 1.0},
            {"params": head.parameters(), "scale": args.head_scale},
        ],
        lr=args.lr,
        weight_decay=0.05,
    )
    total = 0.0
    for step in range(args.steps):
        rate = min(1.0, (step + 1) / 40) * (0.05 + 0.95 * math.cos(math.pi / 2 * step / args.steps))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate * group["scale"]
        batch = [
            choice.choice(own if choice.random() < 0.75 else ladders) for _ in range(args.batch)
        ]
        views, targets = zip(*(read_view(path, info, name) for path, info in batch), strict=True)
        scores = head(encoder(crop(torch.cat(views))))[:, 0]
        loss = warm_up_loss(scores, torch.cat(targets) - 3.0, len(targets[0]))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        total += loss.item()
        if step % 50 == 49:
            print(f"{name} step {step + 1} loss {total / 50:.3f}", flush=True)
            total = 0.0
    save_file({key: value.contiguous() for key, value in encoder.state_dict().items()}, args.out)


def read_view(path: Path, info: LadderInfo, name: Dimension) -> tuple[Tensor, Tensor]:
    """A ladder's normalised view for an encoder, (R, ...), and its targets, (R,)."""
    with safe_open(path, framework="pt") as file:
        view = file.get_tensor(VIEWS[name])
    return normalize(view, mean=SAMPLING.mean, std=SAMPLING.std), info.targets()[name]


if __name__ == "__main__":
    main()
