"""The reward over HTTP: a server that scores videos, and clients that are rewards themselves."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aigv_reward.integrations.server.client import RemoteReward
    from aigv_reward.integrations.server.client_async import AsyncRemoteReward
    from aigv_reward.integrations.server.client_retries import Retries, RewardUnavailable
    from aigv_reward.integrations.server.running import serve
    from aigv_reward.integrations.server.settings import Limits, ServerSettings

__all__ = [
    "AsyncRemoteReward",
    "Limits",
    "RemoteReward",
    "Retries",
    "RewardUnavailable",
    "ServerSettings",
    "serve",
]

# The public names: the modules that define them, loaded at first use, and what those need.
_HOME = {
    "AsyncRemoteReward": ("aigv_reward.integrations.server.client_async", "httpx"),
    "Limits": ("aigv_reward.integrations.server.settings", None),
    "RemoteReward": ("aigv_reward.integrations.server.client", "httpx"),
    "Retries": ("aigv_reward.integrations.server.client_retries", "httpx"),
    "RewardUnavailable": ("aigv_reward.integrations.server.client_retries", "httpx"),
    "ServerSettings": ("aigv_reward.integrations.server.settings", None),
    "serve": ("aigv_reward.integrations.server.running", "fastapi"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, needed = _HOME[name]
    if needed is not None and find_spec(needed) is None:
        raise ImportError(
            f'{__name__}.{name} needs {needed}: pip install "aigv-reward[server]"', name=needed
        )
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
