"""Videos through the model in one process: what the rows of a run say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aigv_reward.corpus.item import Item
from aigv_reward.corpus.item_source import content_sha256, open_item
from aigv_reward.corpus.rows import Measured, failure
from aigv_reward.dimensions import Dimension

if TYPE_CHECKING:
    from aigv_reward.views import Views


class FrameCountError(ValueError):
    """A video of which fewer frames decode than its header declares."""


@dataclass(frozen=True)
class Prepared:
    """A video that is decoded, or what is wrong with it.

    Attributes:
        item: the video.
        known: columns of its row that are known so far.
        views: what the model sees; None if it failed.
    """

    item: Item
    known: Measured
    views: Views | None = None


@dataclass(frozen=True)
class ScorerSettings:
    """All that a process needs to score items; plain values, so that it can be sent anywhere.

    Attributes:
        checkpoint: folder of the checkpoint.
        device: as torch names it.
        dimensions: what is scored.
        clips: windows whose scores are averaged.
        prompts: whether the checkpoint reads them.
        verify: decode every frame, and refuse a video that has fewer than it declares.
        threads: of torch on the CPU; the last digit of a score depends on it.
    """

    checkpoint: str
    device: str
    dimensions: tuple[Dimension, ...]
    clips: int = 1
    prompts: bool = True
    verify: bool = True
    threads: int = 1

    def load(self) -> ItemScorer:
        """The scorer, with its model loaded."""
        return ItemScorer(self)


class ItemScorer:
    """Scores items, every one of which gets a row.

    Args:
        settings: what to score with.

    Raises:
        ValueError: the checkpoint cannot be loaded.
    """

    def __init__(self, settings: ScorerSettings) -> None:
        import torch
        from transformers.utils import logging

        from aigv_reward.reward import VideoReward

        logging.disable_progress_bar()
        if settings.device == "cpu":
            torch.set_num_threads(settings.threads)
        self.settings = settings
        self.reward = VideoReward.from_pretrained(Path(settings.checkpoint), device=settings.device)

    def __call__(
        self, items: Sequence[Item], data: Mapping[int, bytes] | None = None
    ) -> list[Measured]:
        """The columns of each item from `status` on, scored as one batch.

        Args:
            items: videos.
            data: {place in `items`: bytes} of those whose kind is "dataset".
        """
        given = data or {}
        return self.score([self.prepare(item, given.get(i)) for i, item in enumerate(items)])

    def prepare(self, item: Item, data: bytes | None = None) -> Prepared:
        """Decode a video; may run in a thread, while another is scored."""
        from aigv_reward.video.probe import count_frames, probe
        from aigv_reward.video.source import resolve

        known: Measured = {}
        try:
            source = open_item(item, data)
            found = resolve(source)
            known["content_sha256"] = content_sha256(source)
            facts = probe(found)
            known |= {
                "frames_declared": facts.num_declared or None,
                "fps": facts.fps,
                "height": facts.height,
                "width": facts.width,
                "duration": facts.num_frames / facts.fps,
            }
            if self.settings.verify:
                count = known["frames_decoded"] = count_frames(found)
                # AVI may declare packets that show nothing, and an edit list hides frames.
                sure = facts.container == "mov" and not facts.edited
                least = max(facts.num_frames, facts.num_declared if sure else 0)
                if count < least:
                    raise FrameCountError(f"{count} of {least} frames decode; it is damaged")
            views = self.reward.prepare(source, clips=self.settings.clips)
        except Exception as error:
            return Prepared(item, known | _failure(error))
        return Prepared(item, known, views.to(dtype=self.reward.dtype, device="cpu"))

    def score(self, prepared: Sequence[Prepared]) -> list[Measured]:
        """The columns of each video; where a batch fails, each of it is tried alone."""
        import torch

        good = [place for place, one in enumerate(prepared) if one.views is not None]
        rows = [one.known for one in prepared]
        try:
            scored = self._score([prepared[place] for place in good])
        except torch.AcceleratorError:
            raise  # the device is of no more use to this process
        except Exception as error:
            if len(good) == 1:
                rows[good[0]] = rows[good[0]] | _failure(error)
            else:
                for place in good:
                    rows[place] = self.score([prepared[place]])[0]
            return rows
        for place, columns in zip(good, scored, strict=True):
            rows[place] = rows[place] | columns | {"status": "ok"}
        return rows

    def _score(self, prepared: Sequence[Prepared]) -> list[dict[str, Any]]:
        import torch

        from aigv_reward.views import Views

        if not prepared:
            return []
        settings = self.settings
        views = Views.cat([one.views for one in prepared if one.views is not None])
        texts = [one.item.prompt if settings.prompts else None for one in prepared]
        prompts = [text for text in texts for _ in range(settings.clips)]
        with torch.no_grad():
            scores = self.reward.score_views(views, prompts, dimensions=settings.dimensions)
        columns: list[dict[str, Any]] = [{} for _ in prepared]
        calibration = self.reward.model.config.calibration or {}
        for name, values in scores.items():
            means = values.detach().cpu().double().view(len(prepared), -1).mean(dim=1).tolist()
            for row, value in zip(columns, means, strict=True):
                row[name] = value
                if name in calibration:
                    known = calibration[name]
                    row[f"{name}_z"] = (value - known["mean"]) / known["std"]
        return columns


def _failure(error: Exception) -> Measured:
    from aigv_reward.video import VideoDecodeError

    reason = error.reason if isinstance(error, VideoDecodeError) and error.reason else str(error)
    return failure("error", type(error).__name__, reason or type(error).__name__)
