"""The prompt as token ids."""

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from aigv_reward.dimensions import DIMENSIONS
from aigv_reward.regressor import LEVEL_WORDS, PromptFormat, Question
from aigv_reward.regressor.prompt import PIECES, QUESTIONS, level_word_ids

REFERENCE = Path(__file__).parents[1] / "reference"


@pytest.fixture(scope="module")
def tokenizer():
    """One token a word or mark."""
    text = " ".join([*PIECES, *QUESTIONS.values(), *LEVEL_WORDS])
    split = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation()]
    )
    words = dict.fromkeys(word for word, _ in split.pre_tokenize_str(text))
    made = Tokenizer(
        models.WordLevel({word: i for i, word in enumerate(["?", *words])}, unk_token="?")
    )
    made.pre_tokenizer = split
    return PreTrainedTokenizerFast(tokenizer_object=made)


def test_from_tokenizer_reads_as_the_published_prompt(tokenizer):
    prompt = PromptFormat.from_tokenizer(tokenizer, lead=[0], max_prompt_tokens=9)
    assert prompt.dimensions == DIMENSIONS
    assert [tokenizer.decode(list(piece[1:])) for piece in prompt.pieces] == [
        "The key frames of this video are :",
        ". The motion feature of the video is :",
        ". And the technical quality feature of the video is :",
    ]
    overall = prompt.questions["overall"]
    assert overall.ids[0] == 0
    assert tokenizer.decode(list(overall.ids[1:])) == ". Please assess the quality of this video ."
    assert tokenizer.convert_ids_to_tokens(list(prompt.level_ids)) == list(LEVEL_WORDS)
    assert prompt.max_prompt_tokens == 9


def test_the_semantic_question_goes_around_the_text(tokenizer):
    prompt = PromptFormat.from_tokenizer(tokenizer)
    video = tokenizer.convert_tokens_to_ids("video")
    question = prompt.questions["semantic"]
    text = tokenizer.decode(list(question.with_text([video, video])))
    assert text == ". Please assess the key frames of this video : video video ."
    assert question.with_text(None) == question.with_text([]) == question.ids


def test_published_ids():
    prompt = PromptFormat.published()
    assert prompt.dimensions == DIMENSIONS
    assert sum(map(len, prompt.pieces)) + len(prompt.questions["overall"].ids) == 44
    assert prompt.pieces[0] == (2, 450, 1820, 16608, 310, 445, 4863, 526, 29901, 13)
    assert prompt.questions["overall"].ids == (
        2,
        869,
        3529,
        24809,
        278,
        11029,
        310,
        445,
        4863,
        29889,
    )
    assert prompt.level_ids == (15129, 1781, 6534, 6460, 4319)
    assert prompt.takes_text
    assert prompt.largest_id == 29901


@pytest.mark.parametrize("make", ["published", "tokenizer"])
def test_round_trip(make, tokenizer):
    made = (
        PromptFormat.published()
        if make == "published"
        else PromptFormat.from_tokenizer(tokenizer, lead=[1], max_prompt_tokens=3)
    )
    assert PromptFormat.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_a_level_word_of_several_tokens_is_an_error():
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(REFERENCE / "aigveval_small_tokenizer.json")
    )
    assert len(set(level_word_ids(tokenizer))) == 5
    letters = Tokenizer(models.WordLevel({c: i for i, c in enumerate("?excelntgodfairpb")}, "?"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    with pytest.raises(ValueError, match=r"level word 'excellent' is 9 tokens \[.*the limit is 1"):
        PromptFormat.from_tokenizer(PreTrainedTokenizerFast(tokenizer_object=letters))


PIECE = (1, 2)
VALID = {
    "pieces": (PIECE, PIECE, PIECE),
    "questions": {"overall": Question((3,))},
    "level_ids": (4, 5, 6, 7, 8),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pieces": (PIECE, PIECE)}, "a prompt has 3 pieces, .* not 2"),
        ({"level_ids": (4, 5, 6, 7, 7)}, "level_ids must be 5 different token ids, not"),
        ({"level_ids": (4, 5, 6, 7, 8, 8)}, "level_ids must be 5 different token ids, not"),
        ({"questions": {"sound": Question((3,))}}, r"questions for \['sound'\]; choose from tech"),
        ({"questions": {}}, "questions for no dimension; choose from technical, motion"),
        ({"max_prompt_tokens": 0}, "max_prompt_tokens 0 must be at least 1"),
    ],
)
def test_invalid_prompts(change, message):
    assert PromptFormat(**VALID).takes_text is False
    with pytest.raises(ValueError, match=message):
        PromptFormat(**(VALID | change))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (((),), "a question has 0 token ids; it needs at least 1"),
        (((1,), (1, 2)), "prompted_ids and prompt_position belong together"),
        (((1,), None, 0), "prompted_ids and prompt_position belong together"),
        (((1,), (1, 2), 2), r"prompt_position 2 lies outside 0\.\.1; the question must go on"),
        (((1,), (1, 2), -1), r"prompt_position -1 lies outside 0\.\.1"),
    ],
)
def test_invalid_questions(values, message):
    with pytest.raises(ValueError, match=message):
        Question(*values)


def test_a_question_without_a_place_for_text():
    with pytest.raises(ValueError, match="this question has no place for a text prompt"):
        Question((1, 2)).with_text([5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"words": 1}, r"the prompt has unknown keys \['words'\]; its keys are \['level_ids'"),
        (
            {"questions": {"motion": {"ids": [1], "idz": [2]}}},
            r"the question 'motion' has unknown keys \['idz'\]",
        ),
        ({"questions": {"motion": {}}}, r"the question 'motion' lacks the keys \['ids'\]"),
    ],
)
def test_unknown_keys(change, message):
    values = PromptFormat(**VALID).to_dict() | change
    with pytest.raises(ValueError, match=message):
        PromptFormat.from_dict(values)


def test_missing_keys():
    values = PromptFormat(**VALID).to_dict()
    del values["level_ids"]
    with pytest.raises(ValueError, match=r"the prompt lacks the keys \['level_ids'\]"):
        PromptFormat.from_dict(values)
