"""How much memory the tensors of a guided and of a back-propagated step take, without a GPU.

    python benchmarks/live_memory.py [--size TxHxW ...] [--dtype bfloat16] [--small]

The step runs on torch's meta device, where tensors have shapes and no numbers: Wan 1.3B's widths,
the bundled reward, LoRA of rank 32. What is alive at once is added up, in blocks of 512 bytes as
CUDA's allocator rounds them. A run on a GPU takes more: workspaces of its convolutions, fragments
between blocks, CUDA itself. Attention keeps what flash attention keeps, its inputs, its output and
a number a row.
"""

from __future__ import annotations

import argparse
import logging
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, cast

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from hooks import size_of
from peft import LoraConfig
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map
from widths import build_model

from aigv_reward import VideoReward
from aigv_reward.integrations.diffusers import decode_latents

META = torch.device("meta")
BLOCK = 512
SIZES = [(33, 240, 416), (81, 480, 832)]
WAYS = {
    "guidance, through the latents": (0, None),
    "guidance, through the latents, a window of 2 latent frames": (0, 2),
    "guidance, through the denoiser": (1, None),
    "back-propagation, K=1, with classifier-free guidance": (2, None),
    "the same, a window of 2 latent frames": (2, 2),
}
aten = torch.ops.aten


class LiveTensors(TorchDispatchMode):
    """Adds up the storages of meta tensors that are alive.

    Attributes:
        now: bytes.
        peak: the most of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: dict[int, int] = {}
        self.now = self.peak = 0

    def see(self, tensor: Tensor) -> None:
        """Count a tensor's storage until it is freed."""
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self.sizes:
            self.sizes[key] = -(-storage.nbytes() // BLOCK) * BLOCK
            self.now += self.sizes[key]
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._freed, key)

    def _freed(self, key: int) -> None:
        self.now -= self.sizes.pop(key)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [one for one in tree_flatten((args, kwargs))[0] if isinstance(one, Tensor)]
        if any(one.is_meta for one in tensors):
            if func is aten._local_scalar_dense.default:  # the checks of values pass
                return args[0].dtype == torch.bool or 0.5
            if torch.device(kwargs.get("device") or META) != META:
                return torch.zeros(args[0].shape, dtype=kwargs.get("dtype") or args[0].dtype)
            args, kwargs = tree_map(_on_meta, (args, kwargs))
        out = func(*args, **kwargs)
        for one in tree_flatten(out)[0]:
            if isinstance(one, Tensor) and one.is_meta:
                self.see(one)
        return out


def _on_meta(value: Any) -> Any:
    """Indices are made on the CPU."""
    moves = isinstance(value, Tensor) and not value.is_meta and value.ndim
    return torch.empty_like(value, device=META) if moves else value


class FlashAttention(torch.autograd.Function):
    """The shapes of it."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = torch.empty_like(query)
        rows = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, rows)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return tuple(torch.empty_like(one) for one in ctx.saved_tensors[:3])


@contextmanager
def flash_attention() -> Iterator[None]:
    """Attention as a GPU computes it."""
    known = F.scaled_dot_product_attention

    def attend(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        return cast(Tensor, FlashAttention.apply(query, key, value))

    F.scaled_dot_product_attention = attend
    try:
        yield
    finally:
        F.scaled_dot_product_attention = known


def wan(dtype: torch.dtype, small: bool) -> Any:
    """VAE and denoiser of Wan 1.3B, or narrow ones, with LoRA."""
    narrow: dict[str, Any] = {"base_dim": 8, "num_res_blocks": 1} if small else {}
    widths: dict[str, Any] = {"num_attention_heads": 12, "ffn_dim": 8960, "num_layers": 30}
    if small:
        widths = {"num_attention_heads": 1, "ffn_dim": 64, "num_layers": 1}
    vae: Any = AutoencoderKLWan(**narrow)
    denoiser: Any = WanTransformer3DModel(attention_head_dim=128, **widths)
    for model in (vae, denoiser):
        model.requires_grad_(False).to(META, dtype)
    denoiser.add_adapter(
        LoraConfig(r=32, lora_alpha=64, target_modules=["to_q", "to_k", "to_v", "to_out.0"])
    )
    denoiser.enable_gradient_checkpointing()
    for parameter in denoiser.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    scheduler = FlowMatchEulerDiscreteScheduler()
    return SimpleNamespace(vae=vae.eval(), transformer=denoiser, scheduler=scheduler)


def step(
    pipe: Any, reward: VideoReward, size: tuple[int, int, int], calls: int, window: int | None
) -> None:
    """The reward's gradient: to the latents, or through `calls` calls of the denoiser."""
    frames, height, width = size
    shape = (1, 16, (frames - 1) // 4 + 1, height // 8, width // 8)
    latents = torch.empty(shape, device=META, requires_grad=True)
    denoiser = pipe.transformer
    denoiser.train(bool(calls))  # diffusers recomputes blocks in training mode alone
    text = torch.empty(1, 512, denoiser.config.text_dim, dtype=denoiser.dtype, device=META)
    level = torch.empty(1, device=META)
    clean = latents
    for _ in range(calls):
        clean = clean - denoiser(latents.to(denoiser.dtype), level, text, return_dict=False)[0]
    place = None if window is None else slice(0, window)
    reward(decode_latents(pipe, clean, window=place), fps=16.0).sum().backward()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=size_of, nargs="+", default=SIZES, help="TxHxW")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--small", action="store_true", help="one row, narrow: shows that it runs")
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    sizes = [(5, 32, 48)] if options.small else options.size
    print("| step | " + " | ".join("x".join(map(str, size)) for size in sizes) + " |")
    print("| --- |" + " --- |" * len(sizes))
    for name, (calls, window) in list(WAYS.items())[-1 if options.small else 0 :]:
        cells = []
        for size in sizes:
            with LiveTensors() as live, flash_attention():
                pipe = wan(getattr(torch, options.dtype), options.small)
                model = build_model(small=True, device=META) if options.small else None
                reward = (
                    VideoReward.from_pretrained(gradient_checkpointing=True)
                    if model is None
                    else VideoReward(model)
                )
                cast(nn.Module, reward.model).to(META)
                step(pipe, reward, size, calls, window)
            cells.append(f"{live.peak / 2**30:.2f} GiB")
            del pipe, reward
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    if options.small:
        print("(--small: no result)")


if __name__ == "__main__":
    main()
