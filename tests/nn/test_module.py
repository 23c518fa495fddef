"""Modules: what they register, their mode, hooks and text, and what captured functions see."""

from __future__ import annotations

import copy
import pickle
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from lazygrad import Tensor, jit, nn
from lazygrad.nn.state import get_parameters, get_state_dict, load_state_dict


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(3, 4)
        self.norm = nn.BatchNorm1d(4)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Sequential(nn.Linear(4, 4), Tensor.relu, nn.Linear(4, 2, bias=False))
        self.scale = nn.Parameter(Tensor.ones(2))
        self.register_buffer("offset", Tensor.zeros(2), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.drop(self.norm(self.hidden(x)))) * self.scale + self.offset


@pytest.fixture(autouse=True)
def _seed() -> Iterator[None]:
    Tensor.manual_seed(0)
    yield
    assert not Tensor.training


NAMES = ["scale", "hidden.weight", "hidden.bias", "norm.weight", "norm.bias", "out.0.weight",
         "out.0.bias", "out.2.weight"]  # fmt: skip


def test_parameters_buffers_and_modules_are_found_by_name() -> None:
    net = Net()
    assert [name for name, _ in net.named_parameters()] == NAMES
    assert [p.shape for p in net.parameters()][:3] == [(2,), (4, 3), (4,)]
    assert [name for name, _ in net.named_buffers()] == [
        "offset", "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    ]  # fmt: skip
    assert [name for name, _ in net.named_children()] == ["hidden", "norm", "drop", "out"]
    assert [n for n, _ in net.named_modules()][-3:] == ["out", "out.0", "out.2"]
    assert len(list(net.modules())) == 7
    assert net.get_submodule("out.2") is net.out[2]
    assert net.get_parameter("out.2.weight") is net.out[2].weight  # type: ignore[attr-defined]
    assert net.get_buffer("norm.running_mean") is net.norm.running_mean
    assert list(net.state_dict()) == [
        *NAMES[:5], "norm.running_mean", "norm.running_var", "norm.num_batches_tracked", *NAMES[5:],
    ]  # fmt: skip


def test_ways_that_lead_nowhere_are_refused() -> None:
    net = Net()
    for target in ("absent", "scale", "out.1"):
        with pytest.raises(AttributeError, match="get_submodule"):
            net.get_submodule(target)
    with pytest.raises(AttributeError, match="Net has no parameter `offset`"):
        net.get_parameter("offset")
    with pytest.raises(AttributeError, match="has no attribute 'absent'"):
        _ = net.absent  # type: ignore[attr-defined]
    with pytest.raises(NotImplementedError, match='missing the required "forward"'):
        nn.Module()(Tensor([1.0]))


def test_registering_refuses_what_does_not_fit() -> None:
    net = Net()
    for name, error in (("a.b", KeyError), ("", KeyError), ("forward", KeyError), (1, TypeError)):
        with pytest.raises(error):
            net.register_parameter(name, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"nn\.Parameter or None"):
        net.register_parameter("extra", Tensor([1.0]))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="cannot assign 'int' object to buffer"):
        net.register_buffer("extra", 1)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="'weight' already exists"):
        nn.Linear(2, 2).register_buffer("weight", Tensor.ones(2, 2))
    with pytest.raises(TypeError, match="is not a Module subclass"):
        net.add_module("extra", Tensor.relu)  # type: ignore[arg-type]
    net.register_parameter("later", None)
    assert "later" not in dict(net.named_parameters())
    net.later = nn.Parameter(Tensor.ones(1))
    assert "later" in dict(net.named_parameters())


def test_only_a_parameter_takes_a_parameters_place() -> None:
    layer = nn.Linear(2, 2)
    mine = nn.Parameter(Tensor.ones(2, 2))
    layer.weight = mine
    assert layer.weight is mine
    assert mine in set(layer.parameters())
    for other in (Tensor.ones(2, 2), layer.weight * 2, nn.Buffer(Tensor.ones(2, 2)), 3):
        with pytest.raises(TypeError, match=r"as parameter 'weight' of Linear .* nn.Parameter\("):
            layer.weight = other  # type: ignore[assignment]
    layer.bias = None
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert all(type(made) is Tensor for made in (mine * 2, mine.T, mine.detach(), mine.sum()))


def test_a_tensor_takes_a_buffers_place_and_nothing_else_does() -> None:
    norm = nn.BatchNorm1d(2)
    norm.running_mean = Tensor.ones(2)
    assert isinstance(norm.running_mean, nn.Buffer)
    with pytest.raises(TypeError, match="as buffer 'running_mean' of BatchNorm1d"):
        norm.running_mean = 3.0


def test_copies_have_parameters_of_their_own() -> None:
    net = Net()
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert [name for name, _ in other.named_parameters()] == NAMES
        assert all(type(p) is nn.Parameter and p.requires_grad for p in other.parameters())
        assert list(other.state_dict()) == list(net.state_dict())
        before = net.scale.tolist()
        other.scale.assign(5.0)
        assert net.scale.tolist() == before


# ---------------------------------------------------------------------- mode


def test_a_model_trains_until_it_is_told_otherwise() -> None:
    net = Net()
    assert net.training
    assert all(module.training for module in net.modules())
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    net.norm.eval()
    assert [m.training for m in (net, net.norm, net.drop)] == [True, False, True]
    with pytest.raises(ValueError, match="boolean"):
        net.train(1)  # type: ignore[arg-type]


def test_the_mode_of_a_module_reaches_what_its_call_runs() -> None:
    class Plain:
        def __call__(self, x: Tensor) -> Tensor:
            return x.dropout(0.5)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Plain()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    model, x = Model(), Tensor.ones(1000)
    assert 0 in model(x).numpy()
    assert 0 not in model.eval()(x).numpy()
    with Tensor.train():
        assert 0 not in model(x).numpy()  # it was told
        assert Tensor.training
    assert 0 in model.train()(x).numpy()


def test_who_was_told_nothing_follows_the_block() -> None:
    net, layer, x = Net(), nn.Dropout(0.5), Tensor.ones(1000)
    assert not layer.training
    assert 0 not in layer(x).numpy()
    with Tensor.train(False):
        assert not net.training
        assert 0 not in net.drop(x).numpy()
    with Tensor.train():
        assert layer.training
        assert 0 in layer(x).numpy()
    assert net.training
    assert 0 in net.drop(x).numpy()


def test_a_mode_that_is_set_inside_a_call_ends_with_it() -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            with Tensor.train(False):
                assert not Tensor.training
            assert Tensor.training
            Tensor.training = False
            return x.dropout(0.5)

    assert 0 not in Model()(Tensor.ones(1000)).numpy()
    assert not Tensor.training


# ---------------------------------------------------------------------- captured


def test_captured_functions_follow_mode_hooks_and_parameters() -> None:
    net, x = Net(), Tensor.randn(64, 3)
    predict = jit(lambda x: net(x))
    assert (predict(x).numpy() != predict(x).numpy()).any()  # dropout, anew in each call
    net.eval()
    for _ in range(2):
        np.testing.assert_array_equal(predict(x).numpy(), net(x).numpy())
    with net.drop.register_forward_hook(lambda module, args, output: output * 0):
        for _ in range(2):
            np.testing.assert_array_equal(predict(x).numpy(), net(x).numpy())
        assert (predict(x).numpy() == predict(x).numpy()[0]).all()
    net.scale = nn.Parameter(Tensor([2.0, 3.0]))
    np.testing.assert_array_equal(predict(x).numpy(), net(x).numpy())
    net.out[1] = Tensor.sigmoid
    np.testing.assert_array_equal(predict(x).numpy(), net(x).numpy())
    net.out.append(nn.Linear(2, 2))
    np.testing.assert_array_equal(predict(x).numpy(), net(x).numpy())
    net.double()
    assert predict(x.double()).dtype.name == "float64"


def test_captured_steps_train_a_module() -> None:
    net = Net()
    optimizer = nn.optim.SGD(net.parameters(), lr=0.1)

    @jit
    def step(x: Tensor) -> Tensor:
        optimizer.zero_grad()
        loss = net(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    x = Tensor.randn(16, 3)
    losses = [step(x).item() for _ in range(20)]
    assert losses[-1] < losses[0]
    assert net.norm.num_batches_tracked.item() == 20


# ---------------------------------------------------------------------- all tensors at once


def test_casts_keep_the_parameters_themselves() -> None:
    net = Net()
    held = list(net.parameters())
    net(Tensor.ones(4, 3)).sum().backward()
    assert net.half() is net
    assert all(p is q for p, q in zip(held, net.parameters(), strict=True))
    assert {p.dtype.name for p in held} == {"float16"}
    assert all(p.requires_grad and p.is_leaf for p in held)
    assert {p.grad.dtype.name for p in held if p.grad is not None} == {"float16"}
    assert net.norm.num_batches_tracked.dtype.name == "int64"
    assert net.to("CPU", "float32").scale.dtype.name == "float32"
    assert net.bfloat16().float().double().norm.running_mean.dtype.name == "float64"
    assert net.to(Tensor([1.0])).scale.dtype.name == "float32"


def test_gradients_are_forgotten_and_parameters_frozen() -> None:
    net = Net()
    net(Tensor.ones(4, 3)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.scale.grad is not None
    assert not net.scale.grad.numpy().any()
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.requires_grad_(False)
    assert len(list(net.parameters())) == len(NAMES)
    assert not net(Tensor.ones(4, 3)).requires_grad


def test_apply_visits_inner_modules_first() -> None:
    seen: list[str] = []
    Net().apply(lambda module: seen.append(type(module).__name__))
    assert seen == ["Linear", "BatchNorm1d", "Dropout", "Linear", "Linear", "Sequential", "Net"]


# ---------------------------------------------------------------------- state


def test_state_goes_from_one_model_to_another() -> None:
    first, second = Net(), Net()
    first(Tensor.randn(8, 3)).realize()  # moves the running statistics
    told = second.load_state_dict(first.state_dict())
    assert repr(told) == "<All keys matched successfully>"
    x = Tensor.randn(5, 3)
    np.testing.assert_array_equal(first.eval()(x).numpy(), second.eval()(x).numpy())
    arrays = {name: tensor.numpy() for name, tensor in first.state_dict().items()}
    third = Net()
    third.load_state_dict(arrays, assign=True)
    np.testing.assert_array_equal(first(x).numpy(), third.eval()(x).numpy())
    assert [name for name, _ in third.named_parameters()] == NAMES


def test_state_that_does_not_fit_is_refused_in_pytorchs_words() -> None:
    net = Net()
    state: dict[str, Any] = net.state_dict()
    state["more"] = state.pop("scale")
    state["hidden.weight"] = Tensor.ones(4, 4)
    before = net.hidden.bias.tolist()  # type: ignore[union-attr]
    state["hidden.bias"] = Tensor.ones(4) * 9
    with pytest.raises(RuntimeError) as error:
        net.load_state_dict(state)
    assert str(error.value).splitlines() == [
        "Error(s) in loading state_dict for Net:",
        '\tUnexpected key(s) in state_dict: "more". ',
        '\tMissing key(s) in state_dict: "scale". ',
        "\tsize mismatch for hidden.weight: copying a param with shape (4, 4) from checkpoint, "
        "the shape in current model is (4, 3).",
    ]
    assert net.hidden.bias.tolist() == before  # type: ignore[union-attr]
    del state["hidden.weight"]
    told = net.load_state_dict(state, strict=False)
    assert told.missing_keys == ["scale", "hidden.weight"]
    assert told.unexpected_keys == ["more"]


def test_modules_and_plain_classes_stand_in_one_another() -> None:
    class Plain:
        def __init__(self) -> None:
            self.net = Net()
            self.weights = [Tensor.ones(2, requires_grad=True)]

    plain = Plain()
    names = list(get_state_dict(plain))
    assert "net.hidden.weight" in names
    assert "net.offset" in names
    assert names[-1] == "weights.0"
    assert len([p for p in get_parameters(plain) if p.requires_grad]) == len(NAMES) + 1
    other = Plain()
    load_state_dict(other, get_state_dict(plain))
    assert other.net.scale.tolist() == plain.net.scale.tolist()


# ---------------------------------------------------------------------- hooks


def test_hooks_change_arguments_and_results() -> None:
    layer, x = nn.Identity(), Tensor([1.0])
    seen: list[str] = []

    def note(name: str, result: Any = None) -> Any:
        def hook(*given: Any) -> Any:
            seen.append(name)
            return result

        return hook

    first = layer.register_forward_pre_hook(note("before"))
    layer.register_forward_pre_hook(note("earlier", Tensor([2.0])), prepend=True)
    layer.register_forward_hook(note("after"))
    layer.register_forward_hook(lambda module, args, output: output + 1)
    assert layer(x).tolist() == [3.0]
    assert seen == ["earlier", "before", "after"]
    first.remove()
    layer(x)
    assert seen[3:] == ["earlier", "after"]


def test_hooks_take_keyword_arguments_if_they_want_them() -> None:
    class Scale(nn.Module):
        def forward(self, x: Tensor, by: float = 1.0) -> Tensor:
            return x * by

    layer = Scale()
    layer.register_forward_pre_hook(
        lambda module, args, kwargs: (args, {"by": kwargs["by"] + 1}), with_kwargs=True
    )
    layer.register_forward_hook(
        lambda module, args, kwargs, output: output + kwargs["by"], with_kwargs=True
    )
    assert layer(Tensor([1.0]), by=2.0).tolist() == [6.0]
    layer.register_forward_pre_hook(lambda module, args, kwargs: args, with_kwargs=True)
    with pytest.raises(RuntimeError, match="tuple of"):
        layer(Tensor([1.0]), by=2.0)


# ---------------------------------------------------------------------- containers


def test_sequential_is_a_list_of_layers() -> None:
    a, b, c, d = (nn.Linear(2, 2) for _ in range(4))
    model = nn.Sequential(a, b)
    model.append(c).insert(1, Tensor.relu)
    assert list(model) == [a, Tensor.relu, b, c]
    assert (len(model), model[-1], model[1]) == (4, c, Tensor.relu)
    assert list(model[::2]) == [a, b]
    model[0] = d
    del model[1]
    assert list(model) == [d, b, c]
    assert list(model.state_dict())[::2] == ["0.weight", "1.weight", "2.weight"]
    assert model.pop(0) is d
    assert list(model + nn.Sequential(d)) == [b, c, d]
    model.extend([d])
    model += [a]
    assert list(model) == [b, c, d, a]
    for index in (4, -5):
        with pytest.raises(IndexError, match="out of range"):
            _ = model[index]
    with pytest.raises(TypeError, match="no layer"):
        model.append(3)  # type: ignore[arg-type]
    named = nn.Sequential(OrderedDict(first=a, second=b))
    assert list(named.state_dict())[::2] == ["first.weight", "second.weight"]
    assert named.first is a
    assert next(iter(named[1:].state_dict())) == "second.weight"


def test_lists_and_dicts_of_modules_are_registered() -> None:
    a, b, c = (nn.Linear(2, 2) for _ in range(3))
    layers = nn.ModuleList([a, b])
    layers.append(c)
    assert [*layers] == [a, b, c]
    assert len(list(layers.parameters())) == 6
    assert isinstance(layers[1:], nn.ModuleList)
    with pytest.raises(TypeError, match="not a Module subclass"):
        layers.append(Tensor.relu)  # type: ignore[arg-type]
    by_name = nn.ModuleDict({"a": a})
    by_name["b"] = b
    by_name.update([("c", c)])
    assert list(by_name) == list(by_name.keys()) == ["a", "b", "c"]
    assert "b" in by_name
    assert by_name.pop("b") is b
    assert list(by_name.state_dict()) == ["a.weight", "a.bias", "c.weight", "c.bias"]
    with pytest.raises(KeyError):
        _ = by_name["b"]
    with pytest.raises(KeyError, match="already exists"):
        by_name["keys"] = b
    by_name.clear()
    assert len(by_name) == 0


def test_lists_and_dicts_of_parameters_are_registered() -> None:
    some = nn.ParameterList([Tensor.ones(2), nn.Parameter(Tensor.ones(3))])
    some.append(Tensor.ones(4))
    assert [name for name, _ in some.named_parameters()] == ["0", "1", "2"]
    assert all(p.requires_grad for p in some)
    by_name = nn.ParameterDict({"w": Tensor.ones(2)})
    by_name["b"] = nn.Parameter(Tensor.ones(1))
    assert list(by_name.state_dict()) == ["w", "b"]
    assert "float32, shape (2,)" in repr(by_name)


def test_the_text_of_a_module_is_a_tree_with_counts() -> None:
    net = Net()
    net.norm = nn.LayerNorm(4)  # type: ignore[assignment]
    assert (
        repr(net)
        == """\
Net(  # 54 parameters
  (hidden): Linear(in_features=3, out_features=4, bias=True)  # 16 parameters
  (norm): LayerNorm((4,), eps=1e-05, elementwise_affine=True, bias=True)  # 8 parameters
  (drop): Dropout(p=0.5, inplace=False)
  (out): Sequential(  # 28 parameters
    (0): Linear(in_features=4, out_features=4, bias=True)  # 20 parameters
    (1): relu
    (2): Linear(in_features=4, out_features=2, bias=False)  # 8 parameters
  )
)"""
    )


def test_a_function_that_is_an_attribute_is_no_layer() -> None:
    """As in PyTorch, where only modules are; functions that were given as layers are."""

    class Net(nn.Sequential):
        def __init__(self) -> None:
            super().__init__(nn.Identity(), Tensor.neg)
            self.activation = Tensor.relu

    net = Net()
    net.loss = lambda x: x.sum()
    net.fast = jit(net.forward)
    x = Tensor([-1.0, 2.0])
    assert len(net) == 2
    assert net(x).tolist() == net.fast(x).tolist() == [1.0, -2.0]
    net.append(Tensor.relu)
    assert net(x).tolist() == [1.0, 0.0]
    assert copy.deepcopy(net)(x).tolist() == [1.0, 0.0]
    named = nn.Sequential({"turn": Tensor.neg, "cut": Tensor.relu})
    named.other = Tensor.exp
    assert named(x).tolist() == copy.deepcopy(named)(x).tolist() == [1.0, 0.0]
    assert [type(part) for part in named[:1]] == [type(Tensor.neg)]
    del named[0]
    assert named(x).tolist() == [0.0, 2.0]
    net.head = nn.Identity()  # a module is one, in PyTorch too
    assert len(net) == 4
