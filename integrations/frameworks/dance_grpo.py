"""DanceGRPO: what stands in for its VideoAlign inferencer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from aigv_reward import RewardFn, VideoReward, read_video
from aigv_reward.integrations.frameworks.detached_scores import detached_scores
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_prompts

# VideoAlign's names: visual quality, motion quality, text alignment.
_DIMENSIONS = {"VQ": "technical", "MQ": "motion", "TA": "semantic"}


class DanceGRPOInferencer:
    """VideoAlign's `inferencer` for DanceGRPO, from any reward with our dimensions.

    The frame rate is the file's own.

    Args:
        reward: any reward that returns technical, motion and semantic scores.
        weights: {dimension: weight} of "Overall"; None: the reward's own, or its "overall".
    """

    def __init__(self, reward: RewardFn, *, weights: Mapping[str, float] | None = None) -> None:
        self._reward, self._weights = reward, weights

    def reward(
        self, video_paths: Sequence[str], prompts: Sequence[str], use_norm: bool = True
    ) -> list[dict[str, float]]:
        """{"VQ": technical, "MQ": motion, "TA": semantic, "Overall": total} of every file.

        Args:
            video_paths: the videos that DanceGRPO has written.
            prompts: a text each.
            use_norm: whether DanceGRPO expects z-scores; a `VideoReward` must be calibrated
                then, and only then. Other rewards keep the scale that they have.

        Raises:
            VideoDecodeError: a file that cannot be read.
            ValueError: paths that are one string, prompts that do not match, a reward of another
                scale or without those dimensions, scores that are not finite.
        """
        if isinstance(self._reward, VideoReward) and self._reward.calibrated != bool(use_norm):
            raise ValueError(
                f"use_norm={use_norm} but the reward has calibrated={self._reward.calibrated}; "
                f"build it with VideoReward.from_pretrained(calibrated={bool(use_norm)})"
            )
        if isinstance(video_paths, str):
            raise ValueError(f"video_paths is one string, {video_paths!r}; pass a list of paths")
        texts = checked_prompts(prompts, len(video_paths))
        return [self._one(path, text) for path, text in zip(video_paths, texts, strict=True)]

    def _one(self, path: str, prompt: str | None) -> dict[str, float]:
        video = read_video(path)
        frames = as_frames(video.frames, "tchw", kind="uint8")
        scores = detached_scores(
            self._reward, frames, [prompt], fps=video.fps, weights=self._weights
        )
        named = {name: self._value(scores.values, of) for name, of in _DIMENSIONS.items()}
        return {**named, "Overall": float(scores.total)}

    @staticmethod
    def _value(values: Mapping[str, Tensor], name: str) -> float:
        if name not in values:
            raise ValueError(
                f"DanceGRPO needs {', '.join(_DIMENSIONS.values())}; the reward returned "
                f"{', '.join(values)}, not {name!r}"
            )
        return float(values[name])
