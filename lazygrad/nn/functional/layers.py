"""Linear maps, embeddings, normalisation and attention as functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...errors import ArgumentError, ShapeError, check_integers
from ...tensor import Tensor
from ...tensor.mode import module_mode
from ...tensor.precision import rounded_once


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`Tensor.linear`: (..., in) with a weight (out, in) -> (..., out).

    linear(Tensor([1.0, 2.0]), Tensor([[3.0, 4.0]])).tolist() == [11.0]
    """
    return input.linear(weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """y_o = sum over i, j of x1_i * weight_oij * x2_j + bias_o, over the last axes.

    bilinear(Tensor([[2.0]]), Tensor([[3.0]]), Tensor([[[1.0]]])).tolist() == [[6.0]]
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise ShapeError(f"bilinear: inputs {input1.shape} and {input2.shape} differ before the "
                         "last axis")  # fmt: skip
    if (input1.shape[-1], input2.shape[-1]) != weight.shape[1:]:
        raise ShapeError(
            f"bilinear: weight {weight.shape} does not fit inputs {input1.shape}, {input2.shape}"
        )
    made = Tensor.einsum("...i,oij,...j->...o", input1, weight, input2)
    return made if bias is None else made + bias


# ---------------------------------------------------------------------- embeddings


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Rows of a weight (rows, size) by their numbers: (...) -> (..., size).

    No gradient goes to the row `padding_idx`. With `max_norm`, rows that are read are scaled down,
    in `weight`, to that norm at most. With `scale_grad_by_freq`, the gradient of a row is divided
    by how often it is read.

    embedding(Tensor([1, 0]), Tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[3.0, 4.0], [1.0, 2.0]]
    """
    if weight.ndim != 2:
        raise ShapeError(f"embedding: the weight has shape (rows, size), not {weight.shape}")
    if max_norm is not None:
        _limit_rows(weight, input, max_norm, norm_type)
    rows: Tensor = weight
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise ArgumentError("Padding_idx must be within num_embeddings")
        place = Tensor._positions(weight.shape[0]).unsqueeze(1)
        rows = place.eq(padding_idx % weight.shape[0]).where(weight.detach(), weight)
    found = rows._embedding(input)
    if not scale_grad_by_freq:
        return found
    flat = input.flatten()
    count = Tensor.zeros(weight.shape[0], dtype=weight.dtype, device=weight.device)
    count = count.scatter_add(0, flat, Tensor.ones_like(flat).cast(weight.dtype))
    share = (1 / count[flat]).reshape(*input.shape, 1)
    scaled = found * share  # the gradient of this, and the value of `found`
    return scaled + (found - scaled).detach()


def _limit_rows(weight: Tensor, index: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the rows of `weight` that are read to a norm of at most `max_norm`, in place."""
    with Tensor.no_grad():
        norm = weight.detach().norm(norm_type, 1, keepdim=True)
        is_read = Tensor.zeros(weight.shape[0], dtype="int32", device=weight.device)
        flat = index.flatten()
        is_read = is_read.scatter_add(0, flat, Tensor.ones_like(flat).cast("int32")) > 0
        too_long = is_read.unsqueeze(1) & (norm > max_norm)
        weight.assign(too_long.where(weight.detach() * (max_norm / (norm + 1e-7)), weight.detach()))


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """The sum, mean or maximum of the embeddings in each bag: (bags, length) -> (bags, size).

    With `offsets`, the input is of one axis, and bag i goes from offsets[i] to offsets[i + 1]. Rows
    of `padding_idx` count for nothing; an empty bag is 0.

    embedding_bag(Tensor([[0, 1]]), Tensor([[1.0, 2.0], [3.0, 4.0]])).tolist() == [[2.0, 3.0]]
    """
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"mode {mode!r} is none of 'sum', 'mean', 'max'")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            f"embedding_bag: per_sample_weights was not None, so mode is 'sum', not {mode!r}"
        )
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError("an input of two axes has no offsets: each row is a bag")
        bags = input.shape[0]
        bag = Tensor._positions(bags).unsqueeze(1).expand(input.shape).flatten()
    elif input.ndim == 1:
        if offsets is None:
            raise ArgumentError("an input of one axis needs offsets, where its bags begin")
        bags = offsets.shape[0] - include_last_offset
        place = Tensor._positions(input.shape[0]).unsqueeze(1)
        bag = (place >= offsets[:bags].unsqueeze(0)).sum(1) - 1
    else:
        raise ShapeError(f"embedding_bag: input {input.shape} needs one or two axes")
    flat = input.flatten()
    rows = embedding(flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq)
    counts = Tensor.ones(flat.shape[0], dtype=rows.dtype, device=rows.device)
    if padding_idx is not None:
        counts = flat.ne(padding_idx % weight.shape[0]).cast(rows.dtype)
    index = bag.unsqueeze(1).expand(rows.shape)
    start = Tensor.zeros(bags, rows.shape[1], dtype=rows.dtype, device=rows.device)
    if mode == "max":
        start = start + float("-inf")
        rows = counts.unsqueeze(1).ne(0).where(rows, float("-inf"))
        top = start.scatter_reduce(0, index, rows, "amax")
        return top.eq(float("-inf")).where(0, top)
    factor = counts if per_sample_weights is None else counts * per_sample_weights.flatten()
    total = start.scatter_add(0, index, rows * factor.unsqueeze(1))
    if mode == "sum":
        return total
    number = Tensor.zeros(bags, dtype=rows.dtype, device=rows.device).scatter_add(0, bag, counts)
    return total / number.maximum(1).unsqueeze(1)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """`Tensor.one_hot`.

    one_hot(Tensor([0, 2]), 3).tolist() == [[1, 0, 0], [0, 0, 1]]
    """
    return tensor.one_hot(num_classes)


# ---------------------------------------------------------------------- normalisation


@rounded_once()
def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float | Tensor = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each channel (axis 1) brought to mean 0 and variance 1, then scaled and shifted.

    In training the batch's own statistics serve, and the running ones, if given, move towards them
    by `momentum`, with the unbiased variance; else the running ones serve.

    batch_norm(Tensor([[1.0], [1.0]]), Tensor([1.0]), Tensor([4.0])).tolist() == [[0.0], [0.0]]
    """
    x = input
    if not training:
        if running_mean is None or running_var is None:
            raise ArgumentError(
                "Expected running_mean and running_var to be defined when training=False"
            )
        invstd = (running_var.cast(x.dtype) + eps).rsqrt()
        return x.batchnorm(weight, bias, running_mean, invstd)
    count = x.numel() // x.shape[1]
    if count < 2:
        raise ShapeError(
            "batch_norm: a batch's statistics need more than one value a channel; input "
            f"{x.shape} has {count}"
        )
    axes = (0, *range(2, x.ndim))
    mean = x.mean(axes)
    centered = x - mean.reshape(1, -1, *(1,) * (x.ndim - 2))
    var = centered.square().mean(axes)
    with Tensor.no_grad():
        unbiased = var * count / (count - 1)
        for running, batch in ((running_mean, mean), (running_var, unbiased)):
            if running is not None:
                before = running.cast(batch.dtype)
                running.assign(before * (1 - momentum) + batch.detach() * momentum)
    return x.batchnorm(weight, bias, mean, (var + eps).rsqrt())


def layer_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """`Tensor.layer_norm`: the last axes brought to mean 0 and variance 1, scaled and shifted.

    layer_norm(Tensor([[1.0, 1.0]]), (2,)).tolist() == [[0.0, 0.0]]
    """
    return input.layer_norm(normalized_shape, weight, bias, eps)


def rms_norm(
    input: Tensor,
    normalized_shape: int | Sequence[int],
    weight: Tensor | None = None,
    eps: float | None = None,
) -> Tensor:
    """The last axes, of `normalized_shape`, over their root mean square, then scaled.

    rms_norm(Tensor([[0.0, 0.0]]), (2,)).tolist() == [[0.0, 0.0]]
    """
    return input.rms_norm(normalized_shape, weight, eps)


@rounded_once()
def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """The channels (axis 1) in groups, each sample's group brought to mean 0 and variance 1, then
    scaled and shifted a channel.

    group_norm(Tensor([[[1.0, 1.0]]]), 1).tolist() == [[[0.0, 0.0]]]
    """
    x = input
    check_integers(num_groups=num_groups)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ShapeError(f"group_norm: {num_groups} groups do not divide input {x.shape}")
    grouped = x.unflatten(1, (num_groups, -1)).flatten(2).layernorm(-1, eps=eps)
    made = grouped.reshape(x.shape)
    along = (-1, *(1,) * (x.ndim - 2))
    made = made if weight is None else made * weight.reshape(along)
    return made if bias is None else made + bias.reshape(along)


def instance_norm(
    input: Tensor,
    running_mean: Tensor | None = None,
    running_var: Tensor | None = None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Each sample's channel brought to mean 0 and variance 1; or, without `use_input_stats`, by the
    running statistics. With it, running statistics that are given move by `momentum`.

    instance_norm(Tensor([[[1.0, 1.0]]])).tolist() == [[[0.0, 0.0]]]
    """
    x = input
    if not use_input_stats:
        return batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    count = int(np.prod(x.shape[2:]))
    if count == 1:
        raise ShapeError(f"instance_norm: input {x.shape} has one value a channel")
    if running_mean is not None and running_var is not None:
        with Tensor.no_grad():
            axes = tuple(range(2, x.ndim))
            flat = x.detach()
            mean, var = flat.mean(axes).mean(0), flat.var(axes, correction=1).mean(0)
            for running, batch in ((running_mean, mean), (running_var, var)):
                running.assign(running * (1 - momentum) + batch.cast(running.dtype) * momentum)
    return group_norm(x, x.shape[1], weight, bias, eps)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * mean of the squares in `size` channels around)**beta (Krizhevsky et al.
    2012). The mean counts channels that are not there as 0.

    local_response_norm(Tensor([[[0.0]]]), 2).tolist() == [[[0.0]]]
    """
    if input.ndim < 3:
        raise ShapeError(f"local_response_norm: input {input.shape} needs 3 axes or more")
    check_integers(size=size)
    if size < 1:
        raise ArgumentError(f"local_response_norm: size {size} is not above 0")
    if not input.numel():
        return input
    widths = [(0, 0)] * input.ndim
    widths[1] = (size // 2, (size - 1) // 2)
    around = input.square().pad(widths).unfold(1, size, 1).mean(-1)
    return input / (around * alpha + k).pow(beta)


def normalize(
    input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12, out: Any = None
) -> Tensor:
    """`Tensor.normalize`: x over its p-norm along an axis, or over `eps` if that is larger.

    normalize(Tensor([[0.0, 2.0]])).tolist() == [[0.0, 1.0]]
    """
    return input.normalize(p, dim, eps)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """`Tensor.cosine_similarity`: the cosine of the angle of vectors along an axis.

    cosine_similarity(Tensor([[1.0, 0.0]]), Tensor([[0.0, 1.0]])).tolist() == [0.0]
    """
    return x1.cosine_similarity(x2, dim, eps)


def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps along the last axis.

    pairwise_distance(Tensor([0.0, 0.0]), Tensor([3.0, 4.0]), eps=0.0).item() == 5.0
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def pdist(input: Tensor, p: float = 2.0) -> Tensor:
    """The p-norm distance of every pair of rows: (n, m) -> (n * (n - 1) / 2).

    pdist(Tensor([[0.0, 0.0], [3.0, 4.0]])).tolist() == [5.0]
    """
    if input.ndim != 2:
        raise ShapeError(f"pdist: input {input.shape} should have 2 axes")
    first, second = np.triu_indices(input.shape[0], 1)
    return (input[Tensor(first)] - input[Tensor(second)]).norm(p, -1)


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`Tensor.scaled_dot_product_attention`: softmax(query @ key.mT * scale + mask) @ value.

    Dropout is done whatever the mode is, as in PyTorch: give a `dropout_p` of 0 in evaluation.

    scaled_dot_product_attention(*[Tensor.ones(1, 2, 4)] * 3).shape == (1, 2, 4)
    """
    with module_mode(True):
        return query.scaled_dot_product_attention(
            key, value, attn_mask, dropout_p, is_causal, scale, enable_gqa
        )
