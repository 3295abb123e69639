"""From tokens to level words: the prompt, its questions and the language model's one pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aigv_reward.lazy_names import lazy_names
from aigv_reward.regressor.prompt import LEVEL_WORDS, PromptFormat, Question

if TYPE_CHECKING:
    from aigv_reward.regressor.llm import LevelRegressor
    from aigv_reward.regressor.probe import check_language_model

__all__ = ["LEVEL_WORDS", "LevelRegressor", "PromptFormat", "Question", "check_language_model"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "LevelRegressor": "aigv_reward.regressor.llm",
            "check_language_model": "aigv_reward.regressor.probe",
        },
    )
