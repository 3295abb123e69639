"""The best of n on real pipelines: reproducible, ranked, streamed, and better than one."""

from __future__ import annotations

import gc
import inspect
from collections.abc import Callable
from itertools import pairwise
from math import comb
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward import VideoReward
from aigv_reward.integrations.diffusers import best_of_n
from aigv_reward.integrations.diffusers.sampling_run import Hook, Interrupted, Step, hooked

Build = Callable[[str], Any]
NAMES = (
    "wan", "wan_unipc", "wan_22", "wan_i2v", "cogvideox", "cogvideox_dpm", "cogvideox_15",
    "ltx", "ltx_timestep", "hunyuan_video", "hunyuan_video_15", "mochi", "animatediff",
    "animatediff_euler", "text_to_video_sd", "svd",
)  # fmt: skip

ROUNDING = 2e-5  # of the pixels of a batch


def warm(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    red, blue = frames[:, :, 0].mean(dim=(1, 2, 3)), frames[:, :, 2].mean(dim=(1, 2, 3))
    return {"red": red, "overall": red - blue}


def alone(made: Any, seed: int, prompt: str = "a cat", **more: Any) -> Tensor:
    """(T, 3, H, W) of one plain call."""
    text = {"prompt": prompt} if made.takes_prompt else {}
    generator = torch.Generator().manual_seed(seed)
    called = made.kwargs | text | more
    return made.pipe(**called, generator=generator, output_type="pt").frames[0]


def pick(made: Any, reward: Any = warm, n: int = 3, **more: Any) -> Any:
    called = {"prompt": "a cat", "seed": 4, "progress": False} | made.kwargs | more
    return best_of_n(made.pipe, reward, n=n, **called)


@pytest.mark.parametrize("name", NAMES)
def test_a_candidate_is_what_its_seed_gives_alone_and_the_pipeline_stays_as_it_was(
    tiny: Build, name: str
) -> None:
    made = tiny(name)
    before = alone(made, 4)
    config, bar = dict(made.pipe.scheduler.config), dict(made.pipe._progress_bar_config)
    ranked = pick(made, n=2, batch_size=2, keep=2)
    assert torch.equal(alone(made, 4), before)
    assert (dict(made.pipe.scheduler.config), made.pipe._progress_bar_config) == (config, bar)
    assert ranked.seeds == [4, 5] and sorted(ranked.order) == [0, 1]
    for place, index in enumerate(ranked.order):
        video = alone(made, ranked.seeds[index])
        torch.testing.assert_close(ranked.frames[place], video, rtol=0, atol=ROUNDING)
        for key, value in warm(video[None], None).items():
            torch.testing.assert_close(ranked.scores[key][index], value[0], rtol=0, atol=1e-5)
    assert torch.equal(ranked.total, ranked.scores["overall"])
    assert torch.equal(ranked.total[ranked.order], ranked.total.sort(descending=True).values)


def test_every_pipeline_is_tested(tiny_pipelines: Any) -> None:
    assert set(NAMES) == set(tiny_pipelines.BUILDERS)


def test_batch_size_changes_nothing_but_rounding(tiny: Build) -> None:
    made = tiny("wan")
    one, three = (pick(made, n=5, batch_size=size, keep=2) for size in (1, 3))
    assert torch.equal(one.frames[1], alone(made, one.seeds[one.order[1]]))
    assert one.order == three.order
    torch.testing.assert_close(one.frames, three.frames, rtol=0, atol=1e-5)
    torch.testing.assert_close(one.total, three.total, rtol=0, atol=1e-5)


def test_ties_go_to_the_lower_seed(tiny: Build) -> None:
    made = tiny("wan")
    ranked = pick(made, lambda frames, prompts, *, fps=None: torch.ones(len(frames)), keep=2)
    assert ranked.order == [0, 1, 2]
    for place in range(2):
        torch.testing.assert_close(ranked.frames[place], alone(made, 4 + place), rtol=0, atol=1e-5)


def test_weights_decide_what_is_best(tiny: Build) -> None:
    made = tiny("wan")
    ranked = pick(made, n=4, weights={"red": -2.0, "overall": 0.5})
    expected = -2 * ranked.scores["red"] + 0.5 * ranked.scores["overall"]
    torch.testing.assert_close(ranked.total, expected)
    assert ranked.order[0] == int(expected.argmax())


def test_memory_does_not_grow_with_n(tiny: Build) -> None:
    made = tiny("wan")
    shape = alone(made, 0).shape
    held: list[int] = []
    gc.collect()
    # Whatever ran before; kept alive, or a new tensor might get the address of an old one.
    others = {id(x): x for x in gc.get_objects() if type(x) is Tensor}

    def counting(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        new = [x for x in gc.get_objects() if type(x) is Tensor and id(x) not in others]
        tensors = [x for x in new if x.shape[-4:] == shape]
        storages = {x.untyped_storage().data_ptr(): x.untyped_storage().nbytes() for x in tensors}
        held.append(sum(storages.values()) // frames.untyped_storage().nbytes())
        return torch.full((len(frames),), float(len(held)))  # each is better than all before

    pick(made, counting, n=3, keep=2)
    few = max(held)
    held.clear()
    pick(made, counting, n=9, keep=2)
    assert max(held) == few == 3  # two that are kept and the one that is scored


@pytest.mark.parametrize("name", ["wan", "ltx", "hunyuan_video", "hunyuan_video_15", "mochi"])
def test_embeddings_of_one_prompt_serve_every_candidate(tiny: Build, name: str) -> None:
    made = tiny(name)
    expected = pick(made, batch_size=2, keep=3)
    names = {
        "wan": ("prompt_embeds", "negative_prompt_embeds"),
        "ltx": ("prompt_embeds", "prompt_attention_mask"),
        "hunyuan_video": ("prompt_embeds", "pooled_prompt_embeds", "prompt_attention_mask"),
        "hunyuan_video_15": (
            "prompt_embeds", "prompt_embeds_mask", "prompt_embeds_2", "prompt_embeds_mask_2"
        ),
        "mochi": ("prompt_embeds", "prompt_attention_mask"),
    }[name]  # fmt: skip
    given = inspect.signature(made.pipe.encode_prompt).parameters
    options = {key: value for key, value in made.kwargs.items() if key in given}
    if name == "hunyuan_video_15":
        options |= {"device": torch.device("cpu"), "dtype": torch.float32}
    with torch.no_grad():
        encoded = made.pipe.encode_prompt(prompt="a cat", **options)
    embeds = dict(zip(names, encoded, strict=False))
    if name in ("ltx", "mochi"):
        embeds |= {"negative_" + key: value for key, value in zip(names, encoded[2:], strict=True)}
    seen: list[Any] = []

    def told(frames: Tensor, prompts: Any, *, fps: Any = None) -> Any:
        seen.append(prompts)
        return warm(frames, prompts)

    ranked = pick(made, told, batch_size=2, keep=3, **embeds)
    torch.testing.assert_close(ranked.frames, expected.frames, rtol=0, atol=1e-5)
    assert seen == [["a cat"]] * 3  # the reward still reads the text


def test_negative_prompts_are_shared(tiny: Build) -> None:
    made = tiny("animatediff")
    ranked = pick(made, batch_size=2, keep=3, negative_prompt="a dog")
    best = alone(made, ranked.seeds[ranked.order[0]], negative_prompt="a dog")
    torch.testing.assert_close(ranked.frames[0], best, rtol=0, atol=1e-5)
    assert not torch.allclose(best, alone(made, ranked.seeds[ranked.order[0]]), atol=1e-3)


def image_to_video(tiny_pipelines: Any, name: str) -> Any:
    """CogVideoX and LTX conditioned on an image, of the parts of their text pipelines."""
    from diffusers import (
        CogVideoXImageToVideoPipeline,
        CogVideoXTransformer3DModel,
        LTXImageToVideoPipeline,
    )

    made = tiny_pipelines.build(name)
    parts = dict(made.pipe.components)
    if name == "cogvideox":
        config = dict(made.pipe.transformer.config) | {"in_channels": 8}
        torch.manual_seed(0)
        parts["transformer"] = CogVideoXTransformer3DModel.from_config(config).eval()
        pipe: Any = CogVideoXImageToVideoPipeline(**parts)
    else:
        pipe = LTXImageToVideoPipeline(**parts)
    pipe.set_progress_bar_config(disable=True)
    image = tiny_pipelines.picture(made.kwargs["width"], made.kwargs["height"])
    return tiny_pipelines.Tiny(pipe, made.kwargs | {"image": image})


def as_tensor(image: Any) -> Tensor:
    pixels = torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8)
    return pixels.view(image.height, image.width, 3).permute(2, 0, 1)[None].float() / 255


@pytest.mark.parametrize("name", ["wan_i2v", "svd", "cogvideox", "ltx"])
def test_an_image_is_shared_by_a_batch(tiny: Build, tiny_pipelines: Any, name: str) -> None:
    direct = name in ("wan_i2v", "svd")
    made = tiny(name) if direct else image_to_video(tiny_pipelines, name)
    image = made.kwargs["image"]
    forms = [image, [image]] + ([] if name == "svd" else [as_tensor(image)])
    for form in forms:
        ranked = pick(made, batch_size=2, n=2, image=form)
        video = alone(made, ranked.seeds[ranked.order[0]])
        torch.testing.assert_close(ranked.frames[0], video, rtol=0, atol=ROUNDING)
    other = alone(made, 4, image=image.transpose(0))
    assert not torch.allclose(other, alone(made, 4), atol=1e-3)  # the image matters
    for two in ([image, image], as_tensor(image).repeat(2, 1, 1, 1)):
        with pytest.raises(ValueError, match="image has 2 images; candidates share one"):
            pick(made, batch_size=2, image=two)


def test_what_an_unknown_pipeline_does_with_images_is_not_guessed(tiny: Build) -> None:
    made = tiny("wan")
    with pytest.raises(ValueError, match="how WanPipeline takes video for a batch is not known; "):
        pick(made, batch_size=2, video=[1])


@pytest.mark.parametrize(
    ("name", "given", "told", "conditioned"),
    [
        ("wan", {}, None, None),
        ("wan", {"fps": 12.0}, 12.0, None),
        ("ltx", {}, 25, 25),
        ("ltx", {"fps": 12.0}, 12.0, 12.0),
        ("ltx", {"frame_rate": 30}, 30, 30),
        ("ltx", {"fps": 12.0, "frame_rate": 30}, 12.0, 30),
        ("svd", {}, 7, 7),
        ("svd", {"fps": 12}, 12, 12),
    ],
)
def test_reward_and_pipeline_are_told_one_frame_rate(
    tiny: Build, name: str, given: dict[str, float], told: float | None, conditioned: Any
) -> None:
    made = tiny(name)
    seen: list[Any] = []

    def spy(frames: Tensor, prompts: Any, *, fps: Any = None) -> Any:
        seen.append(fps)
        return warm(frames, prompts)

    ranked = pick(made, spy, n=1, **given)
    assert seen == [told]
    rate = {"ltx": "frame_rate", "svd": "fps"}.get(name)
    expected = alone(made, 4, **({rate: conditioned} if rate else {}))
    torch.testing.assert_close(ranked.frames[0], expected, rtol=0, atol=1e-5)


def test_without_a_prompt_the_reward_is_told_of_none(tiny: Build) -> None:
    seen: list[Any] = []

    def spy(frames: Tensor, prompts: Any, *, fps: Any = None) -> Any:
        seen.append(prompts)
        return warm(frames, prompts)

    made = tiny("svd")
    pick(made, spy, n=1, prompt=None)
    pick(made, spy, n=1, prompt="a cat")
    assert seen == [[None], ["a cat"]]


def test_a_reward_that_fails_is_an_error_that_names_the_seed(tiny: Build) -> None:
    made = tiny("wan")
    before = alone(made, 0)
    calls: list[int] = []

    def failing(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        calls.append(len(frames))
        return torch.full((len(frames),), float("nan") if len(calls) == 2 else 1.0)

    message = "the reward of the candidate of seed 5 failed: the reward's 'reward' is not finite"
    with pytest.raises(RuntimeError, match=message):
        pick(made, failing, batch_size=3)

    def other_names(frames: Tensor, prompts: Any, *, fps: Any = None) -> Any:
        calls.append(1)
        return {"overall": torch.ones(1), f"other{len(calls)}": torch.ones(1)}

    with pytest.raises(ValueError, match="for seed 5 and overall, other"):
        pick(made, other_names)
    assert torch.equal(alone(made, 0), before)


def test_ctrl_c_leaves_the_pipeline_usable(tiny: Build) -> None:
    made = tiny("wan_unipc")
    before = alone(made, 0)

    def interrupt(pipe: Any, step: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        if step == 2:
            raise KeyboardInterrupt
        return {}

    with pytest.raises(KeyboardInterrupt):
        pick(made, callback_on_step_end=interrupt)
    assert made.pipe._current_timestep is None
    assert torch.equal(alone(made, 0), before)


class Stop(Hook):
    """Ends the runs whose place in the sequence is named."""

    def __init__(self, *runs: int) -> None:
        self.runs, self.seen = runs, -1

    def on_start(self, run: Any) -> None:
        self.seen += 1

    def before_step(self, step: Step) -> None:
        if self.seen in self.runs and step.index == 1:
            raise Interrupted(self)


def test_interrupted_runs_are_no_candidates(tiny: Build) -> None:
    made = tiny("wan")
    with hooked(made.pipe, Stop(1)):
        ranked = pick(made, n=5, batch_size=2)
    assert (ranked.seeds, ranked.interrupted) == ([4, 5, 8], [6, 7])
    assert len(ranked.total) == 3
    with (
        hooked(made.pipe, Stop(0, 1, 2)),
        pytest.raises(ValueError, match="all 3 candidates were interrupted; loosen the filter"),
    ):
        pick(made)


def test_runs_that_a_callback_interrupts_are_no_candidates(tiny: Build) -> None:
    made = tiny("wan")
    runs: list[int] = []

    def stop(pipe: Any, step: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        runs.extend([len(runs)] if step == 0 else [])
        pipe._interrupt = len(runs) == 2
        return {}

    ranked = pick(made, callback_on_step_end=stop)
    assert (ranked.seeds, ranked.interrupted) == ([4, 6], [5])


def test_one_bar_over_candidates(tiny: Build, capsys: pytest.CaptureFixture[str]) -> None:
    made = tiny("wan")
    pick(made, progress=False)
    assert capsys.readouterr().err == ""
    pick(made, progress=True)
    printed = capsys.readouterr().err
    assert "candidates: 100%" in printed and "3/3" in printed and "4/4" not in printed
    made.pipe.set_progress_bar_config(disable=False)
    pick(made, n=1, progress=False)
    assert "4/4" in capsys.readouterr().err  # the pipeline's own bar, as its user has it


@pytest.mark.parametrize("offload", ["model", "group"])
def test_offloaded_pipelines(tiny: Build, offload: str) -> None:
    """Between the CPU and itself: what is tested is that runs and their ends fit together."""
    made = tiny("wan")
    expected = pick(made, keep=2, batch_size=2)
    if offload == "group":
        made.pipe.enable_group_offload(torch.device("cpu"), offload_type="leaf_level")
    else:
        made.pipe.enable_model_cpu_offload(device="cpu")
    ranked = pick(made, keep=2, batch_size=2)
    assert torch.equal(ranked.frames, expected.frames)

    def interrupt(pipe: Any, step: int, timestep: Any, kwargs: dict[str, Any]) -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pick(made, callback_on_step_end=interrupt)
    assert torch.equal(pick(made, keep=2, batch_size=2).frames, expected.frames)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"n": 0}, "n is 0; it must be at least 1"),
        ({"batch_size": 0}, "batch_size is 0; it must be at least 1"),
        ({"keep": 0}, "keep is 0; it must be at least 1"),
        ({"prompt": ["a", "b"]}, "prompt is a list; candidates share one text, so call best_of_n"),
        ({"negative_prompt": ["a", "b"]}, "negative_prompt has 2 texts; candidates share one"),
        ({"generator": torch.Generator()}, "leave generator out: each candidate has its own"),
        ({"latents": torch.zeros(1)}, "leave latents out: all candidates would start from them"),
        ({"output_type": "pil"}, "output_type is 'pil'; leave it out, frames come back as a"),
        ({"return_dict": False}, "return_dict is False; leave it out"),
        ({"num_videos_per_prompt": 4}, "num_videos_per_prompt is 4; leave it out and raise n"),
        ({"prompt_embeds": torch.zeros(2, 3, 16)}, "prompt_embeds has 2 rows; give those of one"),
        ({"contact_sheet": "sheet.jpg"}, "contact_sheet 'sheet.jpg' must be a .png in a folder"),
        ({"contact_sheet": "no/such/sheet.png"}, "must be a .png in a folder that exists"),
    ],
)
def test_what_candidates_cannot_share(tiny: Build, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pick(tiny("wan"), **more)


def test_a_pipeline_that_makes_no_video() -> None:
    class Silent:
        def __call__(self, prompt: list[str], **kwargs: Any) -> Any:
            return type("Output", (), {"frames": [1]})

        def maybe_free_model_hooks(self) -> None:
            pass

    with pytest.raises(ValueError, match=r"frames list for 1 candidates, not \(1, T, 3, H, W\)"):
        best_of_n(Silent(), warm, "a cat", 1, seed=0, progress=False)


def binomial_tail(wins: int, trials: int) -> float:
    """P(at least so many wins) of a fair coin."""
    return sum(comb(trials, k) for k in range(wins, trials + 1)) / 2**trials


def gains(trials: int, run: Callable[[int], Any]) -> list[float]:
    """Total of the best of four, less the mean of four plain videos, those of the next trial."""
    totals = [run(100 * trial).total for trial in range(trials)]
    return [float(best.max() - other.mean()) for best, other in pairwise([*totals, totals[0]])]


def test_the_best_of_four_beats_plain_sampling(tiny: Build) -> None:
    made = tiny("ltx")

    def run(seed: int) -> Any:
        ranked = pick(made, n=4, batch_size=4, seed=seed)
        best = warm(ranked.frames, None)["overall"][0]
        torch.testing.assert_close(best, ranked.total.max(), rtol=0, atol=1e-6)
        return ranked

    gained = gains(24, run)
    assert binomial_tail(sum(gain > 0 for gain in gained), 24) < 0.01
    assert sum(gained) > 0


def test_the_best_of_four_beats_plain_sampling_by_the_bundled_reward(
    tiny: Build, light_checkpoint: Path
) -> None:
    made, reward = tiny("wan"), VideoReward.from_pretrained(light_checkpoint)
    gained = gains(8, lambda seed: pick(made, reward, n=4, batch_size=4, seed=seed))
    assert binomial_tail(sum(gain > 0 for gain in gained), 8) < 0.04
    assert sum(gained) > 0
    ranked = pick(made, reward, n=2, batch_size=2)
    assert tuple(ranked.scores) == reward.trained
    best = reward.score(ranked.frames, ["a cat"])
    for name, column in ranked.scores.items():
        torch.testing.assert_close(best[name][0], column[ranked.order[0]], rtol=0, atol=1e-5)


def test_noise_of_the_scheduler_comes_from_the_candidate(tiny: Callable[[str], Any]) -> None:
    """Wan steps without a generator: a stochastic scheduler would draw from torch's own."""
    made = tiny("wan")
    made.pipe.scheduler = type(made.pipe.scheduler).from_config(
        made.pipe.scheduler.config, stochastic_sampling=True
    )
    sizes = dict(made.kwargs) | {"progress": False, "keep": 2}

    def reward(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.mean(dim=(1, 2, 3, 4))

    first = best_of_n(made.pipe, reward, "a cat", n=2, seed=3, **sizes)
    torch.rand(7)  # torch's generator is somewhere else now
    again = best_of_n(made.pipe, reward, "a cat", n=2, seed=3, **sizes)
    together = best_of_n(made.pipe, reward, "a cat", n=2, seed=3, batch_size=2, **sizes)
    assert torch.equal(first.frames, again.frames)
    torch.testing.assert_close(together.frames, first.frames, rtol=0, atol=1e-5)
