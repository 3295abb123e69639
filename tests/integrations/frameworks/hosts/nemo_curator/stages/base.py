"""As much of NeMo Curator as a stage meets: the base class, and a worker that runs stages."""

from __future__ import annotations

import copy
import pickle
from abc import ABC, abstractmethod
from typing import Any, Generic, TypeVar

from nemo_curator.stages.resources import Resources

X = TypeVar("X")
Y = TypeVar("Y")


class ProcessingStage(ABC, Generic[X, Y]):
    name = "ProcessingStage"
    resources = Resources(cpus=1.0)
    batch_size = 1

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in ("_name", "_resources", "_batch_size"):
            if name in cls.__dict__:
                raise TypeError(f"{cls.__name__} must not override {name!r}")
        for name in ("name", "resources", "batch_size", "runtime_env"):
            if isinstance(cls.__dict__.get(name), property):
                raise TypeError(f"{cls.__name__} must not define {name!r} as a @property")

    @abstractmethod
    def process(self, task: X) -> Y | list[Y]: ...

    def inputs(self) -> tuple[list[str], list[str]]:
        return [], []

    def outputs(self) -> tuple[list[str], list[str]]:
        return [], []

    def setup(self, worker_metadata: Any = None) -> None: ...

    def validate_input(self, task: Any) -> bool:
        attributes, data = self.inputs()
        return all(hasattr(task, name) for name in attributes) and all(
            hasattr(task.data, name) for name in data
        )

    def process_batch(self, tasks: list[X]) -> list[Y]:
        results: list[Y] = []
        for task in tasks:
            if not self.validate_input(task):
                raise ValueError(f"Task {task!s} failed validation for stage {self}")
            result = self.process(task)
            if isinstance(result, list):
                results.extend(result)
            elif result is not None:
                results.append(result)
        return results

    def with_(self, name: str | None = None, resources: Resources | None = None) -> Any:
        changed = copy.deepcopy(self)
        if name is not None:
            changed.name = name
        if resources is not None:
            changed.resources = resources
        return changed


class Pipeline:
    """Stages and tasks reach their worker pickled; a stage is set up there, once."""

    def __init__(self, *, name: str) -> None:
        self.name = name
        self.stages: list[Any] = []

    def add_stage(self, stage: Any) -> Pipeline:
        self.stages.append(stage)
        return self

    def run(self, tasks: list[Any]) -> list[Any]:
        for stage in pickle.loads(pickle.dumps(self.stages)):
            stage.setup(None)
            tasks = stage.process_batch(pickle.loads(pickle.dumps(tasks)))
        return pickle.loads(pickle.dumps(tasks))
