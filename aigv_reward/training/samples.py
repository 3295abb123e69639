"""What a batch is made of: rows of opinions and pairs, with the views of their videos."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from transformers import PreTrainedTokenizerFast

from aigv_reward.dimensions import Dimension
from aigv_reward.training.arguments import TOWERS
from aigv_reward.training.feature_cache import FeatureCache
from aigv_reward.training.opinions import Opinion
from aigv_reward.training.splits import Item, item_videos
from aigv_reward.training.trainable_model import VIEW_OF
from aigv_reward.video import read_frames
from aigv_reward.views import FramePlan, ViewSampling, build_views, frame_plan

SIGN = {"A": 1.0, "B": -1.0, "same": 0.0}

Key = int | tuple[int, int]


def seeded(*parts: object) -> torch.Generator:
    """A generator that depends on all parts and on nothing else."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7]))


class RatedVideos(Dataset[dict[str, Any]]):
    """Rows and pairs as tensors.

    An index gives the views that scoring sees, with the text prompt. An (epoch, index) pair, as
    `MixedSampler` makes them, gives random clips and patches that depend on the seed, the epoch
    and the index alone, so that a resumed run, or one with other workers, sees the same ones.

    Args:
        items: opinions on the scale of the levels, and preferences.
        dimensions: the columns of targets and choices, in the order in which they are asked.
        digests: {path: digest of the file}, where features are looked up.
        sampling: of the checkpoint.
        cache: features of the encoders that do not learn.
        text_ids: `encode_prompts` of the items; None never asks with a text prompt.
        prompt_rate: share of the random draws that ask with the prompt, where there is one.
        seed: of the random views.
    """

    def __init__(
        self,
        items: Sequence[Item],
        dimensions: Sequence[Dimension],
        *,
        digests: Mapping[Path, str],
        sampling: ViewSampling,
        cache: FeatureCache,
        text_ids: Sequence[list[int] | None] | None = None,
        prompt_rate: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.items = items
        self.dimensions = tuple(dimensions)
        self.digests = digests
        self.sampling = sampling
        self.cache = cache
        self.text_ids = text_ids
        self.prompt_rate = prompt_rate
        self.seed = seed
        self.learning = [name for name in TOWERS if name not in cache.towers]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, key: Key) -> dict[str, Any]:
        """One item.

        Returns:
            `videos`: for each of its videos {view name: (...) views or features}; `text_ids`;
            `targets` and `choices`: (D,), NaN where there is none.

        Raises:
            VideoDecodeError: a video that cannot be read.
        """
        epoch, index = (None, key) if isinstance(key, int) else key
        item = self.items[index]
        draw = None if epoch is None else seeded(self.seed, epoch, index)
        text_ids = None if self.text_ids is None else self.text_ids[index]
        if draw is not None and float(torch.rand((), generator=draw)) >= self.prompt_rate:
            text_ids = None
        targets = torch.full((len(self.dimensions),), torch.nan)
        choices = torch.full((len(self.dimensions),), torch.nan)
        for column, name in enumerate(self.dimensions):
            if isinstance(item, Opinion):
                targets[column] = item.scores.get(name, torch.nan)
            elif name in item.choices:
                choices[column] = SIGN[item.choices[name]]
        return {
            "videos": [self._inputs(path, draw) for path in item_videos(item)],
            "text_ids": text_ids,
            "targets": targets,
            "choices": choices,
        }

    def _inputs(self, path: Path, draw: torch.Generator | None) -> dict[str, Tensor]:
        features = self.cache.read(self.digests[path])
        inputs = {VIEW_OF[name]: value for name, value in features.items()}
        if not self.learning:
            return inputs
        plan: FramePlan | None = None

        def choose(num_frames: int, fps: float) -> list[int]:
            nonlocal plan
            plan = frame_plan(num_frames, self.sampling, fps=fps, generator=draw)
            return plan.union()

        sampled = read_frames(path, choose)
        assert plan is not None
        views = build_views(
            sampled.frames[None], plan, self.sampling, available=sampled.indices, generator=draw
        )
        return inputs | {VIEW_OF[name]: getattr(views, VIEW_OF[name])[0] for name in self.learning}


def encode_prompts(
    items: Sequence[Item], tokenizer: PreTrainedTokenizerFast, *, max_tokens: int
) -> list[list[int] | None]:
    """The token ids of each item's text prompt, None where it has none but whitespace.

    Raises:
        ValueError: a prompt is longer than the checkpoint reads.
    """
    encoded: list[list[int] | None] = []
    for item in items:
        asks = item.prompt is not None and bool(item.prompt.strip())
        ids = tokenizer.encode(item.prompt, add_special_tokens=False) if asks else None
        if ids is not None and len(ids) > max_tokens:
            raise ValueError(
                f"the text prompt of {str(item_videos(item)[0])!r} is {len(ids)} tokens, this "
                f"checkpoint reads {max_tokens}; shorten it, or set prompt_rate: 0"
            )
        encoded.append(ids)
    return encoded


class MixedSampler(Sampler[tuple[int, int]]):
    """Every row and pair once an epoch, in random order, both kinds in even shares throughout.

    A plain shuffle would leave some batches with a single row, which has no correlation.

    Args:
        kinds: whatever tells the kind of each item, such as its class.
        seed: of the order.

    Attributes:
        epoch: set it before each epoch; it is part of the indices and of the order.
    """

    def __init__(self, kinds: Sequence[object], *, seed: int) -> None:
        self.kinds = kinds
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.kinds)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        generator = seeded("order", self.seed, self.epoch)
        shuffled = torch.randperm(len(self.kinds), generator=generator).tolist()
        members: dict[object, list[int]] = {}
        for index in shuffled:
            members.setdefault(self.kinds[index], []).append(index)
        placed = [
            ((place + 0.5) / len(indices), index)
            for indices in members.values()
            for place, index in enumerate(indices)
        ]
        for _, index in sorted(placed):
            yield self.epoch, index


def collate(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """A batch: videos of all items, first ones first, then the second ones of pairs.

    Returns:
        `key_frames`, `fragments` and `fast`: (V, ...), views or features; `text_ids`: V entries,
        or None; `second`: (I,) long, where the second video of each item stands, -1 without one;
        `targets` and `choices`: (I, D).
    """
    pairs = [index for index, sample in enumerate(samples) if len(sample["videos"]) == 2]
    owners = [*range(len(samples)), *pairs]
    videos = [sample["videos"][0] for sample in samples]
    videos += [samples[index]["videos"][1] for index in pairs]
    second = torch.full((len(samples),), -1, dtype=torch.long)
    second[pairs] = torch.arange(len(samples), len(videos))
    texts = [samples[index]["text_ids"] for index in owners]
    return {
        **{view: torch.stack([video[view] for video in videos]) for view in VIEW_OF.values()},
        "text_ids": texts if any(text is not None for text in texts) else None,
        "second": second,
        "targets": torch.stack([sample["targets"] for sample in samples]),
        "choices": torch.stack([sample["choices"] for sample in samples]),
    }
