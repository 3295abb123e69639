"""NeMo Curator: a stage of its video pipelines that scores and filters clips."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nemo_curator.stages.base import ProcessingStage
from nemo_curator.stages.resources import Resources
from nemo_curator.tasks.video import VideoTask

from aigv_reward import FilterRules
from aigv_reward.integrations.frameworks.file_judge import FileJudge


class NeMoCuratorStage(ProcessingStage[VideoTask, VideoTask]):
    """Moves clips that fail the rules to `filtered_clips`; behind the stage that encodes clips.

    Every clip gets `aigv_scores`, {dimension: score or None}; one without scores has the reason in
    `errors["aigv_reward"]` and stays or goes by the rules' `missing`. A clip never ends the run.

    Args:
        rules: `FilterRules`, or their plain values; `missing` must be reject or keep.
        checkpoint, calibrated, reward: see `FileJudge`.
        num_gpus_per_worker: as in the host's stages; with none the reward is on the CPU.

    Raises:
        ValueError: what `FileJudge` refuses.
    """

    name = "aigv_reward_filter"

    def __init__(
        self,
        rules: FilterRules | Mapping[str, Any],
        *,
        checkpoint: str | None = None,
        calibrated: bool = False,
        reward: str | None = None,
        num_gpus_per_worker: float = 0.0,
    ) -> None:
        self.judge = FileJudge(rules, checkpoint=checkpoint, calibrated=calibrated, reward=reward)
        self.resources = Resources(gpus=num_gpus_per_worker)

    def inputs(self) -> tuple[list[str], list[str]]:
        return ["data"], ["clips"]

    def outputs(self) -> tuple[list[str], list[str]]:
        return ["data"], ["clips", "filtered_clips"]

    def setup(self, worker_metadata: Any = None) -> None:
        """Loads the reward, once a worker; `worker_metadata` is not read."""
        self.judge.load(self._device)

    def process(self, task: VideoTask) -> VideoTask:
        """The task, its clips divided."""
        passing: list[Any] = []
        for clip in task.data.clips:
            clip.aigv_scores, error = self.judge.scores(clip.buffer or None, device=self._device)
            if error:
                clip.errors["aigv_reward"] = error
            kept = self.judge.rules.decide(clip.aigv_scores).kept
            (passing if kept else task.data.filtered_clips).append(clip)
        task.data.clips = passing
        return task

    @property
    def _device(self) -> str:
        return "cuda" if self.resources.requires_gpu else "cpu"
