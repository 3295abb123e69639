"""How several questions share one sequence: ids, positions and who may attend to whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SuffixLayout:
    """The questions of a batch, packed behind a shared prefix.

    Attributes:
        ids: (R, S) long, the questions one after the other; R is 1 when all rows are alike, else B.
        positions: (R, P + S) long, prefix 0..P-1, each question starting again at P.
        allowed: (R, 1, P + S, P + S) bool, True where a query (row) may attend to a key (column).
        answers: (R, Q) long, the position in the whole sequence of each question's last token.
    """

    ids: Tensor
    positions: Tensor
    allowed: Tensor
    answers: Tensor


def pack_questions(
    prefix_length: int, questions: Sequence[Sequence[Sequence[int]]], *, device: torch.device
) -> SuffixLayout:
    """Ids, positions and attention of questions that see the prefix and themselves only.

    A question's tokens are placed as if it stood alone behind the prefix, so its answer equals the
    answer of asking it alone. Padding attends to itself, which keeps the softmax finite, and is
    seen by nobody.

    Args:
        prefix_length: P, tokens that every question shares.
        questions: R rows of Q questions of token ids; lengths may differ between rows.
        device: where the tensors are made.
    """
    rows, total = [], 0
    for row in questions:
        ids: list[int] = []
        owner: list[int] = []
        place: list[int] = []
        last: list[int] = []
        for number, question in enumerate(row):
            ids += question
            owner += [number] * len(question)
            place += range(prefix_length, prefix_length + len(question))
            last.append(prefix_length + len(ids) - 1)
        rows.append((ids, owner, place, last))
        total = max(total, len(ids))

    def padded(column: int, fill: int) -> Tensor:
        values = [row[column] + [fill] * (total - len(row[column])) for row in rows]
        return torch.tensor(values, dtype=torch.long, device=device)

    ids_tensor, owners, places = padded(0, 0), padded(1, -1), padded(2, prefix_length)
    prefix = torch.arange(prefix_length, device=device).expand(len(rows), -1)
    # prefix tokens are owner -2, padding -1, questions 0..Q-1
    owners = torch.cat([torch.full_like(prefix, -2), owners], dim=1)  # (R, L)
    order = torch.arange(owners.shape[1], device=device)
    causal = order[:, None] >= order[None, :]  # (L, L)
    query, key = owners[:, :, None], owners[:, None, :]
    allowed = causal & ((key == -2) | (query == key)) & (query != -1)
    allowed = allowed | torch.eye(owners.shape[1], dtype=torch.bool, device=device)
    return SuffixLayout(
        ids=ids_tensor,
        positions=torch.cat([prefix, places], dim=1),
        allowed=allowed[:, None],
        answers=torch.tensor([row[3] for row in rows], dtype=torch.long, device=device),
    )
