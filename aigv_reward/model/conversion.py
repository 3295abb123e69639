"""Published AIGVEval checkpoints in this package's format."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from aigv_reward.model.card import converted_card
from aigv_reward.model.configuration_aigv_reward import AIGVRewardConfig
from aigv_reward.model.key_mapping import rename_published_keys
from aigv_reward.model.modeling_aigv_reward import AIGVRewardModel
from aigv_reward.model.published_config import published_config, read_published_config
from aigv_reward.regressor.prompt import level_word_ids
from aigv_reward.regressor.tokenizer import check_tokenizer, read_tokenizer

# What torch.load raises on files that are something else, or cut short.
_UNREADABLE = (RuntimeError, EOFError, LookupError, OSError, TypeError, ValueError)


def convert_aigveval(
    checkpoint: str | Path,
    out: str | Path,
    *,
    config: str | Path | None = None,
    tokenizer: str | Path | None = None,
    base_llm: str | Path | None = None,
    semantic: str | Path | None = None,
    dtype: torch.dtype = torch.float32,
) -> AIGVRewardModel:
    """Write a published checkpoint as a folder that `VideoReward.from_pretrained` reads.

    A model card goes with it.

    `overall` is the published score. The other dimensions are answered by questions that no
    published checkpoint was trained on, and are marked so.

    Args:
        checkpoint: the `.pth` that the published training script saves.
        out: folder to write, created if need be.
        config: JSON with widths, prompt pieces and level ids of a checkpoint that is not of the
            published size; see `tests/reference/aigveval_small.json` for its keys.
        tokenizer: `tokenizer.json` of the language model; lets the semantic question carry a text
            prompt. With `config`, it is also needed to ask about anything but overall.
        base_llm: folder of the language model, for checkpoints saved without its frozen weights.
        semantic: folder of the BLIP vision model, likewise.
        dtype: of the weights that are written. The published scores were computed in float32
            from weights stored in half precision.

    Returns:
        The converted model, in eval mode.

    Raises:
        ValueError: an unsafe pickle, a file that is no checkpoint, missing or unexpected weights,
            shapes that do not fit, a config file that lacks keys or has wrong values, or a file
            that is no tokenizer, or that of another language model.
    """
    path = Path(checkpoint)
    renamed, _ = rename_published_keys(_read_state(path))
    text_tokenizer = None if tokenizer is None else read_tokenizer(tokenizer)
    if config is None:
        ours = published_config()
    else:
        ours = read_published_config(Path(config), text_tokenizer)
    if text_tokenizer is not None:
        _check_tokenizer(text_tokenizer, ours)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    ours.source = {"kind": "aigveval", "file": path.name, "sha256": digest}
    wanted = _wanted(ours, config)
    if base_llm is not None:
        _fill(renamed, wanted, "llm.", _folder_state(Path(base_llm)))
    if semantic is not None:
        _fill(renamed, wanted, "semantic.tower.", _folder_state(Path(semantic)))
    _check_keys(renamed, wanted)
    # Built without storage and filled weight by weight: no second copy of a 7B model.
    model: AIGVRewardModel = AIGVRewardModel.from_pretrained(
        None, config=ours, state_dict=renamed, dtype=dtype
    )
    model.save_pretrained(out)
    if tokenizer is not None:
        (Path(out) / "tokenizer.json").write_bytes(Path(tokenizer).read_bytes())
    card = converted_card(model.config, has_tokenizer=tokenizer is not None)
    (Path(out) / "README.md").write_text(card)
    return model


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ValueError(f"no checkpoint file at {str(path)!r}")
    try:
        # Zip files are mapped, so that weights are read when they are used.
        mapped = zipfile.is_zipfile(path)
        loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{str(path)!r} is no plain checkpoint of tensors and is not unpickled, since a pickle "
            f"can run any code ({reason}); save its state_dict again with torch.save"
        ) from error
    except _UNREADABLE as error:
        raise ValueError(f"{str(path)!r} is not a torch checkpoint: {error}") from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, Mapping) else None
    if not isinstance(state, Mapping) or not all(isinstance(v, Tensor) for v in state.values()):
        raise ValueError(f"{str(path)!r} holds no state dict of tensors under 'state_dict'")
    return dict(state)


def _check_tokenizer(tokenizer: PreTrainedTokenizerFast, config: AIGVRewardConfig) -> None:
    prompt = config.prompt_format
    found = level_word_ids(tokenizer)
    if found != prompt.level_ids:
        raise ValueError(
            f"the tokenizer's level words are {list(found)}, the checkpoint's "
            f"{list(prompt.level_ids)}; give the tokenizer of its language model"
        )
    check_tokenizer(tokenizer, prompt, config.text_config.vocab_size)


def _wanted(ours: AIGVRewardConfig, file: str | Path | None) -> dict[str, Tensor]:
    """The weights of a config, without storage."""
    try:
        with torch.device("meta"):
            return AIGVRewardModel(ours).state_dict()
    except (ValueError, RuntimeError, TypeError, ArithmeticError) as error:
        if file is None:
            raise
        raise ValueError(
            f"the widths of {str(file)!r} make no model ({error}); give those of the checkpoint"
        ) from error


def _folder_state(folder: Path) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    if files := sorted(folder.glob("*.safetensors")):
        for file in files:
            try:
                state.update(load_file(file))
            except (SafetensorError, OSError) as error:
                raise ValueError(
                    f"{str(file)!r} cannot be read as weights ({error}); fetch it again"
                ) from error
    elif files := sorted(folder.glob("pytorch_model*.bin")):
        for file in files:
            state.update(_read_state(file))
    else:
        raise ValueError(
            f"{str(folder)!r} holds no .safetensors and no pytorch_model*.bin file; give the "
            "folder of the model's weights"
        )
    return state


def _fill(
    state: dict[str, Tensor], wanted: Mapping[str, Tensor], prefix: str, base: Mapping[str, Tensor]
) -> None:
    """Add the weights of `base` that the checkpoint left out, under the names they have here."""
    for name, target in wanted.items():
        if name in state or not name.startswith(prefix):
            continue
        plain = name.removeprefix(prefix).replace(".base_layer.", ".")
        for candidate in (plain, f"vision_model.{plain}"):
            if candidate in base:
                state[name] = base[candidate]
                if name.endswith(("embed_tokens.weight", "lm_head.weight")):
                    state[name] = _with_pad_row(state[name], target.shape[0])


def _with_pad_row(rows: Tensor, count: int) -> Tensor:
    """The published model adds the token `[PAD]`, which no prompt contains: a row of zeros."""
    if rows.shape[0] != count - 1:
        return rows
    return torch.cat([rows, rows.new_zeros(1, rows.shape[1])])


def _check_keys(state: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    missing = sorted(set(wanted) - set(state))
    unexpected = sorted(set(state) - set(wanted))
    shapes = [
        f"{name} {tuple(state[name].shape)} for {tuple(wanted[name].shape)}"
        for name in sorted(set(state) & set(wanted))
        if state[name].shape != wanted[name].shape
    ]
    if missing or unexpected or shapes:
        raise ValueError(
            f"the checkpoint does not fit: {len(missing)} missing {missing[:8]}, "
            f"{len(unexpected)} unexpected {unexpected[:8]}, {len(shapes)} of another shape "
            f"{shapes[:4]}; frozen weights come from --base-llm and --semantic, other widths "
            "from --config"
        )
