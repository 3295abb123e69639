"""The prompt as token ids: three pieces around the visual tokens, then one question a dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from numbers import Integral
from typing import Any, Protocol, cast

from aigv_reward.dimensions import DIMENSIONS, Dimension

LEVEL_WORDS = ("excellent", "good", "fair", "poor", "bad")

PIECES = (
    "The key frames of this video are:\n",
    ". The motion feature of the video is:\n",
    ". And the technical quality feature of the video is:\n",
)
QUESTIONS: dict[Dimension, str] = {
    "overall": ". Please assess the quality of this video.",
    "technical": ". Please assess the technical quality of this video.",
    "motion": ". Please assess the motion quality of this video.",
    "semantic": ". Please assess the key frames of this video.",
}
SEMANTIC_PROMPTED = (". Please assess the key frames of this video: ", ".")


class TextEncoder(Protocol):
    """What is asked of a tokenizer: transformers' fast tokenizers have it."""

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


@dataclass(frozen=True)
class Question:
    """One question as token ids, with the place of the generator's text prompt where it has one.

    Attributes:
        ids: the question as it is asked without a text prompt.
        prompted_ids: the question around a text prompt, or None when it never carries one.
        prompt_position: index in `prompted_ids` at which the prompt's ids are inserted.
    """

    ids: tuple[int, ...]
    prompted_ids: tuple[int, ...] | None = None
    prompt_position: int | None = None

    def __post_init__(self) -> None:
        if not self.ids:
            raise ValueError("a question has 0 token ids; it needs at least 1 to be answered at")
        if (self.prompted_ids is None) != (self.prompt_position is None):
            raise ValueError("prompted_ids and prompt_position belong together: give both or none")
        if self.prompted_ids is not None and self.prompt_position is not None:
            if not 0 <= self.prompt_position < len(self.prompted_ids):
                raise ValueError(
                    f"prompt_position {self.prompt_position} lies outside 0.."
                    f"{len(self.prompted_ids) - 1}; the question must go on after the prompt"
                )

    def with_text(self, text_ids: Sequence[int] | None) -> tuple[int, ...]:
        """The ids to ask: around `text_ids`, or the question without where they are None or empty.

        Raises:
            ValueError: this question has no place for a text prompt.
        """
        if text_ids is None or len(text_ids) == 0:
            return self.ids
        if self.prompted_ids is None or self.prompt_position is None:
            raise ValueError("this question has no place for a text prompt; pass prompts=None")
        cut = self.prompt_position
        return (*self.prompted_ids[:cut], *text_ids, *self.prompted_ids[cut:])


@dataclass(frozen=True)
class PromptFormat:
    """Everything the regressor reads beside the visual tokens.

    Attributes:
        pieces: token ids before the semantic, the motion and the technical tokens.
        questions: one per dimension that the checkpoint can answer.
        level_ids: rows of the output head, in the order excellent, good, fair, poor, bad.
        max_prompt_tokens: a longer text prompt is an error, never cut silently.
    """

    pieces: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    questions: dict[Dimension, Question]
    level_ids: tuple[int, int, int, int, int]
    max_prompt_tokens: int = 256

    def __post_init__(self) -> None:
        if len(self.pieces) != 3:
            raise ValueError(
                f"a prompt has 3 pieces, one before each view's tokens, not {len(self.pieces)}"
            )
        if len(self.level_ids) != 5 or len(set(self.level_ids)) != 5:
            raise ValueError(f"level_ids must be 5 different token ids, not {list(self.level_ids)}")
        unknown = [name for name in self.questions if name not in DIMENSIONS]
        if unknown or not self.questions:
            raise ValueError(
                f"questions for {unknown or 'no dimension'}; choose from {', '.join(DIMENSIONS)}"
            )
        asked = (ids for q in self.questions.values() for ids in (q.ids, q.prompted_ids or ()))
        every: list[Sequence[Any]] = [*self.pieces, *asked, self.level_ids]
        for ids in every:
            if wrong := [token for token in ids if not isinstance(token, Integral) or token < 0]:
                raise ValueError(f"token ids of the prompt include {wrong[:3]}; give whole numbers")
        if self.max_prompt_tokens < 1:
            raise ValueError(f"max_prompt_tokens {self.max_prompt_tokens} must be at least 1")

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The dimensions that have a question, in the order of `DIMENSIONS`."""
        return tuple(name for name in DIMENSIONS if name in self.questions)

    @property
    def largest_id(self) -> int:
        """The largest token id that is ever embedded or read, text prompts apart."""
        asked = (q.ids + (q.prompted_ids or ()) for q in self.questions.values())
        return max(max(ids, default=0) for ids in (*self.pieces, *asked, self.level_ids))

    @property
    def takes_text(self) -> bool:
        """Whether a question has a place for the generator's text prompt."""
        return any(question.prompted_ids is not None for question in self.questions.values())

    def to_dict(self) -> dict[str, Any]:
        """Plain lists and dicts for the config file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PromptFormat:
        """The inverse of `to_dict`.

        Raises:
            ValueError: a key is unknown or a required one is missing.
        """
        _check_keys(cls, values, "prompt")
        for name, question in values["questions"].items():
            _check_keys(Question, question, f"question {name!r}")
        questions = {
            cast(Dimension, name): Question(
                ids=tuple(question["ids"]),
                prompted_ids=None
                if question.get("prompted_ids") is None
                else tuple(question["prompted_ids"]),
                prompt_position=question.get("prompt_position"),
            )
            for name, question in values["questions"].items()
        }
        pieces = tuple(tuple(piece) for piece in values["pieces"])
        return cls(
            pieces=cast(Any, pieces),
            questions=questions,
            level_ids=cast(Any, tuple(values["level_ids"])),
            max_prompt_tokens=values.get("max_prompt_tokens", 256),
        )

    @classmethod
    def from_tokenizer(
        cls, tokenizer: TextEncoder, *, lead: Sequence[int] = (), max_prompt_tokens: int = 256
    ) -> PromptFormat:
        """The published prompt, and a question for each other dimension, in a tokenizer's ids.

        Args:
            tokenizer: has `encode(text, add_special_tokens=...)`.
            lead: ids that begin every piece and question (the published model has one, 2).
            max_prompt_tokens: limit for the generator's text prompt.

        Raises:
            ValueError: a level word is not exactly one token.
        """

        def ids(text: str) -> tuple[int, ...]:
            return tuple(tokenizer.encode(text, add_special_tokens=False))

        before, after = (ids(text) for text in SEMANTIC_PROMPTED)
        questions = {name: Question((*lead, *ids(text))) for name, text in QUESTIONS.items()}
        questions["semantic"] = Question(
            questions["semantic"].ids, (*lead, *before, *after), len(lead) + len(before)
        )
        return cls(
            pieces=cast(Any, tuple((*lead, *ids(text)) for text in PIECES)),
            questions=questions,
            level_ids=cast(Any, level_word_ids(tokenizer)),
            max_prompt_tokens=max_prompt_tokens,
        )

    @classmethod
    def published(cls) -> PromptFormat:
        """The prompt of the published model, as Llama's token ids.

        The question about `overall` is the published one. The others are asked in words whose ids
        the published prompt already uses, and no published checkpoint was trained on them.
        """
        assess = (2, 869, 3529, 24809, 278)
        of_this_video = (310, 445, 4863)
        semantic = (*assess, 1820, 16608, *of_this_video)
        return cls(
            pieces=(
                (2, 450, 1820, 16608, 310, 445, 4863, 526, 29901, 13),
                (2, 869, 450, 10884, 4682, 310, 278, 4863, 338, 29901, 13),
                (2, 869, 1126, 278, 16905, 11029, 4682, 310, 278, 4863, 338, 29901, 13),
            ),
            questions={
                "technical": Question((*assess, 16905, 11029, *of_this_video, 29889)),
                "motion": Question((*assess, 10884, 11029, *of_this_video, 29889)),
                "semantic": Question(
                    (*semantic, 29889), (*semantic, 29901, 29889), len(semantic) + 1
                ),
                "overall": Question((*assess, 11029, *of_this_video, 29889)),
            },
            level_ids=(15129, 1781, 6534, 6460, 4319),
        )


def _check_keys(cls: type, values: Mapping[str, Any], what: str) -> None:
    known = {field.name for field in fields(cls)}
    required = {field.name for field in fields(cls) if field.default is MISSING}
    if unknown := sorted(values.keys() - known):
        raise ValueError(f"the {what} has unknown keys {unknown}; its keys are {sorted(known)}")
    if missing := sorted(required - values.keys()):
        raise ValueError(f"the {what} lacks the keys {missing}; give them")


def level_word_ids(tokenizer: TextEncoder) -> tuple[int, ...]:
    """The token id of each level word, best level first.

    Raises:
        ValueError: a level word is split into several tokens (or none) by this tokenizer.
    """
    found = []
    for word in LEVEL_WORDS:
        ids = tokenizer.encode(word, add_special_tokens=False)
        if len(ids) != 1:
            raise ValueError(
                f"the level word {word!r} is {len(ids)} tokens {ids}, the limit is 1; "
                "add it to the tokenizer's vocabulary or use another tokenizer"
            )
        found.append(ids[0])
    return tuple(found)
