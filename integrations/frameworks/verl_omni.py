"""verl-omni: a score function that its config names by file and name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aigv_reward import RewardFn
from aigv_reward.integrations.frameworks.detached_scores import detached_scores
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_fps, checked_prompts


class VerlOmniScore:
    """verl-omni's `compute_score` for one sample; verl-omni calls it in a worker thread.

    ```python
    compute_score = VerlOmniScore(VideoReward.from_pretrained(device="cuda"), fps=16)
    ```

    Args:
        reward: any reward.
        fps: frames per second of the generated videos.
        weights: {dimension: weight} of the score; None: the reward's own, or its "overall".

    Raises:
        ValueError: fps is not positive.
    """

    def __init__(
        self, reward: RewardFn, *, fps: float, weights: Mapping[str, float] | None = None
    ) -> None:
        self.reward, self.fps, self.weights = reward, checked_fps(fps), weights

    def __call__(
        self,
        data_source: Any,
        solution_image: Any,
        ground_truth: str | None,
        extra_info: Any = None,
        **kwargs: Any,
    ) -> dict[str, float]:
        """{"score": total, dimension: value, ...}, which verl-omni logs by name.

        Args:
            solution_image: (T, C, H, W) uint8.
            ground_truth: the text prompt.
            data_source, extra_info, kwargs: not read.

        Raises:
            ValueError: another layout or dtype, scores that are not finite, or a dimension that
                is called "score".
        """
        frames = as_frames(solution_image, "tchw", kind="uint8")
        prompts = checked_prompts([ground_truth], 1)
        scores = detached_scores(self.reward, frames, prompts, fps=self.fps, weights=self.weights)
        if "score" in scores.values:
            raise ValueError(
                "the reward has a dimension called 'score', which verl-omni keeps for the total; "
                "rename it"
            )
        extras = {name: float(value) for name, value in scores.values.items()}
        return {"score": float(scores.total), **extras}
