"""Scoring on a Ray cluster: runs of a corpus, and an actor for one's own pipelines."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigv_reward.integrations.ray.reward_actor import RewardActor
    from aigv_reward.integrations.ray.score_corpus import score_corpus_on_ray

__all__ = ["RewardActor", "score_corpus_on_ray"]

# The public names and the modules that define them, loaded at first use.
_HOME = {
    "RewardActor": "aigv_reward.integrations.ray.reward_actor",
    "score_corpus_on_ray": "aigv_reward.integrations.ray.score_corpus",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if find_spec("ray") is None:
        raise ImportError(
            f'{__name__}.{name} needs ray: pip install "aigv-reward[ray,corpus]"', name="ray"
        )
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
