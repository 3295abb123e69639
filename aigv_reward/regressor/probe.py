"""Does a language model honour 4-D masks and position ids? Asked of a small copy, once a config."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
)

from aigv_reward.regressor.layout import pack_questions

# What a model that was not made for this raises when it is built small or asked.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
)
_PREFIX = [5, 9, 3, 7]
_QUESTIONS = [[11, 12, 13], [21, 22], [31, 32, 33, 34]]
_ROWS = [1, 2, 3, 4, 5]
_LIMIT = 1e-4

_accepted: set[str] = set()


def level_rows(llm: PreTrainedModel, hidden: Tensor, level_ids: Sequence[int]) -> Tensor:
    """Output logits of the level words only: (..., H) -> (..., 5)."""
    head = llm.get_output_embeddings()
    assert isinstance(head, nn.Module)
    weight: Tensor = cast(Any, head.weight)
    bias: Tensor | None = getattr(head, "bias", None)
    rows = list(level_ids)
    if type(head) is not nn.Linear or weight.is_meta:
        # Quantised or offloaded: the weights can be read through the head's own forward only.
        return head(hidden)[..., rows]
    hidden = hidden.to(weight.device)
    selected = None if bias is None else bias[rows].to(hidden.dtype)
    return nn.functional.linear(hidden, weight[rows].to(hidden.dtype), selected)


def check_language_model(config: PretrainedConfig) -> None:
    """Raise unless packed questions get the answers of questions asked alone.

    Raises:
        ValueError: transformers has no causal language model for the config, the model takes no
            packed questions or no small copy of it can be built, it ignores the 4-D mask or the
            position ids, or its head does more than a linear map (a soft cap, a scale), so that
            reading five rows would change the logits.
    """
    key = json.dumps(config.to_dict(), sort_keys=True, default=str)
    if key in _accepted:
        return
    name = repr(config.model_type)
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING:
        raise ValueError(f"transformers has no causal language model {name}; use e.g. 'llama'")
    # The caller may be building on the meta device, or in another default dtype.
    with torch.device("cpu"), torch.random.fork_rng(devices=[]), torch.no_grad():
        try:
            llm = _small_copy(config)
        except _FAILURES as error:
            raise ValueError(
                f"no small copy of the language model {name} can be built to check that it takes "
                f"packed questions ({_reason(error)}); use a model such as Llama or Qwen"
            ) from error
        try:
            error_size = _packing_error(llm)
        except _FAILURES as error:
            raise ValueError(
                f"language model {name} cannot be asked packed questions: it fails on embeddings "
                f"with a 4-D attention mask and position ids ({_reason(error)}); use a model such "
                "as Llama or Qwen"
            ) from error
    if not error_size < _LIMIT:
        raise ValueError(
            f"language model {name} does not answer packed questions as it answers them alone "
            f"(relative difference {error_size:.1e}, limit {_LIMIT:.0e}): it ignores 4-D attention "
            "masks or position ids, attends in a sliding window of a few tokens, or its output "
            "head is not linear; use a model such as Llama or Qwen"
        )
    _accepted.add(key)


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0] if text else 'no message'}"


def _packing_error(llm: PreTrainedModel) -> float:
    """Largest difference between logits asked together and alone, over the largest logit."""
    layout = pack_questions(len(_PREFIX), [_QUESTIONS], device=torch.device("cpu"))
    mask = torch.zeros(layout.allowed.shape, dtype=torch.float32)
    mask = mask.masked_fill(~layout.allowed, torch.finfo(torch.float32).min)
    embed = llm.get_input_embeddings()
    assert isinstance(embed, nn.Module)
    hidden = llm.base_model(
        inputs_embeds=embed(torch.cat([torch.tensor([_PREFIX]), layout.ids], dim=1)),
        attention_mask=mask,
        position_ids=layout.positions,
        use_cache=False,
    ).last_hidden_state
    together = level_rows(llm, hidden[0, layout.answers[0]], _ROWS)
    alone = torch.stack(
        [
            llm(input_ids=torch.tensor([_PREFIX + question]), use_cache=False).logits[0, -1, _ROWS]
            for question in _QUESTIONS
        ]
    )
    return float((together - alone).abs().max() / alone.abs().max().clamp(min=1e-6))


def _small_copy(config: PretrainedConfig) -> PreTrainedModel:
    """The same architecture with few, narrow layers and weights that make every token matter."""
    llm = AutoModelForCausalLM.from_config(_small_config(config), dtype=torch.float32).eval()
    generator = torch.Generator().manual_seed(0)
    for parameter in llm.parameters():
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float32)
        if parameter.ndim == 1:
            parameter.copy_(1.0 + 0.3 * noise)
        else:
            parameter.copy_(1.7 * noise / parameter.shape[-1] ** 0.5)
    return llm


def _small_config(config: PretrainedConfig) -> PretrainedConfig:
    small = copy.deepcopy(config)
    heads = int(getattr(config, "num_attention_heads", 2))
    # Rotary settings may list one factor for each channel of a head: its width is kept.
    head_dim = int(getattr(config, "head_dim", None) or config.hidden_size // heads)
    shared = getattr(config, "num_key_value_heads", None) or getattr(config, "num_kv_heads", None)
    few_heads, few_shared = (2, 2) if shared in (None, heads) else (2, 1) if shared == 1 else (4, 2)
    depth = int(config.num_hidden_layers)
    # Attention may differ between layers (full, sliding, ...): one layer of each kind at least.
    kinds = [*dict.fromkeys(getattr(config, "layer_types", None) or [])]
    few_layers = max(2, len(kinds))
    values: dict[str, object] = {
        "hidden_size": few_heads * head_dim,
        "intermediate_size": 64,
        "moe_intermediate_size": 32,
        "num_hidden_layers": few_layers,
        "num_attention_heads": few_heads,
        "num_key_value_heads": few_shared,
        "num_kv_heads": few_shared,
        "vocab_size": 64,
        "pad_token_id": None,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    for name, value in vars(config).items():
        if isinstance(value, list) and len(value) == depth:
            values[name] = value[:few_layers]
    if kinds:
        values["layer_types"] = (kinds * few_layers)[:few_layers]
    for name, value in values.items():
        computed = isinstance(getattr(type(small), name, None), property)
        if not computed and getattr(small, name, None) is not None:
            setattr(small, name, value)
    small.tie_word_embeddings = False
    small._attn_implementation = "eager"
    return small
