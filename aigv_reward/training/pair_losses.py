"""What preferences between two videos teach: Bradley-Terry with ties."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import logsigmoid


def tie_aware_log_probabilities(
    difference: Tensor, *, tie_k: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities that people prefer A, prefer B, or see no difference.

    P(A) = 1 / (1 + k exp(-d)), P(B) = 1 / (1 + k exp(d)) and what is left,
    P(same) = (k^2 - 1) P(A) P(B). Without a difference, (k - 1) / (k + 1) of the people see none.

    Args:
        difference: (P,), strength of A minus that of B, on the logit scale.
        tie_k: k above 1; the larger, the more ties.

    Returns:
        three (P,) tensors, whose exponentials add up to 1.

    Raises:
        ValueError: `tie_k` is not above 1, so that no pair could tie.

    References: Rao and Kupper, "Ties in Paired-Comparison Experiments: A Generalization of the
    Bradley-Terry Model" (1967), with k for their threshold; "Improving Video Generation with Human
    Feedback" (arXiv 2501.13918) trains VideoReward with it at k = 5.
    """
    if not 1 < tie_k < math.inf:
        raise ValueError(f"tie_k is {tie_k}; it must be above 1, or no pair could be the same")
    first = logsigmoid(difference - math.log(tie_k))
    second = logsigmoid(-difference - math.log(tie_k))
    return first, second, math.log(tie_k**2 - 1) + first + second


def tie_aware_bradley_terry(
    scores_a: Tensor, scores_b: Tensor, choices: Tensor, *, tie_k: float = 5.0, scale: float = 1.0
) -> Tensor:
    """Mean negative log-likelihood of what people chose.

    Args:
        scores_a: (P,), scores of each pair's first video.
        scores_b: (P,), of its second.
        choices: (P,), above 0 where A was preferred, below 0 where B was, 0 where neither was.
        tie_k: see `tie_aware_log_probabilities`.
        scale: logits that one point of difference in score is worth.

    Returns:
        scalar.

    Raises:
        ValueError: `tie_k` is not above 1.
    """
    first, second, same = tie_aware_log_probabilities(scale * (scores_a - scores_b), tie_k=tie_k)
    chosen = same.where(choices == 0, first.where(choices > 0, second))
    return -chosen.mean()
