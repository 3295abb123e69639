"""What rules keep of a run, why not the others, and the folder that appears at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from aigv_reward import FilterRules
from aigv_reward.cli import app
from aigv_reward.corpus import CorpusRules, QualityFilter, Run, TopK, filter_run
from aigv_reward.corpus.inputs import find_corpus
from aigv_reward.corpus.item_source import content_sha256
from aigv_reward.corpus.run_creation import create_run

CALIBRATION = {
    "overall": {"mean": 3.0, "std": 0.5, "percentiles": [1.0, 3.0, 5.0]},
    "motion": {"mean": 2.0, "std": 1.0, "percentiles": [1.0, 2.0, 5.0]},
}
# key: (prompt_id, overall, motion); None: it failed
ROWS = {
    "a.mp4": ("p", 3.0, 4.0),
    "b.mp4": ("p", 4.0, 1.0),
    "c.mp4": ("q", 2.0, 2.0),
    "d.mp4": ("q", 2.0, 3.0),
    "same.mp4": ("q", 2.0, 3.0),
    "e.mp4": ("q", None, None),
}


@pytest.fixture
def run(tmp_path: Path) -> Run:
    lines = []
    for key, (group, _, _) in ROWS.items():
        (tmp_path / key).write_text("d.mp4" if key == "same.mp4" else key)
        lines.append(json.dumps({"path": key, "prompt": f"text {group}", "prompt_id": group}))
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    corpus = find_corpus(str(tmp_path / "list.jsonl"))
    plan = {
        "shard_size": 4,
        "batch_size": 1,
        "dimensions": ["motion", "overall"],
        "checkpoint": {"sha256": "made up", "trained": ["overall"], "calibration": CALIBRATION},
    }
    made = create_run(tmp_path / "run", plan, corpus.items)
    for shard in range(made.num_shards):
        measured: dict[int, Any] = {}
        for ordinal, item in made.items_of(shard):
            _, overall, motion = ROWS[item.name]
            failed = {"status": "error", "error_type": "VideoDecodeError", "error": "it is empty"}
            scores = {"status": "ok", "overall": overall, "motion": motion}
            measured[ordinal] = (failed if overall is None else scores) | {
                "content_sha256": content_sha256(os.fsdecode(item.path))
            }
        made.commit(shard, measured)
    return made


def outcome(run: Run, values: dict[str, Any]) -> tuple[list[str], dict[str, tuple[str, ...]]]:
    selection = filter_run(run, CorpusRules.from_dict(values))
    assert len(selection.kept) + len(selection.rejected) == len(ROWS)
    reasons = {one.row["key"]: one.reasons for one in selection.rejected}
    assert all(reasons.values())
    return [row["key"] for row in selection.kept], reasons


def test_thresholds_duplicates_and_top_k_in_that_order(run: Run) -> None:
    kept, reasons = outcome(run, {"minimum": {"overall": 3.5}, "maximum": {"motion": 3.5}})
    assert kept == ["b.mp4"]
    assert reasons["a.mp4"] == ("overall 3 is below 3.5", "motion 4 is above 3.5")
    assert reasons["e.mp4"] == ("error: VideoDecodeError: it is empty",)
    kept, reasons = outcome(run, {"duplicates": "drop"})
    assert kept == ["a.mp4", "b.mp4", "c.mp4", "d.mp4"]
    assert reasons["same.mp4"] == ("its content is that of 'd.mp4' (row 3)",)
    kept, reasons = outcome(run, {"top_k": {"k": 1, "per": "prompt_id", "by": "motion"}})
    assert kept == ["a.mp4", "d.mp4"]  # same.mp4 is as good as d.mp4 and comes later
    assert reasons["same.mp4"] == ("rank 2 of 3 with its prompt_id, of which 1 are kept",)
    by = {"overall": 1, "motion": 0.5}
    assert outcome(run, {"top_k": {"by": by}, "maximum": {"motion": 3.0}})[0] == ["b.mp4", "d.mp4"]


@pytest.mark.parametrize(
    ("reference", "limit", "kept"),
    [
        ("checkpoint", 3.0, ["a.mp4", "b.mp4"]),  # the calibration's median
        ("run", 2.0, ["a.mp4", "b.mp4", "c.mp4", "d.mp4", "same.mp4"]),  # of 2, 2, 2, 3, 4
    ],
)
def test_percentiles_refer_to_the_checkpoint_or_the_run(
    run: Run, tmp_path: Path, reference: Any, limit: float, kept: list[str]
) -> None:
    rules = CorpusRules.from_dict({"minimum_percentile": {"overall": 50}, "reference": reference})
    selection = filter_run(run, rules, tmp_path / "set")
    assert [row["key"] for row in selection.kept] == kept
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert manifest["resolved"]["limits"] == {"minimum_percentile": {"overall": limit}}
    assert manifest["rules"]["reference"] == reference
    counts = manifest["counts"]
    assert counts["total"] == counts["kept"] + counts["rejected"] == 6
    assert sum(counts["rejected_by"].values()) == counts["rejected"]
    assert manifest["plan_sha256"] == run.digest


def test_z_scores_refer_to_the_calibration(run: Run) -> None:
    assert outcome(run, {"minimum_z": {"overall": 1.0}})[0] == ["b.mp4"]  # 3.0 + 1.0 * 0.5


@pytest.mark.parametrize("emit", ["parquet", "jsonl", "videofolder", "copy", "symlink"])
def test_sets_hold_what_is_kept(run: Run, tmp_path: Path, emit: Any) -> None:
    out = tmp_path / "sets" / "set"
    filter_run(run, CorpusRules.from_dict({"minimum": {"overall": 3.0}}), out, emit=emit)
    if emit == "parquet":
        rows = pq.read_table(out / "kept.parquet").to_pylist()
    else:
        place = out / ("kept.jsonl" if emit == "jsonl" else "videos/metadata.jsonl")
        rows = [json.loads(line) for line in place.read_text().splitlines()]
    assert [(row["prompt"], row["prompt_id"], row["overall"]) for row in rows] == [
        ("text p", "p", 3.0),
        ("text p", "p", 4.0),
    ]
    if emit in ("videofolder", "copy", "symlink"):
        names = [row["file_name"] for row in rows]
        assert names == ["00000000-a.mp4", "00000001-b.mp4"]
        assert [(out / "videos" / name).read_text() for name in names] == ["a.mp4", "b.mp4"]
        assert (out / "videos" / names[0]).is_symlink() == (emit == "symlink")
    rejected = pq.read_table(out / "rejected.parquet").to_pylist()
    assert [row["rule"] for row in rejected] == ["thresholds"] * 3 + ["status"]
    assert os.listdir(out.parent) == ["set"]


@pytest.mark.parametrize("emit", ["parquet", "jsonl", "copy", "webdataset"])
def test_a_set_may_be_empty(run: Run, tmp_path: Path, emit: Any) -> None:
    rules = CorpusRules.from_dict({"minimum": {"overall": 5.0}})
    assert filter_run(run, rules, tmp_path / "set", emit=emit).kept == ()
    assert pq.read_table(tmp_path / "set" / "rejected.parquet").num_rows == len(ROWS)
    if emit == "parquet":
        assert pq.read_table(tmp_path / "set" / "kept.parquet").num_rows == 0


def test_a_webdataset_can_be_scored_again(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "set"
    filter_run(run, CorpusRules(duplicates="drop"), out, emit="webdataset")
    with tarfile.open(out / "000000.tar") as tar:
        assert tar.getnames()[:3] == ["00000000.mp4", "00000000.json", "00000000.txt"]
    again = find_corpus(str(out / "000000.tar")).items
    assert [item.prompt for item in again] == ["text p", "text p", "text q", "text q"]


def test_a_set_is_not_written_over_or_in_part(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = CorpusRules(duplicates="drop")
    (tmp_path / "there").mkdir()
    with pytest.raises(ValueError, match="there' exists; name a new folder for the set"):
        filter_run(run, rules, tmp_path / "there")
    changed = tmp_path / "b.mp4"
    stamp = changed.stat()
    changed.write_text("B.mp4")
    os.utime(changed, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(ValueError, match=r"'b.mp4' was changed since it was scored"):
        filter_run(run, rules, tmp_path / "out" / "set", emit="copy")
    assert os.listdir(tmp_path / "out") == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("minimun: {overall: 3}", "unknown key 'minimun' in the rules"),
        ("top-k: {k: 1}", r"unknown key 'top-k' in the rules; choose minimum, .*, top_k, dup"),
        ("minimum: {overal: 3}", "unknown dimension 'overal'"),
        ("top_k: {n: 3}", "unknown key 'n' in top_k; choose k, per, by"),
        ("top_k: {k: 0}", "k of top_k is 0; give 1 or more"),
        ("top_k: {by: beauty}", "unknown dimension 'beauty' in by of top_k"),
        ("top_k: {by: {motion: .nan}}", "the weight of 'motion' in top_k is nan; give a number"),
        ("top_k: {by: 3}", "top_k has per 'prompt' and by 3; give a column"),
        ("top_k: 3", r"top_k is 3; give \{k: 1, per: prompt, by: overall\}"),
        ("duplicates: maybe", "duplicates is 'maybe'; choose keep or drop"),
        ("reference: run", "the rules keep everything; give a threshold"),
        ("minimum: {overall: 3}\nminimum: {motion: 3}", "'minimum' stands twice, again in line 2"),
        ("minimum: {overall: 3, overall: 4}", "'overall' stands twice"),
        ("- 3", "is no mapping; write e.g. minimum"),
        ("a: [", "is no YAML"),
        ("minimum: {overall: high}", "minimum of 'overall' is 'high'; give a finite number"),
    ],
)
def test_rules_files_are_strict(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(ValueError, match=said):
        CorpusRules.from_yaml(tmp_path / "rules.yaml")


def test_filter_rules_come_from_yaml_too(tmp_path: Path) -> None:
    rules = FilterRules(minimum={"overall": 3.0}, match="any", missing="reject")
    (tmp_path / "r.yaml").write_text("minimum: {overall: 3.0}\nmatch: any\nmissing: reject\n")
    assert FilterRules.from_yaml(tmp_path / "r.yaml") == rules
    with pytest.raises(ValueError, match=r"absent.yaml' cannot be read"):
        FilterRules.from_yaml(tmp_path / "absent.yaml")


def test_what_does_not_fit_the_run_is_named(run: Run) -> None:
    with pytest.raises(ValueError, match="no score of 'semantic'"):
        outcome(run, {"minimum": {"semantic": 1.0}})
    assert outcome(run, {"minimum": {"semantic": 1.0}, "missing": "reject"})[0] == []
    with pytest.raises(ValueError, match=r"'a.mp4' \(row 0\) has no 'seed' to be grouped by"):
        outcome(run, {"top_k": {"per": "seed"}})
    with pytest.raises(ValueError, match=r"the run has no score of 'semantic' for 'a.mp4'"):
        filter_run(run, CorpusRules(top_k=TopK(by={"semantic": 1.0})))
    run.plan["checkpoint"]["calibration"] = None
    with pytest.raises(ValueError, match=r"has no calibration .*; use reference: run"):
        outcome(run, {"minimum_z": {"overall": 0.0}})


def test_the_callable_filter() -> None:
    from datasets import Dataset

    keep = QualityFilter(FilterRules(minimum={"overall": 3.0}))
    data = Dataset.from_dict({"path": ["a", "b"], "overall": [3.5, 2.0]})
    assert data.filter(keep)["path"][:] == ["a"]
    assert keep("anything", {"overall": 3.0}) and not keep(object(), {"overall": 2.9})
    with pytest.raises(ValueError, match="a sample of type str holds no scores"):
        keep("a.mp4")
    with pytest.raises(ValueError, match="no score of 'overall'"):
        keep({"motion": 3.0})
    with pytest.raises(ValueError, match=r"need a reference; call rules.resolve\("):
        QualityFilter(FilterRules(minimum_z={"overall": 0.0}))


@pytest.fixture
def command() -> Callable[..., Any]:
    return lambda *words: CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


def test_the_commands(run: Run, tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "rules.yaml").write_text("minimum: {overall: 3.0}\n")
    ran = command(
        "filter", run.folder, "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "set"
    )
    assert (ran.exit_code, ran.stdout) == (0, f"kept 2 of 6 videos; wrote {tmp_path / 'set'}\n")
    ran = command(
        *("best-of", run.folder, "--group-by", "prompt_id", "--by", "motion", "--format", "json")
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(os.path.basename(one["video"]), one["rank"]) for one in lines] == [
        ("a.mp4", 1),
        ("d.mp4", 1),
    ]
    assert "1 of 6 videos of the run have no scores" in ran.stderr
    (tmp_path / "rules.yaml").write_text("minimun: {overall: 3.0}\n")
    ran = command("filter", run.folder, "--rules", tmp_path / "rules.yaml", "--out", tmp_path / "s")
    assert ran.exit_code == 2 and "unknown key 'minimun'" in ran.stderr
    ran = command("best-of", tmp_path)
    assert ran.exit_code == 1 and "is no run" in ran.stderr


def test_a_missing_library_is_named_with_its_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = None; from aigv_reward.cli import main; "
        f"sys.argv = ['aigv-reward', 'score', '.', '--out', {str(tmp_path / 'run')!r}]; main()"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert (
        'runs need pyarrow, which is not installed: pip install "aigv-reward[corpus]"' in ran.stderr
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--workers", "2"], "--workers 2 is for runs; add --out RUN"),
        (["--out", "r", "--workers", "none"], "--workers 'none' is no number of processes"),
        (["--out", "r", "--shard", "0/3"], "--shard '0/3' is no part; write I/N with I from 1"),
        (["--out", "r", "--prompts", "p.csv"], "--prompts has no meaning with --out; name a csv"),
        (["--out", "r", "--format", "csv"], "--format csv has no meaning with --out; choose table"),
    ],
)
def test_mistaken_options_of_runs(
    command: Callable[..., Any], tmp_path: Path, words: list[str], said: str
) -> None:
    ran = command("score", tmp_path, *words)
    assert ran.exit_code == 2 and said in ran.stderr
