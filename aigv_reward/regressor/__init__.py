"""From tokens to level words: the prompt, its questions and the language model's one pass."""

from aigv_reward.regressor.llm import LevelRegressor
from aigv_reward.regressor.probe import check_language_model
from aigv_reward.regressor.prompt import LEVEL_WORDS, PromptFormat, Question

__all__ = ["LEVEL_WORDS", "LevelRegressor", "PromptFormat", "Question", "check_language_model"]
