"""The pipelines that the other tests run: real, reproducible, sensitive to seed and prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

NAMES = (
    "wan",
    "wan_unipc",
    "wan_22",
    "wan_i2v",
    "cogvideox",
    "cogvideox_dpm",
    "cogvideox_15",
    "ltx",
    "ltx_timestep",
    "hunyuan_video",
    "hunyuan_video_15",
    "mochi",
    "animatediff",
    "animatediff_euler",
    "text_to_video_sd",
    "svd",
)


def generate(made: Any, prompts: list[str], seeds: list[int]) -> Tensor:
    text = {"prompt": prompts} if made.takes_prompt else {}
    generator = [torch.Generator().manual_seed(seed) for seed in seeds]
    return made.pipe(**text, generator=generator, output_type="pt", **made.kwargs).frames


def test_every_pipeline_is_tested(tiny_pipelines: Any) -> None:
    assert set(NAMES) == set(tiny_pipelines.BUILDERS)


@pytest.mark.parametrize("name", NAMES)
def test_frames_are_in_range_and_depend_on_seed_prompt_and_time(
    tiny: Callable[[str], Any], name: str
) -> None:
    made = tiny(name)
    frames = generate(made, ["a cat"], [0])
    assert frames.shape == (1, made.kwargs["num_frames"], 3, made.kwargs["height"], frames.shape[4])
    assert frames.shape[4] == made.kwargs["width"]
    assert ((frames > 0.05) & (frames < 0.95)).float().mean() > 0.9
    assert (frames[:, 1:] - frames[:, :-1]).abs().mean() > 0.02
    assert (frames - generate(made, ["a cat"], [1])).abs().mean() > 0.05
    if made.takes_prompt:
        assert (frames - generate(made, ["dog"], [0])).abs().mean() > 1e-3


@pytest.mark.parametrize("name", [name for name in NAMES if name != "svd"])
def test_lists_of_prompts_and_generators_give_what_each_gives_alone(
    tiny: Callable[[str], Any], name: str
) -> None:
    made = tiny(name)
    both = generate(made, ["a cat", "dog"], [0, 1])
    torch.testing.assert_close(both[:1], generate(made, ["a cat"], [0]), rtol=0, atol=2e-5)
    torch.testing.assert_close(both[1:], generate(made, ["dog"], [1]), rtol=0, atol=2e-5)


def test_a_pipeline_is_a_function_of_its_name(tiny_pipelines: Any) -> None:
    torch.manual_seed(3)
    first = tiny_pipelines.build("ltx").pipe.transformer.state_dict()
    state = torch.random.get_rng_state()
    second = tiny_pipelines.build("ltx").pipe.transformer.state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_test_has_its_own_copy(tiny: Callable[[str], Any]) -> None:
    spoilt = tiny("ltx")
    spoilt.kwargs.clear()
    spoilt.pipe.scheduler = None
    with torch.no_grad():
        spoilt.pipe.vae.decoder.conv_out.conv.bias.add_(1)
    fresh = tiny("ltx")
    assert fresh.kwargs and fresh.pipe.scheduler is not None
    assert not torch.equal(
        fresh.pipe.vae.decoder.conv_out.conv.bias, spoilt.pipe.vae.decoder.conv_out.conv.bias
    )
