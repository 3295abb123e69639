"""The look of a report, light and dark, wide and narrow."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --page: #f6f6f4; --card: #fff; --ink: #1d1f23; --soft: #60646c;
  --rule: #dcdcd8; --bar: #3a76b5; --gone: #c2c3bf; --mark: #b93815; --none: #ececea;
  --good: #18794e; --good-back: #e3f4ea; --bad: #b42318; --bad-back: #fdeae8; }
@media (prefers-color-scheme: dark) { :root { --page: #131518; --card: #1c1f24; --ink: #e8e9ec;
  --soft: #9aa0aa; --rule: #33373e; --bar: #6da3dc; --gone: #50555e; --mark: #ff9b7a;
  --none: #2a2e34; --good: #5fd39b; --good-back: #153526; --bad: #ff8b7d; --bad-back: #46201c; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 40px 0 4px; } h3 { font-size: 15px; margin: 0; }
h4 { font-size: 13px; font-weight: 600; color: var(--soft); margin: 0 0 6px; }
p { margin: 4px 0 12px; max-width: 90ch; }
.soft { color: var(--soft); } small { color: var(--soft); font-size: 12.5px; }
.name { overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: isolate; }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  padding: 14px; }
.stack { display: grid; gap: 14px; } .wide { overflow-x: auto; }
.tiles { display: grid; gap: 12px; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr));
  margin: 18px 0 8px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; }
.tile b span { font-size: 15px; font-weight: 400; color: var(--soft); }
.tile small { display: block; }
.grid { display: grid; gap: 14px; margin-top: 8px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); }
.head { display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: baseline;
  justify-content: space-between; font-size: 13px; }
.histogram { display: block; width: 100%; height: auto; margin-top: 8px; }
.histogram text { font-size: 11px; fill: var(--soft); }
.histogram text.marked { fill: var(--mark); font-weight: 600; }
.bar { fill: var(--bar); } .bar.gone { fill: var(--gone); } .back { fill: var(--none); }
.rule { stroke: var(--rule); } .axis { stroke: var(--soft); }
.histogram .mark { stroke: var(--mark); stroke-width: 1.5; }
.legend { margin: 0; font-size: 13px; } .legend i + i, .legend i { margin: 0 4px 0 10px; }
.legend i { display: inline-block; width: 11px; height: 11px; border-radius: 3px;
  background: var(--bar); vertical-align: -1px; } .legend i:first-child { margin-left: 0; }
.legend i.gone { background: var(--gone); }
.legend i.mark { width: 2px; background: var(--mark); }
table { border-collapse: collapse; font-size: 13.5px; width: 100%;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
th, td { padding: 5px 16px 5px 0; vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td.n, th.n { text-align: right; white-space: nowrap; }
tbody tr + tr td { border-top: 1px solid var(--rule); }
th button, .clip { all: unset; cursor: pointer; }
th button:hover { color: var(--ink); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
button:focus-visible { outline: 2px solid var(--bar); outline-offset: 2px; border-radius: 4px; }
td.name { min-width: 180px; }
.removal td { vertical-align: middle; } .removal td b { font-weight: 600; }
.removal tr.part td { border-top: 0; padding-top: 0; font-size: 13px; }
.removal tr.part td:first-child { padding-left: 16px; }
svg.bar, svg.interval { display: block; } .interval { margin-left: auto; }
.interval .span { stroke: var(--gone); stroke-width: 2; }
.interval .mean { stroke: var(--bar); stroke-width: 5; opacity: .55; }
.interval circle { fill: var(--bar); }
.sheets { display: grid; gap: 16px 20px; margin-top: 8px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); }
.sheet { display: grid; gap: 10px; grid-template-columns: repeat(2, minmax(0, 1fr)); }
figure { margin: 0; min-width: 0; }
.frame { all: unset; display: block; position: relative; width: 100%; aspect-ratio: 16 / 10;
  background: #0c0d0f; border-radius: 6px; overflow: hidden; cursor: pointer; }
p.frame { box-sizing: border-box; padding: 8px; font-size: 12px; background: var(--none);
  overflow: auto; cursor: default; }
.frame img, .frame video { position: absolute; inset: 0; width: 100%; height: 100%;
  object-fit: contain; }
figcaption .tag { margin-left: 6px; }
figcaption { font-size: 12.5px; margin-top: 3px; line-height: 1.35; }
figcaption .name, .short { display: -webkit-box; -webkit-box-orient: vertical; overflow: hidden;
  -webkit-line-clamp: 2; }
figcaption .name { -webkit-line-clamp: 1; color: var(--soft); }
.tools { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; margin-bottom: 10px;
  font-size: 13.5px; }
.tools span { margin-left: auto; }
input, select, .step { font: inherit; color: var(--ink); background: var(--page);
  border: 1px solid var(--rule); border-radius: 8px; padding: 4px 10px; }
.step { cursor: pointer; } .step:disabled { opacity: .4; cursor: default; }
.clip { display: flex; gap: 10px; align-items: flex-start; }
.clip img, .clip .none { flex: none; width: 56px; height: 36px; border-radius: 4px;
  object-fit: cover; background: var(--none); }
.clip .none { display: grid; place-items: center; }
.clip .none::after { content: "\\25B7"; color: var(--soft); font-size: 12px; }
.clip:hover .name { text-decoration: underline dotted; }
#videos td { min-width: 0; } #videos .name { min-width: 90px; }
.tag { font-size: 12px; padding: 1px 8px; border-radius: 9px; background: var(--none);
  color: var(--soft); white-space: nowrap; }
.tag.kept, .tag.ok { background: var(--good-back); color: var(--good); }
.tag.error, .tag.timeout, .tag.crash { background: var(--bad-back); color: var(--bad); }
.open { display: flex; flex-wrap: wrap; gap: 16px; padding: 4px 0 10px; }
.open video { width: 420px; max-width: 100%; max-height: 420px; border-radius: 6px;
  background: #0c0d0f; } .open div { flex: 1 1 260px; }
#videos tr.opened td { border-top: 0; } a { color: inherit; }
@media (max-width: 640px) { main { padding: 20px 12px 40px; } .removal svg.bar { width: 70px; } }
"""
