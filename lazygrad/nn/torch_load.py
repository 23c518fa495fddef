"""Files that `torch.save` wrote, read without PyTorch."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np

from ..tensor import Tensor

_STORAGES: dict[str, Any] = {
    "FloatStorage": np.float32, "DoubleStorage": np.float64, "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16, "LongStorage": np.int64, "IntStorage": np.int32,
    "ShortStorage": np.int16, "CharStorage": np.int8, "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}  # fmt: skip
"""The element types of PyTorch's storages, by the names of their classes."""


def torch_load(path: str | os.PathLike[str], device: str | None = None) -> Any:
    """What `torch.save` wrote: tensors, and lists, tuples and dicts of them, as tensors of ours.

    Only such values are made; a file that names other classes or functions is refused, with
    pickle.UnpicklingError. Raises FileNotFoundError; ValueError, naming the file, where it is not
    in the format that PyTorch has written since version 1.6.
    """
    name = os.fspath(path)
    if not zipfile.is_zipfile(name):
        with open(name, "rb"):
            raise ValueError(f"torch_load: {name} is not in the zip format of torch.save")
    with zipfile.ZipFile(name) as archive:
        pickles = [entry for entry in archive.namelist() if entry.endswith("data.pkl")]
        if len(pickles) != 1:
            raise ValueError(f"torch_load: {name} has {len(pickles)} entries data.pkl, not one")
        folder = pickles[0].removesuffix("data.pkl")
        with archive.open(pickles[0]) as stream:
            return _Reader(stream, archive, folder, device).load()


class _Reader(pickle.Unpickler):
    """Unpickles tensors and containers, and nothing else."""

    def __init__(
        self, stream: Any, archive: zipfile.ZipFile, folder: str, device: str | None
    ) -> None:
        super().__init__(stream)
        self._archive, self._folder, self._device = archive, folder, device
        self._storages: dict[str, np.ndarray[Any, Any]] = {}

    def find_class(self, module: str, name: str) -> Any:
        known: dict[tuple[str, str], Any] = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): self._tensor,
            ("torch._utils", "_rebuild_parameter"): _parameter,
            ("torch", "Size"): tuple,
        }
        if (module, name) in known:
            return known[module, name]
        if module in ("torch", "torch.storage") and name in _STORAGES:
            return name
        raise pickle.UnpicklingError(
            f"torch_load: the file names {module}.{name}, which is no tensor or container"
        )

    def persistent_load(self, pid: Any) -> np.ndarray[Any, Any]:
        """The elements of a storage: ("storage", class, key, location, number)."""
        _, kind, key, _, count = pid
        if key not in self._storages:
            data = self._archive.read(f"{self._folder}data/{key}")
            self._storages[key] = np.frombuffer(data, _STORAGES[kind], count)
        return self._storages[key]

    def _tensor(
        self,
        storage: np.ndarray[Any, Any],
        offset: int,
        size: Sequence[int],
        stride: Sequence[int],
        requires_grad: bool,
        *_: Any,
    ) -> Tensor:
        item = storage.itemsize
        view = np.lib.stride_tricks.as_strided(
            storage[offset:], tuple(size), tuple(n * item for n in stride), writeable=False
        )
        made = Tensor(np.array(view), device=self._device)
        return made.requires_grad_() if requires_grad else made


def _parameter(data: Tensor, requires_grad: bool, *_: Any) -> Tensor:
    return data.requires_grad_(requires_grad)
