"""One reward in many hosts that train or filter: an adapter each, and a torchmetrics metric."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigv_reward.integrations.frameworks.dance_grpo import DanceGRPOInferencer
    from aigv_reward.integrations.frameworks.data_juicer import DataJuicerFilter
    from aigv_reward.integrations.frameworks.fastvideo import FastVideoScorer
    from aigv_reward.integrations.frameworks.flow_factory import FlowFactoryReward
    from aigv_reward.integrations.frameworks.flow_factory_remote import flow_factory_compute
    from aigv_reward.integrations.frameworks.flow_grpo import FlowGRPOScore
    from aigv_reward.integrations.frameworks.genrl import GenRLScore
    from aigv_reward.integrations.frameworks.nemo_curator import NeMoCuratorStage
    from aigv_reward.integrations.frameworks.unirl import UniRLReward
    from aigv_reward.integrations.frameworks.verl_omni import VerlOmniScore
    from aigv_reward.integrations.frameworks.video_quality import VideoQuality
    from aigv_reward.integrations.frameworks.videox_fun import VideoXFunReward

__all__ = [
    "DanceGRPOInferencer",
    "DataJuicerFilter",
    "FastVideoScorer",
    "FlowFactoryReward",
    "FlowGRPOScore",
    "GenRLScore",
    "NeMoCuratorStage",
    "UniRLReward",
    "VerlOmniScore",
    "VideoQuality",
    "VideoXFunReward",
    "flow_factory_compute",
]

# The public names and the modules that define them, loaded at first use.
_HOME = {
    "DanceGRPOInferencer": "aigv_reward.integrations.frameworks.dance_grpo",
    "DataJuicerFilter": "aigv_reward.integrations.frameworks.data_juicer",
    "FastVideoScorer": "aigv_reward.integrations.frameworks.fastvideo",
    "FlowFactoryReward": "aigv_reward.integrations.frameworks.flow_factory",
    "FlowGRPOScore": "aigv_reward.integrations.frameworks.flow_grpo",
    "GenRLScore": "aigv_reward.integrations.frameworks.genrl",
    "NeMoCuratorStage": "aigv_reward.integrations.frameworks.nemo_curator",
    "UniRLReward": "aigv_reward.integrations.frameworks.unirl",
    "VerlOmniScore": "aigv_reward.integrations.frameworks.verl_omni",
    "VideoQuality": "aigv_reward.integrations.frameworks.video_quality",
    "VideoXFunReward": "aigv_reward.integrations.frameworks.videox_fun",
    "flow_factory_compute": "aigv_reward.integrations.frameworks.flow_factory_remote",
}

# What some names need besides the package: the module, what it is called, how to get it.
_EXTRA = 'pip install "aigv-reward[frameworks]"'
_NEEDS = {
    "DataJuicerFilter": ("data_juicer", "data-juicer", "pip install py-data-juicer"),
    "FlowFactoryReward": (
        "flow_factory",
        "Flow-Factory",
        "install it from https://github.com/X-GenGroup/Flow-Factory",
    ),
    "NeMoCuratorStage": ("nemo_curator", "NeMo Curator", "pip install nemo-curator"),
    "VideoQuality": ("torchmetrics", "torchmetrics", _EXTRA),
    "flow_factory_compute": ("PIL", "pillow", _EXTRA),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in _NEEDS:
        module, called, remedy = _NEEDS[name]
        if find_spec(module) is None:
            raise ImportError(f"{__name__}.{name} needs {called}: {remedy}", name=module)
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
