"""The config: round trips, defaults, and what it refuses."""

import json

import pytest
from transformers import AutoConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from aigv_reward.model import AIGVRewardConfig
from aigv_reward.regressor import PromptFormat
from aigv_reward.video.indices import FrameSampling
from aigv_reward.views import ViewSampling

CALIBRATION = {"overall": {"mean": 3.0, "std": 0.5, "percentiles": [1.0, 5.0]}}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "lora": None,
            "level_values": [1, 2, 3, 4, 5],
            "logit_divisor": 100.0,
            "trained": ["overall", "motion"],
            "calibration": CALIBRATION,
            "calibration_set": "some clips",
            "score_version": "7",
            "source": {"sha256": "0"},
            "semantic_frame_token": "pooled",
        },
    ],
    ids=["tiny", "all set"],
)
def test_round_trip(values, tiny, tmp_path):
    config = tiny(**values)
    config.save_pretrained(tmp_path)
    loaded = AIGVRewardConfig.from_pretrained(tmp_path)
    from_string = AIGVRewardConfig(**json.loads(config.to_json_string(use_diff=False)))
    for other in (loaded, from_string):
        for name in AIGVRewardConfig.__annotations__.keys() - {"sub_configs"}:
            if name.endswith(("text_config", "semantic_config")):
                assert getattr(other, name).to_dict() == getattr(config, name).to_dict()
            else:
                ours, theirs = (
                    json.dumps(getattr(c, name), sort_keys=True) for c in (config, other)
                )
                assert theirs == ours, name
    assert loaded.prompt_format == config.prompt_format
    assert loaded.view_sampling == config.view_sampling


def test_defaults_are_the_published_model():
    config = AIGVRewardConfig()
    text, tower = config.text_config, config.semantic_config
    assert (text.model_type, text.vocab_size, text.hidden_size) == ("llama", 32001, 4096)
    assert (text.num_hidden_layers, text.num_attention_heads) == (32, 32)
    assert (text.intermediate_size, text.rms_norm_eps) == (11008, 1e-6)
    assert text.rope_parameters["rope_theta"] == 10000.0
    assert (tower.hidden_size, tower.num_hidden_layers, tower.layer_norm_eps) == (1024, 24, 1e-6)
    assert config.technical_config["embed_dim"] == 96
    assert config.technical_config["depths"] == (2, 2, 6, 2)
    assert config.motion_config["depths"] == (3, 4, 6, 3)
    assert config.lora is None
    assert config.technical_repeats == 32
    assert config.prompt_format == PromptFormat.published()
    assert config.view_sampling == ViewSampling.published()
    assert config.trained == []


def test_trained_is_put_in_order(tiny):
    assert tiny(trained=("overall", "technical")).trained == ["technical", "overall"]


def test_nothing_is_registered_with_transformers():
    assert AIGVRewardConfig.model_type not in CONFIG_MAPPING
    with pytest.raises(ValueError, match="Unrecognized model identifier: aigv_reward"):
        AutoConfig.for_model("aigv_reward")


def sampling_of(num_frames):
    published = ViewSampling.published().to_dict()
    return ViewSampling.from_dict(
        published | {"fast": FrameSampling(num_frames).__dict__}
    ).to_dict()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"level_values": [1, 2, 3]}, "level_values has 3 entries; give 5, best first"),
        ({"logit_divisor": 0.0}, "logit_divisor 0.0 must be above 0"),
        ({"technical_repeats": 0}, "technical_repeats 0 must be at least 1"),
        ({"trained": ["sound"]}, r"trained names \['sound'\], but the prompt asks only about"),
        ({"semantic_frame_token": "mean"}, "semantic_frame_token 'mean' is unknown; choose cls or"),
        (
            {"technical_config": {"width": 3}},
            r"technical_config has unknown keys \['width'\]; its keys are \['depths', 'embed_dim'",
        ),
        ({"motion_config": {"stem": 3}}, r"motion_config has unknown keys \['stem'\]"),
        ({"lora": {"rank": 8}}, r"lora has unknown keys \['rank'\]; its keys are"),
        ({"sampling": {"fps": 3}}, "ViewSampling has no fps"),
        ({"text_config": {"hidden_size": 8}}, "sub-config has no 'model_type'; name its arch"),
        ({"semantic_config": {"hidden_size": 8}}, "sub-config has no 'model_type'"),
        ({"logit_divisr": 3.0}, "unknown config key 'logit_divisr'; did you mean 'logit_divisor'"),
        ({"prompts": {}}, "unknown config key 'prompts'; did you mean 'prompt'"),
        (
            {"sampling": sampling_of(40), "motion_config": {"max_frames": 32}},
            "sampling takes 40 frames for motion, which knows positions of 32; raise",
        ),
        ({"logit_divisor": "x"}, "logit_divisor is 'x'; give a number"),
        ({"technical_repeats": 1.5}, "technical_repeats is 1.5; give a number"),
        ({"level_values": None}, "config field 'level_values' cannot be read .TypeError: .*; rest"),
        ({"trained": 3}, "config field 'trained' cannot be read .TypeError"),
        ({"technical_config": {"depths": 3}}, "config field 'technical_config' cannot be read"),
        (
            {"technical_config": {"depths": ["a", 2], "num_heads": [1, 2]}},
            r"technical_config has depths \('a', 2\); give numbers above 0",
        ),
        ({"motion_config": [3]}, "config field 'motion_config' cannot be read"),
        ({"lora": 3}, "config field 'lora' cannot be read"),
        ({"sampling": {"key_frames": 3}}, "ViewSampling needs fast"),
        (
            {"sampling": ViewSampling.published().to_dict() | {"key_frames": 3}},
            "config field 'sampling' cannot be read .AttributeError: 'int' object has no",
        ),
        (
            {"sampling": ViewSampling.published().to_dict() | {"patch": "a"}},
            "patch is 'a'; it must be a whole number of at least 1",
        ),
        ({"prompt": {"pieces": [], "questions": [], "level_ids": []}}, "field 'prompt' cannot be"),
        ({"calibration": {"overall": 3}, "calibration_set": "x"}, "field 'calibration' cannot be"),
        (
            {"text_config": {"model_type": "llama", "hidden_size": "x"}},
            "config field 'text_config' cannot be read .*'hidden_size' expected int, got str",
        ),
        (
            {"semantic_config": {"model_type": "nope"}},
            "semantic_config has the model_type 'nope', which transformers .* does not know; name",
        ),
        ({"calibration": CALIBRATION}, "calibration needs calibration_set; name the videos"),
        (
            {"calibration": {"sound": CALIBRATION["overall"]}, "calibration_set": "x"},
            "calibration of 'sound', but the prompt asks only about technical, motion",
        ),
        (
            {"calibration": {"overall": {"mean": 0.0, "std": 0.0}}, "calibration_set": "x"},
            "calibration of 'overall' is .* give mean, and std above 0",
        ),
        (
            {"calibration": {"overall": {"std": 1.0}}, "calibration_set": "x"},
            "calibration of 'overall' is .* give mean, and std above 0",
        ),
    ],
)
def test_refused(values, message, tiny):
    with pytest.raises(ValueError, match=message):
        tiny(**values)


def test_a_prompt_beyond_the_vocabulary(tiny, llama):
    with pytest.raises(ValueError, match=r"token id 25, the language model knows 0\.\.24; make"):
        tiny(text_config=llama | {"vocab_size": 25})


@pytest.mark.parametrize("ids", [("a",), (1.5,), (-1,)])
def test_a_prompt_of_other_than_token_ids(ids, tiny):
    prompt = tiny().prompt
    with pytest.raises(ValueError, match=r"token ids of the prompt include .*; give whole numbers"):
        tiny(prompt=prompt | {"questions": {"overall": {"ids": ids}}})


def test_a_config_file_that_is_a_list(tmp_path):
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(
        ValueError, match=r"config\.json of checkpoint '.*' holds a list, not an obj"
    ):
        AIGVRewardConfig.from_pretrained(tmp_path)


def test_a_trained_dimension_needs_its_question(tiny):
    prompt = tiny().prompt | {"questions": {"overall": {"ids": (2, 8)}}}
    assert tiny(prompt=prompt).dimensions == ("overall",)
    with pytest.raises(ValueError, match=r"trained names \['motion'\], .* only about overall"):
        tiny(prompt=prompt, trained=["overall", "motion"])
