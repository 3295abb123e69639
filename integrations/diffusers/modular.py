"""Guidance by a reward as a guider, for diffusers' modular pipelines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers.guiders import BaseGuidance
from diffusers.guiders.guider_utils import GuiderOutput
from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.diffusers.guidance import RewardGuidance, Schedule
from aigv_reward.integrations.diffusers.reward_gradient import Guided
from aigv_reward.integrations.diffusers.sampling_run import Run, Step
from aigv_reward.integrations.diffusers.step_formula import step_formula


class RewardGuider(BaseGuidance):
    """Another guider whose late predictions are pulled towards a higher reward.

    ```python
    pipe.update_components(guider=RewardGuider(pipe, reward, ClassifierFreeGuidance(5.0)))
    ```

    A modular pipeline asks its guider for the prediction of each step; this one asks `guider`, and
    leads what it says as `RewardGuidance` does through the latents. For pipelines that show their
    guider the latents (Wan, LTX); HunyuanVideo 1.5 does not. `with RewardGuidance(pipe, reward)`
    works for all of them, knows the prompts by itself and leaves the components alone; a guider
    is for workflows that are configured by components.

    Args:
        pipe: the modular pipeline; its `scheduler` and `vae` are read.
        reward: any differentiable reward.
        guider: what makes the prediction, such as `ClassifierFreeGuidance`.
        scale, start, stop, clip, schedule, weights, fps, window, seed: see `RewardGuidance`.
        prompts: texts for the reward, one a video; the pipeline does not tell its guider.

    Attributes:
        history: a `Guided` for every guided step of the last run.
        prompts: may be replaced between runs.

    Raises:
        ValueError: a setting out of its range.
    """

    _input_predictions = ["pred_cond", "pred_uncond"]  # type: ignore[assignment]

    def __init__(
        self,
        pipe: Any,
        reward: RewardFn,
        guider: BaseGuidance,
        *,
        scale: float = 2.0,
        start: float = 0.6,
        stop: float = 1.0,
        clip: float = 0.2,
        schedule: Schedule = "constant",
        weights: Mapping[str, float] | None = None,
        fps: float | None = None,
        window: int | None = None,
        seed: int = 0,
        prompts: Sequence[str] | None = None,
    ) -> None:
        self.guidance = RewardGuidance(
            pipe, reward, scale=scale, start=start, stop=stop, clip=clip, schedule=schedule,
            weights=weights, fps=fps, window=window, seed=seed,
        )  # fmt: skip
        super().__init__(start, stop)
        self.register_to_config(scale=scale, start=start, stop=stop, clip=clip, schedule=schedule)
        self.pipe, self.guider, self.prompts = pipe, guider, prompts
        self._sizes: dict[str, Any] = {}
        self._latents: Tensor | None = None

    @property
    def history(self) -> list[Guided]:
        """What happened at the guided steps of the last run."""
        return self.guidance.history

    def set_state(self, step: int, num_inference_steps: int, timestep: Any) -> None:
        """The pipeline is about to ask for a step's prediction."""
        if self._step is None or step <= self._step:  # Wan 2.2's second guider never sees step 0
            self.guidance.history = []
            self.guidance.gradient.reset()
        super().set_state(step, num_inference_steps, timestep)
        self.guider.set_state(step, num_inference_steps, timestep)

    def enable(self) -> None:
        """Guide, and let the guider within guide."""
        super().enable()
        self.guider.enable()

    def disable(self) -> None:
        """Neither lead nor guide: the conditional prediction alone."""
        super().disable()
        self.guider.disable()

    def prepare_models(self, denoiser: torch.nn.Module) -> None:
        """As the guider within does."""
        self._count_prepared += 1
        self.guider.prepare_models(denoiser)

    def cleanup_models(self, denoiser: torch.nn.Module) -> None:
        """As the guider within does."""
        self.guider.cleanup_models(denoiser)

    def prepare_inputs(self, data: Any) -> Any:
        """As the guider within does.

        Raises:
            ValueError: always: a pipeline that does not show its latents cannot be guided.
        """
        raise ValueError(
            "this pipeline gives its guider no latents; open RewardGuidance(pipe, reward) around "
            "the call instead"
        )

    def prepare_inputs_from_block_state(self, data: Any, input_fields: Any) -> Any:
        """As the guider within does; the latents are kept for the prediction."""
        self._latents = data.latents
        self._sizes = {
            name: getattr(data, name, None) for name in ("height", "width", "num_frames")
        }
        return self.guider.prepare_inputs_from_block_state(data, input_fields)

    def __call__(self, data: list[Any]) -> GuiderOutput:
        """The guider's prediction, led towards a higher reward in guided steps."""
        output = self.guider(data)
        if not self._enabled:
            return output
        assert self._latents is not None
        run = Run(self.pipe, {"prompt": self.prompts, **self._sizes})
        run.first, run.num_steps = 0, int(self._num_inference_steps)
        step = Step(
            run=run,
            index=int(self._step),
            timestep=self._timestep,
            sample=self._latents,
            model_output=output[0],
            formula=step_formula(self.pipe.scheduler, self._timestep),
        )
        self.guidance.before_step(step)
        return GuiderOutput(
            pred=step.model_output, pred_cond=output.pred_cond, pred_uncond=output.pred_uncond
        )

    @property
    def is_conditional(self) -> bool:
        """As the guider within says."""
        return bool(self.guider.is_conditional)

    @property
    def num_conditions(self) -> int:
        """Passes of the model that the guider within needs."""
        return int(self.guider.num_conditions)
