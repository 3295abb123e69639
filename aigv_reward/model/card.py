"""The model card that is written beside a converted checkpoint."""

from __future__ import annotations

from aigv_reward.model.configuration_aigv_reward import AIGVRewardConfig

CITATION = """```bibtex
@article{aigveval2025,
  title   = {Towards Holistic Visual Quality Assessment of {AI}-Generated Videos:
             A {LLM}-Based Multi-Dimensional Evaluation Model},
  journal = {arXiv preprint arXiv:2506.04715},
  note    = {CVPR Workshops 2025; second place in the NTIRE 2025 XGC challenge, track 2},
  year    = {2025},
}
```"""

_CARD = """---
license: other
library_name: aigv-reward
pipeline_tag: video-classification
---

# AIGVEval, converted for aigv-reward

A published checkpoint of "Towards Holistic Visual Quality Assessment of AI-Generated Videos"
(arXiv 2506.04715), converted from `{file}` (sha256 `{sha256}`). Nothing was trained in the
conversion. Score version: `{version}`.

## What it answers

- `overall` is the published score. It is an order of videos, not an opinion score: its
  training loss ignores scale and offset, and published scores live near 3 ± 0.1. Calibrate it
  on videos of your own before comparing it with anything.
{untrained}- The generator's text prompt {prompted}

## What it was trained on (by its authors)

Q-Eval-Video: 34,029 generated videos with opinion scores from 1 to 5, of which 23,820 were
trained on. 62 % of its test videos share a text prompt with a training video, so that figures
on that split flatter every model.

## Figures (by its authors; not measured by this project)

SRCC 0.763 on the test split of T2VQA-DB, against FAST-VQA 0.717, DOVER 0.761, Q-Align 0.760
and T2VQA 0.797 in the same table. The authors give no intervals. `aigv-reward evaluate` gives
them on your videos.

## Limits

It looks at 0.6 s of a clip (eight frames, every second one) for content and pixels and at 32
frames spread over the clip for motion, and ignores the frame rate: what happens elsewhere,
and dropped or repeated frames, can escape it. It was not trained to be optimised against; run
`aigv-reward audit` before you train a generator on it.

## Licences

The weights contain others' work, and their terms bind whoever uses them:

- the language model is Vicuna-7B: v1.1 falls under the LLaMA licence (no commercial use),
  v1.5 under the Llama 2 Community Licence; find out which one this checkpoint was made from;
- the semantic tower is BLIP (BSD-3-Clause), the technical encoder Video Swin (Apache-2.0),
  the motion encoder SlowFast from PyTorchVideo (Apache-2.0);
- the upstream repository, github.com/QiZelu/AIGVEval, came without a licence file when this
  was written: ask its authors before you redistribute these weights.

aigv-reward's code, Apache-2.0, gives no right to any of them.

## How to cite

{citation}
"""


def converted_card(config: AIGVRewardConfig, *, has_tokenizer: bool) -> str:
    """The card of a converted checkpoint, as Markdown with the hub's front matter.

    Args:
        config: of the converted model; its `source` names the file and its sha256.
        has_tokenizer: whether a tokenizer was written with it.
    """
    assert config.source is not None
    untrained = "".join(
        f"- `{name}` is answered by a question that nobody trained: not meaningful as it stands.\n"
        for name in config.dimensions
        if name not in config.trained
    )
    prompted = (
        "reaches the semantic question alone."
        if has_tokenizer
        else "is refused: no tokenizer was given to the conversion."
    )
    return _CARD.format(
        file=config.source["file"],
        sha256=config.source["sha256"],
        version=config.score_version,
        untrained=untrained,
        prompted=prompted,
        citation=CITATION,
    )
