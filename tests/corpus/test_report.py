"""The page of a run and of a set: complete, escaped, and without a network."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aigv_reward.cli import app
from aigv_reward.corpus import CorpusRules, Run, filter_run
from aigv_reward.corpus.inputs import find_corpus
from aigv_reward.corpus.report import write_report
from aigv_reward.corpus.run_creation import create_run

EVIL = "<script>alert('x')</script>&\"'"


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.fixture
def run(tmp_path: Path, mp4: bytes) -> Run:
    names = [f"{place}{EVIL.replace('/', '_')}.mp4" for place in range(6)]
    lines = []
    for name in names:
        (tmp_path / name).write_bytes(mp4)
        lines.append(json.dumps({"path": name, "prompt": EVIL, "generator": EVIL}))
    (tmp_path / "list.jsonl").write_text("\n".join(lines))
    checkpoint = {"sha256": "0" * 64, "name": EVIL, "trained": ["overall"], "calibration": None}
    plan = {"shard_size": 6, "batch_size": 1, "dimensions": ["overall"], "checkpoint": checkpoint}
    made = create_run(tmp_path / "run", plan, find_corpus(str(tmp_path / "list.jsonl")).items)
    scores = {k: {"status": "ok", "overall": 1.0 + k, "content_sha256": str(k)} for k in range(5)}
    failed = {"status": "error", "error_type": EVIL, "error": EVIL}
    made.commit(0, {**scores, 5: failed})
    return made


def test_the_page_of_a_set_is_escaped_offline_and_complete(run: Run, tmp_path: Path) -> None:
    filter_run(run, CorpusRules.from_dict({"minimum": {"overall": 3.5}}), tmp_path / "set")
    page = write_report(tmp_path / "set", tmp_path / "set.html").read_text()
    tags = Tags()
    tags.feed(page)
    assert [tag for tag, _ in tags.seen].count("script") == 1
    assert not [at for _, at in tags.seen for name in at if name.startswith("on")]
    assert not re.search(r"https?://", page)
    loaded = {at["src"] for tag, at in tags.seen if at.get("src")}
    assert loaded and all(url.startswith("data:image/jpeg;base64,") for url in loaded)
    assert [tag for tag, _ in tags.seen].count("line") == 1  # the threshold in the histogram
    assert "overall: at the threshold" in page and "What each rule removed" in page
    assert "<tr><td>kept</td><td class='n'>2</td><td class='n'>33.3%</td></tr>" in page
    assert "<tr><td>thresholds</td><td class='n'>3</td>" in page
    assert len([1 for tag, at in tags.seen if "data-clip" in at]) == 6


def test_the_command_writes_the_page_of_a_run(run: Run, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["report", str(run.folder)], catch_exceptions=False)
    assert ran.exit_code == 0
    page = (run.folder / "report.html").read_text()
    assert "6 videos: 5 ok, 1 error, 0 timeout, 0 crash." in page
    assert "What each rule removed" not in page and "Generators" in page
    ran = CliRunner().invoke(app, ["report", str(tmp_path)], catch_exceptions=False)
    assert ran.exit_code == 1 and "is no run" in ran.stderr


def test_a_set_needs_its_run(run: Run, tmp_path: Path) -> None:
    filter_run(run, CorpusRules(duplicates="drop"), tmp_path / "set")
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    text = json.dumps(manifest | {"plan_sha256": "another"})
    (tmp_path / "set" / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"is not the run that .* was made of; filter again"):
        write_report(tmp_path / "set", tmp_path / "set.html")
