"""Tiny pipelines that have learned something: to draw the procedural scenes, roughly.

Pipelines of random weights draw noise, and a score of video quality says of noise only noise. Some
minutes of training give videos that differ in what the score is about.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from aigv_reward.distortions import render_scene
from aigv_reward.integrations.diffusers.encoding import encode_video
from aigv_reward.integrations.finetune.denoising import denoise, without_guidance
from aigv_reward.integrations.finetune.flow_noise import forward_process, sample_noise_levels

FIRST_SCENE = 20_000_000
BATCH = 8
KL = 1e-2


def scenes(count: int, num_frames: int, height: int, width: int) -> Tensor:
    """(count, T, 3, H, W) in [0, 1]."""
    made = []
    for seed in range(FIRST_SCENE, FIRST_SCENE + count):
        scene = render_scene(seed, num_frames=num_frames, height=2 * height, width=2 * width)
        frames = torch.as_tensor(scene.frames).float() / 255
        made.append(F.interpolate(frames, size=(height, width), mode="area"))
    return torch.stack(made)


def _optimize(module: nn.Module, steps: int, rate: float, name: str, loss_of: Any) -> None:
    module.train().requires_grad_(True)
    parameters = list(module.parameters())
    optimizer = torch.optim.AdamW(parameters, rate)
    schedule = OneCycleLR(optimizer, rate, total_steps=steps)
    began, mean = time.perf_counter(), 0.0
    for step in range(steps):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        mean += (float(loss.detach()) - mean) / min(step + 1, 50)
        if (step + 1) % max(steps // 5, 1) == 0:
            seconds = time.perf_counter() - began
            print(f"{name}: step {step + 1}, loss {mean:.4f}, {seconds:.0f} s", flush=True)
    module.eval().requires_grad_(False)


def _train_vae(vae: Any, clips: Tensor, steps: int, draw: torch.Generator) -> None:
    def loss_of() -> Tensor:
        chosen = clips[torch.randint(len(clips), (BATCH,), generator=draw)]
        video = chosen.transpose(1, 2) * 2 - 1
        posterior = vae.encode(video).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=draw)
        again = vae.decode(posterior.mean + noise * posterior.std).sample
        return F.l1_loss(again, video) + KL * posterior.kl().sum() / posterior.mean.numel()

    _optimize(vae, steps, 3e-3, type(vae).__name__, loss_of)


def _scale(pipe: Any, **statistics: Any) -> None:
    pipe.vae.register_to_config(**statistics)
    if hasattr(pipe, "vae_scaling_factor_image"):  # CogVideoX keeps a copy
        pipe.vae_scaling_factor_image = pipe.vae.config.scaling_factor


def _find_scale(pipe: Any, clips: Tensor) -> None:
    """Latents of mean 0 and spread 1: by channel, or by one factor where a family has but one."""
    vae = pipe.vae
    with torch.no_grad():
        videos = (clip.transpose(0, 1)[None] * 2 - 1 for clip in clips)
        z = torch.cat([vae.encode(video).latent_dist.mode() for video in videos])
    mean, std = z.mean(dim=(0, 2, 3, 4)), z.std(dim=(0, 2, 3, 4))
    if isinstance(getattr(vae, "latents_mean", None), Tensor):  # LTX: buffers
        vae.latents_mean.copy_(mean)
        vae.latents_std.copy_(std)
    elif vae.config.get("latents_mean") is not None:  # Wan
        _scale(pipe, latents_mean=mean.tolist(), latents_std=std.tolist())
    else:
        _scale(pipe, scaling_factor=1 / float(z.std()))


def _train_denoiser(
    pipe: Any, latents: Tensor, sizes: dict[str, Any], steps: int, shift: float, draw: Any
) -> None:
    process = forward_process(pipe.scheduler)
    arguments = without_guidance(pipe, {"prompt": ["a cat"] * BATCH, **sizes})

    def loss_of() -> Tensor:
        clean = latents[torch.randint(len(latents), (BATCH,), generator=draw)]
        level = sample_noise_levels(1, generator=draw, shift=shift)
        noise = torch.randn(clean.shape, generator=draw)
        noised = process.add_noise(clean, noise, level.expand(BATCH))
        return F.mse_loss(denoise(pipe, noised, arguments), noised.target)

    _optimize(pipe.transformer, steps, 3e-3, type(pipe.transformer).__name__, loss_of)


def small_latents_of_wan(pipe: Any) -> None:
    """Latents of 4 channels, as the tiny pipelines of other families have them.

    With 16 a patch is 64 numbers, which a denoiser of these widths cannot carry.
    """
    channels = 4
    latents = {"latents_mean": [0.0] * channels, "latents_std": [1.0] * channels}
    widths = {"in_channels": channels, "out_channels": channels, "attention_head_dim": 24}
    vae, denoiser = type(pipe.vae), type(pipe.transformer)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        pipe.register_modules(
            vae=vae.from_config({**pipe.vae.config, "z_dim": channels, **latents}).eval(),
            transformer=denoiser.from_config(
                {**pipe.transformer.config, **widths, "ffn_dim": 96}
            ).eval(),
        )


def pretrain(
    pipe: Any,
    sizes: dict[str, Any],
    *,
    shift: float,
    count: int = 400,
    vae_steps: int = 800,
    steps: int = 3000,
    seed: int = 0,
) -> None:
    """Train the VAE and the denoiser of a tiny pipeline, in place, on scenes and for one prompt.

    Args:
        pipe: of random weights.
        sizes: what it is called with: frames, height, width.
        shift: of the noise levels, as the pipeline's own schedule.
        count: scenes.
        vae_steps: steps of the VAE.
        steps: of the denoiser.
        seed: of batches and noise.
    """
    draw = torch.Generator().manual_seed(seed)
    clips = scenes(count, sizes["num_frames"], sizes["height"], sizes["width"])
    _train_vae(pipe.vae, clips, vae_steps, draw)
    _find_scale(pipe, clips)
    latents = torch.cat([encode_video(pipe, clip[None]) for clip in clips])
    _train_denoiser(pipe, latents, sizes, steps, shift, draw)


def pretrained(pipe: Any, sizes: dict[str, Any], file: Path, *, shift: float) -> None:
    """Load what `pretrain` made, or make it."""
    parts = {"vae": pipe.vae, "transformer": pipe.transformer}
    if not file.exists():
        pretrain(pipe, sizes, shift=shift)
        states = {name: module.state_dict() for name, module in parts.items()}
        part = file.with_suffix(".part")  # what a broken-off call leaves is not taken for it
        torch.save({"states": states, "vae": dict(pipe.vae.config)}, part)
        part.replace(file)
        return
    saved = torch.load(file, weights_only=True)
    for name, module in parts.items():
        module.load_state_dict(saved["states"][name])
    kept = ("latents_mean", "latents_std", "scaling_factor")
    _scale(pipe, **{name: saved["vae"][name] for name in kept if name in saved["vae"]})
