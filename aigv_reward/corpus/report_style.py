"""The look of a report, light and dark, and what sorts its tables and plays its clips."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --page: #f6f6f4; --card: #fff; --ink: #1d1f23; --soft: #60646c;
  --rule: #dcdcd8; --bar: #4c78a8; --mark: #c4320a; }
@media (prefers-color-scheme: dark) { :root { --page: #131518; --card: #1c1f24; --ink: #e8e9ec;
  --soft: #9aa0aa; --rule: #33373e; --bar: #7aa6d8; --mark: #ff9b7a; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 36px 0 8px; } h3 { font-size: 15px; margin: 8px 0 6px; }
.soft { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 10px 14px; overflow-x: auto; }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); }
svg { width: 100%; height: auto; } svg rect { fill: var(--bar); }
svg line { stroke: var(--mark); stroke-width: 2; } svg text { font-size: 11px; fill: var(--soft); }
.sheet { display: flex; flex-wrap: wrap; gap: 10px; }
figure { margin: 0; width: 200px; } figure img { width: 100%; border-radius: 6px; }
figcaption { font-size: 12.5px; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: 13.5px; width: 100%;
  font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--soft); border-bottom: 1px solid var(--rule); }
.sortable th { cursor: pointer; }
th, td { padding: 4px 14px 4px 0; vertical-align: top; }
.n { text-align: right; white-space: nowrap; } .path { overflow-wrap: anywhere; }
tbody tr + tr td { border-top: 1px solid var(--rule); }
button { all: unset; cursor: pointer; text-decoration: underline dotted; overflow-wrap: anywhere; }
video { display: block; width: 320px; max-width: 100%; margin-top: 6px; }
"""

SCRIPT: Final = """
document.querySelectorAll(".sortable th").forEach(head => head.addEventListener("click", () => {
  const body = head.closest("table").tBodies[0], at = head.cellIndex;
  const up = head.dataset.up = head.dataset.up === "1" ? "0" : "1";
  const key = row => row.cells[at].textContent;
  const number = head.classList.contains("n");
  const rows = [...body.rows].sort((a, b) => number
    ? (key(a) === "" ? Infinity : +key(a)) - (key(b) === "" ? Infinity : +key(b)) || 0
    : key(a).localeCompare(key(b)));
  body.append(...(up === "1" ? rows : rows.reverse()));
}));
document.querySelectorAll("button[data-clip]").forEach(button =>
  button.addEventListener("click", () => {
    const shown = button.parentElement.querySelector("video");
    if (shown) { shown.remove(); return; }
    const video = document.createElement("video");
    Object.assign(video, {src: button.dataset.clip, controls: true, muted: true, loop: true});
    button.after(video);
    video.play().catch(() => {});
  }));
"""
