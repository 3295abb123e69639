"""As much of data-juicer as a filter meets: registries, the base class, a run over a dataset."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pyarrow as pa

from data_juicer.utils.constant import Fields
from data_juicer.utils.resource_utils import is_cuda_available


class Registry:
    def __init__(self) -> None:
        self.modules: dict[str, Any] = {}

    def register_module(self, name: str) -> Callable[[Any], Any]:
        def register(cls: Any) -> Any:
            if name in self.modules:
                raise KeyError(f"{name} is already registered")
            self.modules[name] = cls
            cls._name = name
            return cls

        return register


OPERATORS, UNFORKABLE = Registry(), Registry()


def caught(method: Callable[..., Any], skip: bool, *, single: bool, returns_sample: bool) -> Any:
    """The method on a batch as it arrives: a raise ends the run, or empties the whole batch."""

    @wraps(method)
    def wrapper(samples: Any, *args: Any, **kwargs: Any) -> Any:
        samples = samples.to_pydict() if isinstance(samples, pa.Table) else samples
        columns = list(samples.values())
        if single and not all(isinstance(column, list) for column in columns):
            return method(samples, *args, **kwargs)
        try:
            if not single:
                return method(samples, *args, **kwargs)
            found = method({key: samples[key][0] for key in samples}, *args, **kwargs)
            return {key: [value] for key, value in found.items()} if returns_sample else [found]
        except Exception:
            if not skip:
                raise
            return {key: [] for key in [*samples, Fields.stats, Fields.source_file]}

    return wrapper


class OPMetaClass(type):
    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        instance = super().__call__(*args, **kwargs)
        instance._init_args, instance._init_kwargs = args, kwargs
        return instance


class Filter(metaclass=OPMetaClass):
    _name = ""
    _accelerator = "cpu"
    _batched_op = False

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.video_key = kwargs.get("video_key", "videos")
        self.skip_op_error = kwargs.get("skip_op_error", False)
        self.batch_mode = kwargs.get("batch_mode")
        self.accelerator = kwargs.get("accelerator") or self._accelerator
        self.batch_size = kwargs.get("batch_size", 10 if self.accelerator == "cuda" else 1000)
        self.min_closed_interval = kwargs.get("min_closed_interval", True)
        self.max_closed_interval = kwargs.get("max_closed_interval", True)
        self.reversed_range = kwargs.get("reversed_range", False)
        if self.reversed_range:
            self.min_closed_interval = not self.min_closed_interval
            self.max_closed_interval = not self.max_closed_interval
        single = not self.is_batched_op()
        self.compute_stats = caught(
            self.compute_stats_single if single else self.compute_stats_batched,
            self.skip_op_error,
            single=single,
            returns_sample=True,
        )
        self.process = caught(
            self.process_single if single else self.process_batched,
            self.skip_op_error,
            single=single,
            returns_sample=False,
        )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        for name in ("compute_stats", "process"):
            if name in cls.__dict__:
                raise TypeError(f"Method {name} cannot be overridden by subclass {cls.__name__}")

    def is_batched_op(self) -> bool:
        return bool(self._batched_op or self.batch_mode)

    def use_cuda(self) -> bool:
        return self.accelerator == "cuda" and is_cuda_available()

    def compute_stats_batched(self, samples: Any, *args: Any, **kwargs: Any) -> Any:
        for index in range(len(samples[Fields.stats])):
            sample = {key: samples[key][index] for key in samples}
            found = self.compute_stats_single(sample, *args, **kwargs)
            samples[Fields.stats][index] = found[Fields.stats]
        return samples

    def process_batched(self, samples: Any) -> Any:
        return (self.process_single({Fields.stats: stat}) for stat in samples[Fields.stats])

    def compute_stats_single(self, sample: Any, context: bool = False) -> Any:
        raise NotImplementedError

    def process_single(self, sample: Any) -> Any:
        raise NotImplementedError

    def run(self, dataset: Any, *, reduce: bool = True, writer_batch_size: int = 1000) -> Any:
        """A `datasets.Dataset` with stats, filtered; an operator that is not batched sees ones."""
        if Fields.stats not in dataset.features:
            dataset = dataset.map(lambda sample: {Fields.stats: {}})
        size = self.batch_size if self.is_batched_op() else 1
        dataset = dataset.map(
            lambda samples, *args: self.compute_stats(dict(samples), *args),
            with_rank=self.use_cuda(),
            batched=True,
            batch_size=size,
            writer_batch_size=writer_batch_size,
            load_from_cache_file=False,
        )
        if not reduce:
            return dataset
        return dataset.filter(
            lambda samples: list(self.process(dict(samples))),
            batched=True,
            batch_size=size,
            load_from_cache_file=False,
        )
