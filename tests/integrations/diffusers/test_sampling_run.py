"""Runs of real pipelines, seen from their scheduler's steps."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from aigv_reward.integrations.diffusers.sampling_run import Hook, Interrupted, Run, Step, hooked

NAMES = (
    "wan", "wan_unipc", "cogvideox", "cogvideox_dpm", "ltx", "hunyuan_video", "hunyuan_video_15",
    "mochi", "animatediff", "animatediff_euler", "text_to_video_sd",
)  # fmt: skip
Build = Callable[[str], Any]


class Watcher(Hook):
    """Keeps what it sees."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.made: list[Tensor] = []
        self.log: list[str] = []

    def on_start(self, run: Run) -> None:
        self.log.append("start")

    def before_step(self, step: Step) -> None:
        self.steps.append(step)

    def after_step(self, step: Step, sample: Tensor) -> Tensor:
        self.made.append(sample)
        return sample

    def on_end(self, run: Run) -> None:
        self.log.append("end")


def frames(pipe: Any, kwargs: dict[str, Any], **more: Any) -> Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in (0, 1)]
    more = {"prompt": ["a cat", "a dog"], "output_type": "pt", "generator": generators} | more
    return pipe(**kwargs, **more).frames


@pytest.mark.parametrize("name", NAMES)
def test_a_watched_run_is_the_same_run(tiny: Build, name: str) -> None:
    made = tiny(name)
    watcher = Watcher()
    classes = type(made.pipe), type(made.pipe.scheduler)
    plain = frames(made.pipe, made.kwargs)
    with hooked(made.pipe, watcher):
        assert isinstance(made.pipe, classes[0])
        assert torch.equal(frames(made.pipe, made.kwargs), plain)
    assert (type(made.pipe), type(made.pipe.scheduler)) == classes
    assert torch.equal(frames(made.pipe, made.kwargs), plain)
    count = watcher.steps[0].run.num_steps
    assert [step.index for step in watcher.steps] == list(range(count))
    assert [step.is_last for step in watcher.steps] == [False] * (count - 1) + [True]
    assert watcher.log == ["start", "end"]
    last = watcher.steps[-1]
    assert last.sample.shape == watcher.made[-1].shape and len(last.sample) == 2
    if name not in ("animatediff_euler", "cogvideox_dpm"):
        torch.testing.assert_close(last.clean(), watcher.made[-1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_clean_latents_that_a_hook_sets_are_those_the_solver_uses(tiny: Build, name: str) -> None:
    made = tiny(name)
    target = 0.25

    class Constant(Hook):
        def before_step(self, step: Step) -> None:
            step.set_clean(torch.full_like(step.clean(), target))

        def after_step(self, step: Step, sample: Tensor) -> Tensor:
            self.last = sample
            return sample

    hook = Constant()
    with hooked(made.pipe, hook):
        frames(made.pipe, made.kwargs)
    spread = 2e-3 if name == "animatediff_euler" else 1e-4  # sigmas of 14
    torch.testing.assert_close(hook.last, torch.full_like(hook.last, target), rtol=0, atol=spread)


@pytest.mark.parametrize("name", NAMES)
def test_videos_go_on_from_where_they_are_sent(tiny: Build, name: str) -> None:
    """Both become the second video after the second step, solver history included."""
    made = tiny(name)
    one = torch.Generator().manual_seed

    class Sent(Hook):
        def after_step(self, step: Step, sample: Tensor) -> Tensor:
            if step.index == 1:
                step.reindex(torch.tensor([1, 1]))
            return sample

    plain = frames(made.pipe, made.kwargs, prompt=["a dog"] * 2, generator=[one(0), one(1)])
    with hooked(made.pipe, Sent()):
        sent = frames(made.pipe, made.kwargs, prompt=["a dog"] * 2, generator=[one(0), one(1)])
    assert not torch.allclose(plain[0], plain[1], atol=1e-3)
    torch.testing.assert_close(sent[1], plain[1], rtol=1e-4, atol=1e-5)
    if name != "cogvideox_dpm":  # its own noise makes them different again
        torch.testing.assert_close(sent[0], plain[1], rtol=1e-4, atol=1e-5)


def test_an_interrupted_run_returns_none_and_leaves_no_trace(tiny: Build) -> None:
    made = tiny("wan")
    plain = frames(made.pipe, made.kwargs)
    state = copy.copy(made.pipe.__dict__)

    class Stop(Watcher):
        def before_step(self, step: Step) -> None:
            super().before_step(step)
            if step.index == 2:
                raise Interrupted(self)

    outer, inner = Watcher(), Stop()
    with hooked(made.pipe, outer), hooked(made.pipe, inner):
        assert made.pipe(prompt="a cat", **made.kwargs) is None
    assert inner.log == ["start", "end"] and outer.log == ["start", "end"]
    assert len(inner.steps) == 3 and len(outer.made) == 2
    assert made.pipe.__dict__.keys() == state.keys()
    assert torch.equal(frames(made.pipe, made.kwargs), plain)


@pytest.mark.parametrize("error", [RuntimeError("reward"), KeyboardInterrupt()])
def test_an_error_passes_through_and_restores(tiny: Build, error: BaseException) -> None:
    made = tiny("wan_unipc")
    plain = frames(made.pipe, made.kwargs)
    classes = type(made.pipe), type(made.pipe.scheduler)

    class Broken(Watcher):
        def before_step(self, step: Step) -> None:
            raise error

    hook = Broken()
    with pytest.raises(type(error)), hooked(made.pipe, hook):
        frames(made.pipe, made.kwargs)
    assert hook.log == ["start", "end"]
    assert (type(made.pipe), type(made.pipe.scheduler)) == classes
    assert torch.equal(frames(made.pipe, made.kwargs), plain)


def test_two_hooks_see_one_run(tiny: Build) -> None:
    made = tiny("ltx")
    outer, inner = Watcher(), Watcher()
    with hooked(made.pipe, outer), hooked(made.pipe, inner):
        frames(made.pipe, made.kwargs)
    assert len(outer.steps) == len(inner.steps) > 0
    assert all(
        torch.equal(a.sample, b.sample) for a, b in zip(outer.steps, inner.steps, strict=True)
    )


def test_a_copy_of_the_scheduler_is_not_hooked(tiny: Build) -> None:
    """LTX2 and SkyReels step through copies."""
    made = tiny("wan")
    watcher = Watcher()
    with hooked(made.pipe, watcher):
        watcher.on_start(Run(made.pipe, {}))
        other = copy.deepcopy(made.pipe.scheduler)
        other.set_timesteps(2)
        other.step(torch.zeros(1, 2), other.timesteps[0], torch.zeros(1, 2))
    assert not watcher.steps


def test_signatures_stay(tiny: Build) -> None:
    made = tiny("animatediff")
    before = inspect.signature(made.pipe.scheduler.step), inspect.signature(made.pipe)
    with hooked(made.pipe, Watcher()):
        assert inspect.signature(made.pipe.scheduler.step) == before[0]
        assert inspect.signature(made.pipe) == before[1]
        assert type(made.pipe).__name__ == "AnimateDiffPipeline"


def test_prompts_and_generators_of_each_video(tiny: Build) -> None:
    made = tiny("wan")
    watcher = Watcher()
    seeds = torch.Generator().manual_seed(0)
    with hooked(made.pipe, watcher):
        made.pipe(prompt="a cat", generator=seeds, num_videos_per_prompt=2, **made.kwargs)
    run = watcher.steps[0].run
    assert run.prompts(2) == ["a cat", "a cat"]
    assert run.generators(2) == [seeds, seeds]
    assert Run(made.pipe, {"prompt": ["a", "b"]}).prompts(4) == ["a", "a", "b", "b"]
    assert Run(made.pipe, {}).prompts(2) == [None, None]
    with pytest.raises(ValueError, match="2 prompts for a batch of 3 latents"):
        Run(made.pipe, {"prompt": ["a", "b"]}).prompts(3)


def test_a_pipeline_without_a_scheduler_is_refused() -> None:
    with (
        pytest.raises(ValueError, match="object has no scheduler; hooks see its steps"),
        hooked(object(), Hook()),
    ):
        pass
