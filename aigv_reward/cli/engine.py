"""What scores a run: this machine or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from aigv_reward.corpus.run_folder import Run

Engine = Literal["local", "ray"]


def scorer_of(engine: Engine) -> Callable[..., Run]:
    """`score_corpus`, or what has its arguments and scores on a Ray cluster.

    Raises:
        ImportError: ray is not installed.
    """
    if engine == "local":
        from aigv_reward.corpus.corpus_run import score_corpus

        return score_corpus
    from aigv_reward.integrations.ray import score_corpus_on_ray

    return score_corpus_on_ray
