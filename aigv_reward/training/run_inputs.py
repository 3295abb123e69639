"""What a run reads before it trains: videos, features, and what its model can be asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from accelerate.utils import gather_object
from tqdm.auto import tqdm  # type: ignore[import-untyped]
from transformers import PreTrainedTokenizerFast

from aigv_reward.dimensions import Dimension
from aigv_reward.model import AIGVRewardModel
from aigv_reward.training.arguments import ModelArguments, QualityTrainingArguments
from aigv_reward.training.feature_cache import FeatureCache, fill_cache
from aigv_reward.training.opinions import Opinion
from aigv_reward.training.split_rows import said
from aigv_reward.training.splits import Item, item_videos
from aigv_reward.training.video_files import inspect_videos, unreadable_message

Failures = dict[Path, str]


def read_contents(
    paths: Iterable[Path], args: QualityTrainingArguments, *, skip: bool
) -> tuple[dict[Path, str], Failures]:
    """{path: sha256} of the videos that can be read, and {path: reason} of the others.

    Raises:
        ValueError: some cannot be read and are not to be skipped; names the first few.
    """
    unique = sorted(set(paths))
    with _progress(args, len(unique), "checking videos") as advance:
        digests, failures = inspect_videos(unique, advance=advance)
    _refuse(failures, len(unique), skip=skip)
    return digests, failures


def cache_features(
    cache: FeatureCache,
    model: AIGVRewardModel,
    digests: Mapping[Path, str],
    args: QualityTrainingArguments,
    *,
    skip: bool,
) -> Failures:
    """Fill the cache, each process its share; {path: reason} of videos that cannot be read.

    Raises:
        ValueError: some cannot be read and are not to be skipped; names the first few.
    """
    contents = {digest: path for path, digest in digests.items()} if cache.towers else {}
    mine = share_of(contents, cache, rank=args.process_index, ranks=args.world_size)
    with _progress(args, len(mine), "computing features") as advance:
        failures = fill_cache(
            cache,
            model,
            mine,
            device=args.device,
            workers=args.dataloader_num_workers,
            advance=advance,
        )
    if args.world_size > 1:  # also waits until every process has written its features
        failures = dict(gather_object(list(failures.items())))
    broken = {digests[path]: reason for path, reason in failures.items()}
    failures = {path: broken[digest] for path, digest in digests.items() if digest in broken}
    _refuse(failures, len(digests), skip=skip)
    return failures


def share_of(
    contents: Mapping[str, Path], cache: FeatureCache, *, rank: int, ranks: int
) -> dict[str, Path]:
    """What one of several processes adds to the cache.

    Videos are dealt out before looking at what is there: another process may be writing already.
    """
    dealt = sorted(contents.items())[rank::ranks]
    return {digest: path for digest, path in dealt if cache.lacks(digest)}


def check_questions(
    dimensions: Sequence[Dimension], items: Sequence[Item], model: AIGVRewardModel
) -> None:
    """Raise unless the checkpoint can be asked about every dimension that is trained.

    Raises:
        ValueError: it has no question for one of them.
    """
    for name in dimensions:
        if name not in model.config.dimensions:
            rows = sum(name in said(item) for item in items)
            raise ValueError(
                f"{rows} training rows have {name}, which this checkpoint has no question "
                f"for; it answers {', '.join(model.config.dimensions)}: leave the column out with "
                f"columns: {{{name}: null}}"
            )


def prompt_rate_of(
    args: ModelArguments,
    dimensions: Sequence[Dimension],
    model: AIGVRewardModel,
    tokenizer: PreTrainedTokenizerFast | None,
) -> float:
    """How often a row's text prompt is read: as asked, or by what the checkpoint can do.

    Raises:
        ValueError: prompts are to be read, and the checkpoint cannot.
    """
    possible = model.prompt_format.takes_text and tokenizer is not None
    if args.prompt_rate is None:
        return 0.5 if possible and "semantic" in dimensions else 0.0
    if args.prompt_rate and not possible:
        raise ValueError(
            f"prompt_rate is {args.prompt_rate}, but the checkpoint reads no text prompts: it "
            "lacks a question with a place for one, or tokenizer.json; set prompt_rate: 0"
        )
    return args.prompt_rate


def one_a_video(items: Iterable[Item], digests: Mapping[Path, str]) -> list[Opinion]:
    """Each different video once, with the prompt of its first item and no opinion."""
    found: dict[str, Opinion] = {}
    for item in items:
        for path in item_videos(item):
            found.setdefault(digests[path], Opinion(path, item.prompt, {}))
    return list(found.values())


@contextmanager
def _progress(
    args: QualityTrainingArguments, total: int, doing: str
) -> Iterator[Callable[[], object]]:
    """A bar on stderr, in the first process, where transformers shows its own."""
    silent = args.disable_tqdm or args.process_index > 0 or not total
    with tqdm(total=total, desc=doing, disable=silent) as bar:
        yield bar.update


def _refuse(failures: Mapping[Path, str], total: int, *, skip: bool) -> None:
    if failures and not skip:
        raise ValueError(
            f"{unreadable_message(failures, total)}. Repair or remove them, check root, or set "
            "skip_unreadable: true to train without their rows"
        )
