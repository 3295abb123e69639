"""Trains a language model to rewrite prompts, with the quality of the videos as the reward.

    python examples/rewrite_prompts.py --out rewriter
    python examples/rewrite_prompts.py --out rewriter --steps 200 --prompts prompts.txt \
        --language-model Qwen/Qwen3-0.6B --model Wan-AI/Wan2.1-T2V-1.3B-Diffusers

Without models it takes tiny ones of random weights, which run on a CPU in a minute or two: the
language model knows a few words, and learns which of them the generator does best with.
"""

import argparse
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from tiny_wan import load
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)
from trl import GRPOConfig, GRPOTrainer

from aigv_reward import VideoReward
from aigv_reward.integrations.trl import VideoPromptReward

WORDS = "a cat dog surfing in snow red blue bright dark slow fast close wide calm".split()
PROMPTS = ["a cat surfing", "a dog in snow"]
ASK = (
    "Rewrite the prompt for a video generator: keep what it says, and describe subject, motion, "
    "camera and light. Answer with the prompt alone."
)


def tiny_language_model() -> tuple[Any, Any]:
    """A Llama of random weights that writes words of a list."""
    vocabulary = {word: index for index, word in enumerate(["<pad>", "</s>", *WORDS])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<pad>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        eos_token_id=1,
        pad_token_id=0,
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        eos_token="</s>",
        chat_template="{% for m in messages %}{{ m['content'] }} {% endfor %}",
    )
    return LlamaForCausalLM(config), tokenizer


def rows(prompts: list[str], *, ask: bool) -> Dataset:
    """What the policy is asked, the user's text that the video is judged by, and the noise."""
    system = [{"role": "system", "content": ASK}] if ask else []
    return Dataset.from_list(
        [
            {"prompt": [*system, {"role": "user", "content": text}], "caption": text}
            for text in prompts
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--language-model", help="name or folder; default: a tiny one")
    parser.add_argument("--model", help="video pipeline, name or folder; default: a tiny one")
    parser.add_argument("--prompts", type=Path, help="a prompt a line")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--group", type=int, default=8, help="rewrites of a prompt")
    parser.add_argument("--learning-rate", type=float, help="default: 1e-6, for the tiny one 0.02")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()

    pipe, sizes = load(args.model)
    pipe.set_progress_bar_config(disable=True)
    if args.language_model is None:
        model, tokenizer = tiny_language_model()
        sizes |= {"height": 32, "width": 48, "num_frames": 9, "num_inference_steps": 3}
    else:
        model = AutoModelForCausalLM.from_pretrained(args.language_model)
        tokenizer = AutoTokenizer.from_pretrained(args.language_model)
    tiny = args.language_model is None
    prompts = args.prompts.read_text("utf-8").splitlines() if args.prompts else PROMPTS

    reward = VideoPromptReward(
        pipe, VideoReward.from_pretrained(), judged_by="caption", fps=16, batch_size=4, **sizes
    )
    trainer = GRPOTrainer(
        model,
        reward_funcs=reward,
        args=GRPOConfig(
            output_dir=str(args.out),
            max_steps=args.steps,
            learning_rate=args.learning_rate or (2e-2 if tiny else 1e-6),
            num_generations=args.group,
            per_device_train_batch_size=2 * args.group,
            max_completion_length=3 if tiny else 128,
            use_cpu=not torch.cuda.is_available(),
            bf16=torch.cuda.is_available(),
            logging_steps=1,
            report_to=[],
            save_strategy="no",
        ),
        train_dataset=rows(prompts, ask=not tiny),
        processing_class=tokenizer,
    )
    trainer.train()
    trainer.save_model()

    means = [row["reward"] for row in trainer.state.log_history if "reward" in row]
    fifth = max(len(means) // 5, 1)
    first, last = sum(means[:fifth]) / fifth, sum(means[-fifth:]) / fifth
    print(f"mean reward: first {fifth} steps {first:.3f}, last {fifth} {last:.3f}")
    for prompt in prompts[:4]:
        chat = tokenizer.apply_chat_template(
            rows([prompt], ask=not tiny)[0]["prompt"],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        ).to(model.device)
        out = model.generate(**chat, do_sample=False, max_new_tokens=3 if tiny else 128)
        written = tokenizer.decode(out[0, chat["input_ids"].shape[1] :], skip_special_tokens=True)
        print(f"{prompt!r} -> {written!r}")


if __name__ == "__main__":
    main()
