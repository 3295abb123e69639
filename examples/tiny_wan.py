"""A WanPipeline of random weights, small enough for a CPU: what the examples generate with.

Its videos are coloured noise that depends on the prompt and the seed. Give the examples
`--model Wan-AI/Wan2.1-T2V-1.3B-Diffusers` for real ones.
"""

from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKLWan,
    DiffusionPipeline,
    FlowMatchEulerDiscreteScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import Tensor
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

from aigv_reward.distortions import encode_mp4

SIZES = {"height": 64, "width": 96, "num_frames": 17, "num_inference_steps": 8}


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token, and the end of the text is one more."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(["<pad>", "</s>"])
    made.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 257)])
    return PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="</s>")


def tiny_wan(seed: int = 0) -> WanPipeline:
    """The same pipeline for the same seed, in float32 on the CPU."""
    torch.manual_seed(seed)
    text = UMT5Config(vocab_size=258, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
    transformer: Any = WanTransformer3DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        text_dim=16,
        freq_dim=16,
        ffn_dim=16,
        num_layers=2,
        rope_max_seq_len=32,
    )
    vae: Any = AutoencoderKLWan(base_dim=3, dim_mult=[1, 1, 1, 1], num_res_blocks=1)
    with torch.no_grad():  # its random biases would drown the latents
        for name, parameter in vae.decoder.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return WanPipeline(
        tokenizer=byte_tokenizer(),
        text_encoder=UMT5EncoderModel(text).eval(),
        transformer=transformer.eval(),
        vae=vae.eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )


def load(model: str | None) -> tuple[Any, dict[str, Any]]:
    """A pipeline of that name or folder and no arguments; None: the tiny one and its sizes."""
    if model is None:
        return tiny_wan(), dict(SIZES)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    pipe = DiffusionPipeline.from_pretrained(model, torch_dtype=dtype)
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu"), {}


def write_video(path: Path, frames: Tensor, fps: float) -> Path:
    """The path of an mp4 of frames (T, 3, H, W) in [0, 1]; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    encode_mp4(path, (frames.cpu() * 255).round().to(torch.uint8), fps)
    return path
