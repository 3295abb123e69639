"""What a warmed-up encoder says about every ladder, computed once.

    python -m aigv_reward.training.features ladders technical encoders

Reads encoders/technical.safetensors, writes encoders/technical.features.safetensors.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from aigv_reward.dimensions import Dimension
from aigv_reward.training.ladders import read_info
from aigv_reward.training.warm_up import VIEWS, build_encoder, read_view


@torch.no_grad()
def ladder_features(ladders: Path, name: Dimension, weights: Path) -> dict[str, Tensor]:
    """{ladder number: (R, ...)} features of every ladder in a folder: whole views, mirrored too."""
    encoder = build_encoder(name)
    encoder.load_state_dict(load_file(weights))
    encoder.eval()
    result = {}
    for path in sorted(ladders.glob("*.safetensors")):
        view, _ = read_view(path, read_info(path), name)
        both = (encoder(view) + encoder(view.flip(-1))) / 2  # as the config's `mirrored` asks
        result[str(int(path.stem))] = both.contiguous()
    return result


def main() -> None:
    """Compute and write the features of one encoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ladders", type=Path)
    parser.add_argument("dimension", choices=sorted(VIEWS))
    parser.add_argument("encoders", type=Path)
    args = parser.parse_args()
    weights = args.encoders / f"{args.dimension}.safetensors"
    features = ladder_features(args.ladders, args.dimension, weights)
    save_file(features, args.encoders / f"{args.dimension}.features.safetensors")
    print(f"{args.dimension}: {len(features)} ladders", flush=True)


if __name__ == "__main__":
    main()
