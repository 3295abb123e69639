"""Severity ladders of real clips' middles, degraded by ffmpeg, and how a checkpoint ranks them.

    python benchmarks/real_clips.py CLIPS --work WORK [--checkpoint NAME] [--out FILE.json]

ffmpeg's filters share no code with `aigv_reward.distortions`, which the bundled default is trained
on. Needs the `ffmpeg` program; what it makes stays in WORK and is not made again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from aigv_reward import VideoReward
from aigv_reward.dimensions import DIMENSIONS, Dimension
from aigv_reward.evaluation import severity_agreement

FRAMES = 48
SIDE = 360
SEVERITIES = (0, 1, 2, 3, 4)
OWN: tuple[Dimension, ...] = ("technical", "motion", "semantic")
JITTER = (2, 4, 8, 16)  # pixels either way
SWAPPED = (1, 2, 4, 8)  # pairs of rectangles
SINE = (3, 6, 12, 24)  # pixels of displacement
MELT = (4, 8, 16, 32)
MORPH = (0.25, 0.45, 0.7, 1.0)
VP9 = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 0"
HARMLESS = {
    "re-encoded": "null",
    "shifted": "crop=iw-2:ih-2:1:1,pad=iw+2:ih+2:1:1:black,fillborders=1:1:1:1:smear",
    "mirrored": "hflip",
    "brighter": "lutrgb=r=val*1.02:g=val*1.02:b=val*1.02",
}


@dataclass(frozen=True)
class Filter:
    """One degradation: its own dimension, filters by severity, codec options by severity."""

    dimension: Dimension
    filters: Sequence[str]
    codec: Sequence[str] = ()


def _swap(pairs: int) -> str:
    places = [(0, 0, 5, 4), (2, 1, 7, 6), (1, 5, 6, 2), (3, 3, 0, 6)]
    places += [(6, 0, 1, 2), (4, 6, 2, 3), (7, 3, 3, 5), (0, 5, 4, 1)]
    return ",".join(
        f"swaprect=w/8:h/8:{a}*w/8:{b}*h/8:{c}*w/8:{d}*h/8" for a, b, c, d in places[:pairs]
    )


def _sine(amplitude: float) -> str:
    x = f"X+{amplitude}*sin(2*PI*Y/90+T*3)"
    y = f"Y+{amplitude}*sin(2*PI*X/110+T*2)"
    return f"format=gbrp,geq=r='r({x},{y})':g='g({x},{y})':b='b({x},{y})'"


def _melt(amplitude: float) -> str:
    """Columns that sag by a smooth random depth."""
    y = f"Y-{amplitude}*(1+sin(X/23)+0.7*sin(X/9+T))*(0.4+T/3)*Y/H"
    return f"format=gbrp,geq=r='r(X,{y})':g='g(X,{y})':b='b(X,{y})'"


def _morph(share: float) -> str:
    """The middle of the picture turns, over the clip, into what is upside down elsewhere in it."""
    return (
        "split[a][b];[b]vflip,hflip,hue=h=90,format=yuva444p,"
        f"geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':"
        f"a='255*min(1,N/{FRAMES}*1.6)*lt(pow((X-W/2)/(W*{share:.2f}*0.6),2)"
        f"+pow((Y-H/2)/(H*{share:.2f}*0.6),2),1)'[c];[a][c]overlay"
    )


def _keep(share: float) -> str:
    """Frames lost at random; the one before is shown instead."""
    return f"select='eq(n,0)+gt(random(1),{share})',fps={{fps}}"


def _slow(times: float) -> str:
    return f"setpts={times}*PTS,framerate=fps={{fps}},trim=end_frame={{frames}}"


def _freeze(end: float) -> str:
    """The frame at a fifth of the clip stands still until `end`; then time jumps on."""
    first = "trunc({frames}/5)"
    return (
        f"split[a][b];[a][b]freezeframes=first={first}:last=trunc({{frames}}*{end}):replace={first}"
    )


def _shake(margin: int) -> str:
    draw = "2*{m}*random({s})"
    x, y = draw.format(m=margin, s=1), draw.format(m=margin, s=2)
    return f"crop=iw-{2 * margin}:ih-{2 * margin}:x='{x}':y='{y}',scale={{width}}:{{height}}"


FILTERS: dict[str, Filter] = {
    "noise": Filter("technical", [f"noise=alls={n}:allf=t+u" for n in (12, 24, 45, 80)]),
    "gblur": Filter("technical", [f"gblur=sigma={s}" for s in (1.0, 2.0, 4.0, 8.0)]),
    "avgblur": Filter("technical", [f"avgblur=sizeX={s}" for s in (1, 3, 6, 12)]),
    "x264": Filter(
        "technical", ["null"] * 4, [f"-c:v libx264 -crf {q}" for q in (30, 36, 42, 48)]
    ),
    "mpeg2": Filter(
        "technical", ["null"] * 4, [f"-c:v mpeg2video -q:v {q}" for q in (6, 12, 20, 31)]
    ),
    "vp9": Filter(
        "technical",
        ["null"] * 4,
        [f"{VP9} -crf {q}" for q in (42, 50, 57, 63)],
    ),
    "rescale": Filter(
        "technical",
        [f"scale=iw/{f}:-2:flags=lanczos,scale={{width}}:{{height}}" for f in (1.6, 2.4, 4, 6)],
    ),
    "banding": Filter(
        "technical",
        [f"lutrgb=r='floor(val/{s})*{s}':g='floor(val/{s})*{s}':b='floor(val/{s})*{s}'"
         for s in (12, 20, 36, 64)],
    ),
    "shake": Filter("motion", [_shake(m) for m in JITTER]),
    "freeze": Filter(
        "motion",
        [_freeze(e) for e in (0.4, 0.55, 0.75, 0.95)],
    ),
    "drop": Filter("motion", [_keep(s) for s in (0.15, 0.3, 0.5, 0.7)]),
    "shuffle": Filter("motion", [f"random=frames={n}:seed=1" for n in (2, 3, 5, 10)]),
    "flicker": Filter(
        "motion",
        [f"eq=brightness='{a}*(random(1)-0.5)':eval=frame" for a in (0.06, 0.12, 0.24, 0.45)],
    ),
    "slow": Filter("motion", [_slow(t) for t in (2, 4, 8, 20)]),
    "swap": Filter("semantic", [_swap(n) for n in SWAPPED]),
    "sine": Filter("semantic", [_sine(a) for a in SINE]),
    "melt": Filter("semantic", [_melt(a) for a in MELT]),
    "morph": Filter("semantic", [_morph(s) for s in MORPH]),
}  # fmt: skip


def ffmpeg(source: Path, target: Path, filters: str, codec: str = "-c:v libx264 -crf 12") -> Path:
    """Run ffmpeg, unless the target is there."""
    if not target.exists():
        part = target.with_name(f"part-{target.stem}.mkv")
        command = ["ffmpeg", "-v", "error", "-y", "-threads", "1", "-i", str(source)]
        command += ["-vf", filters, "-frames:v", str(FRAMES), *codec.split()]
        command += ["-threads", "1", "-pix_fmt", "yuv420p", "-an", str(part)]
        subprocess.run(command, check=True)
        part.rename(target)
    return target


def probe(path: Path) -> dict[str, str]:
    """Width, height, frames and rate of a clip."""
    entries = "stream=width,height,r_frame_rate,nb_read_frames"
    command = ["ffprobe", "-v", "error", "-count_frames", "-select_streams", "v"]
    command += ["-show_entries", entries, "-of", "csv=p=0", str(path)]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    width, height, fps, frames = out.strip().rstrip(",").split(",")[:4]
    return {"width": width, "height": height, "fps": fps, "frames": frames}


def make(clip: Path, work: Path) -> dict[str, list[Path]]:
    """{degradation: one file a severity, the first undegraded}, and the harmless changes."""
    folder = work / clip.name
    folder.mkdir(parents=True, exist_ok=True)
    size = f"scale=w=-2:h='trunc(min({SIDE},ih)/2)*2'"
    first = max(0, (int(probe(clip)["frames"]) - FRAMES) // 2)
    middle = f"trim=start_frame={first},setpts=PTS-STARTPTS,{size}"
    base = ffmpeg(clip, folder / "base.mkv", middle, "-c:v libx264 -qp 0")
    values = probe(base)
    clean = ffmpeg(base, folder / "clean.mkv", "null")
    result = {}
    for name, degradation in FILTERS.items():
        result[name] = [clean]
        for severity, text in enumerate(degradation.filters, 1):
            target = folder / f"{name}-{severity}.mkv"
            codec = degradation.codec[severity - 1] if degradation.codec else None
            arguments = (codec,) if codec else ()
            result[name].append(ffmpeg(base, target, text.format(**values), *arguments))
    for name, text in HARMLESS.items():
        target = folder / f"harmless-{name}.mkv"
        codec = "-c:v libx264 -crf 17" if text == "null" else "-c:v libx264 -crf 12"
        result[name] = [clean, ffmpeg(base, target, text, codec)]
    return result


Rungs = dict[str, dict[str, list[dict[Dimension, float]]]]


def score(reward: VideoReward, ladders: dict[str, dict[str, list[Path]]]) -> Rungs:
    """{clip: {degradation: scores of each rung}}; every file is scored once."""
    paths = list(dict.fromkeys(p for c in ladders.values() for rungs in c.values() for p in rungs))
    rows = dict(zip(paths, reward.score(paths).rows(), strict=True))
    return {
        clip: {name: [rows[path] for path in rungs] for name, rungs in degradations.items()}
        for clip, degradations in ladders.items()
    }


def summary(scores: Rungs) -> dict[str, object]:
    """Figures of the whole set; harmless changes as shares of what severity 1 takes away."""
    table = severity_agreement(
        (name, SEVERITIES, {d: [row[d] for row in rungs] for d in DIMENSIONS})
        for clip in scores.values()
        for name, rungs in clip.items()
        if name in FILTERS
    )
    result: dict[str, object] = {"table": table}
    for own in OWN:
        names = [name for name in FILTERS if FILTERS[name].dimension == own]
        result[f"{own} spearman"] = statistics.mean(table[n][own].spearman for n in names)
        most = [max(OWN, key=lambda d, n=n: table[n][d].drop) == own for n in names]  # type: ignore[misc]
        result[f"{own} falls most"] = f"{sum(most)} of {len(most)}"
        first = [c[n][0][own] - c[n][1][own] for c in scores.values() for n in names]
        moved = {
            n: statistics.mean(abs(c[n][1][own] - c[n][0][own]) for c in scores.values())
            for n in HARMLESS
        }
        step = statistics.mean(first)
        result[f"{own} severity 1 takes"] = step
        result[f"{own} harmless / severity 1"] = {n: m / step for n, m in moved.items()}
    for label, dimension in (("own dimension", None), ("overall", "overall")):
        wins = []
        for name, degradation in FILTERS.items():
            d: Dimension = dimension or degradation.dimension  # type: ignore[assignment]
            for good in scores:
                wins += [
                    scores[good][name][0][d] > scores[bad][name][4][d]
                    for bad in scores
                    if bad != good
                ]
        result[f"clean over severity 4 of other content, {label}"] = statistics.mean(wins)
    return result


def show(result: dict[str, object]) -> None:
    """Print the figures."""
    table = result["table"]
    assert isinstance(table, dict)
    print("degradation " + "".join(f"{d:>20}" for d in DIMENSIONS) + "    (Spearman, fall)")
    for name in FILTERS:
        cells = "".join(
            f"{table[name][d].spearman:12.2f}{table[name][d].drop:8.2f}" for d in DIMENSIONS
        )
        print(f"{name:12}{cells}  {FILTERS[name].dimension}")
    for key, value in result.items():
        if isinstance(value, dict) and key != "table":
            print(f"{key}: " + ", ".join(f"{n} {v:.2f}" for n, v in value.items()))
        elif key != "table":
            print(f"{key}: {value:.3f}" if isinstance(value, float) else f"{key}: {value}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--checkpoint")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="the scores, as JSON")
    parser.add_argument("--only-make", action="store_true", help="degrade, and score nothing")
    args = parser.parse_args()
    clips = sorted(path for path in args.clips.iterdir() if path.is_file())
    with ThreadPoolExecutor(args.threads) as pool:
        made = list(pool.map(lambda clip: make(clip, args.work), clips))
    if args.only_make:
        return
    ladders = {clip.name: rungs for clip, rungs in zip(clips, made, strict=True)}
    scores = score(VideoReward.from_pretrained(args.checkpoint), ladders)
    if args.out:
        args.out.write_text(json.dumps(scores, indent=1))
    show(summary(scores))


if __name__ == "__main__":
    main()
