"""The guider, on a real modular pipeline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diffusers import ClassifierFreeGuidance, ModularPipeline
from diffusers.modular_pipelines.ltx.modular_blocks_ltx import LTXBlocks
from diffusers.modular_pipelines.modular_pipeline import BlockState
from diffusers.modular_pipelines.wan.modular_blocks_wan import WanBlocks
from torch import Tensor

from aigv_reward.integrations.diffusers import RewardGuidance, RewardGuider

Build = Callable[[str], Any]
SCALE = 3.0


def warmth(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    return (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))


def modular(made: Any, guider: Any, blocks: Any = WanBlocks) -> ModularPipeline:
    pipe = blocks().init_pipeline()
    names = ("transformer", "vae", "text_encoder", "tokenizer", "scheduler")
    pipe.update_components(**{name: getattr(made.pipe, name) for name in names}, guider=guider)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def call(pipe: Any, made: Any, **more: Any) -> Tensor:
    sizes = {k: v for k, v in made.kwargs.items() if k != "guidance_scale"}
    generator = torch.Generator().manual_seed(0)
    given = {"prompt": "a cat", "generator": generator, "output_type": "pt"}
    return pipe(**(given | sizes | more), output="videos")


def test_it_leads_as_reward_guidance_leads_the_pipeline(tiny: Build) -> None:
    made = tiny("wan")
    made.kwargs["guidance_scale"] = SCALE
    generator = torch.Generator().manual_seed(0)
    given = {"prompt": "a cat", "generator": generator, "output_type": "pt"} | made.kwargs
    plain = made.pipe(**given).frames
    with RewardGuidance(made.pipe, warmth, scale=20.0, start=0.5):
        generator.manual_seed(0)
        guided = made.pipe(**given).frames
    pipe = modular(made, ClassifierFreeGuidance(guidance_scale=SCALE))
    torch.testing.assert_close(call(pipe, made), plain, rtol=0, atol=1e-5)
    inner = ClassifierFreeGuidance(guidance_scale=SCALE)
    guider = RewardGuider(pipe, warmth, inner, scale=20.0, start=0.5, prompts=["a cat"])
    pipe.update_components(guider=guider)
    torch.testing.assert_close(call(pipe, made), guided, rtol=0, atol=1e-4)
    assert [entry.step for entry in guider.history] == [2, 3]
    assert guider.num_conditions == 2 and guider.config["scale"] == 20.0
    pipe.update_components(guider=inner)
    torch.testing.assert_close(call(pipe, made), plain, rtol=0, atol=1e-5)


def test_without_latents_it_says_what_to_do(tiny: Build) -> None:
    made = tiny("wan")
    guider = RewardGuider(made.pipe, warmth, ClassifierFreeGuidance(guidance_scale=SCALE))
    with pytest.raises(ValueError, match="gives its guider no latents; open RewardGuidance"):
        guider.prepare_inputs({})


def test_packed_latents_of_ltx(tiny: Build) -> None:
    made = tiny("ltx")
    inner = ClassifierFreeGuidance(guidance_scale=SCALE)
    pipe = modular(made, inner, LTXBlocks)
    plain = call(pipe, made)
    guider = RewardGuider(pipe, warmth, inner, scale=20.0, start=0.5, prompts=["a cat"])
    pipe.update_components(guider=guider)
    assert float(warmth(call(pipe, made), None) - warmth(plain, None)) > 0
    assert [entry.step for entry in guider.history] == [2, 3]
    call(pipe, made)
    assert [entry.step for entry in guider.history] == [2, 3]  # of the last run alone


def test_a_guider_that_is_off_neither_leads_nor_guides(tiny: Build) -> None:
    """By hand: diffusers' own blocks fail where a guider has one condition."""
    inner = ClassifierFreeGuidance(guidance_scale=SCALE)
    guider = RewardGuider(tiny("wan").pipe, warmth, inner, start=0.5)
    guider.set_state(3, 4, torch.tensor(100.0))
    assert guider.num_conditions == 2
    guider.disable()
    assert guider.num_conditions == 1
    answer = torch.randn(1, 16, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    state = BlockState(noise_pred=answer, __guidance_identifier__="pred_cond")
    assert torch.equal(guider([state]).pred, answer) and guider.history == []
    guider.enable()
    assert guider.num_conditions == 2
