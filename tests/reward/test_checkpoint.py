"""Loading: by default, by name, from folders; nothing half fits."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from aigv_reward import AIGVRewardModel, VideoReward
from aigv_reward.reward import checkpoint
from aigv_reward.reward.checkpoint import BUNDLED, resolve_checkpoint


@pytest.fixture
def folder(model: AIGVRewardModel, tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    model.save_pretrained(folder)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def edit(folder: Path, change: Callable[[dict[str, Tensor]], None]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_folder_scores_as_what_was_saved(
    folder: Path, reward: VideoReward, clip: Callable[..., Tensor]
) -> None:
    for given in (folder, str(folder)):
        loaded = VideoReward.from_pretrained(given, weights={"motion": 2.0}, device="cpu")
        assert not loaded.model.training and loaded.weights == {"motion": 2.0}
        assert loaded.dtype == torch.float32 and loaded.model.config.score_version == "tiny-1"
        scores = loaded.score([clip()], ["a video"])
        for name, value in reward.score([clip()], ["a video"]).values.items():
            torch.testing.assert_close(scores[name], value, rtol=0, atol=1e-5)


def test_options_reach_the_model(folder: Path, clip: Callable[..., Tensor]) -> None:
    reward = VideoReward.from_pretrained(
        folder,
        dtype=torch.bfloat16,
        weights={"technical": 1.0},
        calibrated=True,
        gradient_checkpointing=True,
        attn_implementation="eager",
    )
    assert reward.dtype == torch.bfloat16 and reward.calibrated
    assert reward.model.llm.config._attn_implementation == "eager"
    frames = (clip().float() / 255)[None].requires_grad_()
    reward(frames).sum().backward()
    assert frames.grad.abs().sum() > 0
    assert VideoReward.from_pretrained(folder, dtype="float32").dtype == torch.float32


def test_a_folder_without_a_tokenizer_answers_without_prompts(
    folder: Path, clip: Callable[..., Tensor]
) -> None:
    (folder / "tokenizer.json").unlink()
    reward = VideoReward.from_pretrained(folder)
    assert reward.tokenizer is None
    assert reward.score([clip()]).overall.isfinite().all()
    with pytest.raises(ValueError, match=r"no tokenizer\.json"):
        reward.score([clip()], ["a"])


def test_sharded_weights_load(folder: Path, model: AIGVRewardModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "shards", max_shard_size="100KB")
    assert len(list((tmp_path / "shards").glob("*.safetensors"))) > 1
    loaded = VideoReward.from_pretrained(tmp_path / "shards").model.state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded[name], value, rtol=0, atol=0)


def test_names_of_nothing_are_refused(tmp_path: Path) -> None:
    for name in ("light", "a/b/c", "../lite", "org/na me", "http://a/b", "~/lite"):
        with pytest.raises(ValueError, match=f"unknown checkpoint '{name}'; give a folder, a hub"):
            resolve_checkpoint(name)
    with pytest.raises(ValueError, match=r"unknown checkpoint '.*absent'; give a folder"):
        VideoReward.from_pretrained(tmp_path / "absent")
    # A Path is a folder: nobody who writes one means the hub.
    with pytest.raises(ValueError, match="unknown checkpoint 'runs/best'"):
        resolve_checkpoint(Path("runs/best"))


def test_a_hub_id_is_passed_on_as_it_is() -> None:
    for name in ("org/model", "Some-Org/model_1.5"):
        assert resolve_checkpoint(name) == name
    with pytest.raises(OSError, match="connect"):  # the tests are offline
        VideoReward.from_pretrained("org/model")


def test_bundled_names_come_first_and_the_first_is_the_default(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert BUNDLED.name == "checkpoints" and BUNDLED.parent.name == "aigv_reward"
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path)
    with pytest.raises(ValueError, match=r"or one of tiny$"):
        resolve_checkpoint(None)
    folder.rename(tmp_path / "lite")
    assert resolve_checkpoint(None) == resolve_checkpoint("lite") == str(tmp_path / "lite")
    monkeypatch.chdir(tmp_path)
    assert resolve_checkpoint(Path("lite")) == "lite"
    assert VideoReward.from_pretrained().model.config.score_version == "tiny-1"


def test_no_bundled_checkpoint_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path)
    with pytest.raises(ValueError, match=r"or one of none bundled$"):
        resolve_checkpoint("lite")


@pytest.mark.parametrize("missing", ["config.json", "*.safetensors"])
def test_folders_of_something_else_are_refused(folder: Path, missing: str) -> None:
    for path in folder.glob(missing):
        path.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(
        ValueError, match=r"has no .*; give a folder that save_pretrained"
    ) as caught:
        VideoReward.from_pretrained(folder)
    assert missing in str(caught.value)


def test_another_model_s_checkpoint_is_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(ValueError, match="is a 'llama' model, not 'aigv_reward'; published"):
        VideoReward.from_pretrained(folder)


def test_a_config_that_cannot_be_read_is_named(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    for content, message in (
        ([1], r"config\.json of checkpoint '.*tiny' holds a list, not an object; restore what"),
        (
            config | {"level_values": 3},
            r"config\.json of checkpoint '.*tiny': config field 'level_v",
        ),
    ):
        (folder / "config.json").write_text(json.dumps(content))
        with pytest.raises(ValueError, match=message):
            VideoReward.from_pretrained(folder)


def test_a_damaged_tokenizer_is_named(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{bad")
    with pytest.raises(
        ValueError, match=r"tiny/tokenizer\.json' is no tokenizer \(.*; give the tok"
    ):
        VideoReward.from_pretrained(folder)


@pytest.mark.parametrize(
    ("more", "moved", "message"),
    [
        (
            1,
            0,
            r"has token ids up to \d+, the language model knows 0\.\.\d+; give the tokenizer of",
        ),
        (
            0,
            1,
            r"reads the level words' ids \[.*\] as \['bad', 'excellent', .*\], not \['excellent'",
        ),
    ],
    ids=["larger", "other words"],
)
def test_the_tokenizer_of_another_model_is_refused(
    folder: Path,
    model: AIGVRewardModel,
    tokenizer: PreTrainedTokenizerFast,
    more: int,
    moved: int,
    message: str,
) -> None:
    file = folder / "tokenizer.json"
    values = json.loads(file.read_text())
    words = values["added_tokens"]
    contents = [word["content"] for word in words]
    for place, word in enumerate(words):
        word["content"] = contents[place - moved]
    if more:
        values["model"]["vocab"]["superb"] = words[-1]["id"] + 1
    file.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=rf"tokenizer\.json' does not fit its .*{message}"):
        VideoReward.from_pretrained(folder)
    with pytest.raises(ValueError, match=message):
        VideoReward(model, tokenizer=PreTrainedTokenizerFast(tokenizer_file=str(file)))


def test_an_added_token_without_a_row_matters_in_prompts_alone(
    model: AIGVRewardModel, tokenizer: PreTrainedTokenizerFast
) -> None:
    padded = copy.deepcopy(tokenizer)
    padded.add_special_tokens({"pad_token": "<pad>"})
    reward = VideoReward(model, tokenizer=padded)
    frames = torch.rand(1, 4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    plain = VideoReward(model, tokenizer=tokenizer).by_dimension(frames, ["a cat"])
    found = reward.by_dimension(frames, ["a cat"])
    assert all(torch.equal(found[name], plain[name]) for name in plain)
    message = r"prompts\[0\] has the token '<pad>', which the checkpoint's language model, with \d+"
    with pytest.raises(ValueError, match=message):
        reward.by_dimension(frames, ["a <pad>"])


def test_missing_weights_are_an_error(folder: Path) -> None:
    edit(folder, lambda weights: weights.pop("semantic_projection.weight"))
    with pytest.raises(ValueError, match=r"do not fit its config: .*missing.*semantic_projection"):
        VideoReward.from_pretrained(folder)


def test_unexpected_weights_are_an_error(folder: Path) -> None:
    edit(folder, lambda weights: weights.update({"slow.weight": torch.ones(1)}))
    with pytest.raises(ValueError, match=r"do not fit its config: .*unexpected.*slow\.weight"):
        VideoReward.from_pretrained(folder)


def test_weights_of_another_shape_are_an_error(folder: Path) -> None:
    edit(folder, lambda weights: weights.update({"motion_projection.2.bias": torch.ones(7)}))
    with pytest.raises(
        ValueError, match=r"fit its config: .*mismatched.*motion_projection\.2\.bias"
    ):
        VideoReward.from_pretrained(folder)
