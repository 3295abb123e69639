"""What the trainers do to a pipeline: LoRA, remembered prompts, steps replayed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import HunyuanVideoImageToVideoPipeline
from torch import Tensor
from transformers import CLIPImageProcessorPil

from aigv_reward.integrations.diffusers.sampling_run import Hook, Step, hooked
from aigv_reward.integrations.finetune.lora import (
    add_lora,
    load_lora,
    lora_state,
    save_lora,
    without_lora,
)
from aigv_reward.integrations.finetune.prompt_cache import PromptCache
from aigv_reward.integrations.finetune.replay import predict

Build = Callable[[str], Any]
NAMES = (
    "wan", "wan_unipc", "wan_22", "wan_i2v", "cogvideox", "cogvideox_dpm", "ltx", "hunyuan_video",
    "hunyuan_video_15", "mochi", "animatediff", "animatediff_euler",
)  # fmt: skip


def generators() -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in (0, 1)]


def call(made: Any, **more: Any) -> dict[str, Any]:
    given = {"prompt": ["a cat", "a dog"], "generator": generators(), "output_type": "pt"}
    return made.kwargs | given | more


class Steps(Hook):
    def __init__(self) -> None:
        self.seen: list[tuple[Tensor, Tensor, Any]] = []

    def before_step(self, step: Step) -> None:
        self.seen.append((step.sample, step.model_output, step.timestep))


def trained(models: Any) -> list[Tensor]:
    return [p for model in models.values() for p in model.parameters() if p.requires_grad]


@pytest.mark.parametrize("name", NAMES)
def test_a_pipeline_learns_and_is_saved(tiny: Build, name: str, tmp_path: Path) -> None:
    made = tiny(name)
    pipe = made.pipe
    plain = pipe(**call(made)).frames
    models = add_lora(pipe, rank=2, alpha=6, seed=0)
    weights = trained(models)
    assert weights and all(weight.dtype == torch.float32 for weight in weights)
    torch.testing.assert_close(pipe(**call(made)).frames, plain, rtol=0, atol=1e-5)
    generator = torch.Generator().manual_seed(1)
    for weight in weights:
        weight.data.add_(0.1 * torch.randn(weight.shape, generator=generator))
    steps = Steps()
    with hooked(pipe, steps):
        changed = pipe(**call(made)).frames
    assert not torch.allclose(changed, plain, atol=1e-3)
    with without_lora(models):
        torch.testing.assert_close(pipe(**call(made)).frames, plain, rtol=0, atol=1e-5)
    # every step again, by the pipeline's own code, exactly
    for sample, output, timestep in steps.seen:
        again = predict(pipe, sample, torch.as_tensor(timestep), call(made))
        assert torch.equal(again, output)
    last = trained({"one": list(models.values())[-1]})  # of two experts that of the last steps
    gradients = torch.autograd.grad(again.square().mean(), last, allow_unused=True)
    assert all(gradient is not None for gradient in gradients)
    # a plain pipeline loads what was saved
    save_lora(pipe, models, tmp_path)
    fresh = tiny(name)
    if hasattr(fresh.pipe, "load_lora_weights"):
        fresh.pipe.load_lora_weights(tmp_path, adapter_name="ours")
        if "transformer_2" in models:
            fresh.pipe.load_lora_weights(
                tmp_path,
                weight_name="transformer_2_lora_weights.safetensors",
                load_into_transformer_2=True,
                adapter_name="ours",
            )
    else:
        fresh.pipe.transformer.load_lora_adapter(
            tmp_path / "transformer", prefix=None, use_safetensors=True
        )
    torch.testing.assert_close(fresh.pipe(**call(fresh)).frames, changed, rtol=0, atol=1e-5)
    # and the adapter that is there takes it back
    state = {name: lora_state(model) for name, model in models.items()}
    known = {k: {n: v.clone() for n, v in one.items()} for k, one in state.items()}
    for weight in weights:
        weight.data.zero_()
    load_lora(models, tmp_path)
    for key, one in known.items():
        for entry, value in lora_state(models[key]).items():
            assert torch.equal(value, one[entry])


@pytest.mark.parametrize("name", NAMES)
def test_prompts_are_encoded_once_and_the_encoders_go(tiny: Build, name: str) -> None:
    made = tiny(name)
    pipe = made.pipe
    plain = pipe(**call(made)).frames
    encoder = pipe.text_encoder
    cache = PromptCache(pipe)
    cache.open()
    cache.fill(["a cat", "a dog"], made.kwargs)
    cache.free_encoders()
    assert pipe.text_encoder is None
    assert torch.equal(pipe(**call(made)).frames, plain)
    one = torch.Generator().manual_seed(1)
    alone = pipe(**call(made, prompt="a dog", generator=one)).frames
    torch.testing.assert_close(alone[0], plain[1], rtol=0, atol=5e-5)
    with pytest.raises(ValueError, match="was not encoded before the text encoders were freed"):
        pipe(**call(made, prompt=["a bird", "a cat"]))
    cache.close()
    assert pipe.text_encoder is encoder
    assert torch.equal(pipe(**call(made)).frames, plain)


def test_what_is_refused(tiny: Build, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="object has no transformer, transformer_2, unet"):
        add_lora(object(), rank=2, alpha=2, seed=0)
    made = tiny("wan")
    with pytest.raises(ValueError, match="no layer of transformer ends in nothing"):
        add_lora(made.pipe, rank=2, alpha=2, targets=["nothing"], seed=0)
    old = tiny("text_to_video_sd")
    with pytest.raises(ValueError, match="UNet3DConditionModel takes no peft adapters"):
        add_lora(old.pipe, rank=2, alpha=2, seed=0)
    models = add_lora(made.pipe, rank=2, alpha=2, seed=0)
    save_lora(made.pipe, models, tmp_path)
    other = tiny("wan")
    wider = add_lora(other.pipe, rank=3, alpha=2, seed=0)
    with pytest.raises(ValueError, match="LoRA weights of other layers or ranks"):
        load_lora(wider, tmp_path)
    with pytest.raises(ValueError, match="object has no encode_prompt; it takes no prompts"):
        PromptCache(object())
    parts = tiny("hunyuan_video").pipe.components | {"image_processor": CLIPImageProcessorPil()}
    with pytest.raises(ValueError, match="ImageToVideoPipeline encodes each prompt together with"):
        PromptCache(HunyuanVideoImageToVideoPipeline(**parts))
    euler = tiny("animatediff_euler")
    with pytest.raises(ValueError, match="not on the schedule of EulerDiscreteScheduler"):
        predict(euler.pipe, torch.zeros(2, 4, 6, 8, 12), torch.tensor(3.5), call(euler))
