"""Teaches the motion pathway or the semantic tower on ladders made afresh.

    python -m aigv_reward.training.fresh_warm_up POOL motion ENCODERS --steps 1500

A small read-out sees the encoder's tokens and is thrown away. The semantic tower also says which
words stand in the caption, so that its tokens tell what a frame shows. The motion pathway learns
semantic degradations too: structure that melts moves as no solid does.
"""

from __future__ import annotations

import argparse
import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from aigv_reward.evaluation import severity_agreement
from aigv_reward.training.fresh import LEARNED, Encoder, FreshLadder, FreshLadders
from aigv_reward.training.lite import SAMPLING
from aigv_reward.training.warm_up import build_encoder, warm_up_loss
from aigv_reward.views import normalize

HELD_OUT_CLIPS, HELD_OUT_LADDERS = 100, 120
CROP, KEY_FRAMES = 64, 4  # what a step sees of the motion and of the semantic view
WORD_SHARE = (0.02, 0.6)  # words that fewer or more captions have teach nothing


class ReadOut(nn.Module):
    """Scores from tokens: their mean, spread, extremes and mean change from one to the next."""

    def __init__(self, width: int, scores: int, words: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.score = nn.Sequential(nn.Linear(5 * width, 128), nn.GELU(), nn.Linear(128, scores))
        self.words = nn.Linear(width, words) if words else None

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, scores) and (B, words) logits from (B, N, C) tokens."""
        tokens = self.norm(tokens)
        mean = tokens.mean(dim=1)
        spread = (tokens.var(dim=1, correction=0) + 1e-4).sqrt()
        change = tokens.diff(dim=1).abs().mean(dim=1)
        pooled = torch.cat([mean, spread, change, tokens.amax(dim=1), tokens.amin(dim=1)], dim=1)
        return self.score(pooled), None if self.words is None else self.words(mean)


def caption_words(paths: Sequence[Path]) -> list[str]:
    """The words that tell the clips' captions apart."""
    captions = []
    for path in paths:
        with safe_open(path, "pt") as file:
            captions.append(words_of(file.metadata()["caption"]))
    counts = Counter(word for words in captions for word in words)
    low, high = (share * len(captions) for share in WORD_SHARE)
    return sorted(word for word, count in counts.items() if low <= count <= high)


def words_of(caption: str) -> set[str]:
    """The words of a caption, each once."""
    return set(re.findall(r"[a-z]+", caption.lower()))


def read_ladders(ladders: Sequence[FreshLadder]) -> Tensor:
    """(B * RUNGS, T, 3, S, S) normalised views."""
    view = torch.cat([ladder.view for ladder in ladders])
    return normalize(view, mean=SAMPLING.mean, std=SAMPLING.std)


def part_of(views: Tensor, encoder: Encoder) -> Tensor:
    """What a step of training sees: a random part of every frame, or some of the key frames."""
    if encoder == "semantic":
        return views[:, torch.randperm(views.shape[1])[:KEY_FRAMES].sort().values]
    y, x = (int(torch.randint(views.shape[-1] - CROP + 1, (1,))) for _ in range(2))
    return views[..., y : y + CROP, x : x + CROP]


@torch.no_grad()
def held_out_report(
    encoder: nn.Module, head: ReadOut, ladders: Sequence[FreshLadder], name: Encoder
) -> str:
    """Mean Spearman with severity, and fall, of the read-out's scores, a distortion each."""
    encoder.eval()
    rows = []
    for ladder in ladders:
        scores = head(encoder(read_ladders([ladder])))[0]
        columns = dict(zip(LEARNED[name], scores.T.tolist(), strict=True))
        rows.append((ladder.info.distortion, ladder.info.severities, columns))
    encoder.train()
    return " ".join(
        f"{distortion} " + "/".join(f"{r.spearman:.2f}({r.drop:.1f})" for r in results.values())
        for distortion, results in sorted(severity_agreement(rows).items())
    )


class Pupil:
    """An encoder with its read-out and optimiser.

    Args:
        name: "motion" or "semantic".
        words: that the semantic tower learns to name.
        start: weights to go on from; those of another shape start afresh.
        lr: peak learning rate.
    """

    def __init__(
        self,
        name: Encoder,
        words: Sequence[str],
        *,
        start: Path | None,
        lr: float,
    ) -> None:
        self.name, self.lr = name, lr
        self.words = words if name == "semantic" else ()
        self.encoder = build_encoder(name)
        if start is not None:
            state = self.encoder.state_dict()
            known = {k: v for k, v in load_file(start).items() if v.shape == state[k].shape}
            self.encoder.load_state_dict(state | known)
        self.head = ReadOut(self.encoder.out_dim, len(LEARNED[name]), len(self.words))
        self.parameters = [*self.encoder.parameters(), *self.head.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=lr, weight_decay=0.05)
        self.running = 0.0

    def learn(self, ladders: Sequence[FreshLadder], rate: float) -> None:
        """One step of the optimiser at `rate` of the peak learning rate."""
        views = part_of(read_ladders(ladders), self.name)
        scores, logits = self.head(self.encoder(views))
        rungs = len(ladders[0].info.severities)
        loss = torch.zeros(())
        for column, dimension in enumerate(LEARNED[self.name]):
            targets = torch.cat([ladder.info.targets()[dimension] for ladder in ladders])
            loss = loss + warm_up_loss(scores[:, column], targets - 3.0, rungs)
        if logits is not None:
            named = [words_of(ladder.info.caption) for ladder in ladders]
            present = torch.tensor([[float(word in said) for word in self.words] for said in named])
            present = present.repeat_interleave(rungs, dim=0)
            loss = loss + nn.functional.binary_cross_entropy_with_logits(logits, present)
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        self.running = 0.97 * self.running + 0.03 * loss.item() if self.running else loss.item()

    def save(self, folder: Path) -> None:
        """Write the encoder's weights."""
        weights = {key: value.contiguous() for key, value in self.encoder.state_dict().items()}
        save_file(weights, folder / f"{self.name}.safetensors")


def main() -> None:
    """Train one encoder and write its weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pool", type=Path)
    parser.add_argument("encoder", choices=sorted(LEARNED))
    parser.add_argument("out", type=Path, help="folder of the weights")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=4, help="ladders a step")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--report-every", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    paths = sorted(args.pool.glob("*.safetensors"))
    train, others = paths[:-HELD_OUT_CLIPS], paths[-HELD_OUT_CLIPS:]
    if not train:
        parser.error(f"{args.pool} holds {len(paths)} clips, above {HELD_OUT_CLIPS} are needed")
    name: Encoder = args.encoder
    pupil = Pupil(name, caption_words(train), start=args.start, lr=args.lr)

    def ladders(paths: Sequence[Path], length: int, seed: int) -> FreshLadders:
        return FreshLadders(paths, SAMPLING, name, length=length, seed=seed)

    held_out = ladders(others, HELD_OUT_LADDERS, args.seed + 1)
    tests = [held_out[index] for index in range(HELD_OUT_LADDERS)]
    loader = DataLoader(
        ladders(train, args.steps * args.batch, args.seed + 2),
        args.batch,
        collate_fn=list,
        num_workers=args.workers,
        prefetch_factor=6 if args.workers else None,
    )
    args.out.mkdir(parents=True, exist_ok=True)
    for step, batch in enumerate(loader):
        warm = min(1.0, (step + 1) / 50)
        pupil.learn(batch, warm * (0.02 + 0.98 * math.cos(math.pi / 2 * step / args.steps)))
        if step % 50 == 49:
            print(f"{name} step {step + 1} loss {pupil.running:.3f}", flush=True)
        if step % args.report_every == args.report_every - 1 or step + 1 == args.steps:
            print(held_out_report(pupil.encoder, pupil.head, tests, name), flush=True)
            pupil.save(args.out)


if __name__ == "__main__":
    main()
