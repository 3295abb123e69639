"""The denoiser at noise levels of a loss, rather than at those of a run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from aigv_reward.integrations.finetune.flow_noise import Noised
from aigv_reward.integrations.finetune.replay import predict


def without_guidance(pipe: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """A call's arguments with classifier-free guidance switched off.

    Losses of the forward process are about the model itself. HunyuanVideo's `guidance_scale` is an
    input of its model, and stays; its `true_cfg_scale` is what is switched off.
    """
    known = inspect.signature(type(pipe).__call__).parameters
    name = "true_cfg_scale" if "true_cfg_scale" in known else "guidance_scale"
    return {**arguments, name: 1.0} if name in known else dict(arguments)


def denoise(pipe: Any, noised: Noised, arguments: Mapping[str, Any]) -> Tensor:
    """(B, ...) what the denoiser says of noisy latents, rows of one timestep at once."""
    timesteps = noised.timestep.tolist()
    if len(set(timesteps)) == 1:
        return predict(pipe, noised.latents, noised.timestep[0], arguments)
    rows = []
    for index in range(len(timesteps)):
        one = {
            name: value[index : index + 1] if isinstance(value, list) else value
            for name, value in arguments.items()
        }
        rows.append(predict(pipe, noised.latents[index : index + 1], noised.timestep[index], one))
    return torch.cat(rows)
