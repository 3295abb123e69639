"""A training configuration: a flat YAML file of which every key is known."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from aigv_reward.training.arguments import (
    DataArguments,
    ModelArguments,
    QualityTrainingArguments,
)

SECTIONS: tuple[type[Any], ...] = (DataArguments, ModelArguments, QualityTrainingArguments)


def load_config(
    path: str | Path, overrides: Sequence[str] = ()
) -> tuple[DataArguments, ModelArguments, QualityTrainingArguments]:
    """The arguments of a YAML file.

    Args:
        path: the file; its keys are the fields of the three classes, without sections.
        overrides: "key=value" each, whose value is YAML; they replace what the file says.

    Raises:
        ValueError: the file is no YAML mapping, a key is unknown, or a value has another type or
            is out of its range.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"config {str(path)!r} cannot be read ({error})") from error
    values = _parse(text, f"config {str(path)!r}")
    if not isinstance(values, dict):
        raise ValueError(f"config {str(path)!r} is no mapping; write lines of key: value")
    for override in overrides:
        key, equals, value = override.partition("=")
        if not equals:
            raise ValueError(f"--set {override!r} has no '='; write key=value")
        values[key.strip()] = _parse(value, f"--set {override!r}")
    return parse_config(values)


def parse_config(
    values: Mapping[str, Any],
) -> tuple[DataArguments, ModelArguments, QualityTrainingArguments]:
    """The arguments of a mapping.

    Raises:
        ValueError: a key is unknown, or a value has another type or is out of its range.
    """
    known = {name: section for section in SECTIONS for name in _types(section)}
    given: dict[type[Any], dict[str, Any]] = {section: {} for section in SECTIONS}
    for key, value in values.items():
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else "see aigv-reward train --keys"
            raise ValueError(f"unknown config key {key!r}; {hint}")
        section = known[key]
        try:
            given[section][key] = _convert(key, value, _types(section)[key])
        except ValueError:
            if key in section.__annotations__:
                raise
            given[section][key] = value  # transformers takes more types than it annotates
    data, model, training = (section(**given[section]) for section in SECTIONS)
    return data, model, training


def describe_keys() -> list[tuple[str, str, str]]:
    """(key, default, what it means) of every key that this package defines or defaults."""
    rows = []
    for section in SECTIONS:
        for item in fields(section):
            if item.name in section.__annotations__:
                default = item.default_factory() if callable(item.default_factory) else item.default
                rows.append((item.name, yaml_text(default), item.metadata["help"]))
    return rows


def yaml_text(value: Any) -> str:
    """The value as it is written in the file."""
    text: str = yaml.safe_dump(value, default_flow_style=True, width=1000)
    return text.removesuffix("...\n").strip()


def _parse(text: str, what: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{what} is no YAML ({' '.join(str(error).split())})") from error


def _types(section: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(section)
    return {item.name: hints[item.name] for item in fields(section) if item.init}


def _convert(key: str, value: Any, hint: Any) -> Any:
    """The value in its key's type.

    YAML reads 1e-5 as text and no as false, and a list of one needs no brackets.
    """
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    hints = typing.get_args(hint) if union else (hint,)
    kinds = [typing.get_origin(kind) or kind for kind in hints]
    if value is None and type(None) in kinds:
        return None
    if any(kind is type(value) for kind in kinds):
        return value
    if float in kinds and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            return float(value)
        except ValueError:
            pass
    if str in kinds and value is False:
        return "no"
    if list in kinds and isinstance(value, str):
        return [value]
    names = " or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds)
    raise ValueError(f"{key} is {value!r}; it must be {names}")
