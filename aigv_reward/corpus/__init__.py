"""Scoring a whole corpus of videos once, and filtering it many times."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigv_reward.corpus.corpus_rules import CorpusRules, TopK
    from aigv_reward.corpus.corpus_run import score_corpus
    from aigv_reward.corpus.filtering import filter_run
    from aigv_reward.corpus.quality_filter import QualityFilter
    from aigv_reward.corpus.run_folder import Run, Summary

__all__ = [
    "CorpusRules",
    "QualityFilter",
    "Run",
    "Summary",
    "TopK",
    "filter_run",
    "score_corpus",
]

_HOME = {
    "CorpusRules": "aigv_reward.corpus.corpus_rules",
    "QualityFilter": "aigv_reward.corpus.quality_filter",
    "Run": "aigv_reward.corpus.run_folder",
    "Summary": "aigv_reward.corpus.run_folder",
    "TopK": "aigv_reward.corpus.corpus_rules",
    "filter_run": "aigv_reward.corpus.filtering",
    "score_corpus": "aigv_reward.corpus.corpus_run",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
