"""`import aigv_reward` is cheap: a program pays for the libraries that it uses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

LAZY = {"accelerate", "av", "decord", "diffusers", "peft", "ray", "transformers", "trl"}


def python(code: str) -> str:
    """What a new interpreter prints when it runs `code`."""
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def test_import_costs_under_a_second_more_than_torch() -> None:
    code = (
        "import time, torch; start = time.perf_counter(); import aigv_reward; "
        "print(time.perf_counter() - start)"
    )
    assert any(float(python(code)) < 1.0 for _ in range(3))  # others may slow the machine


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("aigv_reward", LAZY),
        ("aigv_reward.dimensions", LAZY | {"torch"}),
        ("aigv_reward.cli", {"diffusers", "ray", "trl"}),
        ("aigv_reward.corpus", LAZY | {"torch", "pyarrow", "yaml"}),
        ("aigv_reward.corpus.filtering", LAZY | {"torch"}),
        ("aigv_reward.corpus.preparation", {"peft", "transformers.modeling_utils"}),
        ("aigv_reward.integrations.diffusers", LAZY),
        ("aigv_reward.integrations.frameworks", LAZY | {"torchmetrics"}),
        ("aigv_reward.integrations.ray", LAZY | {"torch", "pyarrow"}),
    ],
)
def test_import_loads_none_of_the_heavy_libraries(module: str, absent: set[str]) -> None:
    loaded = json.loads(python(f"import json, sys, {module}; print(json.dumps(list(sys.modules)))"))
    assert module in loaded
    assert absent & set(loaded) == set()


@pytest.mark.parametrize("package", ["", ".encoders", ".model", ".regressor", ".reward", ".corpus"])
def test_lazy_names_are_listed(package: str) -> None:
    code = (
        f"import json, aigv_reward{package} as a; "
        "print(json.dumps([a.__all__, [n for n in a.__all__ if n not in dir(a)]]))"
    )
    names, unlisted = json.loads(python(code))
    assert names and unlisted == []
    assert package or len(names) <= 12
