"""The look of the audit page, light and dark, and what plays its thumbnails."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root { color-scheme: light dark;
  --page: #f6f6f4; --card: #ffffff; --ink: #1d1f23; --soft: #60646c; --rule: #dcdcd8;
  --good: #18794e; --good-back: #e3f4ea; --bad: #b42318; --bad-back: #fdeae8; --none-back: #ececea;
  --s0: #1f6fd0; --s1: #c8590b; --s2: #12877a; --s3: #7a3fc0; --s4: #b3266e; --s5: #6b6b12; }
@media (prefers-color-scheme: dark) { :root {
  --page: #131518; --card: #1c1f24; --ink: #e8e9ec; --soft: #9aa0aa; --rule: #33373e;
  --good: #5fd39b; --good-back: #153526; --bad: #ff8b7d; --bad-back: #46201c; --none-back: #2a2e34;
  --s0: #6fb0ff; --s1: #ff9f5a; --s2: #4fd0bd; --s3: #bd93ff; --s4: #ff80bd; --s5: #d3d35f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 40px 0 4px; }
h3 { font-size: 15px; margin: 0; }
p { margin: 4px 0 12px; max-width: 78ch; }
.soft, .soft td { color: var(--soft); }
small { color: var(--soft); font-size: 12.5px; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 14px; }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(340px, 1fr));
  margin-top: 12px; }
.tiles { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr));
  margin: 18px 0 8px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; }
.tile b span { font-size: 15px; font-weight: 400; color: var(--soft); }
.meter { height: 6px; border-radius: 3px; background: var(--bad); margin: 6px 0 8px;
  overflow: hidden; }
.meter i { display: block; height: 100%; background: var(--good); }
.meter.empty { background: var(--none-back); }
.head { display: flex; gap: 8px; align-items: baseline; justify-content: space-between; }
.tag { font-size: 12px; padding: 1px 8px; border-radius: 9px; background: var(--none-back);
  color: var(--soft); white-space: nowrap; }
.tag.good { background: var(--good-back); color: var(--good); }
.tag.bad { background: var(--bad-back); color: var(--bad); }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; font-size: 13.5px; }
.legend i { display: inline-block; width: 18px; height: 3px; border-radius: 2px;
  vertical-align: middle; margin-right: 6px; background: var(--c); }
.plot { width: 100%; height: auto; display: block; margin: 6px 0; }
.plot .rule { stroke: var(--rule); } .plot .zero { stroke: var(--soft); }
.plot .tick { fill: var(--soft); font-size: 10.5px; }
.plot polyline { fill: none; stroke: var(--c); stroke-linejoin: round; }
.plot circle { fill: var(--c); }
.plot .loud polyline { stroke-width: 2.2; } .plot .quiet polyline { stroke-width: 1.1;
  opacity: .6; }
.s0 { --c: var(--s0); } .s1 { --c: var(--s1); } .s2 { --c: var(--s2); } .s3 { --c: var(--s3); }
.s4 { --c: var(--s4); } .s5 { --c: var(--s5); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 13.5px; width: 100%;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--rule); }
th, td { padding: 4px 10px 4px 0; vertical-align: top; }
td.n, th.n { text-align: right; white-space: nowrap; }
tbody tr + tr td { border-top: 1px solid var(--rule); }
.mark { border-radius: 5px; padding: 1px 6px; }
.mark.good { background: var(--good-back); color: var(--good); }
.mark.bad { background: var(--bad-back); color: var(--bad); }
.grid table { font-size: 13px; } .grid th, .grid td { padding-right: 6px; }
td:last-child, th:last-child, .grid td:last-child, .grid th:last-child { padding-right: 0; }
.line { font-size: 13px; margin: 6px 0 0; }
.thumbs { display: flex; gap: 8px; margin-top: 8px; }
figure { margin: 0; flex: 1 1 0; min-width: 0; max-width: 250px; }
video { width: 100%; height: auto; display: block; border-radius: 6px; cursor: pointer; }
video:focus-visible { outline: 2px solid var(--s0); outline-offset: 2px; }
figcaption { font-size: 12px; color: var(--soft); margin-top: 3px; line-height: 1.35; }
.lead { display: flex; flex-wrap: wrap; gap: 16px; align-items: flex-start; margin-top: 12px; }
.lead figure { flex: 0 0 250px; }
.lead > div { flex: 1 1 340px; }
button { font: inherit; font-size: 13.5px; padding: 4px 14px; border-radius: 8px; cursor: pointer;
  border: 1px solid var(--rule); background: var(--card); color: var(--ink); }
summary { cursor: pointer; margin: 10px 0; }
@media print { button { display: none; } .card { break-inside: avoid; } }
"""

SCRIPT: Final = """
const videos = [...document.querySelectorAll("video")];
const play = video => { video.play().catch(() => {}); };
const stop = video => { video.pause(); video.load(); };
let all = false;
for (const video of videos) {
  video.addEventListener("mouseenter", () => play(video));
  video.addEventListener("mouseleave", () => { if (!all) stop(video); });
  video.addEventListener("focus", () => play(video));
  video.addEventListener("blur", () => { if (!all) stop(video); });
  video.addEventListener("click", () => play(video));
}
const button = document.getElementById("play");
button.hidden = false;
button.addEventListener("click", () => {
  all = !all;
  button.textContent = all ? "Stop all" : "Play all";
  videos.forEach(all ? play : stop);
});
"""
