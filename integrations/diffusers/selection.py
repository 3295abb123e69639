"""The best of n videos of one prompt."""

from __future__ import annotations

import heapq
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.utils.logging import tqdm
from torch import Tensor

from aigv_reward import RewardFn, VideoReward
from aigv_reward.integrations.diffusers.candidate_inputs import (
    batch_arguments,
    check_arguments,
    checked_frames,
    frame_rate,
)
from aigv_reward.integrations.diffusers.contact_sheet import Thumbnails, contact_sheet_of
from aigv_reward.integrations.diffusers.ranked import Ranked
from aigv_reward.integrations.diffusers.sampling_run import tidy
from aigv_reward.integrations.diffusers.scheduler_noise import drawn_by
from aigv_reward.integrations.rewards import BatchScores, scores_of


def best_of_n(
    pipe: Any,
    reward: RewardFn,
    prompt: str | None,
    n: int,
    *,
    seed: int,
    batch_size: int = 1,
    keep: int = 1,
    fps: float | None = None,
    weights: Mapping[str, float] | None = None,
    progress: bool = True,
    contact_sheet: str | os.PathLike[str] | None = None,
    **pipe_kwargs: Any,
) -> Ranked:
    """The best of n candidates, and the scores of all of them.

    Candidate i is what `pipe(prompt, generator=torch.Generator().manual_seed(seed + i), ...)`
    gives alone: batches use lists of prompts and one CPU generator a candidate. A batch changes
    the order of floating point sums, so that its pixels differ from those by about 1e-5 in
    float32, and by more in half precision; `batch_size=1` is exact. A scheduler with noise of its
    own draws it from the candidate's generator, where most flow pipelines would let it draw from
    torch's global one.

    Each candidate is scored alone and dropped unless it is among the `keep` best so far: memory
    does not grow with n. The pipeline is called as it stands, with its offloading, its own
    progress bar and the hooks that are open on it. A run that a `RewardFilter` interrupts gives no
    candidates; its seeds are in `Ranked.interrupted`.

    Args:
        pipe: a video pipeline of diffusers.
        reward: any reward.
        prompt: one text. With `prompt_embeds`, or for a pipeline without text, only the reward
            reads it; None where there is none. For several prompts, loop.
        n: candidates.
        seed: of the first candidate; the others count up from it.
        batch_size: candidates that are generated at once.
        keep: how many videos come back, best first.
        fps: frames per second of the videos, for the reward, and for pipelines that are
            conditioned on a rate (LTX's `frame_rate`, SVD's `fps`) unless that is given too. By
            default the reward is told the pipeline's own.
        weights: {dimension: weight} of the total, see `scores_of`.
        progress: show a bar over candidates, on stderr.
        contact_sheet: write a PNG of all candidates, best first, with their scores; thumbnails of
            five frames each are held until the end.
        pipe_kwargs: of every call of the pipeline: sizes, steps, `image`, `negative_prompt`,
            `prompt_embeds` of one prompt, ...

    Raises:
        ValueError: counts below 1, arguments that candidates cannot share, every run interrupted.
        RuntimeError: the reward of a candidate failed; names its seed.
    """
    for name, value in (("n", n), ("batch_size", batch_size), ("keep", keep)):
        if value < 1:
            raise ValueError(f"{name} is {value}; it must be at least 1")
    if prompt is not None and not isinstance(prompt, str):
        raise ValueError(
            f"prompt is a {type(prompt).__name__}; candidates share one text, so call best_of_n "
            "once for each"
        )
    check_arguments(pipe, pipe_kwargs, min(n, batch_size))
    sheet = None if contact_sheet is None else _sheet_path(contact_sheet)
    rate, arguments = frame_rate(pipe, fps, pipe_kwargs)
    found = _Candidates(keep, thumbnails=sheet is not None)

    def run(seeds: range) -> None:
        frames = _generate(pipe, prompt, arguments, seeds)
        if frames is None:
            found.interrupted += seeds
            return
        for candidate, video in zip(seeds, frames.split(1), strict=True):
            scores = _score(reward, video, prompt, rate, weights, candidate)
            found.add(candidate, scores, video[0])

    try:
        with tqdm(total=n, desc="candidates", unit="video", disable=not progress) as bar:
            for start in range(seed, seed + n, batch_size):
                seeds = range(start, min(start + batch_size, seed + n))
                run(seeds)
                bar.update(len(seeds))
    except BaseException:
        tidy(pipe)
        raise
    ranked = found.ranked(reward.trained if isinstance(reward, VideoReward) else None)
    if sheet is not None:
        contact_sheet_of(ranked, found.thumbnails, prompt).save(sheet)
    return ranked


class _Candidates:
    """What is held of the candidates that went by."""

    def __init__(self, keep: int, *, thumbnails: bool) -> None:
        self.keep, self.interrupted = keep, list[int]()
        self.seeds: list[int] = []
        self.scores: list[dict[str, float]] = []
        self.totals: list[float] = []
        self.thumbnails: list[Thumbnails] = []
        self._with_thumbnails = thumbnails
        # A heap, the worst first: (total, -index, frames).
        self._best: list[tuple[float, int, Tensor]] = []

    def add(self, seed: int, scores: BatchScores, frames: Tensor) -> None:
        if self.scores and self.scores[0].keys() != scores.values.keys():
            raise ValueError(
                f"the reward returned {', '.join(scores.values)} for seed {seed} and "
                f"{', '.join(self.scores[0])} before; it must return the same dimensions"
            )
        total = float(scores.total)
        index = len(self.seeds)
        self.seeds.append(seed)
        self.totals.append(total)
        self.scores.append({name: float(value) for name, value in scores.values.items()})
        if self._with_thumbnails:
            self.thumbnails.append(Thumbnails.of(frames))
        if len(self._best) < self.keep or total > self._best[0][0]:
            # A copy, since a view would hold the whole batch.
            entry = (total, -index, frames.to("cpu", copy=True))
            if len(self._best) < self.keep:
                heapq.heappush(self._best, entry)
            else:
                heapq.heapreplace(self._best, entry)

    def ranked(self, trained: Collection[str] | None) -> Ranked:
        """All of them; `trained`: what the reward was trained for, None where that is not known."""
        if not self.seeds:
            raise ValueError(
                f"all {len(self.interrupted)} candidates were interrupted; loosen the filter's "
                "rules, or raise n"
            )
        best = sorted(self._best, key=lambda entry: entry[:2], reverse=True)
        return Ranked(
            frames=torch.stack([frames for _, _, frames in best]),
            scores={
                name: torch.tensor([row[name] for row in self.scores]) for name in self.scores[0]
            },
            total=torch.tensor(self.totals),
            seeds=self.seeds,
            order=sorted(range(len(self.seeds)), key=lambda index: (-self.totals[index], index)),
            interrupted=self.interrupted,
            untrained=tuple(n for n in self.scores[0] if trained is not None and n not in trained),
        )


def _generate(
    pipe: Any, prompt: str | None, arguments: Mapping[str, Any], seeds: range
) -> Tensor | None:
    """(B, T, 3, H, W), or None where a filter interrupted the run."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    called = batch_arguments(pipe, prompt, arguments, len(seeds))
    with drawn_by(getattr(pipe, "scheduler", None), generators):
        output = pipe(**called, generator=generators)
    if output is None or getattr(pipe, "interrupt", False):
        return None
    return checked_frames(output.frames, len(seeds))


@torch.no_grad()
def _score(
    reward: RewardFn,
    video: Tensor,
    prompt: str | None,
    fps: float | None,
    weights: Mapping[str, float] | None,
    seed: int,
) -> BatchScores:
    try:
        return scores_of(reward, video, [prompt], fps=fps, weights=weights)
    except Exception as error:
        raise RuntimeError(f"the reward of the candidate of seed {seed} failed: {error}") from error


def _sheet_path(path: str | os.PathLike[str]) -> Path:
    sheet = Path(path)
    if sheet.suffix.lower() != ".png" or not sheet.parent.is_dir():
        raise ValueError(f"contact_sheet {str(sheet)!r} must be a .png in a folder that exists")
    return sheet
