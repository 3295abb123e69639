import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from aigv_reward.model.key_mapping import rename_published_keys

REFERENCE = Path(__file__).parents[1] / "reference"


@dataclass(frozen=True)
class Published:
    """The recorded small checkpoint: widths, weights under both names, outputs."""

    config: dict
    state: dict[str, Tensor]
    renamed: dict[str, Tensor]
    dropped: list[str]
    expected: dict[str, Tensor]

    def weights(self, prefix: str) -> dict[str, Tensor]:
        """The renamed weights below `prefix`, in fp32."""
        return {
            key.removeprefix(prefix): value.float() if value.is_floating_point() else value
            for key, value in self.renamed.items()
            if key.startswith(prefix)
        }


@pytest.fixture(scope="session")
def published() -> Published:
    checkpoint = torch.load(REFERENCE / "aigveval_small.pth", weights_only=True)
    state = checkpoint["state_dict"]
    renamed, dropped = rename_published_keys(state)
    return Published(
        config=json.loads((REFERENCE / "aigveval_small.json").read_text()),
        state=state,
        renamed=renamed,
        dropped=dropped,
        expected=load_file(REFERENCE / "aigveval_small_expected.safetensors"),
    )
