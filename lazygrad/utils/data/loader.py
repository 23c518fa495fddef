"""Batches of samples, which threads may prepare in advance."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import count, islice
from queue import Empty, Queue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

import numpy as np

from ...errors import ArgumentError, KindError
from ...tensor import Tensor
from .dataset import Dataset, IterableDataset, _Rows
from .sampler import BatchSampler, RandomSampler, SequentialSampler

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True)
class WorkerInfo:
    """What a worker knows of itself: its number, how many there are, the data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker: ContextVar[WorkerInfo | None] = ContextVar("worker", default=None)


def get_worker_info() -> WorkerInfo | None:
    """What the worker that asks knows of itself; None outside of workers.

    get_worker_info() is None
    """
    return _worker.get()


def default_collate(batch: list[Any]) -> Any:
    """Samples as a batch: tensors, arrays and numbers are stacked into a tensor, tuples, lists and
    dicts are collated item by item, and strings stay in a list.

    Raises TypeError for anything else, RuntimeError where samples are of different lengths.

        default_collate([(1, 2.0), (3, 4.0)])[0].tolist() == [1, 3]
    """
    if not batch:
        raise ArgumentError("default_collate: a batch of no samples")
    first = batch[0]
    if isinstance(first, Tensor):
        if any(t.requires_grad for t in batch):
            return Tensor.stack(*batch)
        return Tensor(np.stack([t.numpy() for t in batch]), device=first.device)
    if isinstance(first, (np.ndarray, np.generic)):
        return Tensor(np.stack(batch))
    if isinstance(first, (bool, int)):
        return Tensor(batch)
    if isinstance(first, float):
        return Tensor(np.asarray(batch, np.float64))
    if isinstance(first, (str, bytes)):
        return batch
    if isinstance(first, Mapping):
        return {key: default_collate([sample[key] for sample in batch]) for key in first}
    if isinstance(first, (tuple, list)):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError("each element in list of batch should be of equal size")
        fields = [default_collate(list(field)) for field in zip(*batch, strict=True)]
        if hasattr(first, "_fields"):
            return type(first)(*fields)
        return fields
    raise KindError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}"
    )


class DataLoader(Generic[T_co]):
    """Goes through a data set in batches: `for x, y in DataLoader(dataset, batch_size=32): ...`.

    Workers are threads, which load samples in advance, in order: they share memory with the
    compiler and its own threads, and nothing has to be sent between processes. Python code in
    samples therefore shares one interpreter; NumPy, decoding and reading run beside it.

    `generator` is None (`Tensor.manual_seed` decides), a seed, or NumPy's. `pin_memory`,
    `multiprocessing_context` and `persistent_workers` are accepted and mean nothing here.

        [x.tolist() for x in DataLoader([1, 2, 3], batch_size=2)] == [[1, 2], [3]]
    """

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        self._is_iterable = isinstance(dataset, IterableDataset)
        if num_workers < 0:
            raise ArgumentError("num_workers option should be non-negative; use num_workers=0 to "
                             "disable workers")  # fmt: skip
        if prefetch_factor is not None and num_workers == 0:
            raise ArgumentError(
                "prefetch_factor option could only be specified with num_workers > 0"
            )
        if timeout < 0:
            raise ArgumentError("timeout option should be non-negative")
        if self._is_iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ArgumentError("DataLoader with IterableDataset: expected unspecified shuffle, "
                             "sampler and batch_sampler options")  # fmt: skip
        if sampler is not None and shuffle:
            raise ArgumentError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ArgumentError("batch_sampler option is mutually exclusive with batch_size, "
                                 "shuffle, sampler, and drop_last")  # fmt: skip
            batch_size = None
        elif batch_size is None and (shuffle or drop_last):
            raise ArgumentError("batch_size=None option disables auto-batching and is mutually "
                             "exclusive with drop_last")  # fmt: skip
        if not self._is_iterable and sampler is None:
            source: Any = dataset
            sampler = (
                RandomSampler(source, generator=generator) if shuffle else SequentialSampler(source)
            )
        if batch_size is not None and batch_sampler is None and not self._is_iterable:
            assert sampler is not None
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset, self.batch_size, self.drop_last = dataset, batch_size, drop_last
        self.sampler, self.batch_sampler = sampler, batch_sampler
        self.num_workers, self.timeout, self.worker_init_fn = num_workers, timeout, worker_init_fn
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.pin_memory, self.generator = pin_memory, generator
        batches = batch_size is not None or batch_sampler is not None
        self.collate_fn: Callable[[Any], Any] = collate_fn or (
            default_collate if batches else lambda sample: sample
        )

    def __len__(self) -> int:
        """The number of batches. Raises TypeError for an iterable data set without length."""
        if not self._is_iterable:
            return len(self.sampler if self.batch_sampler is None else self.batch_sampler)  # type: ignore[arg-type]
        length = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def __iter__(self) -> Iterator[Any]:
        """The batches of one pass through the data."""
        if self._is_iterable:
            return self._stream() if self.num_workers else self._of(iter(self._samples()))
        numbers: Any = self.sampler if self.batch_sampler is None else self.batch_sampler
        return self._prefetched(numbers) if self.num_workers else map(self._fetch, numbers)

    # ------------------------------------------------------------------ by number

    def _fetch(self, numbers: Any) -> Any:
        """The batch of samples with these numbers, or the one sample."""
        if not isinstance(numbers, list):
            return self.collate_fn(self.dataset[numbers])
        at_once = getattr(self.dataset, "__getitems__", None)
        if at_once is None:
            return self.collate_fn([self.dataset[n] for n in numbers])
        found = at_once(numbers)
        if isinstance(found, _Rows):
            if self.collate_fn is default_collate:
                return list(found)
            found = [self.dataset[n] for n in numbers]
        return self.collate_fn(found)

    def _begin(self, place: int) -> None:
        """What a worker does first."""
        _worker.set(WorkerInfo(place, self.num_workers, place, self.dataset))
        if self.worker_init_fn is not None:
            self.worker_init_fn(place)

    def _prefetched(self, numbers: Iterable[Any]) -> Iterator[Any]:
        places = count()
        ahead = self.num_workers * self.prefetch_factor
        with ThreadPoolExecutor(
            self.num_workers, "lazygrad-data", lambda: self._begin(next(places))
        ) as pool:
            waiting: deque[Future[Any]] = deque()
            rest = iter(numbers)
            try:
                waiting += [pool.submit(self._fetch, n) for n in islice(rest, ahead)]
                while waiting:
                    batch = waiting.popleft().result(self.timeout or None)
                    waiting += [pool.submit(self._fetch, n) for n in islice(rest, 1)]
                    yield batch
            finally:
                for future in waiting:
                    future.cancel()

    # ------------------------------------------------------------------ one after the other

    def _samples(self) -> Iterable[Any]:
        return self.dataset  # type: ignore[return-value]

    def _of(self, samples: Iterator[Any]) -> Iterator[Any]:
        """Batches of samples as they come."""
        if self.batch_size is None:
            yield from map(self.collate_fn, samples)
            return
        while batch := list(islice(samples, self.batch_size)):
            if len(batch) == self.batch_size or not self.drop_last:
                yield self.collate_fn(batch)

    def _stream(self) -> Iterator[Any]:
        """Batches of workers that each go through the data set: the first's, the second's, ..."""
        stop = Event()
        queues = [Queue[Any](self.prefetch_factor) for _ in range(self.num_workers)]

        def work(place: int) -> None:
            self._begin(place)
            queue = queues[place]
            try:
                for batch in self._of(iter(self._samples())):
                    _put(queue, (batch, None), stop)
                _put(queue, None, stop)
            except BaseException as error:
                _put(queue, (None, error), stop)

        for place in range(self.num_workers):
            Thread(target=work, args=(place,), daemon=True).start()
        try:
            while queues:
                for queue in list(queues):
                    found = queue.get(timeout=self.timeout or None)
                    if found is None:
                        queues.remove(queue)
                    elif found[1] is not None:
                        raise found[1]
                    else:
                        yield found[0]
        except Empty:
            raise RuntimeError(f"DataLoader timed out after {self.timeout} seconds") from None
        finally:
            stop.set()


def _put(queue: Queue[Any], item: Any, stop: Event) -> None:
    """Put an item into a queue, unless nobody wants it any more."""
    from queue import Full

    while not stop.is_set():
        try:
            queue.put(item, timeout=0.1)
            return
        except Full:
            continue
