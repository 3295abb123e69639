"""Scores of videos that are made on request: each request once, failures apart."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from aigv_reward import RewardFn
from aigv_reward.integrations.rewards import scores_of
from aigv_reward.integrations.trl.generation import Request, generate

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RowScores:
    """What the reward says of one video.

    Attributes:
        total: what is maximised.
        values: {dimension: score}.
    """

    total: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class RowFailure:
    """Why a request has no score."""

    error: Exception

    def __str__(self) -> str:
        return f"{type(self.error).__name__}: {self.error}"


Result = RowScores | RowFailure


class RequestScorer:
    """Makes videos and scores them; safe in threads, one call at a time.

    Args:
        generator: see `generation.generate`.
        reward: any reward.
        arguments: of every call of the generator.
        fps: frames per second, for the reward.
        weights: {dimension: weight} of the total.
        batch_size: videos that are made at once.
        cache: requests whose scores are remembered, the latest; 0 for none. The requests of the
            latest call are remembered in any case, failures among them.
    """

    def __init__(
        self,
        generator: Any,
        reward: RewardFn,
        *,
        arguments: Mapping[str, Any],
        fps: float | None,
        weights: Mapping[str, float] | None,
        batch_size: int,
        cache: int,
    ) -> None:
        self.generator, self.reward, self.arguments = generator, reward, dict(arguments)
        self.fps, self.weights = fps, weights
        self.batch_size, self.cache = batch_size, cache
        self._kept: OrderedDict[Any, RowScores] = OrderedDict()
        self._latest: dict[Any, Result] = {}
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        # Errors of failed rows may hold what does not pickle.
        return {k: v for k, v in self.__dict__.items() if k not in ("_lock", "_latest")}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state)
        self._latest = {}
        self._lock = threading.Lock()

    def scores(self, requests: Sequence[Request]) -> list[Result]:
        """Of each request, in order; equal ones share one video.

        Raises:
            Exception: that of the first request, where every one failed.
        """
        with self._lock:
            keys = [key_of(request) for request in requests]
            known: dict[Any, Result] = {k: self._latest[k] for k in keys if k in self._latest}
            known |= {k: self._kept[k] for k in keys if k in self._kept}
            missing = {k: r for k, r in zip(keys, requests, strict=True) if k not in known}
            for batch in _batches(missing, self.batch_size):
                known |= zip(batch, self._score([missing[key] for key in batch]), strict=True)
            self._latest = {key: known[key] for key in keys}
            self._remember(keys)
        results = [known[key] for key in keys]
        failures = [result for result in results if isinstance(result, RowFailure)]
        if failures and len(failures) == len(results):
            raise failures[0].error
        return results

    def _remember(self, keys: Sequence[Any]) -> None:
        for key in keys:
            result = self._latest[key]
            if self.cache and isinstance(result, RowScores):
                self._kept[key] = result
                self._kept.move_to_end(key)
        while len(self._kept) > self.cache:
            self._kept.popitem(last=False)

    def _score(self, requests: Sequence[Request]) -> list[Result]:
        """Of one batch; where it fails as a whole, of each alone."""
        try:
            return self._scored(requests)
        except (torch.OutOfMemoryError, MemoryError):
            raise
        except Exception as error:  # whatever a user's generator or reward raises; told, not scored
            if len(requests) > 1:
                return [result for request in requests for result in self._score([request])]
            logger.warning(
                "no score for the prompt %r with seed %d: %s: %s",
                requests[0].prompt[:200], requests[0].seed, type(error).__name__, error,
            )  # fmt: skip
            return [RowFailure(error)]

    @torch.no_grad()
    def _scored(self, requests: Sequence[Request]) -> list[Result]:
        videos = generate(self.generator, requests, self.arguments)
        results: list[Result] = []
        for video, request in zip(videos, requests, strict=True):
            scores = scores_of(
                self.reward,
                video[None].clamp(0, 1),
                [request.judged_by],
                fps=self.fps,
                weights=self.weights,
            )
            values = {name: float(column[0]) for name, column in scores.values.items()}
            results.append(RowScores(float(scores.total[0]), values))
        return results


def key_of(request: Request) -> Any:
    """Equal for requests whose video and score are the same.

    Columns other than plain values, images, arrays, and lists and mappings of them count as the
    object that they are.
    """
    columns = [(name, _hashable(value)) for name, value in sorted(request.columns.items())]
    return request.prompt, request.seed, request.judged_by, tuple(columns)


def _hashable(value: Any) -> Any:
    if isinstance(value, str | bytes | int | float | bool | None):
        return type(value).__name__, value
    if hasattr(value, "tobytes") and hasattr(value, "size"):  # an image or an array
        shape = getattr(value, "shape", value.size)
        kind = str(getattr(value, "dtype", getattr(value, "mode", "")))
        return type(value).__name__, shape, kind, hashlib.sha256(value.tobytes()).digest()
    if isinstance(value, Mapping):
        return tuple((name, _hashable(value[name])) for name in sorted(value))
    if isinstance(value, list | tuple):
        return tuple(_hashable(item) for item in value)
    return _Itself(value)


class _Itself:
    """Equal for one object only; holding it keeps its `id` from being given to another."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self.value is other.value

    def __hash__(self) -> int:
        return id(self.value)


def _batches(requests: Mapping[Any, Request], size: int) -> list[list[Any]]:
    """Keys that go together: of equal plain columns; those with an image go alone."""
    together: dict[Any, list[Any]] = {}
    for key, request in requests.items():
        plain = all(isinstance(v, str | int | float | None) for v in request.columns.values())
        together.setdefault(key[3] if plain else key, []).append(key)
    return [
        keys[start : start + size]
        for keys in together.values()
        for start in range(0, len(keys), size)
    ]
