"""Whole runs: what they learn, write, and how exactly they resume."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from aigv_reward import VideoReward
from aigv_reward.evaluation.correlation import srcc
from aigv_reward.model import AIGVRewardModel
from aigv_reward.reward.golden import check_golden
from aigv_reward.training.interruption import SaveOnInterrupt
from aigv_reward.training.lists import read_opinions, read_preferences
from aigv_reward.training.quality_run import QualityRun
from aigv_reward.training.split_rows import said
from aigv_reward.training.trainer import QualityTrainer


def losses(run: QualityRun) -> list[tuple[Any, ...]]:
    kept = ("step", "loss", "grad_norm", "learning_rate", "eval_loss", "eval_srcc")
    return [tuple(row.get(key) for key in kept) for row in run.trainer.state.log_history]


def held_out_srcc(run: QualityRun, checkpoint: Path | None = None) -> float:
    """Of the test rows, by the public reward."""
    reward = VideoReward.from_pretrained(checkpoint or run.folder)
    items = run.rows.splits["test"]
    with torch.no_grad():
        scores = reward.score(
            [item.path for item in items], [item.prompt for item in items], dimensions=["overall"]
        )
    return srcc(scores.overall, [item.scores["overall"] for item in items])


@pytest.fixture
def oriented(mos: Path, checkpoint: Path, clips: list[Path]) -> Path:
    """The opinions turned so that the untrained model orders them badly."""
    reward = VideoReward.from_pretrained(checkpoint)
    opinions = read_opinions(mos)
    with torch.no_grad():
        scores = reward.score([o.path for o in opinions], dimensions=["overall"]).overall
    if srcc(scores, [o.scores["overall"] for o in opinions]) < 0:
        return mos
    turned = mos.with_name("turned.txt")
    lines = [f"{o.path.name}|{o.prompt}|{6 - o.scores['overall']}" for o in opinions]
    turned.write_text("\n".join(lines) + "\n")
    return turned


LEARN = {
    "learning_rate": 3e-3,
    "num_train_epochs": 20,
    "language_model": "full",
    "eval_strategy": "no",
    "save_strategy": "no",
    "load_best_model_at_end": False,
    "early_stopping_patience": None,
}


def test_opinions_are_learned_and_everything_is_written(
    prepare, oriented: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = prepare(opinions=str(oriented), report_to="tensorboard", **LEARN)
    result = run.train()
    assert held_out_srcc(run, checkpoint) < 0.3
    assert held_out_srcc(run) > 0.9
    assert result.metrics["test"]["srcc"] == pytest.approx(held_out_srcc(run), abs=1e-6)
    assert result.metrics["test"]["rows"] == len(run.rows.splits["test"])

    made = {path.name for path in run.folder.iterdir() if path.is_file()}
    checkpoint_files = {"config.json", "model.safetensors", "tokenizer.json", "golden.json"}
    assert made == checkpoint_files | {"run.json", "results.json"}
    assert list((run.folder / "runs").rglob("events.out.tfevents.*"))
    reward = VideoReward.from_pretrained(run.folder)
    check_golden(reward, run.folder)
    config = reward.model.config
    assert config.trained == ["overall"]
    assert config.architectures == ["AIGVRewardModel"]
    assert config.score_version.startswith("tiny-1+") and len(config.score_version) == 19
    assert config.source["from"] == str(checkpoint)
    assert config.source["recipe"]["learning_rate"] == 3e-3
    assert config.source["held_out"]["test"]["srcc"] == result.metrics["test"]["srcc"]
    # The absolute term puts scores on the scale of the opinions.
    train = run.rows.splits["train"]
    with torch.no_grad():
        scores = reward.score([i.path for i in train], [i.prompt for i in train]).overall
    errors = scores - torch.tensor([item.scores["overall"] for item in train])
    assert errors.abs().mean() < 0.7

    calibration = config.calibration["overall"]
    assert list(config.calibration) == ["overall"]
    assert config.calibration_set == f"training rows, {len(train)} videos"
    assert calibration["mean"] == pytest.approx(scores.mean().item(), abs=1e-4)
    assert calibration["std"] == pytest.approx(scores.std().item(), abs=1e-4)
    assert calibration["percentiles"][0] == pytest.approx(scores.min().item(), abs=1e-4)
    assert len(calibration["percentiles"]) == 21

    written = read_opinions(run.folder / "splits" / "test.jsonl")
    assert [(o.path, o.prompt, o.scores) for o in written] == [
        (i.path, i.prompt, i.scores) for i in run.rows.splits["test"]
    ]
    with pytest.raises(ValueError, match=r"the run in '.*' is finished; name another output_dir"):
        prepare(opinions=str(oriented), resume=True)
    assert "overall_correlation" in capsys.readouterr().out


def test_pairs_alone_are_learned(prepare, oriented: Path, checkpoint: Path, tmp_path: Path) -> None:
    """18 clips are compared; the order of the 6 others is what was learned."""
    opinions = read_opinions(oriented)
    rows = []
    for number in range(0, 18, 2):
        for other in (number + 1, (number + 7) % 18):
            first, second = opinions[number], opinions[other]
            difference = first.scores["overall"] - second.scores["overall"]
            choice = "same" if abs(difference) < 0.1 else "A" if difference > 0 else "B"
            rows.append(f"{first.path},{second.path},{choice}")
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("path_A,path_B,Overall\n" + "\n".join(rows) + "\n")
    run = prepare(preferences=str(pairs), validation_fraction=0, test_fraction=0, **LEARN)
    result = run.train()
    assert result.metrics == {}
    reward = VideoReward.from_pretrained(run.folder)
    assert reward.trained == ("overall",)
    held_out = opinions[18:]
    found = []
    for judge in (VideoReward.from_pretrained(checkpoint), reward):
        with torch.no_grad():
            scores = judge.score([o.path for o in held_out], dimensions=["overall"]).overall
        found.append(srcc(scores, [o.scores["overall"] for o in held_out]))
    assert found[0] < 0.3 and found[1] > 0.9
    written = read_preferences(run.folder / "splits" / "train_pairs.jsonl")
    assert [item.choices for item in written] == [said(i) for i in run.rows.splits["train"]]


class Interrupt(TrainerCallback):
    """Presses Ctrl-C while a step is computed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_begin(self, args, state, control, **kwargs) -> None:
        if state.global_step == self.step - 1:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_resumed_run_equals_an_uninterrupted_one(prepare, mos: Path, tmp_path: Path) -> None:
    """Random views, LoRA dropout, prompts and patience included; 4 steps an epoch.

    Step 4 ends an epoch, so its validation belongs to the stopped run; step 7 does not.
    """
    recipe = {
        "opinions": str(mos),
        "columns": {"overall": None, "semantic": "mos"},
        "train_towers": ["technical", "motion"],
        "per_device_train_batch_size": 3,
        "num_train_epochs": 3,
        "learning_rate": 1e-3,
    }
    whole = prepare(**recipe)
    whole.train()
    for step in (4, 7):
        folder = tmp_path / f"stopped-{step}"
        run = prepare(output_dir=str(folder), **recipe)
        run.trainer.add_callback(Interrupt(step))
        with pytest.raises(KeyboardInterrupt):
            run.train()
        assert not (folder / "results.json").exists()
        resumed = prepare(output_dir=str(folder), resume=True, **recipe)
        assert resumed.state == folder / f"checkpoint-{step}"
        resumed.train()
        assert losses(resumed) == losses(whole)
        expected = whole.trainer.model.state_dict()
        for name, value in resumed.trainer.model.state_dict().items():
            assert torch.equal(value, expected[name]), name
        shutil.rmtree(folder)


def test_what_a_run_may_not_be_resumed_with(prepare, mos: Path, tmp_path: Path) -> None:
    recipe = {"opinions": str(mos), "num_train_epochs": 2}
    with pytest.raises(ValueError, match=r"'.*run' has no saved state to resume; run without"):
        prepare(resume=True, **recipe)
    run = prepare(**recipe)
    run.trainer.add_callback(Interrupt(1))
    with pytest.raises(KeyboardInterrupt):
        run.train()
    with pytest.raises(ValueError, match=r"holds a run that reached checkpoint-1; go on with --re"):
        prepare(**recipe)
    with pytest.raises(ValueError, match=r"another value of tie_k \(5.0, now 3.0\); resume it as"):
        prepare(resume=True, tie_k=3.0, **recipe)
    with pytest.raises(ValueError, match=r"another value of the rows, their videos or their split"):
        prepare(resume=True, split_seed=1, **recipe)
    weights = tmp_path / "run" / "checkpoint-1" / "model.safetensors"
    state = load_file(weights)
    state["extra"] = state.pop("technical_projection.bias")
    save_file(state, weights, metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"lack \['technical_projection.bias'\] and have \['extra"):
        prepare(resume=True, **recipe).train()


def test_training_stops_when_the_held_out_srcc_no_longer_rises(prepare, mos: Path) -> None:
    run = prepare(
        opinions=str(mos),
        learning_rate=1e-9,  # the order of the held-out videos never changes
        num_train_epochs=9,
        early_stopping_patience=2,
        warmup_steps=0,
    )
    run.train()
    assert run.trainer.state.epoch == 3
    assert run.trainer.state.best_global_step == run.trainer.state.max_steps // 9
    saved = json.loads((run.folder / "results.json").read_text())
    assert saved["steps"] == 3 * run.trainer.state.max_steps // 9


def test_unreadable_videos(prepare, clips: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clips[0].read_bytes()[:-400])
    rows = [f"{path},p{i // 2},{1 + i % 5}" for i, path in enumerate(clips)]
    rows += [f"{broken},p90,3", f"{tmp_path / 'missing.mp4'},p91,3"]
    file = tmp_path / "list.csv"
    file.write_text("path,prompt,mos\n" + "\n".join(rows) + "\n")
    message = r"2 of 26 videos cannot be read: '.*broken.mp4' \(.*\); '.*missing.mp4' \(.*No such"
    with pytest.raises(ValueError, match=message):
        prepare(opinions=str(file))
    run = prepare(opinions=str(file), skip_unreadable=True)
    assert set(run.rows.skipped) == {broken, tmp_path / "missing.mp4"}
    assert sum(len(items) for items in run.rows.splits.values()) == 24


def test_a_run_that_patience_ended_is_finished_and_not_trained_on(prepare, mos: Path) -> None:
    """As if it was killed after its last state was saved."""
    recipe = {"opinions": str(mos), "learning_rate": 1e-9, "early_stopping_patience": 1}
    run = prepare(**recipe)
    done = run.train()
    written = (run.folder / "model.safetensors").read_bytes()
    for name in ("results.json", "config.json", "model.safetensors"):
        (run.folder / name).unlink()
    again = prepare(resume=True, **recipe)
    result = again.train()
    assert (result.steps, result.weights_step) == (done.steps, done.weights_step)
    assert result.weights_step < result.steps
    assert (run.folder / "model.safetensors").read_bytes() == written
    source = json.loads((run.folder / "config.json").read_text())["source"]
    assert source["steps"] == result.weights_step


def test_a_loss_that_is_not_finite_ends_the_run(prepare, mos: Path) -> None:
    run = prepare(opinions=str(mos), learning_rate=1e30, warmup_steps=0, max_grad_norm=0)
    with pytest.raises(ValueError, match=r"the loss is (nan|inf) after step \d; lower learning_ra"):
        run.train()


def test_bfloat16_and_recomputed_activations(prepare, mos: Path) -> None:
    run = prepare(
        opinions=str(mos),
        bf16=True,
        language_model_dtype="bfloat16",
        activation_checkpointing=True,
        train_towers=["technical", "motion", "semantic"],
        absolute="huber",
        num_train_epochs=1,
    )
    assert run.trainer.model.is_activation_checkpointing is False  # until it trains
    result = run.train()
    assert run.trainer.model.is_activation_checkpointing
    assert result.metrics["test"]["loss"] > 0
    reward = VideoReward.from_pretrained(run.folder)
    assert reward.score([run.rows.splits["test"][0].path]).overall.isfinite().all()


def test_the_calibration_set_may_be_a_list_of_its_own(prepare, mos: Path, clips, tmp_path) -> None:
    file = tmp_path / "reference.csv"
    file.write_text("path,mos\n" + "".join(f"{path},3\n" for path in clips[:6]))
    run = prepare(opinions=str(mos), calibration_opinions=str(file), max_steps=1)
    assert run.train().calibration_set == "reference.csv, 6 videos"
    config = VideoReward.from_pretrained(run.folder).model.config
    assert config.calibration_set == "reference.csv, 6 videos"


def only_overall(checkpoint: Path, folder: Path) -> Path:
    """The checkpoint without its other questions and without its tokenizer."""
    model = AIGVRewardModel.from_pretrained(checkpoint)
    questions = model.config.prompt["questions"]
    model.config.prompt["questions"] = {"overall": questions["overall"]}
    model.config.trained = ["overall"]
    model.save_pretrained(folder)
    return folder


def test_what_the_checkpoint_cannot_be_asked(prepare, mos, checkpoint, tmp_path) -> None:
    poorer = str(only_overall(checkpoint, tmp_path / "poorer"))
    columns = {"overall": None, "motion": "mos"}
    message = r"12 training rows have motion, which this checkpoint has no question for; it answers"
    with pytest.raises(ValueError, match=message):
        prepare(opinions=str(mos), checkpoint=poorer, columns=columns)
    with pytest.raises(
        ValueError, match=r"prompt_rate is 0.5, but the checkpoint reads no text pr"
    ):
        prepare(opinions=str(mos), checkpoint=poorer, prompt_rate=0.5)
    run = prepare(opinions=str(mos), checkpoint=poorer, max_steps=1)
    assert run.datasets["train"].text_ids is None
    run.train()
    assert not (run.folder / "tokenizer.json").exists()


def test_prompts_are_read_where_semantic_is_trained(prepare, mos: Path) -> None:
    run = prepare(opinions=str(mos), columns={"overall": None, "semantic": "mos"})
    assert run.datasets["train"].prompt_rate == 0.5
    assert all(ids is not None for ids in run.datasets["train"].text_ids)
    assert (
        prepare(opinions=str(mos), output_dir=str(run.folder / "b")).datasets["test"].text_ids
        is None
    )


def test_one_process_uses_one_gpu(prepare, mos: Path) -> None:
    run = prepare(opinions=str(mos))
    args = run.trainer.args
    args._n_gpu = 2
    trainer = QualityTrainer(run.trainer.model, args, run.datasets["train"], run.datasets["test"])
    assert trainer.args.n_gpu == 1 and trainer.args.train_batch_size == 8


def test_a_second_ctrl_c_does_not_wait() -> None:
    asked = SaveOnInterrupt()
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored under nohup
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), asked.listening():
        os.kill(os.getpid(), signal.SIGINT)
        assert asked.asked
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
    signal.signal(signal.SIGINT, inherited)
