"""A configuration is read strictly."""

from __future__ import annotations

from pathlib import Path

import pytest

from aigv_reward.training.config_file import describe_keys, load_config, parse_config

LEAST = {"opinions": "mos.csv", "output_dir": "out", "report_to": "none", "use_cpu": True}


def test_the_defaults_are_the_published_recipe() -> None:
    data, model, args = parse_config(LEAST)
    assert data.opinions == ["mos.csv"] and data.mos_range == [1.0, 5.0]
    assert (model.train_towers, model.language_model) == (["technical", "motion"], "lora")
    assert (args.learning_rate, args.weight_decay, args.rank_weight) == (1e-5, 0.05, 0.3)
    assert (args.num_train_epochs, args.per_device_train_batch_size) == (10, 8)
    assert args.get_warmup_steps(1000) == 250  # 2.5 of 10 epochs
    assert args.lr_scheduler_type == "cosine" and args.optim.startswith("adamw")
    assert args.load_best_model_at_end and args.greater_is_better


def test_a_file_and_what_replaces_its_keys(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "opinions: [a.csv, b.txt]\noutput_dir: out\nlearning_rate: 1e-4\nreport_to: none\n"
        "train_towers: []\ncolumns: {overall: MOS, semantic: null}\nuse_cpu: true\n"
        "save_strategy: no\nsave_steps: 5e1\n"
    )
    data, model, args = load_config(
        file,
        [
            "learning_rate=3e-4",
            "mos_range=[0, 100]",
            "lora_r=4",
            "load_best_model_at_end=false",
            "early_stopping_patience=",
        ],
    )
    assert data.opinions == ["a.csv", "b.txt"] and data.mos_range == [0, 100]
    assert data.columns == {"overall": "MOS", "semantic": None}
    assert model.train_towers == [] and model.lora_r == 4
    assert args.learning_rate == 3e-4 and args.save_steps == 50
    assert args.save_strategy == "no"  # which YAML reads as false


def test_every_key_of_ours_is_explained() -> None:
    rows = describe_keys()
    assert all(meaning and default for _, default, meaning in rows)
    keys = {key: default for key, default, _ in rows}
    assert keys["learning_rate"] == "1.0e-05" and keys["opinions"] == "[]"
    assert keys["train_towers"] == "[technical, motion]" and keys["root"] == "null"
    assert "adam_beta1" not in keys


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"leaning_rate": 1}, r"unknown config key 'leaning_rate'; did you mean 'learning_rate'\?"),
        ({"xyzzy": 1}, r"unknown config key 'xyzzy'; see aigv-reward train --keys"),
        ({"num_train_epochs": "ten"}, r"num_train_epochs is 'ten'; it must be float"),
        ({"num_train_epochs": True}, r"num_train_epochs is True; it must be float"),
        ({"split_seed": 1.5}, r"split_seed is 1.5; it must be int"),
        ({"lora_r": "8"}, r"lora_r is '8'; it must be int or null"),
        ({"skip_unreadable": 1}, r"skip_unreadable is 1; it must be bool"),
        ({"opinions": None}, r"opinions is None; it must be list"),
        ({"opinions": []}, r"there is nothing to train on; give opinions: \[mos.csv\] or"),
        ({"output_dir": ""}, r"output_dir is missing; name the folder"),
        ({"validation_fraction": 1}, r"validation_fraction is 1.0; it must be at least 0, below"),
        ({"test_fraction": -0.1}, r"test_fraction is -0.1; it must be at least 0, below 1"),
        (
            {"validation_fraction": 0.5, "test_fraction": 0.5},
            r"validation_fraction 0.5 and test_fraction 0.5 leave nothing to train on; lower",
        ),
        ({"train_towers": ["audio"]}, r"train_towers has \['audio'\]; choose from technical, mot"),
        ({"language_model": "qlora"}, r"language_model is 'qlora'; choose from lora, full, frozen"),
        ({"language_model_dtype": "int8"}, r"language_model_dtype is 'int8'; choose float32 or"),
        ({"prompt_rate": 2}, r"prompt_rate is 2.0; it must be within 0..1"),
        (
            {"train_towers": [], "train_projections": False, "language_model": "frozen"},
            r"nothing would learn; name train_towers, or set train_projections or language_model",
        ),
        ({"absolute": "mse"}, r"absolute is 'mse'; choose from levels, huber, none"),
        ({"tie_k": 1}, r"tie_k is 1.0; it must be above 1"),
        ({"load_best_model_at_end": False}, r"early_stopping_patience needs load_best_model_at_en"),
        ({"eval_strategy": "no"}, r"load_best_model_at_end needs validation; set eval_strategy"),
        ({"remove_unused_columns": True}, r"remove_unused_columns is true; batches are made here"),
        ({"lr_scheduler_type": "cosin"}, r"cosin is not a valid SchedulerType"),
    ],
)
def test_what_is_wrong_is_said(values: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_config(LEAST | values)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("- a\n", [], r"config '.*' is no mapping; write lines of key: value"),
        ("a: [\n", [], r"config '.*' is no YAML \(.*\)"),
        ("opinions: a.csv\n", ["seed"], r"--set 'seed' has no '='; write key=value"),
        ("opinions: a.csv\n", ["seed=["], r"--set 'seed=\[' is no YAML"),
    ],
)
def test_a_file_that_is_none(text: str, overrides: list[str], message: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(ValueError, match=message):
        load_config(tmp_path / "config.yaml", overrides)
    with pytest.raises(ValueError, match=r"config '.*none.yaml' cannot be read \(.*No such file"):
        load_config(tmp_path / "none.yaml")


def test_a_log_that_cannot_be_written_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aigv_reward.training.arguments.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs tensorboard: pip install .*, or set report_to: "):
        parse_config({key: LEAST[key] for key in ("opinions", "output_dir", "use_cpu")})
