"""The look of the page of samples, light and dark, and what plays the videos in view."""

from __future__ import annotations

from typing import Final

CSS: Final = """
:root { color-scheme: light dark; --page: #f6f6f4; --card: #fff; --ink: #1d1f23; --soft: #60646c;
  --rule: #dcdcd8; --up: #18794e; --down: #b42318; }
@media (prefers-color-scheme: dark) { :root { --page: #131518; --card: #1c1f24; --ink: #e8e9ec;
  --soft: #9aa0aa; --rule: #33373e; --up: #5fd39b; --down: #ff8b7d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 36px 0 10px; }
p { margin: 4px 0 12px; max-width: 78ch; }
.soft { color: var(--soft); }
.card { background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  overflow: hidden; }
.scroll { padding: 12px 14px; overflow: auto; max-height: 420px; }
.grid { display: grid; gap: 14px; grid-template-columns: repeat(auto-fill, minmax(260px, 1fr)); }
video { display: block; width: 100%; aspect-ratio: 16 / 9; object-fit: contain;
  background: #000; }
.under { padding: 10px 14px 12px; }
.prompt { margin: 0 0 8px; overflow-wrap: anywhere; white-space: pre-wrap; }
.failed { color: var(--down); margin: 0; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: 13.5px; width: 100%;
  font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; color: var(--soft); }
th, td { padding: 3px 14px 3px 0; vertical-align: top; }
.n { text-align: right; white-space: nowrap; }
th.n:last-child, td.n:last-child { padding-right: 0; }
tbody tr + tr td { border-top: 1px solid var(--rule); }
thead th { border-bottom: 1px solid var(--rule); }
.up { color: var(--up); } .down { color: var(--down); }
a { color: inherit; }
"""

# Only what is in view plays: a long run's page holds hundreds of videos.
SCRIPT: Final = """
const seen = new IntersectionObserver(entries => entries.forEach(entry =>
  entry.isIntersecting ? entry.target.play().catch(() => {}) : entry.target.pause()));
document.querySelectorAll("video").forEach(video => seen.observe(video));
"""
