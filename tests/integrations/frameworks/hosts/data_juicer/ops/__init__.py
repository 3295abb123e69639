"""As much of data-juicer as a plugin meets: its discovery, and operators from a recipe."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Any

from data_juicer.ops.base_op import OPERATORS

GROUP = "data_juicer.ops"


def load_op_plugins(found: Iterable[EntryPoint]) -> tuple[list[str], list[str]]:
    """Names that loaded and those that did not: the host only warns of a plugin that fails."""
    loaded, skipped = [], []
    for entry_point in found:
        try:
            entry_point.load()
            loaded.append(entry_point.name)
        except Exception:
            skipped.append(entry_point.name)
    return loaded, skipped


def load_ops(process: list[dict[str, dict[str, Any]]]) -> list[Any]:
    return [
        OPERATORS.modules[name](**arguments) for one in process for name, arguments in one.items()
    ]
