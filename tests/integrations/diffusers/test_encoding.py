"""Latents of videos, in the layout and on the scale of the denoising loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from aigv_reward.integrations.diffusers.encoding import encode_video
from aigv_reward.integrations.diffusers.latent_formats import format_of
from aigv_reward.integrations.diffusers.latent_layout import unpack

Build = Callable[[str], Any]
NAMES = ("wan", "cogvideox", "ltx", "hunyuan_video", "mochi", "animatediff", "text_to_video_sd")


@pytest.mark.parametrize("name", NAMES)
def test_unscaled_they_are_what_the_vae_says(tiny: Build, name: str) -> None:
    made = tiny(name)
    pipe, vae = made.pipe, made.pipe.vae
    generator = torch.Generator().manual_seed(0)
    given = made.kwargs | {"prompt": ["a cat"] * 2, "generator": generator}
    loop = pipe(**given, output_type="latent").frames
    sizes = {key: made.kwargs[key] for key in ("height", "width", "num_frames")}
    count = sizes["num_frames"]
    frames = torch.rand(2, count, 3, sizes["height"], sizes["width"], generator=generator)
    latents = encode_video(pipe, frames)
    assert latents.shape == loop.shape
    z = format_of(vae).unscale(unpack(pipe, vae, format_of(vae), latents, **sizes), vae, pipe)
    video = frames[1:].transpose(1, 2) * 2 - 1
    with torch.no_grad():
        if name in ("animatediff", "text_to_video_sd"):
            images = vae.encode(video[0].transpose(0, 1)).latent_dist.mode()
            known = images.transpose(0, 1)[None]
        else:
            known = vae.encode(video).latent_dist.mode()
    torch.testing.assert_close(z[1:], known, rtol=1e-4, atol=1e-4)


def test_what_is_refused(tiny: Build) -> None:
    with pytest.raises(ValueError, match=r"frames have shape \(2, 3, 8, 8\); expected"):
        encode_video(tiny("wan").pipe, torch.rand(2, 3, 8, 8))
    with pytest.raises(ValueError, match=r"latents of CogVideoX 1\.5 hold padding"):
        encode_video(tiny("cogvideox_15").pipe, torch.rand(1, 9, 3, 32, 48))
