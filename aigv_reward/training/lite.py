"""Trains the bundled default on severity ladders; the model card has steps and rates.

    python -m aigv_reward.training.pool POOL --count 1200
    python -m aigv_reward.training.fresh_warm_up POOL motion ENCODERS --steps N
    python -m aigv_reward.training.fresh_warm_up POOL semantic ENCODERS --steps N
    python -m aigv_reward.training.ladders LADDERS --first 0 --count 460
    python -m aigv_reward.training.ladders LADDERS --first 1000000 --count 90
    python -m aigv_reward.training.warm_up LADDERS ENCODERS/technical.safetensors --steps N
    for each NAME of technical, motion, semantic:
        python -m aigv_reward.training.features LADDERS NAME ENCODERS
    python -m aigv_reward.training.lite LADDERS ENCODERS OUT --steps N

The encoders stay as the warm-up left them; projections and language model learn from their cached
features. Synthetic degradations only: no human opinion enters it.
"""

from __future__ import annotations

import argparse
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from aigv_reward.dimensions import DIMENSIONS, Dimension
from aigv_reward.evaluation import severity_agreement
from aigv_reward.model import AIGVRewardConfig, AIGVRewardModel, AIGVRewardOutput
from aigv_reward.regressor import LEVEL_WORDS, PromptFormat
from aigv_reward.regressor.prompt import PIECES, QUESTIONS
from aigv_reward.reward import VideoReward
from aigv_reward.reward.golden import write_golden
from aigv_reward.training.ladders import HELD_OUT, LadderInfo, read_info
from aigv_reward.training.losses import level_cross_entropy, plcc_loss, rank_hinge
from aigv_reward.video.indices import FrameSampling
from aigv_reward.views import ViewSampling

SAMPLING = ViewSampling(
    key_frames=FrameSampling(8),
    key_size=112,
    fragments=FrameSampling(4, bursts=2, stride=1),
    grid=5,
    patch=32,
    fast=FrameSampling(48, bursts=4, stride=1),
    fast_size=96,
)
ENCODERS: dict[str, Any] = {
    "semantic_config": {
        "model_type": "resnet",
        "image_size": SAMPLING.key_size,
        "embedding_size": 24,
        "hidden_sizes": [24, 48, 96, 160],
        "depths": [2, 2, 2, 2],
        "layer_type": "basic",
    },
    "semantic_frame_token": "pooled",
    "technical_config": {
        "embed_dim": 32,
        "depths": (1, 2, 2),
        "num_heads": (2, 4, 8),
        "window_size": (2, 8, 8),
    },
    "motion_config": {"depths": (2, 2, 2, 2), "max_frames": 64},
}
MISMATCHED = 2.0  # semantic target of a clip asked about with another clip's caption
WORDS = ("a photo of the sky, grass and water moving, red green blue yellow, left right up down",)


@dataclass(frozen=True)
class Ladder:
    """A ladder's description and features, (R, ...) for each encoder."""

    info: LadderInfo
    semantic: Tensor
    motion: Tensor
    technical: Tensor


def lite_tokenizer(captions: Sequence[str]) -> PreTrainedTokenizerFast:
    """A byte-level BPE of 512 entries in which every level word is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    corpus = [*PIECES, *QUESTIONS.values()] * 50 + list(captions) + list(WORDS)
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_tokens(list(LEVEL_WORDS))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer)


def lite_config(tokenizer: PreTrainedTokenizerFast) -> AIGVRewardConfig:
    """The published architecture at small widths."""
    return AIGVRewardConfig(
        text_config={
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 3,
            "num_attention_heads": 6,
            "num_key_value_heads": 6,
            "max_position_embeddings": 512,
            "initializer_range": 0.07,  # 0.02 is meant for widths of thousands
        },
        **ENCODERS,
        technical_repeats=2,
        mirrored=True,
        prompt=PromptFormat.from_tokenizer(tokenizer, max_prompt_tokens=192).to_dict(),
        sampling=SAMPLING.to_dict(),
        trained=list(DIMENSIONS),
        score_version="lite-3",
    )


@torch.no_grad()
def start_from_standardised(model: AIGVRewardModel, ladders: Sequence[Ladder]) -> None:
    """Let each projection start by standardising its encoder's features over the ladders.

    What tells clips apart is small beside what all clips share, and a step of the optimiser would
    be spent on the latter.
    """
    for name, linear in (
        ("semantic", model.semantic_projection),
        ("technical", model.technical_projection),
        ("motion", model.motion_projection[0]),
    ):
        assert isinstance(linear, nn.Linear)
        features = torch.cat([getattr(ladder, name).flatten(0, -2) for ladder in ladders])
        nn.init.xavier_normal_(linear.weight)
        linear.weight /= features.std(dim=0) + 1e-3
        linear.bias.copy_(-linear.weight @ features.mean(dim=0))
    nn.init.xavier_normal_(model.motion_projection[2].weight)  # type: ignore[arg-type]


class Probes(nn.Module):
    """Linear read-outs of each encoder's own dimension, there only while training.

    They give the encoders a gradient that does not pass through the language model, which is
    itself still learning to read; without them the first few hundred steps teach little.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict(
            {name: nn.Linear(2 * width, 1) for name in ("technical", "motion", "semantic")}
        )

    def forward(self, output: AIGVRewardOutput, targets: Tensor) -> Tensor:
        """Mean Huber loss of the read-outs; `targets` (B, 4) in the order of `DIMENSIONS`."""
        losses = []
        for name, head in self.heads.items():
            tokens = getattr(output, f"{name}_tokens")  # (B, N, H)
            spread = (tokens.var(dim=1, correction=0) + 1e-6).sqrt()  # repeated tokens have none
            pooled = torch.cat([tokens.mean(dim=1), spread], dim=1)
            target = targets[:, DIMENSIONS.index(cast(Dimension, name))]
            losses.append(nn.functional.huber_loss(head(pooled)[:, 0], target - 3.0))
        return torch.stack(losses).mean()


def ladder_loss(
    model: AIGVRewardModel, level_logits: Tensor, targets: Tensor, ladder_of: Tensor
) -> Tensor:
    """Level cross-entropy, correlation over the batch and rank within each ladder.

    Args:
        model: gives the level values and the divisor.
        level_logits: (B, Q, 5).
        targets: (B, Q).
        ladder_of: (B,) number of the ladder that each clip belongs to.
    """
    config = model.config
    scores = model.levels_to_scores(level_logits)
    total = level_logits.new_zeros(())
    for column in range(targets.shape[1]):
        score, target = scores[:, column], targets[:, column]
        total = total + level_cross_entropy(
            level_logits[:, column] / config.logit_divisor, target, level_values=config.level_values
        )
        total = total + plcc_loss(score, target)
        ranks = [
            rank_hinge(score[ladder_of == ladder], target[ladder_of == ladder], margin=0.4)
            for ladder in ladder_of.unique()
        ]
        total = total + torch.stack(ranks).mean()
    return total / targets.shape[1]


def load_ladders(folder: Path, encoders: Path) -> tuple[list[Ladder], list[Ladder]]:
    """The ladders to train on, and those held out, with their cached features.

    Raises:
        ValueError: a ladder has no cached features.
    """
    names = ("semantic", "motion", "technical")
    cached = [load_file(encoders / f"{name}.features.safetensors") for name in names]
    train: list[Ladder] = []
    held_out: list[Ladder] = []
    for path in sorted(folder.glob("*.safetensors")):
        info, key = read_info(path), str(int(path.stem))
        if any(key not in features for features in cached):
            raise ValueError(f"ladder {key} has no cached features; run training.features again")
        target = held_out if info.number >= HELD_OUT else train
        target.append(Ladder(info, *(features[key] for features in cached)))
    return train, held_out


def answer(
    model: AIGVRewardModel, ladders: Sequence[Ladder], text_ids: list[list[int] | None] | None
) -> AIGVRewardOutput:
    """The model's answers about all clips of some ladders."""
    return model.answer(
        torch.cat([ladder.semantic for ladder in ladders]),
        torch.cat([ladder.motion for ladder in ladders]),
        torch.cat([ladder.technical for ladder in ladders]),
        text_ids=text_ids,
    )


def text_for(
    infos: Sequence[LadderInfo], choice: random.Random
) -> tuple[list[str | None], list[bool]]:
    """A caption for each ladder: none, its own, or (True) that of another one."""
    texts: list[str | None] = []
    wrong = []
    for index, info in enumerate(infos):
        draw = choice.random()
        other = infos[(index + 1) % len(infos)].caption
        mismatched = 0.75 <= draw and other != info.caption
        texts.append(None if draw < 0.45 else other if mismatched else info.caption)
        wrong.append(mismatched)
    return texts, wrong


@torch.no_grad()
def held_out_scores(
    model: AIGVRewardModel, ladders: Sequence[Ladder]
) -> list[tuple[LadderInfo, dict[Dimension, list[float]]]]:
    """Scores of ladders, {dimension: one a severity} each."""
    model.eval()
    result = []
    for ladder in ladders:
        scores = answer(model, [ladder], None).scores
        assert scores is not None
        columns = dict(zip(model.config.dimensions, scores.T.tolist(), strict=True))
        result.append((ladder.info, columns))
    return result


def report(scored: Sequence[tuple[LadderInfo, dict[Dimension, list[float]]]]) -> str:
    """A table: Spearman with severity, and drop, of every dimension for every distortion."""
    single = [(info.distortion, info.severities, scores) for info, scores in scored]
    lines = ["distortion        " + "".join(f"{name:>18}" for name in DIMENSIONS)]
    for name, row in sorted(severity_agreement(single).items()):
        cells = "".join(f"{r.spearman:>10.2f}{r.drop:>8.2f}" for r in row.values())
        lines.append(f"{name:<16}{row['overall'].contents:>2}{cells}")
    return "\n".join(lines)


def calibration(
    scored: Sequence[tuple[LadderInfo, dict[Dimension, list[float]]]],
) -> dict[str, dict[str, object]]:
    """Mean, standard deviation and percentiles 0, 5, .., 100 of every dimension."""
    result: dict[str, dict[str, object]] = {}
    for name in DIMENSIONS:
        values = torch.tensor([value for _, scores in scored for value in scores[name]])
        points = torch.quantile(values, torch.linspace(0, 1, 21))
        result[name] = {
            "mean": round(float(values.mean()), 4),
            "std": round(float(values.std()), 4),
            "percentiles": [round(float(point), 4) for point in points],
        }
    return result


def main() -> None:
    """Train, report on held-out contents, calibrate and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ladders", type=Path)
    parser.add_argument("encoders", type=Path, help="folder with what warm_up wrote")
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--batch", type=int, default=8, help="ladders a step")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report-every", type=int, default=500)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    choice = random.Random(args.seed)
    train, held_out = load_ladders(args.ladders, args.encoders)
    tokenizer = lite_tokenizer([ladder.info.caption for ladder in train])
    model = AIGVRewardModel(lite_config(tokenizer))
    print(f"{sum(p.numel() for p in model.parameters()) / 1e6:.2f} M parameters", flush=True)
    for name, encoder in (
        ("technical", model.technical),
        ("motion", model.motion),
        ("semantic", model.semantic),
    ):
        encoder.load_state_dict(load_file(args.encoders / f"{name}.safetensors"))
        encoder.requires_grad_(False)
    start_from_standardised(model, train)
    probes = Probes(model.config.text_config.hidden_size)
    parameters = [p for p in (*model.parameters(), *probes.parameters()) if p.requires_grad]
    decayed = [p for p in parameters if p.ndim > 1]
    plain = [p for p in parameters if p.ndim <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.05}, {"params": plain, "weight_decay": 0.0}],
        lr=args.lr,
    )
    running: Tensor | None = None
    for step in range(args.steps):
        warm = min(1.0, (step + 1) / 60)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * warm * (0.02 + 0.98 * math.cos(math.pi / 2 * step / args.steps))
        batch = choice.sample(train, args.batch)
        model.train()
        texts, wrong = text_for([ladder.info for ladder in batch], choice)
        labels = zip(batch, wrong, strict=True)
        targets = torch.cat([_targets(ladder.info, bad) for ladder, bad in labels])
        ids = [
            None if text is None else tokenizer.encode(text, add_special_tokens=False)
            for text, ladder in zip(texts, batch, strict=True)
            for _ in ladder.info.severities
        ]
        output = answer(model, batch, ids)
        rungs = torch.tensor([len(ladder.info.severities) for ladder in batch])
        ladder_of = torch.arange(len(batch)).repeat_interleave(rungs)
        assert output.level_logits is not None
        loss = ladder_loss(model, output.level_logits, targets, ladder_of)
        probed = probes(output, targets)
        optimizer.zero_grad(set_to_none=True)
        (loss + probed).backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        now = torch.stack([loss.detach(), probed.detach()])
        running = now if running is None else 0.97 * running + 0.03 * now
        if step % 50 == 0:
            shown = " ".join(f"{value:.3f}" for value in running.tolist())
            print(f"step {step} loss, probes {shown}", flush=True)
        if step and step % args.report_every == 0:
            print(report(held_out_scores(model, held_out)), flush=True)
    scored = held_out_scores(model, held_out)
    model.config.calibration = calibration(scored)
    model.config.calibration_set = f"{len(scored)} procedural and photo ladders, held out"
    model.config.source = {
        "kind": "aigv_reward.training.lite",
        "steps": args.steps,
        "batch": args.batch,
        "lr": args.lr,
        "seed": args.seed,
        "ladders": len(train),
    }
    save(model, tokenizer, args.out)
    table = report(scored)
    (args.out / "held_out.txt").write_text(table + "\n")
    print(table)


def _targets(info: LadderInfo, mismatched: bool) -> Tensor:
    """(R, 4) targets in the order of `DIMENSIONS`."""
    targets = info.targets()
    if mismatched:
        targets["semantic"] = targets["semantic"].clamp(max=MISMATCHED)
    return torch.stack([targets[name] for name in DIMENSIONS], dim=1)


def save(model: AIGVRewardModel, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """The checkpoint: config, weights, tokenizer and golden scores."""
    model.save_pretrained(folder)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    write_golden(VideoReward(model.eval()), folder)


if __name__ == "__main__":
    main()
