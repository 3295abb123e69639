"""The four trainers on real tiny pipelines."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    CogVideoXImageToVideoPipeline,
    CogVideoXTransformer3DModel,
    LTXImageToVideoPipeline,
)
from PIL import Image
from torch import Tensor

from aigv_reward import VideoReward

KINDS = ("backprop", "grpo", "dpo", "nft")
Make = Callable[..., Any]
RATES = {"cogvideox": 1e-2, "hunyuan_video": 3e-2}


def logged(trainer: Any, name: str) -> list[float]:
    return [entry[name] for entry in trainer.state.log_history if name in entry]


@pytest.mark.parametrize(
    "kind, name, seed",
    [
        ("backprop", "cogvideox", 0),
        ("backprop", "hunyuan_video", 1),
        ("grpo", "cogvideox", 1),
        ("grpo", "hunyuan_video", 1),
        ("dpo", "cogvideox", 2),
        ("dpo", "hunyuan_video", 1),
        ("nft", "cogvideox", 0),
        ("nft", "hunyuan_video", 1),
    ],
)
def test_the_reward_rises(trainer: Make, rewards_of: Make, kind: str, name: str, seed: int) -> None:
    """Eight fixed noises, all of which must gain, in the mean by more than they differ.

    That all gain is not enough: training on random numbers also moves them all one way, by half of
    their standard deviation (benchmarks/finetune_gains.py, which also has three seeds of each).
    """
    settings: dict[str, Any] = {} if kind == "backprop" else {"group_size": 8}
    if kind == "dpo":
        settings |= {"noise_draws": 4, "beta": 10.0}  # 100 saturates the loss of most pairs
    if kind in ("dpo", "nft") and name == "hunyuan_video":
        settings["noise_shift"] = 7.0
    made = trainer(
        kind, name, rows=["a cat"], seed=seed, max_steps=10, learning_rate=RATES[name],
        per_device_train_batch_size=1, generation_batch_size=8, **settings,
    )  # fmt: skip
    before = rewards_of(made)
    made.train()
    gain = rewards_of(made) - before
    assert bool((gain > 0).all())
    assert float(gain.mean()) > float(before.std())


@pytest.mark.parametrize(
    "name, method",
    [
        *(("wan", method) for method in ("draft", "draft-lv", "align-prop", "refl")),
        ("ltx", "draft"),
        ("hunyuan_video", "draft"),
        ("mochi", "refl"),
        ("animatediff", "draft-lv"),
    ],
)
def test_back_propagation_by_every_method(
    trainer: Make, rewards_of: Make, name: str, method: str
) -> None:
    made = trainer(
        "backprop", name, max_steps=4, learning_rate=3e-2, method=method, backprop_steps=2,
        gradient_checkpointing=True, decode_window=2,
    )  # fmt: skip
    before = rewards_of(made)
    made.train()
    assert float((rewards_of(made) - before).mean()) > 0


def test_back_propagation_of_the_bundled_default(
    trainer: Make, rewards_of: Make, light_checkpoint: Path
) -> None:
    reward = VideoReward.from_pretrained(light_checkpoint)
    made = trainer(
        "backprop", "cogvideox", reward=reward, fps=16.0, max_steps=4, learning_rate=1e-2,
        reward_weights={"technical": 1.0}, offload_activations=True,
    )  # fmt: skip

    def technical(frames: Tensor, prompts: Any, *, fps: Any) -> Tensor:
        return reward.by_dimension(frames, prompts, fps=fps)["technical"]

    before = rewards_of(made, technical)
    made.train()
    assert float((rewards_of(made, technical) - before).mean()) > 0
    assert {
        "reward/technical",
        "reward/total",
        "watch/motion",
        "watch/score/motion",
        "grad_norm",
    } <= set(made.state.log_history[0])


@pytest.mark.parametrize("method", ["align-prop", "refl"])
def test_the_rows_of_a_step_have_one_depth(trainer: Make, method: str) -> None:
    """Processes that shard the denoiser call it equally often."""
    made = trainer("backprop", "ltx", max_steps=6, method=method, backprop_steps=3, refl_start=0.0)
    depths: list[int] = []

    def count(*args: Any) -> None:
        depths[-1] += torch.is_grad_enabled() if method == "align-prop" else 1

    made.denoisers["transformer"].register_forward_pre_hook(count)
    videos = made._videos

    def watched(*args: Any) -> Any:
        depths.append(0)
        return videos(*args)

    made._whole = True
    made._videos = watched
    made.train()
    assert depths[::2] == depths[1::2] and len(depths) == 12 and len(set(depths)) > 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_the_run(trainer: Make, kind: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = {
        "max_steps": 4, "learning_rate": 1e-2, "save_strategy": "steps", "save_steps": 2,
        "lr_scheduler_type": "linear", "per_device_train_batch_size": 1,
    }  # fmt: skip
    whole = trainer(kind, "ltx", output_dir=str(tmp_path / "whole"), **settings)
    whole.train()
    again = trainer(kind, "ltx", output_dir=str(tmp_path / "again"), **settings)
    again.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    for name in ("loss", "reward/total", "grad_norm", "watch/brightness"):
        if name in whole.state.log_history[0]:
            assert logged(again, name)[-2:] == logged(whole, name)[-2:]
    assert again.watch.state_dict() == whole.watch.state_dict()
    for one, other in zip(whole.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(one, other)
    files = {path.name for path in (tmp_path / "whole" / "checkpoint-4").iterdir()}
    assert "pytorch_lora_weights.safetensors" in files


def test_the_last_part_of_a_step_alone_is_its_boundary(
    trainer: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DeepSpeed's backward takes the optimizer's step wherever gradients are synchronised."""
    made = trainer("grpo", "ltx", max_steps=1, gradient_accumulation_steps=2,
                   per_device_train_batch_size=1)  # fmt: skip
    seen = []
    backward = made.accelerator.backward

    def recorded(loss: Tensor, **kwargs: Any) -> None:
        seen.append(made.accelerator.sync_gradients)
        backward(loss, **kwargs)

    monkeypatch.setattr(made.accelerator, "backward", recorded)
    made.train()
    assert len(seen) > 4 and seen == [False] * (len(seen) - 1) + [True]
    assert made.accelerator.sync_gradients


def test_the_first_losses_are_known(trainer: Make) -> None:
    made = trainer("dpo", "cogvideox", max_steps=1, learning_rate=1e-3)
    made.train()
    assert logged(made, "loss")[0] == pytest.approx(math.log(2), abs=1e-4)
    made = trainer("grpo", "ltx", max_steps=2, learning_rate=1e-2, num_iterations=2, kl_beta=0.1)
    made.train()
    assert logged(made, "grpo/ratio")[0] == 1.0 and logged(made, "grpo/kl")[0] == 0.0
    assert logged(made, "grpo/ratio")[1] != 1.0 and logged(made, "grpo/kl")[1] > 0


@pytest.mark.parametrize(
    "settings",
    [
        {"sampler": "dance_sde", "noise_level": 0.3, "shared_noise": True},
        {"sampler": "cps", "sde_steps": 2, "keep_of_group": 2},
        {"sampler": "flow_sde", "sde_steps": 1, "sde_window": False, "kl_beta": 0.01},
    ],
)
def test_grpo_in_its_variants(trainer: Make, settings: dict[str, Any]) -> None:
    made = trainer("grpo", "wan", max_steps=1, learning_rate=1e-3, **settings)
    start = [p.clone() for p in made.model.parameters() if p.requires_grad]
    made.train()
    now = [p for p in made.model.parameters() if p.requires_grad]
    assert any(not torch.equal(a, b) for a, b in zip(start, now, strict=True))
    assert logged(made, "grpo/ratio") == [1.0]


def test_rewards_by_dimension_are_normalised_before_they_are_weighted(trainer: Make) -> None:
    def both(frames: Tensor, prompts: Any, *, fps: Any = None) -> dict[str, Tensor]:
        warm = (frames[:, :, 0] - frames[:, :, 2]).mean(dim=(1, 2, 3))
        return {"warm": warm, "bright": 1000 * frames.mean(dim=(1, 2, 3, 4))}

    made = trainer(
        "grpo", "ltx", reward=both, max_steps=1, reward_weights={"warm": 1.0, "bright": 0.5}
    )
    made.train()
    assert {"reward/warm", "reward/bright"} <= set(made.state.log_history[0])
    assert made._batch is not None and float(made._batch.advantages[0].values.abs().max()) < 5


@pytest.mark.parametrize("together", [1, 4])
@pytest.mark.parametrize("kind", ["grpo", "dpo", "nft"])
def test_a_failed_reward_is_masked_and_counted(trainer: Make, kind: str, together: int) -> None:
    settings = {"max_steps": 2, "learning_rate": 1e-3, "generation_batch_size": together}
    calls = {"count": 0}

    def sometimes(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        calls["count"] += 1
        if calls["count"] % 4 == 2:
            raise RuntimeError("no answer")
        return frames.mean(dim=(1, 2, 3, 4))

    made = trainer(kind, "ltx", reward=sometimes, **settings)
    made.train()
    assert logged(made, "reward/failed") == [0.25, 0.25]
    assert all(math.isfinite(loss) for loss in logged(made, "loss"))

    def never(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        raise RuntimeError("no answer")

    with pytest.raises(RuntimeError, match="the reward failed for all 4 videos: RuntimeError: no"):
        trainer(kind, "ltx", reward=never, **settings).train()


@pytest.mark.parametrize("kind", ["grpo", "nft"])
def test_a_group_whose_rewards_are_alike_teaches_nothing(trainer: Make, kind: str) -> None:
    def same(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return torch.ones(len(frames))

    made = trainer(kind, "ltx", reward=same, max_steps=1, learning_rate=1e-2, weight_decay=0.0)
    start = [p.clone() for p in made.model.parameters()]
    made.train()
    assert logged(made, "groups/zero_variance") == [1.0]
    assert all(torch.equal(a, b) for a, b in zip(start, made.model.parameters(), strict=True))


def test_a_first_frame_that_is_given_leaves_no_step_to_replay(trainer: Make) -> None:
    """LTX's image-to-video hands its scheduler all latent frames but the first."""
    rows = [{"prompt": "a cat", "image": Image.new("RGB", (64, 32), "red")}] * 2

    def made(kind: str, **settings: Any) -> Any:
        return trainer(
            kind, "ltx", pipeline_class=LTXImageToVideoPipeline, rows=rows, max_steps=1,
            generation_batch_size=2, **settings,
        )  # fmt: skip

    learns = made("backprop", learning_rate=1e-2)
    start = [p.clone() for p in learns.model.parameters() if p.requires_grad]
    learns.train()
    now = [p for p in learns.model.parameters() if p.requires_grad]
    assert any(not torch.equal(a, b) for a, b in zip(start, now, strict=True))
    message = "LTXImageToVideoPipeline gives its scheduler .* a part is not denoised"
    refused: list[tuple[str, dict[str, Any]]] = [
        ("grpo", {"group_size": 2}), ("dpo", {"group_size": 2}), ("nft", {"group_size": 2}),
        ("backprop", {"method": "draft-lv"}), ("backprop", {"method": "refl"}),
    ]  # fmt: skip
    for kind, settings in refused:
        with pytest.raises(ValueError, match=message):
            made(kind, **settings).train()


def cogvideox_from_image(**components: Any) -> CogVideoXImageToVideoPipeline:
    config = {**components["transformer"].config, "in_channels": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        components["transformer"] = CogVideoXTransformer3DModel.from_config(config)
    return CogVideoXImageToVideoPipeline(**components)


@pytest.mark.parametrize("kind", ["grpo", "dpo"])
def test_an_image_whose_latents_are_drawn_is_replayed(trainer: Make, kind: str) -> None:
    """CogVideoX draws them with the video's generator, before its noise."""
    rows = [
        {"prompt": "a cat", "image": Image.new("RGB", (48, 32), colour)}
        for colour in ("red", "blue")
    ]
    made = trainer(
        kind, "cogvideox", pipeline_class=cogvideox_from_image, rows=rows, max_steps=1, group_size=4
    )
    made.train()  # grpo: checks that the first ratio is 1
    expected = math.log(2) if kind == "dpo" else 0.0
    assert logged(made, "loss") == [pytest.approx(expected, abs=1e-4)]


def test_offline_pairs_of_latents(trainer: Make) -> None:
    """Preferring what the policy makes of one seed makes it likelier than the other."""
    maker = trainer("backprop", "ltx")
    with torch.no_grad():
        sides = [maker.generate([maker.rows[0]], [seed]).latents[0] for seed in (1, 2)]
    rows = [{"prompt": "a cat", "chosen": sides[0], "rejected": sides[1]}] * 2
    made = trainer("dpo", "ltx", rows=rows, online=False, max_steps=8, learning_rate=1e-2)
    made.train()
    assert logged(made, "loss")[0] == pytest.approx(math.log(2), abs=1e-4)
    assert sum(logged(made, "dpo/accuracy")[-4:]) / 4 > 0.5


def test_offline_pairs_of_files(trainer: Make, tmp_path: Path) -> None:
    from aigv_reward.integrations.finetune.sample_video import write_sample_video

    rows = []
    for number in range(2):
        generator = torch.Generator().manual_seed(number)
        pair = {}
        for side in ("chosen", "rejected"):
            path = tmp_path / f"{side}{number}.mp4"
            write_sample_video(path, torch.rand(5, 3, 32, 64, generator=generator), fps=8)
            pair[side] = str(path)
        rows.append({"prompt": "a cat", **pair})
    made = trainer("dpo", "ltx", rows=rows, online=False, max_steps=1, learning_rate=1e-3)
    made.train()
    assert logged(made, "loss")[0] == pytest.approx(math.log(2), abs=1e-4)
    kwargs = made.args.generation_kwargs | {"num_frames": 9}
    other = trainer("dpo", "ltx", rows=rows, online=False, max_steps=1, generation_kwargs=kwargs)
    with pytest.raises(ValueError, match="has 5 frames of 32x64 pixels and the pipeline makes 9"):
        other.train()


def test_the_watch_stops_a_run_that_drifts_and_a_judge_is_only_watched(trainer: Make) -> None:
    def judge(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return -frames.mean(dim=(1, 2, 3, 4))

    def bright(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return 10 * frames.mean(dim=(1, 2, 3, 4))

    made = trainer(
        "backprop", "cogvideox", reward=bright, judge=judge, max_steps=40, learning_rate=3e-2,
        watch_limit=3.0, watch_baseline=2, watch_action="stop",
    )  # fmt: skip
    made.train()
    assert made.state.global_step < 40
    assert logged(made, "watch/judge/reward")[0] > logged(made, "watch/judge/reward")[-1]
    assert logged(made, "watch/brightness")[-1] > logged(made, "watch/brightness")[0]


def test_samples_are_shown_while_it_trains(trainer: Make, tmp_path: Path) -> None:
    made = trainer(
        "backprop", "ltx", max_steps=2, sample_steps=1, num_samples=2, report_to=["tensorboard"]
    )
    made.train()
    page = tmp_path / "out" / "samples" / "index.html"
    assert page.exists() and "a cat" in page.read_text()
    shown = json.loads((page.parent / "samples.json").read_text())
    assert len(list((page.parent / "videos").glob("*.mp4"))) == 6
    assert "reward" in json.dumps(shown)


def test_the_pipeline_comes_back(trainer: Make, rewards_of: Make) -> None:
    made = trainer("backprop", "wan", max_steps=1)
    assert made.pipe.text_encoder is None
    made.close()
    assert made.pipe.text_encoder is not None
    rewards_of(made)


def test_what_is_refused(trainer: Make) -> None:
    for kind, settings, message in (
        ("backprop", {"method": "best"}, "method is 'best'; choose one of draft"),
        ("backprop", {"backprop_steps": 0}, "backprop_steps is 0; it must be at least 1"),
        ("backprop", {"refl_start": 1.0}, r"refl_start is 1\.0; give a share in \[0, 1\)"),
        ("backprop", {"decode_window": 0}, "decode_window is 0; give 1 or more"),
        ("backprop", {"lora_rank": 0}, "lora_rank is 0; it must be at least 1"),
        ("backprop", {"generation_batch_size": 0}, "generation_batch_size is 0; it must be"),
        ("backprop", {"watch_action": "cry"}, "watch_action is 'cry'; choose warn or stop"),
        ("backprop", {"remove_unused_columns": True}, "remove_unused_columns must be False"),
        ("backprop", {"generation_kwargs": {"latents": 1}}, "names latents, which the trainer"),
        ("grpo", {"group_size": 1}, "group_size is 1; a group needs 2 videos or more"),
        ("grpo", {"sampler": "ode"}, "sampler is 'ode'; choose flow_sde"),
        ("grpo", {"noise_level": 0.0}, "without noise no step has a probability"),
        ("grpo", {"combine_rewards": "x"}, "combine_rewards is 'x'; choose normalise"),
        ("grpo", {"num_iterations": 0}, "num_iterations is 0; it must be at least 1"),
        (
            "grpo",
            {"num_iterations": 2, "save_strategy": "steps", "save_steps": 3},
            "save where a batch of videos is used up",
        ),
        ("dpo", {"group_size": 1}, "group_size is 1; a pair needs 2 videos or more"),
        ("dpo", {"noise_draws": 0}, "noise_draws is 0; it must be at least 1"),
        ("nft", {"group_size": 1}, "group_size is 1; a group needs 2 videos or more"),
        ("nft", {"noise_draws": 0}, "noise_draws is 0; it must be at least 1"),
    ):
        with pytest.raises(ValueError, match=message):
            trainer(kind, "ltx", **settings)

    def detached(frames: Tensor, prompts: Any, *, fps: Any = None) -> Tensor:
        return frames.detach().mean(dim=(1, 2, 3, 4))

    with pytest.raises(ValueError, match="the reward has no gradient with respect to the frames"):
        trainer("backprop", "ltx", reward=detached, max_steps=1).train()
