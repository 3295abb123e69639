"""Real runs of TRL's trainers: a tiny Llama that rewrites prompts for a tiny Wan, offline."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from torch.nn.functional import interpolate
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    KTOConfig,
    KTOTrainer,
    RLOOConfig,
    RLOOTrainer,
)
from trl.experimental.online_dpo import OnlineDPOConfig, OnlineDPOTrainer

from aigv_reward import FilterRules, VideoReward, read_video
from aigv_reward.distortions import encode_mp4
from aigv_reward.integrations.finetune import VideoDPOConfig, VideoDPOTrainer
from aigv_reward.integrations.trl import (
    AsyncVideoPromptReward,
    QualityColumnReward,
    VideoPromptReward,
    preference_dataset,
    video_reward_funcs,
)

WORDS = "a cat dog red blue bright dark fast slow snow 1 2 3".split()
PROMPTS = Dataset.from_list([{"prompt": "a cat"}, {"prompt": "a dog"}] * 8)
SIZE = {
    "height": 32, "width": 48, "num_frames": 5, "num_inference_steps": 2, "max_sequence_length": 32,
}  # fmt: skip
CLIPS = sorted(Path("examples/clips").resolve().glob("*.mp4"))
TEMPLATE = "{% for m in messages %}{{ m['content'] }} {% endfor %}"


def left_side(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
    """How much brighter the left half is; the tiny Wan's half percent, made a number."""
    left, right = frames.tensor_split(2, dim=-1)
    return 1000 * (left.mean(dim=(1, 2, 3, 4)) - right.mean(dim=(1, 2, 3, 4)))


def two_sides(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
    top, bottom = frames.tensor_split(2, dim=-2)
    up = 1000 * (top.mean(dim=(1, 2, 3, 4)) - bottom.mean(dim=(1, 2, 3, 4)))
    return {"left": left_side(frames, prompts), "up": up}


def tokenizer() -> PreTrainedTokenizerFast:
    vocabulary = {word: index for index, word in enumerate(["<pad>", "</s>", *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", chat_template=TEMPLATE
    )


def language_model(seed: int) -> LlamaForCausalLM:
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(WORDS) + 2,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    return LlamaForCausalLM(config)


def arguments(kind: Any, folder: Path, **more: Any) -> Any:
    plain = {
        "output_dir": str(folder),
        "report_to": [],
        "use_cpu": True,
        "bf16": False,
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "max_steps": 2,
        "per_device_train_batch_size": 4,
    }
    return kind(**(plain | more))


def history(trainer: Any, name: str) -> list[float]:
    return [row[name] for row in trainer.state.log_history if name in row]


@pytest.fixture
def wan(tiny: Callable[[str], Any]) -> Any:
    pipe = tiny("wan").pipe
    pipe.set_progress_bar_config(disable=True)
    return pipe


def rewards_of(model: Any, reward: VideoPromptReward) -> Tensor:
    """(2, 48), of completions of both prompts, all from the same noise."""
    made, rows = tokenizer(), []
    torch.manual_seed(1234)
    for prompt in ("a cat", "a dog"):
        ids = made(prompt, return_tensors="pt", return_token_type_ids=False).to(model.device)
        out = model.generate(
            **ids, do_sample=True, max_new_tokens=3, num_return_sequences=48, top_k=0
        )
        texts = made.batch_decode(out[:, ids.input_ids.shape[1] :], skip_special_tokens=True)
        rows.append(torch.tensor(reward([prompt] * 48, texts, seed=[0] * 48)))
    return torch.stack(rows)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_grpo_raises_the_reward_of_the_videos(wan: Any, tmp_path: Path, seed: int) -> None:
    reward = VideoPromptReward(wan, left_side, batch_size=8, **SIZE)
    model = language_model(seed)
    before = rewards_of(model, reward)
    args = arguments(
        GRPOConfig,
        tmp_path,
        max_steps=20,
        per_device_train_batch_size=16,
        num_generations=8,
        max_completion_length=3,
        learning_rate=2e-2,
        seed=seed,
    )
    trainer = GRPOTrainer(
        model, reward, args, PROMPTS.add_column("seed", [0] * len(PROMPTS)),
        processing_class=tokenizer(),
    )  # fmt: skip
    trainer.train()
    gain = rewards_of(model, reward).mean(dim=1) - before.mean(dim=1)
    assert (gain > before.std(dim=1) / 2).all()
    assert history(trainer, "video/failed") == [0.0] * 20
    assert history(trainer, "video/reward") == pytest.approx(history(trainer, "reward"), abs=1e-4)


def test_grpo_weighs_one_function_a_dimension(wan: Any, tmp_path: Path) -> None:
    functions = video_reward_funcs(wan, two_sides, dimensions=["left", "up"], batch_size=8, **SIZE)
    args = arguments(
        GRPOConfig,
        tmp_path,
        num_generations=4,
        max_completion_length=3,
        reward_weights=[1.0, 0.5],
        multi_objective_aggregation="normalize_then_sum",
    )
    trainer = GRPOTrainer(language_model(0), functions, args, PROMPTS, processing_class=tokenizer())
    trainer.train()
    left, up = history(trainer, "rewards/left/mean"), history(trainer, "rewards/up/mean")
    total = [a + 0.5 * b for a, b in zip(left, up, strict=True)]
    assert history(trainer, "reward") == pytest.approx(total, abs=1e-4)
    assert history(trainer, "video/up") == pytest.approx(up, abs=1e-4)


def test_grpo_awaits_the_bundled_default_on_conversations(wan: Any, tmp_path: Path) -> None:
    talks = [{"prompt": [{"role": "user", "content": row["prompt"]}]} for row in PROMPTS]
    reward = AsyncVideoPromptReward(wan, VideoReward.from_pretrained(), fps=8, **SIZE)
    args = arguments(GRPOConfig, tmp_path, num_generations=4, max_completion_length=3)
    trainer = GRPOTrainer(
        language_model(0), reward, args, Dataset.from_list(talks), processing_class=tokenizer()
    )
    trainer.train()
    assert all(1 < value < 5 for value in history(trainer, "video/overall"))
    assert history(trainer, "reward") == history(trainer, "rewards/video/mean")


def test_grpo_leaves_out_rows_that_failed(wan: Any, tmp_path: Path) -> None:
    def picky(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        if "cat" in prompts[0]:
            raise RuntimeError("no cats")
        return left_side(frames, prompts)

    reward = VideoPromptReward(wan, picky, judged_by="completion", **SIZE)
    args = arguments(
        GRPOConfig, tmp_path, num_generations=8, max_completion_length=3,
        per_device_train_batch_size=16,
    )  # fmt: skip
    trainer = GRPOTrainer(language_model(0), reward, args, PROMPTS, processing_class=tokenizer())
    trainer.train()
    assert 0 < history(trainer, "video/failed")[0] < 1
    assert all(torch.isfinite(torch.tensor(history(trainer, "loss"))))


def test_grpo_learns_to_choose_the_best_clip(tmp_path: Path) -> None:
    clips = [str(clip) for clip in CLIPS if clip.stem.startswith("city")]
    assert [Path(clip).stem for clip in clips] == ["city_clean", "city_jitter", "city_noise"]
    rows = Dataset.from_list([{"prompt": "a dog", "videos": clips}] * 16)
    reward = QualityColumnReward(VideoReward.from_pretrained(), "videos", invalid=1.0)
    args = arguments(
        GRPOConfig,
        tmp_path,
        max_steps=15,
        num_generations=16,
        per_device_train_batch_size=16,
        max_completion_length=1,
        learning_rate=3e-2,
    )
    model = language_model(0)
    trainer = GRPOTrainer(model, reward, args, rows, processing_class=tokenizer())
    trainer.train()
    made = tokenizer()
    with torch.no_grad():
        logits = model(made("a dog", return_tensors="pt").input_ids.to(model.device)).logits[0, -1]
    assert logits.softmax(-1)[made.convert_tokens_to_ids("1")] > 0.8


def test_rloo(wan: Any, tmp_path: Path) -> None:
    reward = VideoPromptReward(wan, left_side, batch_size=4, **SIZE)
    args = arguments(RLOOConfig, tmp_path, num_generations=4, max_completion_length=3, beta=0.0)
    trainer = RLOOTrainer(
        language_model(0), reward_funcs=reward, args=args, train_dataset=PROMPTS,
        processing_class=tokenizer(),
    )  # fmt: skip
    trainer.train()
    assert history(trainer, "video/reward") == pytest.approx(
        history(trainer, "rewards/video/mean"), abs=1e-4
    )


def test_online_dpo(wan: Any, tmp_path: Path) -> None:
    reward = VideoPromptReward(wan, left_side, batch_size=4, **SIZE)
    args = arguments(OnlineDPOConfig, tmp_path, max_new_tokens=3, max_length=16)
    model = language_model(0)
    start = [p.detach().clone() for p in model.parameters()]
    trainer = OnlineDPOTrainer(
        model, reward_funcs=reward, args=args, train_dataset=PROMPTS, processing_class=tokenizer()
    )
    trainer.train()
    assert history(trainer, "objective/scores_margin")[0] >= 0
    assert any(not torch.equal(a, b) for a, b in zip(start, model.parameters(), strict=True))


def rewritten(wan: Any) -> list[dict[str, Any]]:
    """Candidates: every word after the prompt, and its video."""
    rows = []
    for prompt in ("a cat", "a dog"):
        for word in WORDS[3:10]:
            generator = torch.Generator().manual_seed(0)
            frames = wan(f"{prompt} {word}", generator=generator, output_type="pt", **SIZE).frames
            rows.append({"prompt": prompt, "completion": f" {word}", "video": frames[0]})
    return rows


def test_dpo_learns_the_preferred_rewrites(wan: Any, tmp_path: Path) -> None:
    pairs = preference_dataset(rewritten(wan), left_side, strategy="all", form="text")
    assert len(pairs) == 2 * 7 * 6 / 2
    args = arguments(DPOConfig, tmp_path, max_steps=20, learning_rate=3e-2, max_length=16)
    trainer = DPOTrainer(
        language_model(0), language_model(0), args, train_dataset=pairs,
        processing_class=tokenizer(),
    )  # fmt: skip
    trainer.train()
    losses = history(trainer, "loss")
    assert losses[0] == pytest.approx(0.6931, abs=1e-3)
    assert sum(losses[-3:]) / 3 < 0.6


def test_kto_reads_labels_by_threshold(wan: Any, tmp_path: Path) -> None:
    rows = rewritten(wan)
    middle = sorted(left_side(row["video"][None], None).item() for row in rows)[len(rows) // 2]
    labelled = preference_dataset(
        rows, left_side, form="kto", desirable=FilterRules(minimum={"reward": middle})
    )
    assert labelled["label"].count(True) == len(rows) // 2
    args = arguments(KTOConfig, tmp_path, max_length=16)
    trainer = KTOTrainer(
        language_model(0), language_model(0), args, train_dataset=labelled,
        processing_class=tokenizer(),
    )  # fmt: skip
    trainer.train()
    assert all(torch.isfinite(torch.tensor(history(trainer, "loss"))))


def test_video_dpo_reads_pairs_of_paths(tiny: Callable[[str], Any], tmp_path: Path) -> None:
    rows = []
    for clip in CLIPS:
        frames = interpolate(read_video(clip).frames[:9].float(), size=(32, 48), mode="area")
        path = tmp_path / clip.name
        encode_mp4(path, frames.round().to(torch.uint8), 16.0)
        rows.append({"prompt": clip.stem.split("_")[0], "video": path})
    pairs = preference_dataset(rows, VideoReward.from_pretrained(), strategy="all")
    assert len(pairs) == 9
    made = tiny("wan")
    args = arguments(
        VideoDPOConfig, tmp_path, per_device_train_batch_size=2, lora_rank=2,
        generation_kwargs=dict(made.kwargs),
    )  # fmt: skip
    trainer = VideoDPOTrainer(made.pipe, None, args, pairs)
    trainer.train()
    trainer.close()
    assert history(trainer, "loss")[0] == pytest.approx(0.6931, abs=1e-3)


def test_the_command_line_finds_the_bundled_reward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """TRL's launcher runs here, as its command does; the training has a process of its own."""
    language_model(0).save_pretrained(tmp_path / "model")
    tokenizer().save_pretrained(tmp_path / "model")
    rows = [{"prompt": "a dog", "videos": [str(clip) for clip in CLIPS[:3]]}] * 4
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows" / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    command = [
        "trl", "grpo",
        "--model_name_or_path", str(tmp_path / "model"), "--dtype", "float32",
        "--reward_funcs", "aigv_reward.integrations.trl.bundled_reward",
        "--dataset_name", str(tmp_path / "rows"), "--output_dir", str(tmp_path / "out"),
        "--max_steps", "1", "--num_generations", "4", "--per_device_train_batch_size", "4",
        "--max_completion_length", "1", "--use_cpu", "true", "--bf16", "false",
        "--report_to", "none", "--temperature", "4", "--num_processes", "1", "--cpu",
    ]  # fmt: skip
    (launcher,) = entry_points(group="console_scripts", name="trl")
    monkeypatch.setattr(sys, "argv", command)
    with patch.dict(os.environ, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hf")):
        launcher.load()()  # fails where the training does
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert "rewards/bundled_reward/mean" in capfd.readouterr().out
