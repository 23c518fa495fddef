"""Sets of samples: by their numbers, or one after the other."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

import numpy as np

from ...errors import ArgumentError, KindError, RangeError, ShapeError, told
from ...tensor import Tensor
from ...tensor.random import Stream

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Dataset(Generic[T_co]):
    """Samples by their numbers: a subclass has `__getitem__` and, mostly, `__len__`.

    class Squares(Dataset):
        def __getitem__(self, index):
            return index**2
    Squares()[3] == 9
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co], Iterable[T_co]):
    """Samples one after the other: a subclass has `__iter__`.

    class Count(IterableDataset):
        def __iter__(self):
            return iter(range(3))
    [batch.tolist() for batch in DataLoader(Count(), batch_size=2)] == [[0, 1], [2]]
    """

    def __add__(self, other: Dataset[T_co]) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Sample i is row i of each tensor. Raises ValueError where the numbers of rows differ.

    TensorDataset(Tensor([[1.0], [2.0]]), Tensor([0, 1]))[1]

        [x.item() for x in TensorDataset(Tensor([1, 2]), Tensor([3, 4]))[1]] == [2, 4]
    """

    def __init__(self, *tensors: Tensor) -> None:
        rows = {tensor.shape[:1] for tensor in tensors}
        if len(rows) > 1 or () in rows:
            shapes = ", ".join(str(tensor.shape) for tensor in tensors)
            raise ShapeError(f"TensorDataset: size mismatch between tensors: {shapes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices: Sequence[int]) -> _Rows:
        """Several samples at once: a batch is taken from each tensor in one piece."""
        rows = np.asarray(indices, np.int64)
        return _Rows(_rows(tensor, rows) for tensor in self.tensors)

    def __len__(self) -> int:
        return self.tensors[0].shape[0] if self.tensors else 0


class _Rows(list[Tensor]):
    """A batch that is collated already: one tensor for each field."""


def _rows(tensor: Tensor, rows: Any) -> Tensor:
    """Some rows of a tensor; on the CPU they are copied at once."""
    if tensor.device != "CPU":
        return tensor[Tensor(rows, device=tensor.device)]
    return Tensor(tensor.detach().numpy()[rows])


class StackDataset(Dataset[Any]):
    """Sample i is sample i of each data set, as a tuple, or by name.

    StackDataset(x=[1, 2], y=[3, 4])[0] == {"x": 1, "y": 3}
    """

    def __init__(self, *args: Dataset[Any], **kwargs: Dataset[Any]) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset: give data sets either by place or by name")
        self.datasets: Any = kwargs or args
        every: list[Any] = [*args, *kwargs.values()]
        for dataset in every:
            if not hasattr(dataset, "__len__"):
                raise KindError(f"StackDataset: {told(dataset)} has no length")
        self._length = len(every[0])
        if any(len(dataset) != self._length for dataset in every):
            raise ArgumentError(f"data sets of {sorted({len(x) for x in every})} samples")

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length


class Subset(Dataset[T_co]):
    """The samples of a data set with some numbers, in their order.

    Subset(TensorDataset(Tensor([5, 6, 7])), [2])[0][0].item() == 7
    """

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> T_co:
        if isinstance(index, (list, tuple)):
            return self.dataset[[self.indices[i] for i in index]]
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """Data sets one behind the other.

    len(ConcatDataset([TensorDataset(Tensor([5])), TensorDataset(Tensor([6, 7]))])) == 3
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ArgumentError("there are no data sets")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise ArgumentError("ConcatDataset does not support IterableDataset")
        lengths: Any = self.datasets
        for dataset in lengths:
            if not hasattr(dataset, "__len__"):
                raise KindError(f"ConcatDataset: {told(dataset)} has no length")
        self.cumulative_sizes = list(accumulate(map(len, lengths)))

    def __getitem__(self, index: int) -> T_co:
        n = index + len(self) if index < 0 else index
        if n < 0:
            raise ArgumentError("absolute value of index should not exceed dataset length")
        if n >= len(self):  # which ends a loop over the data set
            raise RangeError(f"index {index} is outside a data set of {len(self)}")
        which = bisect_right(self.cumulative_sizes, n)
        return self.datasets[which][n - (self.cumulative_sizes[which - 1] if which else 0)]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """Iterable data sets one after the other.

    class Count(IterableDataset):
        def __iter__(self):
            return iter(range(2))
    list(ChainDataset([Count(), Count()])) == [0, 1, 0, 1]
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self.datasets:
            yield from dataset

    def __len__(self) -> int:
        lengths: Any = self.datasets
        return sum(map(len, lengths))


def random_split(
    dataset: Dataset[T], lengths: Sequence[int | float], generator: Any = None
) -> list[Subset[T]]:
    """Parts of a data set, drawn at random: of these sizes, or of these shares, which sum to 1.

    `generator` is None, a seed, or NumPy's. Raises ValueError for sizes of another sum.

        sorted(len(part) for part in random_split(range(10), [7, 3])) == [3, 7]
    """
    total = len(dataset)  # type: ignore[arg-type]
    sizes: list[int] = [int(n) for n in lengths]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        if any(not 0 <= share <= 1 for share in lengths):
            raise ArgumentError(f"Fraction at index is not between 0 and 1: {list(lengths)}")
        sizes = [math.floor(total * share) for share in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    if sum(sizes) != total:
        raise ArgumentError(
            f"lengths {list(lengths)} do not sum to {total}, the size of the data set"
        )
    order = permutation(total, generator).tolist()
    ends = list(accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def permutation(count: int, generator: Any = None) -> Any:
    """The numbers 0 to count - 1 in a random order."""
    return random_numbers(generator).permutation(count)


def random_numbers(generator: Any = None) -> np.random.Generator:
    """A generator of NumPy's: the one given, or one with this seed, or with a seed drawn from a
    `lazygrad.Generator` or, for None, from the stream that `Tensor.manual_seed` decides."""
    if isinstance(generator, np.random.Generator):
        return generator
    if generator is None or isinstance(generator, Stream):
        options: Any = {"generator": generator, "device": "CPU"}
        generator = Tensor.randint(2, low=0, high=2**31 - 1, **options).tolist()
    return np.random.default_rng(generator)
