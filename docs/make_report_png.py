"""Makes report.png: scores examples/clips with the bundled default, filters them, and looks.

python docs/make_report_png.py, with Chromium installed; takes a minute on a CPU.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

HERE = Path(__file__).parent
CLIPS = HERE.parent / "examples" / "clips"
RULES = "minimum: {technical: 2.5}\nminimum_percentile: {overall: 20}\nreference: run\n"
SIZE = (1180, 2085)
COLOURS = 256


def command(*words: object) -> None:
    """Run `aigv-reward`."""
    subprocess.run([sys.executable, "-m", "aigv_reward", *map(str, words)], check=True)


def main() -> None:
    """Write report.png."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        clips = sorted(CLIPS.glob("*.mp4"))
        for clip in clips:
            (folder / clip.name).symlink_to(clip.resolve())
        cut = folder / "city_cut.mp4"  # a file that fails
        cut.write_bytes((CLIPS / "city_clean.mp4").read_bytes()[:20_000])
        with open(folder / "clips.csv", "w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["path", "prompt", "generator"])
            for clip in (*clips, cut):
                scene, _, made = clip.stem.partition("_")
                rows.writerow([clip.name, f"a {scene}", "clean" if made == "clean" else "degraded"])
        (folder / "rules.yaml").write_text(RULES)
        run, kept = folder / "clips", folder / "good-clips"
        command("score", folder / "clips.csv", "--out", run, "--max-error-rate", 0.2)
        command("filter", run, "--rules", folder / "rules.yaml", "--out", kept, "--report")
        shot = folder / "shot.png"
        options = "--headless --no-sandbox --disable-gpu --hide-scrollbars --no-first-run".split()
        subprocess.run(
            [
                *("chromium", *options, f"--user-data-dir={folder / 'profile'}"),
                *(f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={shot}"),
                (kept / "report.html").as_uri(),
            ],
            check=True,
            stderr=subprocess.DEVNULL,  # it complains where there is no desktop
        )
        picture = Image.open(shot).convert("RGB").quantize(COLOURS, Image.Quantize.FASTOCTREE)
        picture.save(HERE / "report.png", optimize=True)


if __name__ == "__main__":
    main()
