"""The four quality dimensions, their meaning and their range.

Every score is oriented so that higher is better and lives on the MOS scale 1..5.
"""

from typing import Final, Literal, get_args

Dimension = Literal["technical", "motion", "semantic", "overall"]

DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)

MEANING: Final[dict[Dimension, str]] = {
    "technical": "low-level distortion: noise, blur, compression, lost detail",
    "motion": "jitter, frozen, dropped or shuffled frames, flicker, too little motion",
    "semantic": "what the frames show: content that holds together, looks real, fits the prompt",
    "overall": "the overall impression, predicted on its own and not a mean of the others",
}

MOS_RANGE: Final[tuple[float, float]] = (1.0, 5.0)
