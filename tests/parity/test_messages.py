"""What PyTorch accepts in another form is accepted; else the error says what to write."""

from __future__ import annotations

import re
import warnings
from typing import Any

import numpy as np
import pytest
import torch

import lazygrad
from lazygrad import Tensor, nn


def test_a_number_to_the_power_of_a_tensor() -> None:
    x = [1.0, 3.0, -2.0]
    assert lazygrad.pow(2.0, Tensor(x)).tolist() == torch.pow(2.0, torch.tensor(x)).tolist()
    assert lazygrad.pow(Tensor(x), 2).tolist() == torch.pow(torch.tensor(x), 2).tolist()
    with pytest.raises(TypeError, match="one of the two is a tensor"):
        lazygrad.pow(2.0, 3.0)


def test_einsum_takes_axes_as_numbers() -> None:
    a, b = np.random.rand(4, 2, 3), np.random.rand(4, 3, 5)
    for axes in ([[0, 1, 2], [0, 2, 3], [0, 1, 3]], [[0, 1, 2], [0, 2, 3]],
                 [[..., 1, 2], [..., 2, 30], [..., 1, 30]]):  # fmt: skip
        ours = lazygrad.einsum(Tensor(a), axes[0], Tensor(b), *axes[1:])
        theirs = torch.einsum(torch.tensor(a), axes[0], torch.tensor(b), *axes[1:])
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-9)
    with pytest.raises(TypeError, match="einsum: give a formula and operands"):
        lazygrad.einsum(Tensor(a), [52, 0, 1])


def test_data_takes_another_shape_and_dtype() -> None:
    for library in (lazygrad, torch):
        x = library.tensor([1.0, 2.0], requires_grad=True)
        x.data = library.tensor([[3.0], [4.0]])
        assert tuple(x.shape) == (2, 1)
        x.data = x.data.half()
        assert x.dtype == library.float16
        assert x.requires_grad
        assert x.is_leaf
        (x * 2).sum().backward()
        assert x.grad.tolist() == [[2.0], [2.0]]
        assert x.grad.dtype == library.float16
    whole = Tensor.zeros(2, 3)
    row = whole[0]
    with pytest.raises(RuntimeError, match=r"data: .* a view"):
        row.data = Tensor([1.0])
    assert whole.tolist() == [[0.0] * 3] * 2


def test_limits_of_dtypes_are_numbers_of_python() -> None:
    for name in ("float16", "bfloat16", "float32", "float64"):
        ours, theirs = lazygrad.finfo(name), torch.finfo(getattr(torch, name))
        for key in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "dtype"):
            assert getattr(ours, key) == getattr(theirs, key), (name, key)
            assert type(getattr(ours, key)) is type(getattr(theirs, key))
    for name in ("int8", "uint8", "int64"):
        ours, theirs = lazygrad.iinfo(name), torch.iinfo(getattr(torch, name))
        assert (ours.bits, ours.max, ours.min) == (theirs.bits, theirs.max, theirs.min)
    assert lazygrad.finfo().dtype == "float32"
    with pytest.raises(TypeError, match="use iinfo"):
        lazygrad.finfo(lazygrad.int8)
    with pytest.raises(TypeError, match="use finfo"):
        lazygrad.iinfo(lazygrad.float32)


class Plain:
    """A model as a plain class."""

    def __init__(self) -> None:
        self.weight = Tensor.ones(2)


def test_errors_say_what_to_write() -> None:
    with pytest.raises(TypeError, match=r"is Tensor\.zeros\(2, 3\)"):
        Tensor(2, 3)
    with pytest.raises(TypeError, match=r"'\.2f' is for one value"):
        format(Tensor([1.0, 2.0]), ".2f")
    assert f"{Tensor([1.0]):.2f}" == "1.00"
    with pytest.raises(TypeError, match=r"a Linear; write its \.parameters\(\)"):
        nn.optim.SGD(nn.Linear(2, 3))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"a Plain; write nn\.state\.get_parameters"):
        nn.optim.SGD(Plain())  # type: ignore[arg-type]


NEAR = [
    (Tensor([1.0]), "softmax_", "did you mean 'softmax'?"),
    (Tensor([1.0]), "unsqeeze", "did you mean 'unsqueeze'?"),
    (Tensor([1.0]), "toList", "did you mean 'tolist'?"),
    (nn, "Linaer", "did you mean 'Linear'?"),
    (nn, "BatchNorm2D", "did you mean 'BatchNorm2d'?"),
    (nn, "Adam", "it is lazygrad.optim.Adam"),
    (nn, "one_hot", "it is lazygrad.nn.functional.one_hot"),
    (nn.functional, "cross_entropi", "did you mean 'cross_entropy'?"),
    (lazygrad.optim, "AdaDeltta", "did you mean 'Adadelta'?"),
    (lazygrad.linalg, "invv", "did you mean 'inv'?"),
    (nn.init, "kaiming_norml_", "did you mean 'kaiming_normal_'?"),
    (lazygrad.special, "gamaln", "did you mean 'gammaln'?"),
    (lazygrad, "zeros_lik", "did you mean 'zeros_like'?"),
    (lazygrad, "Linear", "it is lazygrad.nn.Linear"),
]


@pytest.mark.parametrize(("owner", "name", "remedy"), NEAR, ids=[name for _, name, _ in NEAR])
def test_a_name_that_is_not_there_is_told_with_the_nearest(
    owner: Any, name: str, remedy: str
) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(owner, name)
    assert str(caught.value).endswith(f"has no attribute '{name}': {remedy}")
    assert not hasattr(owner, "nothing_that_has_a_name_near_this")
    with pytest.raises(AttributeError, match=r"'xyzzy_plugh'$"):
        owner.xyzzy_plugh  # noqa: B018


MODULES = [lazygrad, nn, nn.functional, nn.init, lazygrad.optim, nn.lr_scheduler, lazygrad.linalg,
           lazygrad.special, lazygrad.transforms, lazygrad.utils.data]  # fmt: skip


def test_type_errors_of_calls_say_public_names() -> None:
    """A call with an argument that does not exist is told by the name that was written."""
    wrong = []
    for module in MODULES:
        for name in getattr(module, "__all__", dir(module)):
            public = getattr(module, name)
            if callable(public) and not name.startswith("_"):
                try:
                    public(no_such_argument=1)
                except TypeError as error:
                    said = str(error).partition("()")[0] if "()" in str(error) else ""
                    if re.search(r"\b_[a-z]|<", said, re.I):
                        wrong.append((name, str(error)))
                except (ValueError, AttributeError, RuntimeError):
                    pass
    assert not wrong


@pytest.mark.parametrize("value", [np.ones((2, 3), np.float32), [[1.0, 2.0, 3.0]], None])
def test_a_module_wants_tensors(value: Any) -> None:
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.relu()

    for module in (nn.Linear(3, 2), nn.Sequential(nn.LayerNorm(3)), nn.GRU(3, 2), nn.ReLU(), Net()):
        with pytest.raises(TypeError, match=r"not a tensor: write lazygrad\.tensor\(x\)"):
            module(value)
    for module in (torch.nn.Linear(3, 2), torch.nn.ReLU()):
        with pytest.raises(TypeError):
            module(value)


def test_an_attribute_error_of_a_module_itself_stays_one() -> None:
    class Net(nn.Module):
        def forward(self, x: Any) -> Any:
            return self.no_such_layer(x)

    with pytest.raises(AttributeError, match="no_such_layer"):
        Net()(Tensor([1.0]))
    with pytest.raises(AttributeError, match="did you mean 'relu'"):
        nn.Sequential(nn.Linear(1, 1), lambda x: x.reulu())(Tensor([1.0]))


class Listed(nn.Module):
    """Layers in a plain list, which PyTorch does not see either."""

    def __init__(self, wrap: Any) -> None:
        super().__init__()
        self.layers = wrap([nn.Linear(2, 2), nn.Linear(2, 2)])


def test_layers_in_a_plain_list_are_told_of() -> None:
    for wrap in (list, tuple, lambda layers: dict(enumerate(layers))):
        with pytest.warns(UserWarning, match=r"Listed\.layers is a .* nn\.Module(List|Dict)"):
            assert list(Listed(wrap).parameters()) == []
    with (
        pytest.warns(UserWarning, match="nn.ModuleList"),
        pytest.raises(ValueError, match=r"SGD: an empty list of parameters; .* nn\.ModuleList"),
    ):
        lazygrad.optim.SGD(Listed(list).parameters(), 0.1)
    with pytest.raises(ValueError, match="SGD: no parameter requires gradient"):
        lazygrad.optim.SGD([nn.Parameter(Tensor([1.0]), requires_grad=False)], 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        good = Listed(nn.ModuleList)
        good.order = list(good.layers)  # type: ignore[assignment]
        assert len(list(good.parameters())) == 4


def test_one_hot_integers_are_no_probabilities() -> None:
    scores, classes = np.random.rand(4, 3).astype(np.float32), [0, 2, 1, 0]
    hot = nn.functional.one_hot(Tensor(classes), 3)
    with pytest.raises(RuntimeError, match=r"write target\.float\(\), or target\.argmax\(1\)"):
        nn.functional.cross_entropy(Tensor(scores), hot)
    with pytest.raises(RuntimeError):
        torch.nn.functional.cross_entropy(torch.tensor(scores), torch.tensor(hot.numpy()))
    expected = torch.nn.functional.cross_entropy(torch.tensor(scores), torch.tensor(classes)).item()
    for target in (hot.float(), hot.argmax(1)):
        found = nn.functional.cross_entropy(Tensor(scores), target).item()
        assert found == pytest.approx(expected, rel=1e-5)


def test_a_device_that_is_absent_is_told_of_at_once() -> None:
    x = Tensor([1.0])
    for ask in (lambda: x.to("GPU:77"), lambda: Tensor.zeros(2, device="GPU:77"),
                lambda: Tensor.rand(2, device="GPU:77"), lambda: nn.Linear(2, 2).to("GPU:77"),
                lambda: Tensor([1.0], device="GPU:77")):  # fmt: skip
        with pytest.raises(RuntimeError, match="GPU"):
            ask()


def test_what_is_compiled_anyway_comes_back_from_compile() -> None:
    net = nn.Linear(2, 2)
    assert lazygrad.compile(net, mode="max-autotune") is net

    @lazygrad.compile
    def double(x: Tensor) -> Tensor:
        return x * 2

    @lazygrad.compile(fullgraph=True)
    def triple(x: Tensor) -> Tensor:
        return x * 3

    assert (double(Tensor([1.0])) + triple(Tensor([1.0]))).item() == 5.0
