"""Losses and data that train the quality model."""

from aigv_reward.training.losses import level_cross_entropy, plcc_loss, rank_hinge

__all__ = ["level_cross_entropy", "plcc_loss", "rank_hinge"]
