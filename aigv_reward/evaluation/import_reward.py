"""Anybody's reward by its import path."""

from __future__ import annotations

import inspect
import os
import sys
from importlib import import_module
from typing import Any, cast

from aigv_reward.reward import RewardFn


def import_reward(path: str) -> RewardFn:
    """The reward that "package.module:name" names.

    What takes frames is the reward itself. A class, or a function, that can be called without
    arguments is called once and gives the reward: `aigv_reward:VideoReward.from_pretrained`. The
    current folder is searched last.

    Raises:
        ValueError: not such a path, no such module or name, or what it names is no reward.
    """
    module, colon, name = path.partition(":")
    if not (colon and module and name):
        raise ValueError(f"reward {path!r} is no import path; write package.module:name")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    try:
        found: Any = import_module(module)
    except Exception as error:
        raise ValueError(
            f"module {module!r} of reward {path!r} cannot be imported "
            f"({type(error).__name__}: {error}); run where it is importable"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            raise ValueError(f"reward {path!r}: {found!r} has no {part!r}")
        found = getattr(found, part)
    if not callable(found):
        raise ValueError(f"reward {path!r} is {found!r}, which cannot be called")
    if _is_factory(found, path):
        try:
            found = found()
        except Exception as error:
            raise ValueError(
                f"reward {path!r} failed when called ({type(error).__name__}: {error})"
            ) from error
        if not callable(found):
            raise ValueError(f"reward {path!r} returned {found!r}, which cannot be called")
    return cast(RewardFn, found)


def _is_factory(found: Any, path: str) -> bool:
    try:
        parameters = inspect.signature(found).parameters.values()
    except ValueError:
        return False
    needs = any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )
    if not inspect.isclass(found):
        return not needs and all(p.kind is not p.VAR_POSITIONAL for p in parameters)
    if needs:
        raise ValueError(
            f"reward {path!r} is a class that needs arguments; name a function without any that "
            "returns an instance"
        )
    return True
