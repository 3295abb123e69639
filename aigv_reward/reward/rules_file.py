"""A YAML file of rules as plain values."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


def read_rules_file(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The mapping that a file holds.

    Raises:
        ValueError: it cannot be read, is no YAML mapping, or names a key twice.
        ModuleNotFoundError: PyYAML is not installed.
    """
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'rules in a file need PyYAML: pip install "aigv-reward[corpus]"', name=error.name
        ) from error

    class Strict(yaml.SafeLoader):
        """Refuses a key that is there twice, of which YAML takes the last."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            seen = set()
            for key_node, _ in node.value:
                key = self.construct_object(key_node, deep=True)
                if isinstance(key, str) and key in seen:
                    raise ValueError(
                        f"key {key!r} stands twice, again in line {key_node.start_mark.line + 1}; "
                        "keep one"
                    )
                seen.add(str(key))
            values: dict[Any, Any] = super().construct_mapping(node, deep)
            return values

    name = os.fspath(path)
    try:
        # Strict is a SafeLoader: plain values only.
        values = yaml.load(Path(path).read_text(encoding="utf-8"), Loader=Strict)
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"rules file {name!r} cannot be read ({error})") from error
    except yaml.YAMLError as error:
        said = " ".join(str(error).split())
        raise ValueError(f"rules file {name!r} is no YAML ({said})") from error
    except ValueError as error:
        raise ValueError(f"rules file {name!r}: {error}") from error
    if not isinstance(values, dict):
        raise ValueError(f"rules file {name!r} is no mapping; write e.g. minimum: {{overall: 3.0}}")
    return values
