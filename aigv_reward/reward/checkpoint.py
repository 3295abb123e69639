"""Loading a checkpoint: bundled, in a folder, or on the hub under an id the user named."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers.utils.hub import cached_file

from aigv_reward.model import AIGVRewardConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from aigv_reward.model import AIGVRewardModel

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
        ValueError: no such checkpoint, one of another model, a config or a tokenizer that cannot be
            read, or weights or a tokenizer that do not fit the config.
    """
    # Here, because a run's supervisor resolves checkpoints and never loads one.
    from aigv_reward.model import AIGVRewardModel
    from aigv_reward.regressor.tokenizer import check_tokenizer, read_tokenizer

    name = resolve_checkpoint(checkpoint)
    hub = {key: model_kwargs[key] for key in HUB_ARGUMENTS if key in model_kwargs}
    _check_config(name, AIGVRewardConfig.get_config_dict(name, **hub)[0])
    model = AIGVRewardModel.from_pretrained(
        name,
        dtype=dtype,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # so that the model refuses them as it does missing weights
        **model_kwargs,
    )
    file = cached_file(name, "tokenizer.json", _raise_exceptions_for_missing_entries=False, **hub)
    tokenizer = None
    if file is not None:
        tokenizer = read_tokenizer(file)
        try:
            check_tokenizer(
                tokenizer,
                model.config.prompt_format,
                getattr(model.config.text_config, "vocab_size", None),
            )
        except ValueError as error:
            raise ValueError(f"{file!r} does not fit its checkpoint: {error}") from error
    return model.eval(), tokenizer


def _check_config(name: str, found: dict[str, Any]) -> None:
    """Raise unless a `config.json` holds the config of a quality model.

    Raises:
        ValueError: it names the checkpoint.
    """
    kind = found.get("model_type")
    if kind != AIGVRewardConfig.model_type:
        raise ValueError(
            f"checkpoint {name!r} is a {kind!r} model, not {AIGVRewardConfig.model_type!r}; "
            "published checkpoints are converted with `aigv-reward convert`"
        )
    try:
        AIGVRewardConfig.from_dict(found)
    except ValueError as error:
        raise ValueError(f"config.json of checkpoint {name!r}: {error}") from error
