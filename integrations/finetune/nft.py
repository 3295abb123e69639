"""DiffusionNFT on whole videos: reinforcement learning on the forward process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from aigv_reward.integrations.finetune.advantages import group_advantages
from aigv_reward.integrations.finetune.arguments import VideoTrainingArguments, setting
from aigv_reward.integrations.finetune.base import VideoTrainer, seed_of
from aigv_reward.integrations.finetune.denoising import denoise, without_guidance
from aigv_reward.integrations.finetune.flow_noise import forward_process, sample_noise_levels
from aigv_reward.integrations.finetune.groups import Group, sample_group
from aigv_reward.integrations.finetune.lora import with_adapter, without_lora
from aigv_reward.integrations.finetune.nft_loss import nft_loss, old_policy_decay, optimality
from aigv_reward.integrations.finetune.old_policy import OldPolicy


@dataclass
class NFTConfig(VideoTrainingArguments):
    """Settings of `NFTTrainer`."""

    group_size: int = setting("Videos a prompt.", default=8)
    nft_beta: float = setting("How far the implicit policies stand from the old one.", default=1.0)
    advantage_clip: float = setting("Advantage that counts as certain.", default=5.0)
    reference_weight: float = setting("Weight of the distance to the reference.", default=1e-4)
    noise_draws: int = setting("Noise levels a video and step.", default=1)
    noise_shift: float = setting("Shift of the noise levels, as of the pipeline.", default=1.0)
    old_flat_steps: int = setting("Steps in which the old policy follows at once.", default=0)
    old_rate: float = setting("Growth a step of the old policy's inertia.", default=0.001)
    old_limit: float = setting("Greatest inertia of the old policy.", default=0.5)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.group_size < 2:
            raise ValueError(f"group_size is {self.group_size}; a group needs 2 videos or more")
        if self.noise_draws < 1:
            raise ValueError(f"noise_draws is {self.noise_draws}; it must be at least 1")


class NFTTrainer(VideoTrainer):
    """Trains a generator towards its better and away from its worse videos.

    Videos are sampled by the old policy, a moving average of the learning one, with any solver and
    without guidance unless `generation_kwargs` asks for it; only their clean latents, of all
    frames, are needed.

    References: DiffusionNFT (arXiv 2509.16117), section 3 and algorithm 1.
    """

    args: NFTConfig

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.old = OldPolicy(self.denoisers)
        self.add_callback(self.old.follow(self._decay))

    def _decay(self, step: int) -> float:
        args = self.args
        return old_policy_decay(
            step, flat_steps=args.old_flat_steps, rate=args.old_rate, limit=args.old_limit
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Any,
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The mean NFT loss of the videos of the rows' groups; dropped ones count 0."""
        with with_adapter(self.denoisers, OldPolicy.NAME):
            groups = [sample_group(self, row, self.args.group_size) for row in inputs]
        loss = model(lambda: torch.stack([self._group_loss(group) for group in groups]).mean())
        return (loss, {}) if return_outputs else loss

    def _group_loss(self, group: Group) -> Tensor:
        args, size = self.args, self.args.group_size
        advantages = group_advantages(
            {"total": group.scored.total.nan_to_num()}, group_size=size, valid=group.scored.valid
        )
        self.record("groups/dropped", float(advantages.dropped_groups))
        self.record("groups/zero_variance", advantages.zero_variance_share)
        self.record("advantages/absolute", advantages.values[advantages.trains].abs())
        total = self.no_loss()
        optimal = optimality(advantages.values, clip=args.advantage_clip)
        for k, trains in enumerate(advantages.trains.tolist()):
            if trains or self.in_lockstep:
                total = total + self._video_loss(group, k, optimal[k : k + 1], trains) / size
        return total

    def _video_loss(self, group: Group, k: int, optimal: Tensor, trains: bool) -> Tensor:
        """The loss of one video; a dropped one, whose latents may be NaN, counts 0."""
        args, row = self.args, group.row
        seed = seed_of(args.seed, self.state.global_step, row["index"], 2, k)
        draw = torch.Generator().manual_seed(seed)
        levels = torch.Generator().manual_seed(self.seed_of_levels(row, 5, k))
        clean = group.latents[k : k + 1]
        if not trains:
            clean = torch.zeros_like(clean)
        arguments = without_guidance(self.pipe, self.call_arguments([row], [seed]))
        process = forward_process(self.pipe.scheduler)
        losses = []
        for _ in range(args.noise_draws):
            level = sample_noise_levels(1, generator=levels, shift=args.noise_shift)
            noise = torch.randn(clean.shape, generator=draw).to(clean)
            noised = process.add_noise(clean, noise, level)
            prediction = denoise(self.pipe, noised, arguments)
            with torch.no_grad():
                with with_adapter(self.denoisers, OldPolicy.NAME):
                    old = denoise(self.pipe, noised, arguments)
                reference = None
                if args.reference_weight:
                    with without_lora(self.denoisers):
                        reference = denoise(self.pipe, noised, arguments)
            result = nft_loss(
                prediction,
                old,
                clean,
                noised,
                optimal.to(clean.device),
                beta=args.nft_beta,
                reference=reference,
                reference_weight=args.reference_weight,
            )
            if trains:
                for name in ("positive", "negative", "reference", "moved"):
                    self.record(f"nft/{name}", getattr(result, name))
            losses.append(result.loss)
        return torch.stack(losses).mean() * trains

    def _save(
        self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None
    ) -> None:
        super()._save(output_dir, state_dict)
        self.old.save(output_dir or str(self.args.output_dir), write=self.args.should_save)

    def _load_from_checkpoint(
        self, resume_from_checkpoint: str, model: nn.Module | None = None
    ) -> None:
        super()._load_from_checkpoint(resume_from_checkpoint, model)
        self.old.load(resume_from_checkpoint)
