"""The names of aigv_reward.integrations.server load when they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aigv_reward.integrations import server as package


def test_every_public_name_has_a_home_and_loads() -> None:
    assert sorted(package.__all__) == sorted(package._HOME)
    for name in package.__all__:
        assert getattr(package, name).__module__.startswith("aigv_reward.integrations.server")
        assert name in dir(package)


def test_a_name_that_is_none() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Server'"):
        package.Server  # noqa: B018


@pytest.mark.parametrize(
    ("missing", "name"), [("fastapi", "serve"), ("httpx", "RemoteReward"), ("httpx", "Retries")]
)
def test_without_the_extra_it_is_named(missing: str, name: str) -> None:
    code = (
        f"import sys; sys.modules['{missing}'] = None\n"
        f"from aigv_reward.integrations.server import {name}"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f'{name} needs {missing}: pip install "aigv-reward[server]"' in ran.stderr


@pytest.mark.parametrize("module", ["aigv_reward", "aigv_reward.cli", package.__name__])
def test_imports_load_no_server(module: str) -> None:
    code = (
        f"import sys, {module}; "
        "print({'fastapi', 'starlette', 'uvicorn', 'httpx', 'pydantic'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"


def test_the_serving_process_loads_no_torch() -> None:
    code = (
        "import sys; from aigv_reward.integrations.server import serve; "
        "print({'torch', 'transformers', 'av', 'numpy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "set()\n"
