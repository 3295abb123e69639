"""The import contracts of pyproject.toml hold, and each of them can be broken."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CORE = ("video", "views", "distortions", "encoders", "regressor", "model", "reward")
ABOVE = ("training", "evaluation", "corpus", "cli")


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    return subprocess.run(
        [str(lint_imports), "--no-cache", "--no-logo"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def contract(repository: Path, identifier: str) -> str:
    """The name under which a contract is reported."""
    settings = tomllib.loads((repository / "pyproject.toml").read_text())["tool"]["importlinter"]
    (name,) = (one["name"] for one in settings["contracts"] if one["id"] == identifier)
    return str(name)


@pytest.fixture
def skeleton(repository: Path, tmp_path: Path) -> Path:
    """The packages without their code, under the same contracts and with the same symlink."""
    shutil.copy(repository / "pyproject.toml", tmp_path)
    package = tmp_path / "aigv_reward"
    for name in (*CORE, *ABOVE):
        (package / name).mkdir(parents=True)
        (package / name / "__init__.py").touch()
    (package / "__init__.py").touch()
    (package / "dimensions.py").touch()
    (package / "corpus" / "pool.py").touch()
    (tmp_path / "integrations" / "diffusers").mkdir(parents=True)
    (tmp_path / "integrations" / "__init__.py").touch()
    (tmp_path / "integrations" / "diffusers" / "__init__.py").touch()
    (package / "integrations").symlink_to("../integrations")
    return tmp_path


def test_the_contracts_hold(repository: Path) -> None:
    ran = lint(repository)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("reward/video_reward.py", "from aigv_reward.model import modeling"),
        ("training/trainer.py", "from aigv_reward.evaluation import correlation"),
        ("training/synthetic.py", "from aigv_reward.distortions import noise"),
        ("distortions/noise.py", "from aigv_reward.video import indices"),
        (
            "cli/best_of.py",
            "def run():\n    from aigv_reward.integrations.diffusers import best_of_n",
        ),
        ("integrations/diffusers/best_of_n.py", "import diffusers\nfrom aigv_reward import Scores"),
        ("integrations/diffusers/corpus.py", "from aigv_reward.corpus import score_corpus"),
    ],
)
def test_allowed(skeleton: Path, module: str, line: str) -> None:
    (skeleton / "aigv_reward" / module).write_text(line + "\n")
    ran = lint(skeleton)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize(
    ("identifier", "module", "line"),
    [
        ("layers", "video/decode.py", "import aigv_reward.views"),
        ("layers", "views/resize.py", "from aigv_reward.reward import scores"),
        ("layers", "model/modeling.py", "def late():\n    import aigv_reward.training"),
        ("layers", "reward/video_reward.py", "import aigv_reward.integrations.diffusers"),
        ("layers", "distortions/noise.py", "import aigv_reward.views"),
        ("layers", "unlisted/__init__.py", ""),
        ("distortions", "reward/scores.py", "from aigv_reward.distortions import noise"),
        ("core", "reward/scores.py", "def late():\n    import diffusers.models"),
        ("core", "__init__.py", "import trl"),
        ("core", "training/trainer.py", "import ray.data"),
        ("public", "integrations/diffusers/steer.py", "from aigv_reward.reward import Scores"),
        ("public", "integrations/diffusers/steer.py", "from aigv_reward.corpus.pool import Pool"),
    ],
)
def test_forbidden(
    repository: Path, skeleton: Path, identifier: str, module: str, line: str
) -> None:
    path = skeleton / "aigv_reward" / module
    path.parent.mkdir(exist_ok=True)
    path.write_text(line + "\n")
    ran = lint(skeleton)
    assert ran.returncode == 1
    assert f"{contract(repository, identifier)} BROKEN" in ran.stdout, ran.stdout + ran.stderr
