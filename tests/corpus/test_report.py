"""The page of a run and of a set: complete, escaped, offline, and looked at in a browser."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import chromium
import pytest
from chromium import Chromium
from typer.testing import CliRunner, Result

from aigv_reward.cli import app
from aigv_reward.corpus import CorpusRules, Run, filter_run, write_report
from aigv_reward.corpus.inputs import find_corpus
from aigv_reward.corpus.report_page import report_page
from aigv_reward.corpus.run_creation import create_run
from aigv_reward.corpus.selection import Selection

EVIL = "</td><script>document.title='owned'</script><img src=x onerror=alert(1)>&\"'\n"
NAMES = [f"{place}{EVIL.replace('/', '_')}.mp4" for place in range(6)]
ABSENT = [f"absent/{place:03d}.mp4" for place in range(6, 110)]
RAW = b"\xff\xe9.mp4"
"""Not UTF-8."""
RULES = {"minimum": {"overall": 3.5}, "maximum": {"motion": 4.5}, "missing": "reject"}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, mp4: bytes) -> Run:
    """Rows 0 to 4 scored, 5 failed, then more than get previews, most of whose files are gone."""
    top = tmp_path_factory.mktemp("report")
    lines = []
    for name in (*NAMES, *ABSENT, os.fsdecode(RAW)):
        if name not in ABSENT:
            (top / name).write_bytes(mp4)
        lines.append({"path": name, "prompt": EVIL, "generator": EVIL if name in NAMES else "b"})
    (top / "list.jsonl").write_text("\n".join(map(json.dumps, lines)))
    checkpoint = {"sha256": "0" * 64, "name": EVIL, "trained": ["overall"], "calibration": None}
    plan = {
        "shard_size": 200,
        "batch_size": 1,
        "dimensions": ["motion", "overall"],
        "checkpoint": checkpoint,
    }
    made = create_run(top / "run", plan, find_corpus(str(top / "list.jsonl")).items)
    rows: dict[int, Any] = {
        k: {"status": "ok", "overall": 1.0 + k, "motion": None, "content_sha256": str(k)}
        for k in range(5)
    }
    rows[5] = {"status": "error", "error_type": EVIL, "error": EVIL}
    for k in range(6, 111):
        rows[k] = {"status": "ok", "overall": 3.0 + k / 1000, "content_sha256": str(k)}
    rows[110]["overall"] = (
        3.0505  # on no contact sheet, so that the page has no preview left for it
    )
    made.commit(0, rows)
    return made


@pytest.fixture(scope="module")
def page(run: Run) -> Path:
    """Of a set."""
    place = run.folder.with_name("set")
    filter_run(run, CorpusRules.from_dict({**RULES, "match": "any"}), place, report=True)
    return place / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    if chromium.executable() is None and "CI" not in os.environ:
        pytest.skip(chromium.MISSING)
    made = Chromium(tmp_path_factory.mktemp("chromium") / "profile")
    yield made
    made.close()


def command(*words: object) -> Result:
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False)


def test_the_page_of_a_set_is_escaped_offline_and_complete(page: Path) -> None:
    text = page.read_text()
    tags = Tags()
    tags.feed(text)
    names = [tag for tag, _ in tags.seen]
    assert names.count("script") == 2  # the rows and the program
    assert not [at for _, at in tags.seen for name in at if name.startswith("on")]
    assert not re.search(r"https?://", text)
    loaded = {at["src"] for tag, at in tags.seen if at.get("src")}
    assert loaded and all(url.startswith("data:image/jpeg;base64,") for url in loaded)
    for said in (
        "overall</h3><div class='sheets'><section><h4>lowest",
        "<h4>at the threshold ≥ 3.5",
        "<h4>highest",
        "<b>status</b> scored at all</td><td class='n'>&minus;1</td><td class='n'>110 ",
        "<b>thresholds</b> any of the thresholds</td><td class='n'>&minus;108</td>",
        "overall ≥ 3.5</td><td class='n'>108</td>",
        "motion* ≤ 4.5</td><td class='n'>108</td>",
    ):
        assert said in text


def test_filter_puts_the_report_into_the_set_before_it_appears(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename, seen = os.rename, []

    def watched(source: Path, target: Path) -> None:
        seen.append((sorted(os.listdir(source)), target.exists()))
        rename(source, target)

    monkeypatch.setattr(os, "rename", watched)
    (tmp_path / "rules.yaml").write_text("minimum: {overall: 3.5}\n")
    given = ("--rules", tmp_path / "rules.yaml")
    ran = command("filter", run.folder, *given, "--out", tmp_path / "set", "--report")
    assert (ran.exit_code, ran.stdout) == (0, f"kept 2 of 111 videos; wrote {tmp_path / 'set'}\n")
    files = ["kept.parquet", "manifest.json", "rejected.parquet", "report.html"]
    assert seen == [(files, False)]
    assert sorted(os.listdir(tmp_path)) == ["rules.yaml", "set"]
    made = (tmp_path / "set" / "report.html").read_bytes()
    ran = command("report", tmp_path / "set", "--out", tmp_path / "again.html")
    assert ran.exit_code == 0 and (tmp_path / "again.html").read_bytes() == made
    ran = command("filter", run.folder, *given, "--out", tmp_path / "plain")
    assert ran.exit_code == 0 and not (tmp_path / "plain" / "report.html").exists()
    with pytest.raises(ValueError, match="a report is written to the set's folder; name one"):
        filter_run(run, CorpusRules(duplicates="drop"), report=True)


def test_the_command_writes_the_page_of_a_run(run: Run, tmp_path: Path) -> None:
    ran = command("report", run.folder)
    assert ran.exit_code == 0
    text = (run.folder / "report.html").read_text()
    assert "<b>111</b>videos" in text and "1 error, 0 timeout, 0 crash" in text
    assert "What each rule removed" not in text and "<h2>Generators</h2>" in text
    ran = command("report", tmp_path)
    assert ran.exit_code == 1 and "is no run" in ran.stderr


def test_the_table_of_a_large_run_has_part_of_it_and_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aigv_reward.corpus.video_table.ROWS", 20)
    text = write_report(run.folder, tmp_path / "page.html").read_text()
    found = re.search(r"<script type='application/json' id='data'>(.*?)</script>", text)
    assert found is not None
    data = json.loads(found[1])
    places = data["columns"][0]["values"]
    assert f"{len(places)} of 111 videos, so that a browser stays quick" in text
    assert 15 <= len(places) <= 20 and places == sorted(set(places))
    assert {int(place) for place in data["previews"]} <= set(places)
    assert max(b - a for a, b in pairwise(places)) <= 8  # all through the run
    assert [len(column["values"]) for column in data["columns"]] == [len(places)] * 8
    assert len(data["files"]) == len(places)


def test_the_report_of_a_set_applies_the_very_rules_of_the_set(run: Run, tmp_path: Path) -> None:
    """Rules that bring what their thresholds come to: 3.5, where the run's own median is 3.05."""
    rules = {
        "minimum_percentile": {"overall": 50},
        "limits": {"minimum_percentile": {"overall": 3.5}},
        "reference": "run",
    }
    kept = filter_run(run, CorpusRules.from_dict(rules), tmp_path / "set", report=True).kept
    made = (tmp_path / "set" / "report.html").read_text()
    assert write_report(tmp_path / "set", tmp_path / "again.html").read_text() == made
    assert len(kept) == 2 and "<b>2 <span>1.8%</span></b>kept" in made
    assert "<b>thresholds</b> the threshold</td>" in made


def test_a_dimension_that_was_not_trained_is_marked_wherever_it_stands(
    run: Run, page: Path, tmp_path: Path
) -> None:
    text = page.read_text()
    assert "<p class='soft'>* not trained in this checkpoint: motion</p>" in text
    for said in ("<h3>motion*</h3>", "<th class='n'>motion*</th>", '{"name":"motion*"'):
        assert said in text
    for bare in ("<h3>motion</h3>", "<th class='n'>motion</th>", '{"name":"motion"'):
        assert bare not in text
    assert "overall*" not in text
    rules = CorpusRules.from_dict({"top_k": {"by": {"overall": 1, "motion": 0.5}}})
    run.plan["checkpoint"]["trained"] = ["motion", "overall"]
    try:
        text = report_page(run, [], Selection((), (), rules, None), title="t").decode()
    finally:
        run.plan["checkpoint"]["trained"] = ["overall"]
    assert "*" not in text.partition("<body>")[2].partition("<script")[0]
    assert "best 1 of each prompt by overall + 0.5 motion<" in text
    text = report_page(run, [], Selection((), (), rules, None), title="t").decode()
    assert "best 1 of each prompt by overall + 0.5 motion*<" in text


def test_the_manifest_of_another_program_is_no_set(tmp_path: Path) -> None:
    for content in ("{}", "[", "3"):
        (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(ValueError, match=r"is no set \(its manifest.json is not one that aigv"):
            write_report(tmp_path, tmp_path / "page.html")


def test_a_set_needs_its_run(run: Run, tmp_path: Path) -> None:
    filter_run(run, CorpusRules(duplicates="drop"), tmp_path / "set")
    manifest = json.loads((tmp_path / "set" / "manifest.json").read_text())
    text = json.dumps(manifest | {"plan_sha256": "another"})
    (tmp_path / "set" / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"is not the run that .* was made of; filter again"):
        write_report(tmp_path / "set", tmp_path / "set.html")


CELLS = """[...document.querySelectorAll("#videos tbody tr")].map(row =>
  row.cells[[...document.querySelectorAll("#videos th")].findIndex(
    head => head.textContent === "%s")].textContent)"""
PRESS = """[...document.querySelectorAll("%s")].find(one => one.textContent === "%s").click()"""
PLAYED = """new Promise((resolve, reject) => {
  const video = document.querySelector("%s");
  const told = () => resolve([video.duration, video.videoWidth, video.src.slice(0, 5)]);
  if (video.readyState > 1) told();
  video.addEventListener("loadeddata", told);
  video.addEventListener("error", () => reject(video.error.message));
})"""


def test_in_a_browser_names_are_text_and_nothing_is_fetched(page: Path, browser: Chromium) -> None:
    browser.open(page.as_uri())
    assert browser.problems == [] and browser.requests == [page.as_uri()]
    assert browser.run("document.title") == "set"
    assert browser.run("document.images.length >= 8")
    assert browser.run("document.querySelectorAll('script, img[onerror], img[src=x]').length") == 2
    assert browser.run(CELLS % "video")[:6] == NAMES
    assert browser.run(CELLS % "generator")[:7] == [EVIL] * 6 + ["b"]
    assert browser.run(CELLS % "prompt")[0] == EVIL.strip()
    first = "document.querySelector('.sortable tbody tr').cells[0].textContent"
    assert browser.run(first) == EVIL.rstrip("\n") + "\n"
    # The threshold stands between the bars of what it keeps and of what it removes.
    removed, line, kept = browser.run(
        """(() => {
          const svg = document.querySelector("svg[aria-label='Histogram of overall']");
          const at = one => one.getBoundingClientRect();
          const all = kind => [...svg.querySelectorAll(kind)].map(at);
          return [Math.max(...all(".gone").map(box => box.right)), all(".mark")[0].left,
            Math.min(...all(".bar:not(.gone)").map(box => box.left))];
        })()"""
    )
    assert removed <= line + 1 and line <= kept + 1
    assert browser.run("document.querySelector('.histogram .marked').textContent") == "≥ 3.5"
    light = browser.run("getComputedStyle(document.body).backgroundColor")
    browser.open(page.as_uri(), width=390, dark=True)
    assert browser.run("getComputedStyle(document.body).backgroundColor") != light
    assert browser.run("document.documentElement.scrollWidth") == 390  # only tables scroll


def test_in_a_browser_tables_are_sorted_searched_and_paged(page: Path, browser: Chromium) -> None:
    browser.open(page.as_uri())
    scores = sorted(
        [1.0 + k for k in range(5)] + [3.0 + k / 1000 for k in range(6, 110)] + [3.0505]
    )
    for expected in (scores, scores[::-1]):
        browser.run(PRESS % ("#videos th button", "overall"))
        shown = browser.run(CELLS % "overall")
        assert shown == [f"{score:.3f}" for score in expected[:50]]
        for _ in range(2):
            browser.run(PRESS % ("#videos button", "Next"))
            shown += browser.run(CELLS % "overall")
        assert shown == [f"{score:.3f}" for score in expected] + [""]  # the failed one is last
        assert browser.run("document.querySelector('.tools span').textContent") == (
            "101 to 111 of 111"
        )
    browser.run("""(() => { const box = document.querySelector("#videos input");
      box.value = "ABSENT/03"; box.dispatchEvent(new Event("input")); })()""")
    assert browser.run(CELLS % "video") == [f"absent/03{k}.mp4" for k in range(9, -1, -1)]
    browser.run("""(() => { const box = document.querySelector("#videos select");
      box.value = "kept"; box.dispatchEvent(new Event("change")); })()""")
    assert browser.run(CELLS % "video") == []
    generators = (
        "[...document.querySelectorAll('.sortable tbody tr')].map(one => one.textContent[0])"
    )
    before = browser.run(generators)
    browser.run(PRESS % (".sortable th button", "videos"))
    by_videos = browser.run(generators)
    browser.run(PRESS % (".sortable th button", "videos"))
    assert (before, by_videos, browser.run(generators)) == (["<", "b"], ["<", "b"], ["b", "<"])
    assert browser.problems == []


def test_in_a_browser_clips_play(page: Path, browser: Chromium) -> None:
    browser.open(page.as_uri())
    browser.run("document.querySelector('.frame[data-preview]').click()")
    assert browser.run(PLAYED % ".frame video") == [pytest.approx(0.75, abs=0.01), 64, "data:"]
    browser.run("document.querySelector('#videos .clip').click()")
    assert browser.run(PLAYED % "#videos video") == [pytest.approx(0.75, abs=0.01), 64, "data:"]
    assert browser.requests == [page.as_uri()] and browser.problems == []
    # The last row has no preview: its own file plays, by the bytes of its name.
    for _ in range(2):
        browser.run(PRESS % ("#videos button", "Next"))
    assert browser.run(CELLS % "video")[-1] == "\ufffd\ufffd.mp4"
    browser.run("[...document.querySelectorAll('#videos .clip')].at(-1).click()")
    assert browser.run(PLAYED % "#videos video") == [pytest.approx(0.75, abs=0.01), 64, "file:"]
    assert browser.problems == [] and browser.requests[-1].endswith("/%FF%E9.mp4")
    browser.run("document.querySelector('#videos .clip').click()")
    told = "document.querySelector('#videos .open .soft').textContent"
    browser.run(f"""new Promise(done => {{ const look = () =>
      {told}.startsWith("No clip") ? done() : setTimeout(look, 20); look(); }})""")
    assert "the file is not there any more" in browser.run(told)
