"""Features of the encoders that do not learn: computed once for each video, kept on disk."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from aigv_reward import __version__
from aigv_reward.model import AIGVRewardModel
from aigv_reward.reward.windows import read_views
from aigv_reward.training.trainable_model import VIEW_OF
from aigv_reward.video import VideoDecodeError
from aigv_reward.views import Views, ViewSampling

TOWER_CONFIG = {
    "semantic": ("semantic_config", "semantic_frame_token"),
    "technical": ("technical_config",),
    "motion": ("motion_config",),
}


def tower_digest(model: AIGVRewardModel, tower: str) -> str:
    """sha256 of everything but the video that an encoder's features depend on.

    These are its weights and configuration, the sampling, whether mirror images count, and the
    version of this package.
    """
    config = model.config.to_dict()
    facts = {name: config[name] for name in (*TOWER_CONFIG[tower], "sampling", "mirrored")}
    digest = hashlib.sha256(json.dumps([__version__, tower, facts], sort_keys=True).encode())
    digest.update(weights_digest(getattr(model, tower).state_dict()).encode())
    return digest.hexdigest()


def weights_digest(state: Mapping[str, Tensor]) -> str:
    """sha256 of tensors with their names, types and shapes, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


class FeatureCache:
    """A folder with one safetensors file for each encoder and video.

    A file's name holds the digest of the video's contents and its folder's name that of the
    encoder, so features of another encoder, sampling or file are never found. Files appear whole.

    Args:
        folder: made when the first features are written; several runs may share it.
        model: gives the encoders; they must not change while the cache is used.
        towers: names of the encoders whose features are kept.
    """

    def __init__(self, folder: Path, model: AIGVRewardModel, towers: Sequence[str]) -> None:
        self.towers = tuple(towers)
        self.folders = {
            name: folder / f"{name}-{tower_digest(model, name)[:24]}" for name in towers
        }

    def path(self, tower: str, digest: str) -> Path:
        """Where the features of a video are, or will be."""
        return self.folders[tower] / digest[:2] / f"{digest}.safetensors"

    def lacks(self, digest: str) -> bool:
        """Whether some encoder's features of a video are not there."""
        return not all(self.path(tower, digest).exists() for tower in self.towers)

    def read(self, digest: str) -> dict[str, Tensor]:
        """{encoder: features of one video}.

        Raises:
            ValueError: a file is damaged.
        """
        features = {}
        for tower in self.towers:
            path = self.path(tower, digest)
            try:
                features[tower] = load_file(path)["features"]
            except (SafetensorError, KeyError) as error:
                raise ValueError(f"{str(path)!r} is damaged ({error}); remove it") from error
        return features

    def write(self, digest: str, features: Mapping[str, Tensor]) -> None:
        """Keep the features of one video."""
        for tower in self.towers:
            path = self.path(tower, digest)
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile(dir=path.parent, suffix=".part", delete=False) as file:
                file.write(save({"features": features[tower].cpu().contiguous()}))
            os.replace(file.name, path)


@torch.no_grad()
def fill_cache(
    cache: FeatureCache,
    model: AIGVRewardModel,
    videos: Mapping[str, Path],
    *,
    device: torch.device,
    workers: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> dict[Path, str]:
    """Compute what the cache lacks, from each video's centre views, one video at a time.

    Args:
        cache: where the features go.
        model: its encoders are left on the device that they were on.
        videos: {digest of the contents: a file that has them}.
        device: where the encoders run.
        workers: processes that decode; 0 decodes in this one.
        advance: called after each video that the cache lacked.

    Returns:
        {path: why it cannot be read}, of videos that have no features.
    """
    lacking = [(digest, path) for digest, path in videos.items() if cache.lacks(digest)]
    if not lacking:
        return {}
    home = next(model.parameters()).device
    towers: dict[str, nn.Module] = {
        name: getattr(model, name).eval().to(device) for name in cache.towers
    }
    failures: dict[Path, str] = {}
    loader = DataLoader(
        _CentreViews([path for _, path in lacking], model.config.view_sampling),
        batch_size=None,
        num_workers=min(workers, len(lacking)),
    )
    for (digest, path), views in zip(lacking, loader, strict=True):
        if isinstance(views, str):
            failures[path] = views
        else:
            features = {
                name: model.encode(name, getattr(views, VIEW_OF[name]).to(device))[0]
                for name in towers
            }
            for name, value in features.items():
                if not bool(torch.isfinite(value).all()):
                    raise ValueError(
                        f"the {name} features of {str(path)!r} are not finite; check the checkpoint"
                    )
            cache.write(digest, features)
        advance()
    for tower in towers.values():
        tower.to(home)
    return failures


class _CentreViews(Dataset[Any]):
    """The views that scoring sees, or why a file has none."""

    def __init__(self, paths: Sequence[Path], sampling: ViewSampling) -> None:
        self.paths = paths
        self.sampling = sampling

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Views | str:
        try:
            return read_views(self.paths[index], self.sampling)
        except VideoDecodeError as error:
            return error.reason or str(error)
