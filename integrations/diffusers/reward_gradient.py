"""The gradient of a reward of decoded latents, one video at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from aigv_reward import RewardFn
from aigv_reward.integrations.diffusers.sampling_run import Run
from aigv_reward.integrations.rewards import scores_of, within_range


@dataclass(frozen=True)
class Guided:
    """What happened at a guided step, for each of its videos.

    Attributes:
        step: 0-based.
        reward: (B,) of the predicted clean video, before it was changed.
        gradient: (B,) norm of the reward's gradient; 0 where the reward does not react.
        share: (B,) norm of the change over that of x0 - x.
        clipped: (B,) bool, whether the change was cut.
    """

    step: int
    reward: Tensor
    gradient: Tensor
    share: Tensor
    clipped: Tensor


class RewardGradient:
    """Reward and gradient of predicted clean latents, through the VAE's checkpointed decode.

    Args:
        reward: any differentiable reward.
        weights: {dimension: weight}; None: the reward's own.
        fps: frames per second.
        window: latent frames that are decoded, at a drawn place; None: all.
        seed: of the places.
    """

    def __init__(
        self,
        reward: RewardFn,
        *,
        weights: Mapping[str, float] | None,
        fps: float | None,
        window: int | None,
        seed: int,
    ) -> None:
        self.reward, self.weights, self.fps = reward, weights, fps
        self.window, self.seed = window, seed
        self._generator = torch.Generator().manual_seed(seed)

    def reset(self) -> None:
        """Begin to draw windows anew."""
        self._generator.manual_seed(self.seed)

    def __call__(self, run: Run, clean: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Rewards (B,) and their gradient with respect to `clean`, float32 or wider.

        One video after another, so that the graph of one is all that is held.

        Raises:
            ValueError: the reward has no gradient, or one that is not finite.
        """
        prompts = run.prompts(len(clean))
        window = None
        if self.window is not None:
            window = run.window(clean, self.window, self._generator)
        rewards, gradients = [], []
        for row, prompt in enumerate(prompts):
            with torch.enable_grad():
                one = clean[row : row + 1].detach().requires_grad_()
                frames = within_range(run.decode(one, window=window))
                total = scores_of(
                    self.reward, frames, [prompt], fps=self.fps, weights=self.weights
                ).total
            gradient = None
            if total.requires_grad:
                (gradient,) = torch.autograd.grad(total, one, allow_unused=True)
            if gradient is None:
                raise ValueError(
                    "the reward has no gradient with respect to the frames; guidance needs a "
                    "differentiable one, best_of_n and steer do not"
                )
            rewards.append(total.detach())
            gradients.append(gradient)
        gradient = torch.cat(gradients)
        check_finite(gradient, step)
        return torch.cat(rewards), gradient


def check_finite(gradient: Tensor, step: int) -> None:
    """Raise unless the gradient of every video is finite.

    Raises:
        ValueError: one is not.
    """
    bad = (~torch.isfinite(gradient)).flatten(1).any(dim=1).nonzero().flatten().tolist()
    if bad:
        raise ValueError(
            f"the reward's gradient is not finite at step {step} for videos {bad}; guide later "
            "steps, or decode and score in float32"
        )


def clipped_change(
    change: Tensor, reference: Tensor, *, clip: float
) -> tuple[Tensor, Tensor, Tensor]:
    """A change cut, for each video, to the share `clip` of the norm of a reference.

    Args:
        change: (B, ...).
        reference: (B, ...).
        clip: greatest share.

    Returns:
        The change; its share, (B,); whether it was cut, (B,) bool.
    """
    size, whole = norms(change), norms(reference).clamp_min(torch.finfo(change.dtype).tiny)
    cut = size > clip * whole
    factor = torch.where(cut, clip * whole / size, torch.ones_like(size))
    shaped = factor.reshape(-1, *[1] * (change.ndim - 1))
    return change * shaped, size * factor / whole, cut


def norms(values: Tensor) -> Tensor:
    """(B,) Euclidean norm of each video's values."""
    return values.flatten(1).norm(dim=1)


def check_settings(
    *, scale: float, clip: float, start: float, stop: float, window: int | None
) -> None:
    """Raise unless a guidance's settings lie in their ranges.

    Raises:
        ValueError: one does not.
    """
    if not 0 <= scale < float("inf"):
        raise ValueError(f"scale is {scale}; give 0 or more")
    if not 0 < clip < float("inf"):
        raise ValueError(f"clip is {clip}; give a share above 0")
    if not 0 <= start < stop <= 1:
        raise ValueError(
            f"start is {start} and stop {stop}; give shares of the steps, 0 <= start < stop <= 1"
        )
    if window is not None and window < 1:
        raise ValueError(f"window is {window}; give 1 latent frame or more, or None")
