"""Questions packed into one pass get the answers of questions asked one by one."""

from itertools import permutations

import pytest
import torch

from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.regressor import LevelRegressor
from aigv_reward.regressor.layout import pack_questions
from aigv_reward.regressor.llm import build_language_model

FAMILIES = [
    ("llama", {}),
    ("llama", {"num_key_value_heads": 1, "head_dim": 12}),
    ("qwen2", {"num_key_value_heads": 2, "tie_word_embeddings": True}),
    ("qwen3", {"num_key_value_heads": 2, "head_dim": 16}),
    ("gpt2", {}),
    ("gpt_bigcode", {"multi_query": True}),
    ("gemma", {"num_key_value_heads": 1, "head_dim": 8}),
    ("gemma3_text", {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 64}),
    ("mistral", {"num_key_value_heads": 2, "sliding_window": 64}),
    ("mixtral", {"num_key_value_heads": 2, "num_local_experts": 4}),
    ("phi", {}),  # its output head has a bias
]
IDS = [f"{name}-{'-'.join(map(str, values.values()))}".strip("-") for name, values in FAMILIES]
TEXTS = [[30, 31, 32, 33, 34], None, [35]]


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=0, atol=1e-5 * expected.abs().max().item())


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize(("name", "values"), FAMILIES, ids=IDS)
@torch.no_grad()
def test_packed_answers_equal_answers_alone(
    name, values, attention, llm_config, llm, prompt, tokens, ask_alone
):
    config = llm_config(name, **values)
    config._attn_implementation = attention
    build_language_model(config)
    model = llm(config)
    packed = LevelRegressor(model, prompt)(*tokens, dimensions=DIMENSIONS, text_ids=TEXTS)
    assert packed.shape == (3, 4, 5)
    for row, text in enumerate(TEXTS):
        one = [part[row] for part in tokens]
        for column, dimension in enumerate(DIMENSIONS):
            question = prompt.questions[dimension]
            ids = question.with_text(text) if dimension == "semantic" else question.ids
            close(packed[row, column], ask_alone(model, prompt, one, ids))


@pytest.mark.parametrize("texts", [None, TEXTS], ids=["no text", "texts"])
@torch.no_grad()
def test_every_subset_and_order_gives_the_same_answers(llm_config, llm, prompt, tokens, texts):
    regressor = LevelRegressor(llm(llm_config("llama", num_key_value_heads=2)), prompt)
    every = regressor(*tokens, dimensions=DIMENSIONS, text_ids=texts)
    for count in (1, 2, 3, 4):
        for names in permutations(DIMENSIONS, count):
            some = regressor(*tokens, dimensions=names, text_ids=texts)
            close(some, every[:, [DIMENSIONS.index(name) for name in names]])


@torch.no_grad()
def test_a_batch_answers_as_its_videos_alone(llm_config, llm, prompt, tokens):
    regressor = LevelRegressor(llm(llm_config("qwen3", num_key_value_heads=2)), prompt)
    batch = regressor(*tokens, dimensions=DIMENSIONS, text_ids=TEXTS)
    for row, text in enumerate(TEXTS):
        one = [part[row : row + 1] for part in tokens]
        close(batch[row : row + 1], regressor(*one, dimensions=DIMENSIONS, text_ids=[text]))


@torch.no_grad()
def test_an_empty_text_prompt_is_none(llm_config, llm, prompt, tokens):
    regressor = LevelRegressor(llm(llm_config("llama")), prompt)
    without = regressor(*tokens, dimensions=["semantic"])
    mixed = regressor(*tokens, dimensions=["semantic"], text_ids=[[], None, [40, 41]])
    close(mixed[:2], without[:2])
    assert not torch.allclose(mixed[2], without[2], atol=1e-2)


def test_gradients_equal_those_of_a_question_alone(llm_config, llm, prompt, tokens):
    regressor = LevelRegressor(llm(llm_config("llama")), prompt)
    inputs = [part.clone().requires_grad_() for part in tokens]
    packed = regressor(*inputs, dimensions=DIMENSIONS, text_ids=TEXTS)
    alone = regressor(*inputs, dimensions=["motion"])
    for actual, expected in zip(
        torch.autograd.grad(packed[:, 1].logsumexp(-1).sum(), inputs),
        torch.autograd.grad(alone[:, 0].logsumexp(-1).sum(), inputs),
        strict=True,
    ):
        assert expected.abs().max() > 0
        close(actual, expected)


def test_layout_by_hand():
    """Prefix of 2, questions of 1 and 2 tokens; the second row has a longer first question."""
    layout = pack_questions(2, [[[7], [8, 9]], [[7, 6], [8, 9]]], device=torch.device("cpu"))
    assert layout.ids.tolist() == [[7, 8, 9, 0], [7, 6, 8, 9]]
    assert layout.positions.tolist() == [[0, 1, 2, 2, 3, 2], [0, 1, 2, 3, 2, 3]]
    assert layout.answers.tolist() == [[2, 4], [3, 5]]
    assert layout.allowed[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 0, 1, 0, 0],
        [1, 1, 0, 1, 1, 0],
        [0, 0, 0, 0, 0, 1],
    ]


def test_a_too_long_text_prompt_is_an_error(llm_config, llm, prompt, tokens):
    regressor = LevelRegressor(llm(llm_config("llama")), prompt)
    texts = [None, [30] * 7, None]
    with pytest.raises(ValueError, match="text prompt of 7 tokens, the limit is max_prompt_tokens"):
        regressor(*tokens, dimensions=["semantic"], text_ids=texts)


def test_text_that_no_question_can_carry_is_an_error(llm_config, llm, prompt, tokens):
    plain = type(prompt)(prompt.pieces, {"overall": prompt.questions["overall"]}, prompt.level_ids)
    regressor = LevelRegressor(llm(llm_config("llama")), plain)
    with pytest.raises(ValueError, match="no question of this checkpoint has a place for a text"):
        regressor(*tokens, dimensions=["overall"], text_ids=[[30], None, None])


def test_text_for_another_number_of_videos_is_an_error(llm_config, llm, prompt, tokens):
    regressor = LevelRegressor(llm(llm_config("llama")), prompt)
    with pytest.raises(ValueError, match="text_ids has 1 entries for 3 videos"):
        regressor(*tokens, dimensions=["semantic"], text_ids=[[30]])


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("gpt2", "n_positions"),
        ("llama", "max_position_embeddings"),
        ("mistral", "sliding_window"),
    ],
)
def test_a_sequence_beyond_the_positions_is_an_error(name, limit, llm_config, llm, prompt, tokens):
    """8 prompt ids, 9 visual tokens, a question of 4 or 2 ids: 21 or 19 positions."""
    config = llm_config(name, num_key_value_heads=4)
    setattr(config, limit, 19)
    regressor = LevelRegressor(llm(config), prompt)
    assert regressor(*tokens, dimensions=["technical"]).isfinite().all()
    with pytest.raises(
        ValueError, match="are 21 positions, the limit of this language model is 19"
    ):
        regressor(*tokens, dimensions=["technical", "overall"])


def test_a_window_that_no_layer_has_is_no_limit(llm_config, llm, prompt, tokens):
    values = {"num_key_value_heads": 2, "sliding_window": 18}
    config = llm_config("qwen3", layer_types=["full_attention"] * 2, **values)
    config.sliding_window = 18
    regressor = LevelRegressor(llm(config), prompt)
    assert regressor(*tokens, dimensions=["overall"]).isfinite().all()
