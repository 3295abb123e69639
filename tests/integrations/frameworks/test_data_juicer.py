"""DataJuicerFilter in a small data-juicer, on real datasets."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml
from datasets import Dataset, disable_progress_bars

from aigv_reward import VideoReward

STATS = "__dj__stats__"
RULES = {"minimum": {"technical": 0.0}, "missing": "reject"}


@pytest.fixture
def operators(data_juicer: Any) -> Any:
    """The registry, once the host has found its plugins."""
    disable_progress_bars()
    settings = tomllib.loads(Path(__file__).parents[3].joinpath("pyproject.toml").read_text())
    found = settings["project"]["entry-points"][data_juicer.GROUP]
    plugins = [EntryPoint(name, value, data_juicer.GROUP) for name, value in found.items()]
    assert data_juicer.load_op_plugins(plugins) == (["aigv_reward"], [])
    return data_juicer.OPERATORS.modules


@pytest.fixture
def load(operators: Any, data_juicer: Any) -> Callable[..., Any]:
    def load(**options: Any) -> Any:
        (found,) = data_juicer.load_ops([{"aigv_reward_filter": options}])
        return found

    return load


def test_the_entry_point_alone_does_not_load_the_model_code(data_juicer: Any) -> None:
    """data-juicer imports every plugin at every start."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(data_juicer.__file__).parents[2])!r})\n"
        "import aigv_reward.integrations.frameworks.data_juicer\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("batched", [False, True])
def test_a_run(
    load: Callable[..., Any], lite: VideoReward, clips: list[Path], tmp_path: Path, batched: bool
) -> None:
    """Good files have the reward's scores; broken ones cost nobody else anything."""
    broken, absent = tmp_path / "broken.mp4", str(tmp_path / "absent.mp4")
    broken.write_bytes(clips[0].read_bytes()[:400])
    videos = [[str(broken)], [str(clips[0])], [absent], [str(clips[1]), absent], [], None]
    prompts = ["a", "a cat", "b", "a dog", "c", "d"]
    dataset = Dataset.from_dict({"videos": videos, "prompt": prompts})
    expected = lite.score(clips, ["a cat", "a dog"]).rows()
    for missing, staying in (("reject", [1, 3]), ("keep", [0, 1, 2, 3, 4, 5])):
        rules = RULES | {"missing": missing}
        op = load(rules=rules, prompt_field="prompt", batch_mode=batched, batch_size=4)
        rows = op.run(dataset, reduce=False)[:]
        stats = rows[STATS]
        assert rows["videos"] == videos
        for name in lite.trained:
            column = [each[f"aigv_{name}"] for each in stats]
            good = [pytest.approx(row[name], rel=1e-5) for row in expected]
            assert column == [[], [good[0]], [], [good[1], None], [], []]
        reasons = [each["aigv_error"] for each in stats]
        assert "broken.mp4" in reasons[0][0] and "absent.mp4" in reasons[2][0]
        assert reasons[1] == [""] and reasons[3][0] == "" and "absent.mp4" in reasons[3][1]
        assert reasons[4] == reasons[5] == ["ValueError: there is no video"]
        assert op.run(dataset)["prompt"] == [prompts[index] for index in staying]


def test_any_or_all_of_a_samples_videos(
    load: Callable[..., Any], clips: list[Path], named: str
) -> None:
    """The second clip has a fifth of the first one's contrast."""
    clear, faint = map(str, clips)
    dataset = Dataset.from_dict({"videos": [[clear], [faint], [clear, faint], [faint, faint]]})
    op = load(rules=RULES, reward=named)
    scores = [each["aigv_technical"] for each in op.run(dataset, reduce=False)[STATS]]
    assert scores[2] == [*scores[0], *scores[1]] and scores[0][0] > scores[1][0]
    rules = RULES | {"minimum": {"technical": (scores[0][0] + scores[1][0]) / 2}}
    for any_or_all, staying in (("any", [0, 2]), ("all", [0])):
        op = load(rules=rules, reward=named, any_or_all=any_or_all)
        assert op.run(dataset)["videos"] == [dataset[index]["videos"] for index in staying]


def test_a_dataset_whose_first_rows_all_failed(
    load: Callable[..., Any], clips: list[Path], named: str
) -> None:
    """The type of a column is fixed when the first rows are written; nulls alone have none."""
    dataset = Dataset.from_dict({"videos": [["absent.mp4"]] * 4 + [[str(clips[0])]]})
    for batch_size in (1, 2, 5):
        op = load(rules=RULES, reward=named, batch_mode=True, batch_size=batch_size)
        rows = op.run(dataset, reduce=False, writer_batch_size=2)
        assert [len(each["aigv_technical"]) for each in rows[STATS]] == [0, 0, 0, 0, 1]
        assert json.loads(json.dumps(rows[0][STATS]))["aigv_technical"] == []
        assert len(op.run(dataset, writer_batch_size=2)) == 1


def test_blocks_of_ray_have_one_type(
    load: Callable[..., Any], clips: list[Path], named: str
) -> None:
    """Ray builds a block of each batch, and keeps what arrow does not know as pickles."""
    block = pytest.importorskip("ray.data.block").BlockAccessor.batch_to_block
    op = load(rules=RULES, reward=named, batch_mode=True)
    good, types = str(clips[0]), set()
    for videos in ([["absent.mp4"]], [[good]], [["absent.mp4"], [good, "absent.mp4"]]):
        batch = op.compute_stats({"videos": videos, STATS: [{} for _ in videos]})
        table = block(batch)
        types.add(str(table.schema.field(STATS).type))
        assert list(op.process(table)) == [good in each for each in videos]
    assert types == {"struct<aigv_technical: list<item: double>, aigv_error: list<item: string>>"}


@pytest.mark.parametrize("missing", ["keep", "reject"])
def test_nothing_raises_on_odd_samples(
    load: Callable[..., Any], named: str, clips: list[Path], missing: str
) -> None:
    """Fields that are absent or of another type, and stats from elsewhere."""
    rules = RULES | {"missing": missing}
    op = load(rules=rules, reward=named, prompt_field="prompt", skip_op_error=False)
    odd: list[dict[str, Any]] = [
        {"prompt": "a"},
        {"videos": 3, "prompt": "a"},
        {"videos": [None], "prompt": None},
        {"videos": [["a.mp4"]], "prompt": ["a", "b"]},
        {"videos": "absent.mp4"},
        {"videos": [str(clips[0])], "prompt": 3},
        {"videos": [str(clips[0])]},
    ]
    for sample in odd:
        stats = op.compute_stats(sample | {STATS: {}})[STATS]
        assert stats["aigv_error"][0] != ""
        assert op.process({STATS: stats}) is (missing == "keep")
    for stats in ({}, {"aigv_technical": None}, {"aigv_technical": []}):
        assert op.process({STATS: stats}) is (missing == "keep")
    one = op.compute_stats({"videos": str(clips[0]), "prompt": None, STATS: {}})[STATS]
    assert one["aigv_error"] == [""] and op.process({STATS: one}) is True


def test_gpus_are_shared_out_by_rank(
    load: Callable[..., Any], named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = load(rules=RULES, reward=named)
    asked = []
    monkeypatch.setattr(op, "use_cuda", lambda: True)
    home = sys.modules[type(op).__module__]
    monkeypatch.setattr(home, "cuda_device_count", lambda: 2)
    monkeypatch.setattr(
        op.judge,
        "scores",
        lambda video, prompt, *, device: asked.append(device) or ({"technical": 1.0}, ""),
    )
    for rank in (None, 0, 3):
        op.compute_stats({"videos": ["a.mp4"], STATS: {}}, rank)
    assert asked == ["cuda:0", "cuda:0", "cuda:1"]


def test_what_the_host_caches_by_is_small_and_the_same(load: Callable[..., Any]) -> None:
    first, again = (load(rules=RULES).judge for _ in range(2))
    assert pickle.dumps(first) == pickle.dumps(again)
    assert pickle.dumps(first) != pickle.dumps(load(rules=RULES, calibrated=True).judge)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"any_or_all": "most"}, "any_or_all is 'most'; choose any or all"),
        ({"reversed_range": True}, "reversed_range is True, .*; leave it out and write"),
        ({"min_closed_interval": False}, "min_closed_interval is False, but rules have no"),
        ({"rules": {"minimum": {"technical": 1}}}, "missing='error', and one broken file"),
    ],
)
def test_configurations_that_raise(load: Callable[..., Any], options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(**{"rules": RULES} | options)


def test_the_readme(
    operators: Any,
    data_juicer: Any,
    snippets: Callable[[str], list[tuple[str, str]]],
    clips: list[Path],
) -> None:
    ((_, text),) = snippets("data-juicer")
    (op,) = data_juicer.load_ops(yaml.safe_load(text)["process"])
    assert op.judge.rules.resolved and op.prompt_field == "prompt"
    videos = [[str(path)] for path in clips] + [["absent.mp4"]]
    found = op.run(Dataset.from_dict({"videos": videos, "prompt": ["a", "b", "c"]}))
    assert ["absent.mp4"] not in found["videos"]
