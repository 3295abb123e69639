"""A WanPipeline of random weights, small enough for a CPU: what the examples generate with.

Its videos are coloured noise that depends on the prompt and the seed. Give the examples
`--model Wan-AI/Wan2.1-T2V-1.3B-Diffusers` for real ones.
"""

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
from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

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
    pipe = WanPipeline(
        tokenizer=byte_tokenizer(),
        text_encoder=UMT5EncoderModel(text).eval(),
        transformer=WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            text_dim=16,
            freq_dim=16,
            ffn_dim=16,
            num_layers=2,
            rope_max_seq_len=32,
        ).eval(),
        vae=AutoencoderKLWan(base_dim=3, dim_mult=[1, 1, 1, 1], num_res_blocks=1).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    with torch.no_grad():  # a random decoder's pixels are nearly grey
        pipe.vae.decoder.conv_out.weight.mul_(SCALE)
        pipe.vae.decoder.conv_out.bias.zero_()
    return pipe


def load(model: str | None) -> tuple[Any, dict[str, Any]]:
    """A pipeline of that name or folder and no arguments; None: the tiny one and its sizes."""
    if model is None:
        return tiny_wan(), dict(SIZES)
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    pipe = DiffusionPipeline.from_pretrained(model, torch_dtype=dtype)
    return pipe.to("cuda" if torch.cuda.is_available() else "cpu"), {}
