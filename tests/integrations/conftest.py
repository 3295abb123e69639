from __future__ import annotations

import copy
import gc
import importlib.util
import io
import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import pytest
import torch


@pytest.fixture(scope="session")
def tiny_pipelines() -> ModuleType:
    """The module of tiny real pipelines: its builders are also of use on their own.

    It is loaded by its path: its folder is called like the library that it tests, and the folder
    above must never be on sys.path.
    """
    name = "tiny_pipelines"
    if name not in sys.modules:
        path = Path(__file__).parent / "diffusers" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
        gc.collect()
        gc.freeze()  # as in the conftest above: dozens of pipelines have been imported
    return sys.modules[name]


@pytest.fixture(scope="session")
def _built() -> dict[str, Any]:
    return {}


@pytest.fixture
def tiny(tiny_pipelines: ModuleType, _built: dict[str, Any]) -> Callable[[str], Any]:
    """`tiny("wan")` is a `Tiny(pipe, kwargs)`, built once and copied for each call.

    A test may do what it likes to its copy. Names: `tiny_pipelines.BUILDERS`.
    """

    def make(name: str) -> Any:
        if name not in _built:
            _built[name] = Copies(tiny_pipelines.build(name))
        return _built[name].make()

    return make


class Copies(pickle.Pickler):
    """Deep copies of one object in a fifth of the time of `copy.deepcopy`."""

    def __init__(self, original: Any) -> None:
        self._whole: list[Any] = []  # what is not taken apart
        self._places: dict[int, int] = {}
        self._file = io.BytesIO()
        super().__init__(self._file, pickle.HIGHEST_PROTOCOL)
        self.dump(original)

    def persistent_id(self, one: Any) -> int | None:
        if not isinstance(one, torch.Tensor | FunctionType):
            return None
        if id(one) not in self._places:
            self._places[id(one)] = len(self._whole)
            self._whole.append(one)
        return self._places[id(one)]

    def make(self) -> Any:
        """One copy; its functions are those of the original, as with deepcopy."""
        return _Copy(self._file.getvalue(), copy.deepcopy(self._whole)).load()


class _Copy(pickle.Unpickler):
    def __init__(self, content: bytes, whole: list[Any]) -> None:
        super().__init__(io.BytesIO(content))
        self._whole = whole

    def persistent_load(self, place: int) -> Any:
        return self._whole[place]


@pytest.fixture(autouse=True, scope="session")
def _quiet() -> None:
    """diffusers warns of what the tiny pipelines do on purpose."""
    logging.getLogger("diffusers").setLevel(logging.ERROR)
