"""Encoded videos scored one by one and judged by rules, for hosts that must not see a raise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from aigv_reward import FilterRules, RewardFn, VideoReward, __version__, read_video
from aigv_reward.integrations.frameworks.configured_reward import configured_reward
from aigv_reward.integrations.frameworks.host_video import as_frames, checked_prompts
from aigv_reward.integrations.rewards import values_of


class FileJudge:
    """A configured reward and resolved rules; a failure is a reason, and never a number.

    What is wrong with the configuration raises here, in the process that builds the judge. Copies
    and pickles leave the reward behind and load it again where they are used.

    Args:
        rules: `FilterRules`, or their plain values; `missing` says what becomes of failures.
        checkpoint: a folder or hub id; None for the bundled one.
        calibrated: z-scores, see `VideoReward`.
        reward: "module:name" of a reward of one's own instead of a checkpoint.

    Attributes:
        rules: with the scores that their z and percentile thresholds come to.
        dimensions: what is scored: all that the checkpoint was trained in and the rules name; of
            a reward of one's own what the rules name.

    Raises:
        ValueError: rules that `FilterRules` or the reward refuses, or under which a failure would
            raise; what `configured_reward` refuses.
    """

    def __init__(
        self,
        rules: FilterRules | Mapping[str, Any],
        *,
        checkpoint: str | None = None,
        calibrated: bool = False,
        reward: str | None = None,
    ) -> None:
        if not isinstance(rules, FilterRules):
            rules = FilterRules.from_dict(rules, dimensions=None)
        if rules.missing == "error":
            raise ValueError(
                "the rules have missing='error', and one broken file would stop the host; set "
                "missing to reject or keep"
            )
        given = {"checkpoint": checkpoint, "calibrated": calibrated or None, "reward": reward}
        self._options = {name: value for name, value in given.items() if value is not None}
        self._version = __version__  # part of what a host caches results by
        self._reward: RewardFn | None = None
        self._device = torch.device("cpu")
        self.rules, self.dimensions = _fitted(rules, self.load("cpu"))

    def load(self, device: str) -> RewardFn:
        """The reward, a checkpoint's on this device; raises what loading it raises."""
        if self._reward is None:
            self._reward, _ = configured_reward(self._options, device=device, dtype=None)
        elif isinstance(self._reward, VideoReward) and torch.device(device) != self._device:
            self._reward.to(device)
        self._device = torch.device(device)
        return self._reward

    def scores(
        self, source: Any, prompt: Any = None, *, device: str = "cpu"
    ) -> tuple[dict[str, float | None], str]:
        """{dimension: score} and "", or {dimension: None} and the reason; never raises.

        Args:
            source: path or bytes of a video.
            prompt: the text it was made from, or None; anything else is a failure.
            device: for a checkpoint.
        """
        try:
            return self._scores(source, prompt, self.load(device)), ""
        except Exception as error:  # a raise would cost the host the videos beside this one
            reason = f"{type(error).__name__}: {error}"
            # names of files need not be UTF-8, columns of text must be
            return dict.fromkeys(self.dimensions), reason.encode(errors="replace").decode()

    @torch.no_grad()
    def _scores(self, source: Any, prompt: Any, reward: RewardFn) -> dict[str, float | None]:
        if source is None:
            raise ValueError("there is no video")
        prompts = checked_prompts([prompt], 1)
        if isinstance(reward, VideoReward):
            names: Any = self.dimensions
            row: Any = reward.score([source], prompts, dimensions=names).rows()[0]
            return {name: row[name] for name in self.dimensions}
        video = read_video(source)
        frames = as_frames(video.frames, "tchw", kind="uint8")
        values = values_of(reward, frames, prompts, fps=video.fps)
        for name in self.dimensions:
            if name not in values:
                raise ValueError(f"the reward returned {', '.join(values)}, and not {name!r}")
        return {name: float(values[name]) for name in self.dimensions}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_reward": None, "_device": torch.device("cpu")}


def _fitted(rules: FilterRules, reward: RewardFn) -> tuple[FilterRules, tuple[str, ...]]:
    """The rules, resolved for the reward, and the dimensions to score."""
    if not isinstance(reward, VideoReward):
        if not rules.resolved:
            raise ValueError(
                "z and percentile thresholds need a checkpoint's calibration; give minimum and "
                "maximum for a reward of your own"
            )
        return rules, rules.dimensions
    for name in rules.dimensions:
        if name not in reward.dimensions:
            known = ", ".join(reward.dimensions)
            raise ValueError(f"the rules have {name!r}, which is not scored; choose {known}")
    calibration = reward.model.config.calibration or {}
    if reward.calibrated and not rules.resolved:
        raise ValueError(
            "with calibrated=True scores are z-scores already; give minimum and maximum instead "
            "of z and percentile thresholds"
        )
    if reward.calibrated and any(name not in calibration for name in rules.dimensions):
        raise ValueError(
            f"the rules have {', '.join(rules.dimensions)}, but the checkpoint is calibrated in "
            f"{', '.join(calibration)}; leave the others out, or calibrated"
        )
    told = [name for name in reward.trained if not reward.calibrated or name in calibration]
    scored = tuple(name for name in reward.dimensions if name in told or name in rules.dimensions)
    return (rules if rules.resolved else rules.resolve(calibration)), scored
