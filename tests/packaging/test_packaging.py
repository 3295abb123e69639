"""What is built holds the whole package, and nothing but the package."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NOT_COPIED = shutil.ignore_patterns("__pycache__", "*.egg-info")


@pytest.fixture(scope="module")
def project(repository: Path) -> dict[str, Any]:
    return tomllib.loads((repository / "pyproject.toml").read_text())


def package_files(repository: Path) -> set[str]:
    """Installed paths of every file that belongs to the package, integrations included."""
    found = set()
    for folder, prefix in (
        ("aigv_reward", "aigv_reward"),
        ("integrations", "aigv_reward/integrations"),
    ):
        for path in (repository / folder).rglob("*"):
            inside = path.relative_to(repository / folder)
            if path.is_file() and "__pycache__" not in inside.parts:
                found.add(f"{prefix}/{inside.as_posix()}")
    return found


def test_the_list_of_packages_is_the_tree(repository: Path, project: dict[str, Any]) -> None:
    tree = {
        str(Path(path).parent).replace("/", ".")
        for path in package_files(repository)
        if path.endswith("/__init__.py")
    }
    assert sorted(project["tool"]["setuptools"]["packages"]) == sorted(tree)


def test_every_module_stands_in_a_package(repository: Path) -> None:
    files = package_files(repository)
    folders = {str(Path(path).parent) for path in files if path.endswith(".py")}
    assert {folder for folder in folders if f"{folder}/__init__.py" not in files} == set()


def test_integrations_is_a_relative_symlink(repository: Path) -> None:
    link = repository / "aigv_reward" / "integrations"
    assert link.is_symlink()
    assert link.readlink() == Path("../integrations")


@pytest.fixture(scope="module")
def built(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist and with the wheel that was built from the sdist alone."""
    copy = tmp_path_factory.mktemp("built") / "copy"
    copy.mkdir()
    for path in repository.iterdir():
        if path.suffix in (".toml", ".md", ".txt", ".in") or path.name == "LICENSE":
            shutil.copy(path, copy)
    for name in ("aigv_reward", "integrations", "tests"):
        shutil.copytree(repository / name, copy / name, symlinks=True, ignore=NOT_COPIED)
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", "../out"],
        cwd=copy,
        check=True,
    )
    return copy.parent / "out"


def test_the_wheel_holds_the_package_and_nothing_else(repository: Path, built: Path) -> None:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (entry_points,) = (name for name in wheel.namelist() if name.endswith("entry_points.txt"))
        declared = wheel.read(entry_points).decode()
        assert "aigv-reward = aigv_reward.cli:main" in declared
        plugin = "aigv_reward = aigv_reward.integrations.frameworks.data_juicer"
        assert f"[data_juicer.ops]\n{plugin}" in declared
        (metadata,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        assert "License-Expression: Apache-2.0" in wheel.read(metadata).decode()
        assert any(name.endswith(".dist-info/licenses/LICENSE") for name in wheel.namelist())
    assert names == package_files(repository)
    assert path.name.endswith("-py3-none-any.whl")


def test_the_sdist_holds_the_package_and_no_fixture(repository: Path, built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as sdist:
        names = {
            member.name.partition("/")[2].replace("aigv_reward/integrations/", "integrations/")
            for member in sdist.getmembers()
            if member.isfile()
        }
    package = {
        name.replace("aigv_reward/integrations/", "integrations/")
        for name in package_files(repository)
    }
    documents = {
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "README.md",
        "constraints.txt",
        "pyproject.toml",
    }
    assert package | documents <= names
    assert not [name for name in names if name.startswith("tests/")]


def pins(repository: Path) -> dict[str, str]:
    lines = (repository / "constraints.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines if not line.startswith("#"))


def test_constraints_are_exact_and_of_no_local_build(repository: Path) -> None:
    lines = (repository / "constraints.txt").read_text().splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert [line for line in pinned if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
    assert not [line for line in pinned if line.startswith(("nvidia", "triton"))]


def test_every_requirement_is_pinned_within_its_bound(
    repository: Path, project: dict[str, Any]
) -> None:
    pinned = {canonicalize_name(name): version for name, version in pins(repository).items()}
    extras = project["project"]["optional-dependencies"]
    wanted = [
        *project["project"]["dependencies"],
        *(one for extra in extras.values() for one in extra),
    ]
    for requirement in map(Requirement, wanted):
        if requirement.name != "aigv-reward":
            version = pinned[canonicalize_name(requirement.name)]
            assert requirement.specifier.contains(version), f"{requirement} but {version}"


def test_all_and_test_bring_the_integrations_extras(project: dict[str, Any]) -> None:
    extras = project["project"]["optional-dependencies"]
    (every,) = map(Requirement, extras["all"])
    assert every.extras == extras.keys() - {"all", "test"}
    assert "aigv-reward[all]" in extras["test"]
