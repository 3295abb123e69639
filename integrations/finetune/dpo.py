"""Diffusion-DPO and Flow-DPO on videos, from a data set of pairs or from the policy's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from aigv_reward import read_video
from aigv_reward.integrations.diffusers.encoding import encode_video
from aigv_reward.integrations.finetune.arguments import VideoTrainingArguments, setting
from aigv_reward.integrations.finetune.base import Row, VideoTrainer, seed_of
from aigv_reward.integrations.finetune.denoising import denoise, without_guidance
from aigv_reward.integrations.finetune.dpo_loss import denoising_error, dpo_loss
from aigv_reward.integrations.finetune.flow_noise import forward_process, sample_noise_levels
from aigv_reward.integrations.finetune.groups import sample_group
from aigv_reward.integrations.finetune.lora import without_lora
from aigv_reward.integrations.finetune.preference_data import read_preferences
from aigv_reward.integrations.finetune.prompt_data import read_prompts


@dataclass
class VideoDPOConfig(VideoTrainingArguments):
    """Settings of `VideoDPOTrainer`."""

    beta: float = setting("How strongly the policy is held to the reference.", default=500.0)
    online: bool = setting(
        "Make the pairs: the best and the worst by the reward of `group_size` videos a prompt.",
        default=False,
    )
    group_size: int = setting("Videos a prompt that an online pair is taken from.", default=4)
    min_margin: float = setting("Least difference of reward within an online pair.", default=0.0)
    noise_draws: int = setting("Noise levels a pair and step.", default=1)
    noise_density: str = setting("Noise levels: uniform or logit_normal.", default="uniform")
    noise_shift: float = setting("Shift of the noise levels, as of the pipeline.", default=1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise ValueError(f"group_size is {self.group_size}; a pair needs 2 videos or more")
        if self.noise_draws < 1:
            raise ValueError(f"noise_draws is {self.noise_draws}; it must be at least 1")


@dataclass(frozen=True)
class _Pair:
    """Two videos of a prompt.

    Attributes:
        row: of the data set.
        latents: (2, ...) clean, the better one first; zeros where there is no pair.
        trains: whether there is one.
    """

    row: Row
    latents: Tensor
    trains: bool


class VideoDPOTrainer(VideoTrainer):
    """Teaches a generator which of two videos of a prompt is the better one.

    Offline the rows are those of `read_preferences`: prompt, chosen and rejected, paths of videos
    or latents as `generate` makes them. Online they are prompts, and the reward picks from the
    policy's own videos; a group whose rewards are closer than `min_margin`, or that failed, makes
    no pair and is counted. The reference is the pipeline without its LoRA.

    References: Diffusion-DPO (arXiv 2311.12908), equation 14; Flow-DPO (2501.13918), section 4.
    """

    args: VideoDPOConfig

    def read_dataset(self, source: Any) -> Any:
        """Pairs, or prompts where the pairs are made online."""
        if isinstance(source, Dataset):
            return source
        return read_prompts(source) if self.args.online else read_preferences(source)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The mean DPO loss of the rows' pairs; rows without a pair count 0."""
        pairs = [self._pair(row) for row in inputs]
        self.record("dpo/pairs", torch.tensor([float(pair.trains) for pair in pairs]))
        loss = model(lambda: self._mean_loss(pairs))
        return (loss, {}) if return_outputs else loss

    def _mean_loss(self, pairs: Sequence[_Pair]) -> Tensor:
        total = self.no_loss()
        for pair in pairs:
            if pair.trains or self.in_lockstep:
                total = total + self._pair_loss(pair)
        return total / len(pairs)

    def _pair(self, row: Row) -> _Pair:
        if not self.args.online:
            sides = [self.latents_of(row[side]) for side in ("chosen", "rejected")]
            return _Pair(row, torch.stack(sides), True)
        group = sample_group(self, row, self.args.group_size)
        total = group.scored.total.where(group.scored.valid, torch.nan)
        known = (~total.isnan()).nonzero().flatten()
        none = _Pair(row, torch.zeros_like(group.latents[:2]), False)
        if len(known) < 2:
            return none
        best, worst = (int(known[pick(total[known])]) for pick in (torch.argmax, torch.argmin))
        if not float(total[best] - total[worst]) > self.args.min_margin:
            return none
        return _Pair(row, group.latents[[best, worst]], True)

    def latents_of(self, side: Any) -> Tensor:
        """One side of a pair as clean latents of one video, without a batch axis."""
        if isinstance(side, Tensor):
            return side.to(self.args.device)
        video = read_video(side).frames
        wanted = self._defaults | self.args.call_kwargs
        sizes = (wanted.get("num_frames"), wanted.get("height"), wanted.get("width"))
        found = (len(video), *video.shape[-2:])
        if any(want is not None and want != have for want, have in zip(sizes, found, strict=True)):
            raise ValueError(
                f"{side} has {found[0]} frames of {found[1]}x{found[2]} pixels and the pipeline "
                f"makes {sizes[0]} of {sizes[1]}x{sizes[2]}; re-encode the videos, or set "
                "num_frames, height and width in generation_kwargs"
            )
        return encode_video(self.pipe, video[None].to(self.args.device) / 255)[0]

    def _pair_loss(self, pair: _Pair) -> Tensor:
        row, clean = pair.row, pair.latents
        seed = seed_of(self.args.seed, self.state.global_step, row["index"], 1)
        draw = torch.Generator().manual_seed(seed)
        levels = torch.Generator().manual_seed(self.seed_of_levels(row, 5))
        process = forward_process(self.pipe.scheduler)
        arguments = without_guidance(self.pipe, self.call_arguments([row, row], [seed, seed]))
        errors: list[Sequence[Tensor]] = []
        for _ in range(self.args.noise_draws):
            level = sample_noise_levels(
                1, generator=levels, density=self.args.noise_density,  # type: ignore[arg-type]
                shift=self.args.noise_shift,
            )  # fmt: skip
            noise = torch.randn(clean.shape[1:], generator=draw).to(clean).expand_as(clean)
            noised = process.add_noise(clean, noise, level.expand(2))
            error = denoising_error(denoise(self.pipe, noised, arguments), noised.target)
            with torch.no_grad(), without_lora(self.denoisers):
                known = denoising_error(denoise(self.pipe, noised, arguments), noised.target)
            errors.append((*error, *known))
        chosen, rejected, old_chosen, old_rejected = (
            torch.stack(column) for column in zip(*errors, strict=True)
        )
        result = dpo_loss(chosen, rejected, old_chosen, old_rejected, beta=self.args.beta)
        if pair.trains:
            for name in ("accuracy", "margin", "chosen_reward", "rejected_reward"):
                self.record(f"dpo/{name}", getattr(result, name))
        return result.loss * pair.trains
