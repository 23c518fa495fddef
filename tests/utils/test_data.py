"""Data sets, samplers and the loader: order, batches, workers, what is refused."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, nn
from lazygrad.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    StackDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
    get_worker_info,
    random_split,
)


class Squares(Dataset[tuple[int, float]]):
    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[int, float]:
        return index, float(index * index)


class Count(IterableDataset[int]):
    def __iter__(self) -> Iterator[int]:
        info = get_worker_info()
        step = 1 if info is None else info.num_workers
        yield from range(0 if info is None else info.id, 10, step)


ROWS = TensorDataset(Tensor(np.arange(20.0).reshape(10, 2)), Tensor(np.arange(10)))


def firsts(loader: Any) -> list[list[int]]:
    return [[int(v) for v in (b[0] if isinstance(b, list) else b).numpy()] for b in loader]


@pytest.mark.parametrize("workers", [0, 3])
def test_batches_come_in_order(workers: int) -> None:
    loader = DataLoader(Squares(10), batch_size=4, num_workers=workers, pin_memory=True)
    assert firsts(loader) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3
    short = DataLoader(Squares(10), batch_size=4, drop_last=True, num_workers=workers)
    assert firsts(short) == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert len(short) == 2
    single = DataLoader(Squares(3), batch_size=None, num_workers=workers)
    assert list(single) == [(0, 0.0), (1, 1.0), (2, 4.0)]


def test_rows_of_tensors_are_taken_in_one_piece() -> None:
    (x, y), *rest = DataLoader(ROWS, batch_size=4)
    assert x.tolist() == [[0.0, 1.0], [2.0, 3.0], [4.0, 5.0], [6.0, 7.0]]
    assert y.tolist() == [0, 1, 2, 3]
    assert [batch[1].shape for batch in rest] == [(4,), (2,)]
    assert [t.tolist() for t in ROWS[-1]] == [[18.0, 19.0], 9]
    custom = DataLoader(ROWS, batch_size=5, collate_fn=len)
    assert list(custom) == [5, 5]


def test_a_shuffle_is_decided_by_the_seed() -> None:
    orders = []
    for seed in (1, 1, 2):
        Tensor.manual_seed(seed)
        loader = DataLoader(Squares(50), batch_size=50, shuffle=True)
        orders.append((firsts(loader)[0], firsts(loader)[0]))
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert orders[0][0] != orders[0][1]
    assert sorted(orders[0][0]) == list(range(50))
    same = [firsts(DataLoader(Squares(9), 9, shuffle=True, generator=5)) for _ in range(2)]
    assert same[0] == same[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_iterable_data_sets(workers: int) -> None:
    loader = DataLoader(Count(), batch_size=4, num_workers=workers)
    batches = firsts(loader)
    assert sorted(n for batch in batches for n in batch) == list(range(10))
    if workers == 0:
        assert batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    with pytest.raises(TypeError):
        len(loader)
    with pytest.raises(ValueError, match="IterableDataset"):
        DataLoader(Count(), shuffle=True)


@pytest.mark.parametrize("dataset", [Squares(8), Count()], ids=["by number", "iterable"])
def test_faults_of_workers_reach_the_loop(dataset: Any) -> None:
    def fault(batch: Any) -> Any:
        raise KeyError("broken sample")

    with pytest.raises(KeyError, match="broken sample"):
        list(DataLoader(dataset, num_workers=2, collate_fn=fault))


def test_a_loop_may_end_early() -> None:
    for dataset in (Squares(1000), Count()):
        for _ in DataLoader(dataset, num_workers=2):  # type: ignore[arg-type]
            break


def test_workers_prepare_while_the_compiler_computes() -> None:
    """Workers compute with tensors of their own, beside the loop that trains."""

    class Rows(Dataset[Any]):
        def __len__(self) -> int:
            return 24

        def __getitem__(self, index: int) -> Tensor:
            return (Tensor.full((4,), float(index)) * 2).realize()

    layer = nn.Linear(4, 1)
    optimizer = nn.optim.SGD(layer.parameters(), lr=1e-4)
    seen: list[float] = []
    for x in DataLoader(Rows(), batch_size=4, num_workers=3):
        optimizer.zero_grad()
        layer(x).square().mean().backward()
        optimizer.step()
        seen += x[:, 0].tolist()
    assert seen == [2.0 * n for n in range(24)]


def test_workers_know_themselves() -> None:
    begun: list[int] = []
    loader = DataLoader(Squares(8), num_workers=2, worker_init_fn=begun.append)
    assert len(list(loader)) == 8
    assert set(begun) <= {0, 1}
    assert begun
    assert get_worker_info() is None


def test_samples_of_all_kinds_are_collated() -> None:
    Point = namedtuple("Point", ["x", "y"])
    batch = default_collate([{"a": Point(1, 2.0), "b": "one"}, {"a": Point(3, 4.0), "b": "two"}])
    assert isinstance(batch["a"], Point)
    assert batch["a"].x.tolist() == [1, 3]
    assert batch["a"].y.dtype.name == "float64"
    assert batch["b"] == ["one", "two"]
    assert default_collate([np.ones(2), np.zeros(2)]).shape == (2, 2)
    with pytest.raises(RuntimeError, match="equal size"):
        default_collate([[1], [1, 2]])
    with pytest.raises(TypeError, match="must contain"):
        default_collate([object()])


def test_data_sets_are_put_together_and_taken_apart() -> None:
    both = Squares(3) + Squares(2)
    assert isinstance(both, ConcatDataset)
    assert [both[n][0] for n in range(-1, 5)] == [1, 0, 1, 2, 0, 1]
    with pytest.raises(ValueError, match="exceed dataset length"):
        _ = both[-6]
    assert [n for n, _ in both] == [0, 1, 2, 0, 1]
    assert list(Count() + Count()) == [*range(10), *range(10)]
    assert [Subset(ROWS, [3, 1])[n][1].item() for n in (0, 1)] == [3, 1]
    assert StackDataset(Squares(2), Squares(2))[1] == ((1, 1.0), (1, 1.0))
    assert StackDataset(a=Squares(2))[1] == {"a": (1, 1.0)}
    parts = random_split(Squares(10), [0.55, 0.45], 3)
    assert [len(part) for part in parts] == [6, 4]
    assert sorted(n for part in parts for n in part.indices) == list(range(10))
    with pytest.raises(ValueError, match="do not sum to 10"):
        random_split(Squares(10), [3, 3])
    with pytest.raises(ValueError, match="size mismatch"):
        TensorDataset(Tensor.ones(2), Tensor.ones(3))


def test_samplers() -> None:
    assert sorted(RandomSampler(range(7))) == list(range(7))
    assert len(list(RandomSampler(range(3), num_samples=8))) == 8
    assert set(RandomSampler(range(3), replacement=True, num_samples=50)) == {0, 1, 2}
    assert sorted(SubsetRandomSampler([5, 8, 2])) == [2, 5, 8]
    assert set(WeightedRandomSampler([0.0, 1.0, 3.0], 40)) == {1, 2}
    assert sorted(WeightedRandomSampler([1.0, 1.0], 2, replacement=False)) == [0, 1]
    assert list(BatchSampler(range(5), 2, False)) == [[0, 1], [2, 3], [4]]
    assert len(BatchSampler(range(5), 2, True)) == 2
    loader = DataLoader(Squares(6), batch_sampler=[[5, 0], [1]])
    assert firsts(loader) == [[5, 0], [1]]
    for options in (
        {"sampler": range(3), "shuffle": True}, {"num_workers": -1}, {"batch_size": 0},
        {"prefetch_factor": 2}, {"batch_size": None, "drop_last": True},
        {"batch_sampler": [[0]], "batch_size": 3},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"option|batch_size|workers"):
            DataLoader(Squares(6), **options)  # type: ignore[arg-type]
