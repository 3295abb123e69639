"""The quality model as a reward of video frames."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from aigv_reward.dimensions import Dimension
from aigv_reward.model import AIGVRewardModel
from aigv_reward.regressor.tokenizer import check_tokenizer
from aigv_reward.reward.checkpoint import load_checkpoint
from aigv_reward.reward.inputs import (
    Layout,
    Rates,
    VideoInput,
    as_batch,
    as_video,
    check_counts,
    frame_rates,
    is_source,
    per_video,
    video_count,
    video_label,
)
from aigv_reward.reward.prefetch import prepared_views
from aigv_reward.reward.prompts import prompt_ids
from aigv_reward.reward.scores import Scores
from aigv_reward.reward.weighting import (
    calibrate,
    check_calibration,
    check_dimensions,
    weighted_sum,
)
from aigv_reward.reward.windows import NO_DRAWS, Draws, read_views, window_views
from aigv_reward.views import Views

DEFAULT_DRAWS = Draws(count=8)


class VideoReward:
    """Scores videos in up to four dimensions, differentiable in their pixels.

    The weights are frozen; the caller owns grad mode, train mode and device placement. A plain
    object rather than a module, so that a trainer that holds it neither trains nor saves it.

    Args:
        model: the quality model; its parameters are frozen here.
        tokenizer: reads text prompts; needed only when prompts are given.
        weights: {dimension: weight} of the sum that calling the reward returns; default overall
            alone, or the mean of what the checkpoint answers where it does not answer overall.
        calibrated: return z-scores against the checkpoint's reference set.

    Raises:
        ValueError: the tokenizer of another model, no weights, one that is not finite or names a
            dimension that the checkpoint does not answer, or `calibrated` without calibration of
            a weighted dimension.
    """

    def __init__(
        self,
        model: AIGVRewardModel,
        *,
        tokenizer: PreTrainedTokenizerFast | None = None,
        weights: Mapping[Dimension, float] | None = None,
        calibrated: bool = False,
    ) -> None:
        if tokenizer is not None:
            rows = getattr(model.config.text_config, "vocab_size", None)
            check_tokenizer(tokenizer, model.config.prompt_format, rows)
        self.model = model.requires_grad_(False)
        self.tokenizer = tokenizer
        self.sampling = model.config.view_sampling
        self.dimensions = model.config.dimensions
        self.calibrated = calibrated
        if weights is None:
            names = ("overall",) if "overall" in self.dimensions else self.dimensions
            weights = {name: 1.0 / len(names) for name in names}
        check_dimensions(weights, self.dimensions, "weights")
        for name, weight in weights.items():
            if not math.isfinite(weight):
                raise ValueError(f"the weight of {name!r} is {weight}; it must be finite")
        self.weights = {name: float(weight) for name, weight in weights.items()}
        if calibrated:
            check_calibration(model.config, self.weights)

    @classmethod
    def from_pretrained(
        cls,
        checkpoint: str | os.PathLike[str] | None = None,
        *,
        weights: Mapping[Dimension, float] | None = None,
        calibrated: bool = False,
        gradient_checkpointing: bool = False,
        device: str | torch.device | None = None,
        dtype: torch.dtype | str | None = None,
        **model_kwargs: Any,
    ) -> VideoReward:
        """A reward from the bundled default, a folder, or a hub id.

        Args:
            checkpoint: None for the bundled default; only a hub id reaches the network.
            weights: see `VideoReward`.
            calibrated: see `VideoReward`.
            gradient_checkpointing: recompute activations in the backward pass.
            device: where to put the model; leave it out with `device_map`.
            dtype: of the weights, default float32.
            model_kwargs: go to `AIGVRewardModel.from_pretrained`: `device_map`,
                `quantization_config`, `attn_implementation`, ...

        Raises:
            ValueError: no such checkpoint, or its weights do not fit its config.
        """
        model, tokenizer = load_checkpoint(checkpoint, dtype=dtype or torch.float32, **model_kwargs)
        if gradient_checkpointing:
            model.gradient_checkpointing_enable()
        reward = cls(model, tokenizer=tokenizer, weights=weights, calibrated=calibrated)
        return reward if device is None else reward.to(device)

    @property
    def device(self) -> torch.device:
        """Where the encoders are."""
        return self._encoder_weight.device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the encoders' weights."""
        return self._encoder_weight.dtype

    @property
    def _encoder_weight(self) -> Tensor:
        # A convolution: quantisation packs linear layers into bytes and leaves these alone.
        return next(self.model.motion.parameters())

    @property
    def trained(self) -> tuple[Dimension, ...]:
        """Dimensions that the checkpoint was trained to answer."""
        return tuple(name for name in self.dimensions if name in self.model.config.trained)

    def to(
        self, device: str | torch.device | None = None, dtype: torch.dtype | None = None
    ) -> VideoReward:
        """Move the model; returns self."""
        model: Any = self.model  # transformers wraps `to` in a way that hides its arguments
        model.to(device=device, dtype=dtype)
        return self

    def __call__(
        self,
        frames: Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: Rates = None,
        layout: Layout = "btchw",
        value_range: tuple[float, float] = (0.0, 1.0),
    ) -> Tensor:
        """The weighted sum of the scores of a batch, differentiable in `frames`.

        Args:
            frames: (B, T, 3, H, W), RGB, float in [0, 1] or uint8. Floats may overshoot a little,
                as an unclamped decoder's do.
            prompts: the text each video was made from, or None, as whitespace alone is. Read by the
                semantic question only: where the weights leave semantic out, as by default, they
                are ignored unread, whatever their length. Trainers hand them to every reward.
            fps: frames per second, a float or (B,); needed where the checkpoint samples by time.
            layout: "btchw", "bcthw" or "bthwc".
            value_range: of float frames, e.g. (-1, 1).

        Returns:
            (B,), on the scale of the weights times the scores.

        Raises:
            ValueError: frames in another layout or range, NaN, a missing fps, too long a prompt.
        """
        values = self.by_dimension(
            frames,
            prompts,
            fps=fps,
            layout=layout,
            value_range=value_range,
            dimensions=tuple(self.weights),
        )
        return weighted_sum(values, self.weights)

    def by_dimension(
        self,
        frames: Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: Rates = None,
        layout: Layout = "btchw",
        value_range: tuple[float, float] = (0.0, 1.0),
        dimensions: Sequence[Dimension] | None = None,
    ) -> dict[Dimension, Tensor]:
        """{dimension: (B,)} of a batch in one pass, differentiable in `frames`.

        Calibrated if the reward is; `dimensions` defaults to all that the checkpoint answers, the
        other arguments are those of calling the reward.
        """
        batch = as_batch(frames, layout=layout, value_range=value_range)
        names = self._asked(dimensions)
        text_ids = self._text_ids(prompts, len(batch), names)
        views = self._batch_views(batch, frame_rates(fps, len(batch)))
        return self._answer(views, text_ids, names, [str(index) for index in range(len(views))])

    def drawn(
        self,
        frames: Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        draws: Draws = DEFAULT_DRAWS,
        fps: Rates = None,
        layout: Layout = "btchw",
        value_range: tuple[float, float] = (0.0, 1.0),
    ) -> Tensor:
        """The weighted sum through each set of views that is drawn, (draws.count, B).

        Differentiable as calling the reward is; the other arguments are the same.
        """
        batch = as_batch(frames, layout=layout, value_range=value_range)
        rates = frame_rates(fps, len(batch))
        names = tuple(self.weights)
        text_ids = self._text_ids(prompts, len(batch), names)
        rows = []
        for index, (video, rate) in enumerate(zip(batch, rates, strict=True)):
            looks = self.prepare(video, fps=rate, draws=draws)
            views = Views.cat([looks[look] for look in range(1, len(looks))])
            count = len(views)
            values = self._answer(views, [text_ids[index]] * count, names, [str(index)] * count)
            rows.append(weighted_sum(values, self.weights))
        return torch.stack(rows, dim=1)

    def score(
        self,
        videos: Sequence[VideoInput] | Tensor,
        prompts: Sequence[str | None] | None = None,
        *,
        fps: Rates = None,
        clips: int = 1,
        batch_size: int = 8,
        dimensions: Sequence[Dimension] | None = None,
        return_std: bool = False,
        draws: Draws = DEFAULT_DRAWS,
    ) -> Scores:
        """Scores of videos of any length and size.

        Args:
            videos: a list that may mix paths, bytes, file objects, `Video`s, (T, 3, H, W) tensors,
                (T, H, W, 3) arrays and lists of PIL frames; or one (B, T, 3, H, W) tensor.
            prompts: the text each video was made from, or None, as whitespace alone is. Read by the
                semantic question only, and ignored where `dimensions` leaves it out.
            fps: of raw tensors, arrays and PIL frames, one or one a video; files know theirs.
            clips: score this many consecutive windows of each video and average them.
            batch_size: windows that go through the model at once; scores do not depend on it.
                About as many files' views are prepared meanwhile, one decoded file at a time.
            dimensions: what to score, default all that the checkpoint answers.
            return_std: also look at each video through `draws.count` random sets of views and
                give the standard deviation over them; the scores stay those of the fixed views.
            draws: how many, and their seed.

        Raises:
            VideoDecodeError: a file that cannot be read, with its path and the reason.
            ValueError: anything else that has no score.
        """
        names = self._asked(dimensions)
        count = video_count(videos)
        check_counts(clips=clips, batch_size=batch_size)
        text_ids = self._text_ids(prompts, count, names)
        rates = frame_rates(fps, count)
        looks = draws.spread() if return_std else NO_DRAWS

        def views_of(index: int) -> Views:
            return self.prepare(videos[index], fps=rates[index], clips=clips, draws=looks)

        each = clips * (1 + looks.count)
        owners = [index for index in range(count) for _ in range(each)]
        parts: list[dict[Dimension, Tensor]] = []
        ahead = max(1, batch_size // each)
        with closing(prepared_views(views_of, videos, ahead=ahead)) as prepared:
            windows = self._windows(prepared)
            for start in range(0, len(owners), batch_size):
                batch = owners[start : start + batch_size]
                views = Views.cat(list(islice(windows, len(batch))))
                labels = [video_label(videos[index], index) for index in batch]
                parts.append(self._answer(views, [text_ids[i] for i in batch], names, labels))
        flat = {name: torch.cat([p[name] for p in parts]).view(count, clips, -1) for name in names}
        return Scores(
            values={name: column[..., 0].mean(dim=1) for name, column in flat.items()},
            trained=self.trained,
            calibrated=self.calibrated,
            windows={name: c[..., 0] for name, c in flat.items()} if clips > 1 else None,
            std={name: c[..., 1:].mean(dim=1).std(dim=1) for name, c in flat.items()}
            if return_std
            else None,
        )

    def prepare(
        self,
        video: VideoInput,
        *,
        fps: float | None = None,
        clips: int = 1,
        draws: Draws = NO_DRAWS,
    ) -> Views:
        """The normalised views of one video's windows, (clips, ...), on the CPU for files.

        With `draws` each window has its fixed views first and then those drawn,
        (clips * (1 + draws.count), ...).

        Splits reading from scoring: call it in data loader workers, then `score_views`.
        """
        if is_source(video):
            return read_views(
                video,  # type: ignore[arg-type]
                self.sampling,
                clips=clips,
                draws=draws,
                dtype=self._view_dtype,
            )
        frames, rate = as_video(video, fps)
        return window_views(
            frames[None], self.sampling, fps=rate, clips=clips, draws=draws, dtype=self._view_dtype
        )

    def score_views(
        self,
        views: Views,
        prompts: Sequence[str | None] | None = None,
        *,
        dimensions: Sequence[Dimension] | None = None,
    ) -> dict[Dimension, Tensor]:
        """{dimension: (B,)} of prepared views, calibrated if the reward is.

        Raises:
            ValueError: a score is not finite.
        """
        names = self._asked(dimensions)
        text_ids = self._text_ids(prompts, len(views), names)
        return self._answer(views, text_ids, names, [str(index) for index in range(len(views))])

    def _answer(
        self,
        views: Views,
        text_ids: Sequence[list[int] | None],
        names: Sequence[Dimension],
        labels: Sequence[str],
    ) -> dict[Dimension, Tensor]:
        views = views.to(self.device, self.dtype)
        scores = self.model(
            views.key_frames, views.fragments, views.fast, dimensions=names, text_ids=text_ids
        ).scores
        bad = (~torch.isfinite(scores)).any(dim=1).tolist()
        if any(bad):
            videos = ", ".join(dict.fromkeys(x for x, b in zip(labels, bad, strict=True) if b))
            raise ValueError(f"scores of video {videos} are not finite; check weights and dtype")
        values = dict(zip(names, scores.unbind(dim=1), strict=True))
        return calibrate(values, self.model.config) if self.calibrated else values

    @property
    def _view_dtype(self) -> torch.dtype:
        return torch.promote_types(self.dtype, torch.float32)

    def _windows(self, prepared: Iterable[Views]) -> Iterator[Views]:
        for views in prepared:
            views = views.to(self.device, self.dtype)
            for index in range(len(views)):
                yield views[index]

    def _batch_views(self, frames: Tensor, rates: Sequence[float | None]) -> Views:
        if not self.sampling.needs_fps or len(set(rates)) == 1:
            return window_views(frames, self.sampling, fps=rates[0], dtype=self._view_dtype)
        return Views.cat(
            [
                window_views(video[None], self.sampling, fps=rate, dtype=self._view_dtype)
                for video, rate in zip(frames, rates, strict=True)
            ]
        )

    def _text_ids(
        self, prompts: Sequence[str | None] | None, count: int, names: Sequence[Dimension]
    ) -> list[list[int] | None]:
        texts = per_video(prompts, count, "prompts")
        return prompt_ids(
            texts,
            self.tokenizer,
            self.model.prompt_format,
            dimensions=names,
            rows=getattr(self.model.config.text_config, "vocab_size", None),
        )

    def _asked(self, dimensions: Sequence[Dimension] | None) -> tuple[Dimension, ...]:
        if dimensions is None:
            return self.dimensions
        check_dimensions(dimensions, self.dimensions, "dimensions")
        return tuple(dict.fromkeys(dimensions))
