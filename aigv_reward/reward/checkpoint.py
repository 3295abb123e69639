"""Loading a checkpoint: bundled, in a folder, or on the hub under an id the user named."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import torch
from transformers import PretrainedConfig, PreTrainedTokenizerFast
from transformers.utils.hub import cached_file

from aigv_reward.model import AIGVRewardConfig, AIGVRewardModel

BUNDLED = Path(__file__).resolve().parent.parent / "checkpoints"
DEFAULT = "lite"
HUB_ARGUMENTS = ("cache_dir", "force_download", "local_files_only", "proxies", "revision", "token")


def resolve_checkpoint(checkpoint: str | os.PathLike[str] | None) -> str:
    """A folder, or the hub id as given.

    Args:
        checkpoint: None for the bundled default, the name of a bundled checkpoint, a folder with
            `config.json`, or a hub id "organisation/name". A `Path` is a folder, nothing else.

    Raises:
        ValueError: none of these.
    """
    name = DEFAULT if checkpoint is None else os.fspath(checkpoint)
    named = not isinstance(checkpoint, os.PathLike)
    bundled = sorted(path.parent.name for path in BUNDLED.glob("*/config.json"))
    if named and name in bundled:
        return str(BUNDLED / name)
    folder = Path(name)
    if folder.is_dir():
        for pattern in ("config.json", "*.safetensors"):
            if not any(folder.glob(pattern)):
                raise ValueError(
                    f"checkpoint folder {name!r} has no {pattern}; give a folder that "
                    "save_pretrained or `aigv-reward convert` wrote"
                )
        return name
    if named and re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name):
        return name
    raise ValueError(
        f"unknown checkpoint {name!r}; give a folder, a hub id 'organisation/name', or one of "
        f"{', '.join(bundled) or 'none bundled'}"
    )


def load_checkpoint(
    checkpoint: str | os.PathLike[str] | None, *, dtype: torch.dtype | str, **model_kwargs: Any
) -> tuple[AIGVRewardModel, PreTrainedTokenizerFast | None]:
    """The model, in eval mode, and its tokenizer where the checkpoint has a `tokenizer.json`.

    Args:
        checkpoint: see `resolve_checkpoint`.
        dtype: of the weights.
        model_kwargs: go to `AIGVRewardModel.from_pretrained`.

    Raises:
        ValueError: no such checkpoint, one of another model, or weights that do not fit its config.
    """
    name = resolve_checkpoint(checkpoint)
    hub = {key: model_kwargs[key] for key in HUB_ARGUMENTS if key in model_kwargs}
    found = PretrainedConfig.get_config_dict(name, **hub)[0].get("model_type")
    if found != AIGVRewardConfig.model_type:
        raise ValueError(
            f"checkpoint {name!r} is a {found!r} model, not {AIGVRewardConfig.model_type!r}; "
            "published checkpoints are converted with `aigv-reward convert`"
        )
    model = AIGVRewardModel.from_pretrained(
        name,
        dtype=dtype,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # so that the model refuses them as it does missing weights
        **model_kwargs,
    )
    file = cached_file(name, "tokenizer.json", _raise_exceptions_for_missing_entries=False, **hub)
    tokenizer = None if file is None else PreTrainedTokenizerFast(tokenizer_file=file)
    return model.eval(), tokenizer
