"""Scoring a whole corpus of videos once, and filtering it many times."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigv_reward.lazy_names import lazy_names

if TYPE_CHECKING:
    from aigv_reward.corpus.corpus_rules import CorpusRules, TopK
    from aigv_reward.corpus.corpus_run import score_corpus
    from aigv_reward.corpus.elsewhere import ElsewhereSettings, ShardWorker, VideoByVideo
    from aigv_reward.corpus.filtering import filter_run
    from aigv_reward.corpus.limits import Limits
    from aigv_reward.corpus.meter import Meter, Progress
    from aigv_reward.corpus.planned_run import PlannedRun, check_counts, plan_corpus
    from aigv_reward.corpus.pool import PoolError
    from aigv_reward.corpus.quality_filter import QualityFilter
    from aigv_reward.corpus.report import write_report
    from aigv_reward.corpus.run_folder import Run, Summary

__all__ = [
    "CorpusRules",
    "ElsewhereSettings",
    "Limits",
    "Meter",
    "PlannedRun",
    "PoolError",
    "Progress",
    "QualityFilter",
    "Run",
    "ShardWorker",
    "Summary",
    "TopK",
    "VideoByVideo",
    "check_counts",
    "filter_run",
    "plan_corpus",
    "score_corpus",
    "write_report",
]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "CorpusRules": "aigv_reward.corpus.corpus_rules",
            "ElsewhereSettings": "aigv_reward.corpus.elsewhere",
            "Limits": "aigv_reward.corpus.limits",
            "Meter": "aigv_reward.corpus.meter",
            "PlannedRun": "aigv_reward.corpus.planned_run",
            "PoolError": "aigv_reward.corpus.pool",
            "Progress": "aigv_reward.corpus.meter",
            "QualityFilter": "aigv_reward.corpus.quality_filter",
            "Run": "aigv_reward.corpus.run_folder",
            "ShardWorker": "aigv_reward.corpus.elsewhere",
            "Summary": "aigv_reward.corpus.run_folder",
            "TopK": "aigv_reward.corpus.corpus_rules",
            "VideoByVideo": "aigv_reward.corpus.elsewhere",
            "check_counts": "aigv_reward.corpus.planned_run",
            "filter_run": "aigv_reward.corpus.filtering",
            "plan_corpus": "aigv_reward.corpus.planned_run",
            "score_corpus": "aigv_reward.corpus.corpus_run",
            "write_report": "aigv_reward.corpus.report",
        },
    )
