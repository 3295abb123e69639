"""What the conversion refuses, and what it says."""

import json
import os
import pickle
import re
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer

from aigv_reward.model.conversion import convert_aigveval

REFERENCE = Path(__file__).parents[1] / "reference"
CHECKPOINT = REFERENCE / "aigveval_small.pth"
CONFIG = REFERENCE / "aigveval_small.json"
TOKENIZER = REFERENCE / "aigveval_small_tokenizer.json"


@pytest.fixture(scope="module")
def state():
    return torch.load(CHECKPOINT, weights_only=True)["state_dict"]


def refused(path: Path, out: Path, message: str, **options) -> None:
    with pytest.raises(ValueError, match=message):
        convert_aigveval(path, out, **({"config": CONFIG} | options))
    assert not list(out.glob("*.safetensors"))


def test_missing_and_unexpected_keys_are_named(state, tmp_path):
    changed = {key: value for key, value in state.items() if key != "finetune_proj.bias"}
    changed |= {"classifier.weight": torch.zeros(1), "finetune_proj.weight": torch.zeros(2, 3)}
    torch.save({"state_dict": changed}, tmp_path / "a.pth")
    message = (
        r"1 missing \['technical_projection\.bias'\], 1 unexpected \['classifier\.weight'\], "
        r"1 of another shape \['technical_projection\.weight \(2, 3\) for \(64, 96\)'\]; frozen "
        "weights come from --base-llm and --semantic, other widths from --config"
    )
    refused(tmp_path / "a.pth", tmp_path / "out", message)


def test_frozen_weights_left_out_and_not_given(state, tmp_path):
    small = {key: value for key, value in state.items() if not key.startswith("blip.")}
    torch.save({"state_dict": small}, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", tmp_path, r"30 missing \['semantic\.tower\.embeddings\.class_emb")


def test_without_its_config_a_small_checkpoint_does_not_fit(tmp_path):
    message = "the checkpoint does not fit: .* missing .* of another shape"
    refused(CHECKPOINT, tmp_path, message, config=None)


class Custom:
    """Not a tensor."""


class RunsCode:
    """Makes a folder when it is unpickled without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_of_other_classes_are_refused(zipped, state, tmp_path):
    path = tmp_path / "a.pth"
    content = {"state_dict": state, "args": Custom()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    refused(path, tmp_path, "no plain checkpoint of tensors and is not unpickled, since a pickle")


@pytest.mark.parametrize("how", ["zip", "legacy", "pickle"])
def test_pickles_that_would_run_code_do_not(how, tmp_path):
    path, trap = tmp_path / "a.pth", tmp_path / "trap"
    if how == "pickle":
        path.write_bytes(pickle.dumps({"state_dict": RunsCode(trap)}))
    else:
        content = {"state_dict": RunsCode(trap)}
        torch.save(content, path, _use_new_zipfile_serialization=how == "zip")
    refused(path, tmp_path, "is not unpickled, since a pickle can run any code")
    assert not trap.exists()
    torch.load(path, weights_only=False) if how != "pickle" else pickle.loads(path.read_bytes())
    assert trap.exists()  # so that the trap is one


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 no zip",
        b"hello\n",
        bytes(range(256)) * 8,
        CHECKPOINT.read_bytes()[:5000],
        b"\x80\x02}q\x00.",
        (REFERENCE / "fragments.safetensors").read_bytes(),
    ],
    ids=["empty", "zip head", "text", "bytes", "cut", "bare pickle", "safetensors"],
)
def test_other_files(content, tmp_path):
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    refused(path, tmp_path, re.escape(str(path)))


@pytest.mark.parametrize(
    "content", [[1, 2], {"state_dict": [1]}, {"state_dict": {"a": 1.0}}, {"epoch": 3}]
)
def test_no_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "a.pth")
    refused(tmp_path / "a.pth", tmp_path, "holds no state dict of tensors under 'state_dict'")


def test_no_file(tmp_path):
    refused(tmp_path / "none.pth", tmp_path, r"no checkpoint file at '.*none\.pth'")
    refused(tmp_path, tmp_path, "no checkpoint file at")


def test_a_folder_without_weights(state, tmp_path):
    (tmp_path / "empty").mkdir()
    message = r"empty' holds no \.safetensors and no pytorch_model\*\.bin file"
    refused(CHECKPOINT, tmp_path, message, base_llm=tmp_path / "empty")
    refused(CHECKPOINT, tmp_path, message, semantic=tmp_path / "empty")


def test_a_config_that_lacks_keys(tmp_path):
    values = json.loads(CONFIG.read_text())
    del values["lora_r"], values["vit_dim"]
    (tmp_path / "a.json").write_text(json.dumps(values))
    message = r"a\.json' lacks the keys \['lora_r', 'vit_dim'\]; give them"
    refused(CHECKPOINT, tmp_path, message, config=tmp_path / "a.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v["level_ids"].pop("bad"), "level_ids is {.*}; it must be an object with a"),
        (
            lambda v: v["prompt_piece_ids"].pop(),
            "prompt_piece_ids is .*; it must be 4 lists of tok",
        ),
        (lambda v: v["prompt_piece_ids"].append(["a"]), "prompt_piece_ids is .*; it must be 4 li"),
        (lambda v: v.update(vit_dim="x"), "vit_dim is 'x'; it must be a whole number above 0"),
        (lambda v: v.update(llm_layers=True), "llm_layers is True; it must be a whole number"),
        (lambda v: v.update(lora_alpha=None), "lora_alpha is None; it must be a number above 0"),
        (lambda v: v.update(swin_heads=5), "swin_heads is 5; it must be a list of whole numbers"),
        (lambda v: v.update(swin_heads=[5, 5]), r"makes no config: .*\(5, 5\)"),
        (lambda v: v.update(vit_heads=7), "make no model .*; give those of the checkpoint"),
    ],
)
def test_a_config_with_wrong_values_is_named(change, message, tmp_path):
    values = json.loads(CONFIG.read_text())
    change(values)
    (tmp_path / "a.json").write_text(json.dumps(values))
    refused(CHECKPOINT, tmp_path, rf"a\.json'.* {message}", config=tmp_path / "a.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not json", r"a\.json' cannot be read as JSON \(Expecting value.*give a file with the"),
        (b"\xff\xfe", r"a\.json' cannot be read as JSON \('utf-8' codec"),
        (b"[1, 2]", r"a\.json' holds a list, not an object; give one with the keys \['level_ids'"),
    ],
)
def test_a_config_that_is_something_else(content, message, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    refused(CHECKPOINT, tmp_path, message, config=tmp_path / "a.json")


@pytest.mark.parametrize("content", ["not json", "{}", "[1]"])
def test_a_tokenizer_that_is_none(content, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    message = r"tokenizer\.json' is no tokenizer \(.*\); give the tokenizer\.json that belongs to"
    refused(CHECKPOINT, tmp_path / "out", message, tokenizer=path)


@pytest.mark.parametrize("option", ["base_llm", "semantic"])
def test_damaged_weights_of_a_base_model(option, tmp_path):
    (tmp_path / "base").mkdir()
    (tmp_path / "base/model.safetensors").write_bytes(b"garbage")
    message = r"base/model\.safetensors' cannot be read as weights \(.*\); fetch it again"
    refused(CHECKPOINT, tmp_path / "out", message, **{option: tmp_path / "base"})


def test_the_tokenizer_of_another_model(tmp_path):
    values = json.loads(TOKENIZER.read_text())
    vocabulary = values["model"]["vocab"]
    good, bad = (next(k for k in vocabulary if k.strip("▁") == w) for w in ("good", "bad"))
    vocabulary[good], vocabulary[bad] = vocabulary[bad], vocabulary[good]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(values))
    Tokenizer.from_file(str(path))
    message = "the tokenizer's level words are .* give the tokenizer of its language model"
    refused(CHECKPOINT, tmp_path / "out", message, tokenizer=path)
