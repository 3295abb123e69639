"""The process that holds the model: batches of prepared views in, scores out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from aigv_reward import VideoReward
from aigv_reward.integrations.server.channel import Channel
from aigv_reward.integrations.server.refusals import error_answer

WARM_FRAMES = (2, 3, 64, 64)


class Scoring:
    """Scores views that the decoders left in files.

    An error of one video is its own, whatever it is, unless it leaves the device unusable: a CUDA
    context that has seen an illegal access fails for ever, also for what has done nothing wrong.
    So after any error but those that say what is wrong with a video, a small video that has had
    scores before is scored again. Where that fails the process is to end: with the error of the
    video that did it where that is known, else without an answer, and the server has each video
    scored alone by the process that follows.

    Args:
        reward: what to score with.

    Attributes:
        fatal: whether the process is of no use any more.
    """

    def __init__(self, reward: VideoReward) -> None:
        self.reward = reward
        # Also the first pass through the model, which is slower than the others.
        self.template = reward.prepare(torch.zeros(WARM_FRAMES, dtype=torch.uint8), fps=16.0)
        self.fatal = False
        reward.score_views(self.template)

    def results(
        self, views: Sequence[str], prompts: Sequence[str | None], dimensions: Sequence[Any]
    ) -> list[dict[str, Any]]:
        """A result a video, in order: its scores, or its error.

        Where the batch fails, each video is scored alone, so that one costs the others nothing.

        Args:
            views: files with the tensors of one video each.
            prompts: one or None a video.
            dimensions: what to score.

        Raises:
            MemoryError: this process has no memory left.
            Exception: what several videos together raised, where the device is unusable after it.
        """
        found: list[dict[str, Any]] = [{} for _ in views]
        loaded = {}
        for index, path in enumerate(views):
            try:
                loaded[index] = load_file(path)
            except (OSError, SafetensorError):
                found[index] = error_answer("decode_error", "its views are gone")
        if len(loaded) > 1:
            try:
                together = [prompts[index] for index in loaded]
                batch = self._score(list(loaded.values()), together, dimensions)
                for index, scores in zip(loaded, batch, strict=True):
                    found[index] = {"scores": scores}
                return found
            except MemoryError:
                raise
            except Exception as error:
                if self._is_fatal(error):
                    raise
        for index, tensors in loaded.items():
            found[index] = self._alone(tensors, prompts[index], dimensions)
            if self.fatal and len(loaded) > 1:
                raise RuntimeError(found[index]["error"]["message"])
        return found

    def _alone(
        self, tensors: dict[str, torch.Tensor], prompt: str | None, dimensions: Sequence[Any]
    ) -> dict[str, Any]:
        try:
            return {"scores": self._score([tensors], [prompt], dimensions)[0]}
        except MemoryError:
            raise
        except Exception as error:
            self.fatal = self._is_fatal(error)
            if isinstance(error, ValueError):
                return error_answer("invalid_item", str(error))
            if isinstance(error, torch.OutOfMemoryError):
                return error_answer("model_error", "the model ran out of memory")
            return error_answer("model_error", f"the model failed ({type(error).__name__})")

    def _is_fatal(self, error: Exception) -> bool:
        """Whether what has had scores before has none after an error."""
        if isinstance(error, ValueError | torch.OutOfMemoryError):
            return False
        try:
            self._score([vars(self.template)], [None], self.reward.dimensions)
        except torch.OutOfMemoryError:
            return False
        except Exception:
            return True
        return False

    def _score(
        self,
        tensors: Sequence[dict[str, torch.Tensor]],
        prompts: Sequence[str | None],
        dimensions: Sequence[Any],
    ) -> list[dict[str, float]]:
        joined = {name: torch.cat([one[name] for one in tensors]) for name in tensors[0]}
        views = replace(self.template, **joined)
        values = self.reward.score_views(views, prompts, dimensions=dimensions)
        columns = {name: column.float().tolist() for name, column in values.items()}
        return [{name: column[i] for name, column in columns.items()} for i in range(len(tensors))]


def facts(reward: VideoReward) -> dict[str, Any]:
    """What the server and its clients are told of a reward."""
    return {
        "config": reward.model.config.to_dict(),
        "score_version": reward.model.config.score_version,
        "dimensions": list(reward.dimensions),
        "trained": list(reward.trained),
        "calibrated": reward.calibrated,
        "weights": dict(reward.weights),
        "device": str(reward.device),
    }


@torch.no_grad()
def main() -> None:
    """Load the checkpoint that the server names, then answer until it hangs up."""
    channel = Channel()
    settings = channel.receive()
    try:
        reward = VideoReward.from_pretrained(
            settings["checkpoint"],
            weights=settings["weights"],
            calibrated=settings["calibrated"],
            device=settings["device"] or ("cuda" if torch.cuda.is_available() else "cpu"),
        )
        scoring = Scoring(reward)
        channel.send(ready=facts(reward))
    except (ValueError, OSError, RuntimeError, AssertionError, SafetensorError) as error:
        channel.send(failed=f"{type(error).__name__}: {error}")
        sys.exit(1)
    for message in channel.messages():
        if "cancel" in message:
            continue
        results = scoring.results(message["views"], message["prompts"], message["dimensions"])
        channel.send(id=message["id"], results=results)
        if scoring.fatal:
            sys.exit(1)
