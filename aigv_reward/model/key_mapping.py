"""The names that the weights of a published AIGVEval checkpoint have in this package."""

import re
from collections.abc import Mapping

from torch import Tensor

# Never reach the score (slow pathway, lateral fusions, SlowFast's head), or are recomputed.
_DROPPED = re.compile(
    r"slowfast\.feature_extraction\.\d+\.multipathway_(blocks\.0|fusion)\."
    r"|slowfast\.feature_extraction\.[56]\."
    r"|(.+\.)?(relative_position_index|inv_freq|position_ids)$"
)

_SLOWFAST = r"^slowfast\.feature_extraction\."
_BLIP_BLOCK = r"^blip\.blocks\.(\d+)\."
_LAYER = r"semantic.tower.encoder.layers.\1."

_RENAMED = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^blip\.cls_token$", "semantic.tower.embeddings.class_embedding"),
        (r"^blip\.pos_embed$", "semantic.tower.embeddings.position_embedding"),
        (r"^blip\.patch_embed\.proj\.", "semantic.tower.embeddings.patch_embedding."),
        (_BLIP_BLOCK + r"norm([12])\.", _LAYER + r"layer_norm\2."),
        (_BLIP_BLOCK + r"attn\.qkv\.", _LAYER + r"self_attn.qkv."),
        (_BLIP_BLOCK + r"attn\.proj\.", _LAYER + r"self_attn.projection."),
        (_BLIP_BLOCK + r"mlp\.", _LAYER + r"mlp."),
        (r"^blip\.norm\.", "semantic.tower.post_layernorm."),
        (r"^swin3d\.", "technical."),
        (_SLOWFAST + r"0\.multipathway_blocks\.1\.(conv|norm)\.", r"motion.stem.\1."),
        (r"^slowfast\.position_embedding\.", "motion.position_embedding."),
        (r"^finetune_blip_proj\.", "semantic_projection."),
        (r"^finetune_proj\.", "technical_projection."),
        (r"^slowfast_proj\.", "motion_projection."),
        (r"^llm_model\.base_model\.model\.", "llm."),
    )
)
_FAST_BLOCK = re.compile(
    _SLOWFAST + r"([1-4])\.multipathway_blocks\.1\.res_blocks\.(\d+)\.(?:branch2\.)?(.+)$"
)
_ADAPTER = re.compile(r"^(.+)\.(lora_[AB])\.(?:default\.)?weight$")
_ADAPTED = re.compile(r"^(.+)\.(weight|bias)$")


def _renamed(key: str) -> str:
    """The new name of one key, or the key itself where none is known."""
    if match := _FAST_BLOCK.match(key):
        stage, block, rest = match.groups()
        return f"motion.stages.{int(stage) - 1}.{block}.{rest}"
    for pattern, replacement in _RENAMED:
        if pattern.search(key):
            return pattern.sub(replacement, key)
    return key


def rename_published_keys(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """A published state dict under this package's names.

    Both peft namings of an adapted layer are read (`q_proj.weight` before 0.7,
    `q_proj.base_layer.weight` since) and give the later one. A `module.` prefix, left by
    `DataParallel`, is removed. A key that is not known keeps its name, so that a strict load
    reports it.

    Args:
        state: tensors by published name; not changed.

    Returns:
        The tensors by new name, the same objects in the same order; and the published names that
        were left out because they never reach the score or can be recomputed.

    Raises:
        ValueError: two keys get the same name.
    """
    plain = {key.removeprefix("module."): key for key in state}
    if len(plain) < len(state):
        both = [key for key in plain if key in state and f"module.{key}" in state]
        raise ValueError(
            f"the checkpoint has {both[0]!r} with and without the prefix 'module.'; keep one"
        )
    adapted = {match.group(1) for key in plain if (match := _ADAPTER.match(key))}
    renamed: dict[str, Tensor] = {}
    sources: dict[str, str] = {}
    dropped: list[str] = []
    for key, original in plain.items():
        if _DROPPED.match(key):
            dropped.append(original)
            continue
        name = key
        if match := _ADAPTER.match(key):
            name = f"{match.group(1)}.{match.group(2)}.default.weight"
        elif (match := _ADAPTED.match(key)) and match.group(1) in adapted:
            name = f"{match.group(1)}.base_layer.{match.group(2)}"
        name = _renamed(name)
        if name in renamed:
            raise ValueError(
                f"the checkpoint's keys {sources[name]!r} and {original!r} are both "
                f"{name!r} here; remove the one that is not meant"
            )
        renamed[name] = state[original]
        sources[name] = original
    return renamed, dropped
