"""An example of each method of Tensor, for the end of its docstring; tests run them all."""

from __future__ import annotations

from inspect import cleandoc
from typing import Any

EXAMPLES = """\
T: Tensor([[1, 2]]).T.tolist() == [[1], [2]]
abs: Tensor([-1.0, 2.0]).abs().tolist() == [1.0, 2.0]
acos: Tensor([1.0]).acos().tolist() == [0.0]
acosh: Tensor([1.0]).acosh().tolist() == [0.0]
adaptive_avg_pool1d: Tensor([[[1.0, 3.0]]]).adaptive_avg_pool1d(1).tolist() == [[[2.0]]]
adaptive_avg_pool2d: Tensor.ones(1, 2, 4, 4).adaptive_avg_pool2d(2).shape == (1, 2, 2, 2)
adaptive_avg_pool3d: Tensor.ones(1, 1, 2, 4, 4).adaptive_avg_pool3d(1).tolist() == [[[[[1.0]]]]]
adaptive_max_pool1d: Tensor([[[1.0, 3.0]]]).adaptive_max_pool1d(1).tolist() == [[[3.0]]]
adaptive_max_pool2d: Tensor.ones(1, 2, 4, 4).adaptive_max_pool2d(2).shape == (1, 2, 2, 2)
add: Tensor([1, 2]).add(3).tolist() == [4, 5]
addbmm: Tensor.zeros(1, 1).addbmm(Tensor.ones(3, 1, 2), Tensor.ones(3, 2, 1)).tolist() == [[6.0]]
addcdiv: Tensor([1.0]).addcdiv(Tensor([6.0]), Tensor([3.0])).tolist() == [3.0]
addcmul: Tensor([1.0]).addcmul(Tensor([2.0]), Tensor([3.0])).tolist() == [7.0]
addmm: Tensor([[1.0]]).addmm(Tensor([[2.0, 3.0]]), Tensor([[4.0], [5.0]])).tolist() == [[24.0]]
addmv: Tensor([1.0]).addmv(Tensor([[2.0, 3.0]]), Tensor([4.0, 5.0])).tolist() == [24.0]
addr: Tensor([[1.0, 1.0]]).addr(Tensor([2.0]), Tensor([3.0, 4.0])).tolist() == [[7.0, 9.0]]
adjoint: Tensor([[1, 2]]).adjoint().tolist() == [[1], [2]]
all: Tensor([[True, False], [True, True]]).all(1).tolist() == [False, True]
allclose: Tensor([1.0]).allclose(Tensor([1.0 + 1e-9])) is True
amax: Tensor([[1, 5], [3, 2]]).amax(1).tolist() == [5, 3]
amin: Tensor([[1, 5], [3, 2]]).amin(1).tolist() == [1, 2]
aminmax: [x.item() for x in Tensor([3, 1, 2]).aminmax()] == [1, 3]
any: Tensor([[True, False], [False, False]]).any(1).tolist() == [True, False]
arange: Tensor.arange(2, 8, 2).tolist() == [2, 4, 6]
arcsin: Tensor([0.0]).arcsin().tolist() == [0.0]
arcsinh: Tensor([0.0]).arcsinh().tolist() == [0.0]
arctan: Tensor([0.0]).arctan().tolist() == [0.0]
arctan2: Tensor([0.0]).arctan2(Tensor([1.0])).tolist() == [0.0]
arctanh: Tensor([0.0]).arctanh().tolist() == [0.0]
argmax: Tensor([[1, 5], [3, 2]]).argmax(1).tolist() == [1, 0]
argmin: Tensor([[1, 5], [3, 2]]).argmin(1).tolist() == [0, 1]
argsort: Tensor([30, 10, 20]).argsort().tolist() == [1, 2, 0]
argwhere: Tensor([[0, 1], [1, 0]]).argwhere().tolist() == [[0, 1], [1, 0]]
asin: Tensor([0.0]).asin().tolist() == [0.0]
asinh: Tensor([0.0]).asinh().tolist() == [0.0]
assign: Tensor([1.0, 2.0]).assign([3.0, 4.0]).tolist() == [3.0, 4.0]
atan: Tensor([0.0]).atan().tolist() == [0.0]
atan2: Tensor([0.0]).atan2(Tensor([1.0])).tolist() == [0.0]
atanh: Tensor([0.0]).atanh().tolist() == [0.0]
atleast_1d: Tensor(1.0).atleast_1d().shape == (1,)
atleast_2d: Tensor([1.0, 2.0]).atleast_2d().shape == (1, 2)
atleast_3d: Tensor([[1.0, 2.0]]).atleast_3d().shape == (1, 2, 1)
avg_pool1d: Tensor([[[1.0, 3.0, 5.0, 7.0]]]).avg_pool1d(2).tolist() == [[[2.0, 6.0]]]
avg_pool2d: Tensor([[[[1.0, 2.0], [3.0, 6.0]]]]).avg_pool2d(2).tolist() == [[[[3.0]]]]
avg_pool3d: Tensor.ones(1, 1, 2, 2, 2).avg_pool3d(2).tolist() == [[[[[1.0]]]]]
backward: x = Tensor([3.0], requires_grad=True); (x * x).sum().backward(); x.grad.item() == 6.0
baddbmm: Tensor.ones(3, 1, 1).baddbmm(Tensor.ones(3, 1, 2), Tensor.ones(3, 2, 1)).shape == (3, 1, 1)
batchnorm: Tensor([[3.0]]).batchnorm(None, None, Tensor([1.0]), Tensor([0.5])).tolist() == [[1.0]]
bernoulli: Tensor([0.0, 1.0]).bernoulli().tolist() == [0.0, 1.0]
bernoulli_: Tensor.zeros(2).bernoulli_(1.0).tolist() == [1.0, 1.0]
bfloat16: str(Tensor([1.0]).bfloat16().dtype) == "bfloat16"
binary_cross_entropy: Tensor([1.0]).binary_cross_entropy(Tensor([1.0])).item() == -0.0
bincount: Tensor([0, 2, 2]).bincount().tolist() == [1, 0, 2]
bitcast: Tensor([1.0]).bitcast("int32").tolist() == [1065353216]
bitwise_and: Tensor([6]).bitwise_and(3).tolist() == [2]
bitwise_left_shift: Tensor([3]).bitwise_left_shift(2).tolist() == [12]
bitwise_not: Tensor([0, 1]).bitwise_not().tolist() == [-1, -2]
bitwise_or: Tensor([6]).bitwise_or(3).tolist() == [7]
bitwise_right_shift: Tensor([12]).bitwise_right_shift(2).tolist() == [3]
bitwise_xor: Tensor([6]).bitwise_xor(3).tolist() == [5]
bmm: Tensor.ones(3, 1, 2).bmm(Tensor.ones(3, 2, 1)).shape == (3, 1, 1)
bool: Tensor([0, 2]).bool().tolist() == [False, True]
broadcast_to: Tensor([1, 2]).broadcast_to(2, 2).tolist() == [[1, 2], [1, 2]]
bucketize: Tensor([1, 3, 5]).bucketize(Tensor([2, 4])).tolist() == [0, 1, 2]
byte: str(Tensor([1]).byte().dtype) == "uint8"
cast: Tensor([1.7, -1.7]).cast("int32").tolist() == [1, -1]
cat: Tensor([1, 2]).cat(Tensor([3])).tolist() == [1, 2, 3]
ceil: Tensor([1.2, -1.2]).ceil().tolist() == [2.0, -1.0]
celu: Tensor([0.0, 2.0]).celu().tolist() == [0.0, 2.0]
char: str(Tensor([1]).char().dtype) == "int8"
chunk: [part.tolist() for part in Tensor([1, 2, 3]).chunk(2)] == [[1, 2], [3]]
clamp: Tensor([-3, 0, 3]).clamp(-1, 1).tolist() == [-1, 0, 1]
clamp_max: Tensor([1, 5]).clamp_max(3).tolist() == [1, 3]
clamp_min: Tensor([1, 5]).clamp_min(3).tolist() == [3, 5]
clone: Tensor([1, 2]).clone().tolist() == [1, 2]
column_stack: Tensor([1, 2]).column_stack(Tensor([3, 4])).tolist() == [[1, 3], [2, 4]]
contiguous: Tensor([[1, 2]]).T.contiguous().is_contiguous() is True
contiguous_backward: Tensor([1, 2]).contiguous_backward().tolist() == [1, 2]
conv1d: Tensor([[[1.0, 2.0, 3.0]]]).conv1d(Tensor([[[1.0, 1.0]]])).tolist() == [[[3.0, 5.0]]]
conv2d: Tensor.ones(1, 1, 3, 3).conv2d(Tensor.ones(8, 1, 2, 2)).shape == (1, 8, 2, 2)
conv3d: Tensor.ones(1, 1, 2, 2, 2).conv3d(Tensor.ones(1, 1, 2, 2, 2)).tolist() == [[[[[8.0]]]]]
conv_transpose1d: Tensor.ones(1, 1, 2).conv_transpose1d(Tensor.ones(1, 8, 2)).shape == (1, 8, 3)
conv_transpose2d: x = Tensor.ones(1, 1, 2, 2); x.conv_transpose2d(x).shape == (1, 1, 3, 3)
conv_transpose3d: x = Tensor.ones(1, 1, 2, 2, 2); x.conv_transpose3d(x).shape == (1, 1, 3, 3, 3)
copy_: Tensor([1.0, 2.0]).copy_(3.0).tolist() == [3.0, 3.0]
copysign: Tensor([1.0, 2.0]).copysign(-3.0).tolist() == [-1.0, -2.0]
corrcoef: Tensor([[1.0, 2.0], [2.0, 4.0]]).corrcoef().round().tolist() == [[1.0, 1.0], [1.0, 1.0]]
cos: Tensor([0.0]).cos().tolist() == [1.0]
cosh: Tensor([0.0]).cosh().tolist() == [1.0]
cosine_similarity: Tensor([1.0, 0.0]).cosine_similarity(Tensor([0.0, 1.0]), 0).item() == 0.0
count_nonzero: Tensor([0, 3, 0, 5]).count_nonzero().item() == 2
cov: Tensor([[1.0, 3.0], [2.0, 6.0]]).cov().tolist() == [[2.0, 4.0], [4.0, 8.0]]
cpu: Tensor([1.0]).cpu().device == "CPU"
cross: Tensor([1.0, 0.0, 0.0]).cross(Tensor([0.0, 1.0, 0.0])).tolist() == [0.0, 0.0, 1.0]
cross_entropy: Tensor([[100.0, 0.0]]).cross_entropy(Tensor([0])).item() == 0.0
cummax: Tensor([1, 3, 2]).cummax(0).values.tolist() == [1, 3, 3]
cummin: Tensor([3, 1, 2]).cummin(0).values.tolist() == [3, 1, 1]
cumprod: Tensor([1, 2, 3]).cumprod(0).tolist() == [1, 2, 6]
cumsum: Tensor([1, 2, 3]).cumsum(0).tolist() == [1, 3, 6]
data: Tensor([1.0], requires_grad=True).data.requires_grad is False
deg2rad: Tensor([0.0]).deg2rad().tolist() == [0.0]
detach: Tensor([1.0], requires_grad=True).detach().requires_grad is False
device: Tensor([1.0], device="cpu").device == "CPU"
diag: Tensor([1, 2]).diag().tolist() == [[1, 0], [0, 2]]
diag_embed: Tensor([1, 2]).diag_embed().tolist() == [[1, 0], [0, 2]]
diagflat: Tensor([[1, 2]]).diagflat().tolist() == [[1, 0], [0, 2]]
diagonal: Tensor([[1, 2], [3, 4]]).diagonal().tolist() == [1, 4]
diagonal_scatter: Tensor.ones(1, 2).diagonal_scatter(Tensor([5.0])).tolist() == [[5.0, 1.0]]
diff: Tensor([1, 4, 9]).diff().tolist() == [3, 5]
digamma: Tensor([float("inf")]).digamma().isinf().tolist() == [True]
dim: Tensor.ones(2, 3).dim() == 2
dist: Tensor([0.0, 0.0]).dist(Tensor([3.0, 4.0])).item() == 5.0
div: Tensor([7.0]).div(2).tolist() == [3.5]
dot: Tensor([1, 2]).dot(Tensor([3, 4])).item() == 11
double: str(Tensor([1.0]).double().dtype) == "float64"
dropout: Tensor([1.0, 2.0]).dropout(0.0).tolist() == [1.0, 2.0]
dsplit: [part.shape for part in Tensor.ones(1, 1, 4).dsplit(2)] == [(1, 1, 2), (1, 1, 2)]
dstack: Tensor([1, 2]).dstack(Tensor([3, 4])).tolist() == [[[1, 3], [2, 4]]]
dtype: str(Tensor([1.0]).dtype) == "float32"
einsum: Tensor.einsum("ij,jk->ik", Tensor([[1, 2]]), Tensor([[3], [4]])).tolist() == [[11]]
element_size: Tensor([1.0]).element_size() == 4
elu: Tensor([0.0, 2.0]).elu().tolist() == [0.0, 2.0]
empty: Tensor.empty(2, 3).shape == (2, 3)
empty_like: Tensor([1, 2]).empty_like().shape == (2,)
eq: Tensor([1, 2]).eq(2).tolist() == [False, True]
equal: Tensor([1, 2]).equal(Tensor([1, 2])) is True
erf: Tensor([0.0]).erf().tolist() == [0.0]
erfc: Tensor([0.0]).erfc().tolist() == [1.0]
erfinv: Tensor([0.0]).erfinv().tolist() == [0.0]
exp: Tensor([0.0]).exp().tolist() == [1.0]
exp2: Tensor([0.0]).exp2().tolist() == [1.0]
expand: Tensor([1, 2]).expand(2, 2).tolist() == [[1, 2], [1, 2]]
expand_as: Tensor([1, 2]).expand_as(Tensor.ones(2, 2)).tolist() == [[1, 2], [1, 2]]
expm1: Tensor([0.0]).expm1().tolist() == [0.0]
eye: Tensor.eye(2).tolist() == [[1.0, 0.0], [0.0, 1.0]]
fill_: Tensor([1, 2]).fill_(3).tolist() == [3, 3]
fill_diagonal_: Tensor.zeros(2, 2).fill_diagonal_(1).tolist() == [[1.0, 0.0], [0.0, 1.0]]
fix: Tensor([1.7, -1.7]).fix().tolist() == [1.0, -1.0]
flatten: Tensor([[1, 2], [3, 4]]).flatten().tolist() == [1, 2, 3, 4]
flip: Tensor([1, 2, 3]).flip(0).tolist() == [3, 2, 1]
fliplr: Tensor([[1, 2]]).fliplr().tolist() == [[2, 1]]
flipud: Tensor([[1], [2]]).flipud().tolist() == [[2], [1]]
float: str(Tensor([1]).float().dtype) == "float32"
float_power: Tensor([2]).float_power(3).tolist() == [8.0]
floor: Tensor([1.7, -1.2]).floor().tolist() == [1.0, -2.0]
floor_divide: Tensor([7, -7]).floor_divide(2).tolist() == [3, -4]
fmax: Tensor([1.0]).fmax(float("nan")).tolist() == [1.0]
fmin: Tensor([1.0]).fmin(float("nan")).tolist() == [1.0]
fmod: Tensor([7, -7]).fmod(3).tolist() == [1, -1]
frac: Tensor([1.5, -1.5]).frac().tolist() == [0.5, -0.5]
from_blob: a = numpy.array([1, 2]); Tensor.from_blob(a.ctypes.data, 2, "int64").tolist() == [1, 2]
from_dlpack: Tensor.from_dlpack(numpy.array([1, 2])).tolist() == [1, 2]
from_numpy: Tensor.from_numpy(numpy.arange(3)).tolist() == [0, 1, 2]
from_url: Tensor.from_url("data:,AB").tolist() == [65, 66]
full: Tensor.full((2,), 7).tolist() == [7, 7]
full_like: Tensor([1, 2]).full_like(7).tolist() == [7, 7]
gather: Tensor([[1, 2], [3, 4]]).gather(1, Tensor([[1], [0]])).tolist() == [[2], [3]]
gcd: Tensor([12, 18]).gcd(8).tolist() == [4, 2]
ge: Tensor([1, 2, 3]).ge(2).tolist() == [False, True, True]
gelu: Tensor([0.0]).gelu().tolist() == [0.0]
ger: Tensor([1, 2]).ger(Tensor([3, 4])).tolist() == [[3, 4], [6, 8]]
get_rng_state: Tensor.get_rng_state().shape == (3,)
glorot_uniform: Tensor.glorot_uniform(2, 3).shape == (2, 3)
glu: Tensor([4.0, 0.0]).glu().tolist() == [2.0]
grad: Tensor([1.0]).grad is None
gradient: Tensor(3.0).square().gradient(Tensor(3.0), materialize_grads=True)[0].item() == 0.0
greater: Tensor([1, 2, 3]).greater(2).tolist() == [False, False, True]
half: str(Tensor([1.0]).half().dtype) == "float16"
hardshrink: Tensor([0.2, 2.0]).hardshrink().tolist() == [0.0, 2.0]
hardsigmoid: Tensor([-4.0, 0.0, 4.0]).hardsigmoid().tolist() == [0.0, 0.5, 1.0]
hardswish: Tensor([-4.0, 0.0, 4.0]).hardswish().tolist() == [-0.0, 0.0, 4.0]
hardtanh: Tensor([-3.0, 0.5, 3.0]).hardtanh().tolist() == [-1.0, 0.5, 1.0]
heaviside: Tensor([-1.0, 0.0, 1.0]).heaviside(Tensor([0.5])).tolist() == [0.0, 0.5, 1.0]
histc: Tensor([1.0, 2.0, 2.0]).histc(2, 1, 3).tolist() == [1.0, 2.0]
hsplit: [part.tolist() for part in Tensor([1, 2, 3, 4]).hsplit(2)] == [[1, 2], [3, 4]]
hstack: Tensor([1, 2]).hstack(Tensor([3])).tolist() == [1, 2, 3]
huber_loss: Tensor([3.0]).huber_loss(Tensor([0.0])).item() == 2.5
hypot: Tensor([3.0]).hypot(Tensor([4.0])).tolist() == [5.0]
i0: Tensor([0.0]).i0().tolist() == [1.0]
idiv: Tensor([7, -7]).idiv(2).tolist() == [3, -3]
index_add: Tensor([1, 1]).index_add(0, Tensor([1, 1]), Tensor([2, 3])).tolist() == [1, 6]
index_copy: Tensor([1, 1]).index_copy(0, Tensor([1]), Tensor([5])).tolist() == [1, 5]
index_fill: Tensor([1, 2]).index_fill(0, Tensor([1]), 9).tolist() == [1, 9]
index_put: Tensor([1, 2]).index_put((Tensor([0]),), Tensor([7])).tolist() == [7, 2]
index_put_: Tensor([1, 2]).index_put_((Tensor([0]),), Tensor([7])).tolist() == [7, 2]
index_select: Tensor([[1, 2], [3, 4]]).index_select(1, Tensor([1])).tolist() == [[2], [4]]
inner: Tensor([1, 2]).inner(Tensor([3, 4])).item() == 11
int: str(Tensor([1.0]).int().dtype) == "int32"
interpolate: Tensor([[[1.0, 2.0]]]).interpolate(4).tolist() == [[[1.0, 1.0, 2.0, 2.0]]]
is_complex: Tensor([1.0]).is_complex() is False
is_contiguous: Tensor([[1, 2], [3, 4]]).T.is_contiguous() is False
is_floating_point: Tensor([1]).is_floating_point() is False
is_leaf: (Tensor([1.0], requires_grad=True) * 2).is_leaf is False
is_nonzero: Tensor([3]).is_nonzero() is True
is_realized: (Tensor([1.0]) + 1).is_realized is False
is_signed: Tensor([1], "uint8").is_signed() is False
isclose: Tensor([1.0, 2.0]).isclose(Tensor([1.0, 3.0])).tolist() == [True, False]
isfinite: Tensor([1.0, float("inf")]).isfinite().tolist() == [True, False]
isin: Tensor([1, 2, 3]).isin(Tensor([2, 5])).tolist() == [False, True, False]
isinf: Tensor([1.0, float("inf")]).isinf().tolist() == [False, True]
isnan: Tensor([1.0, float("nan")]).isnan().tolist() == [False, True]
isneginf: Tensor([1.0, float("-inf")]).isneginf().tolist() == [False, True]
isposinf: Tensor([1.0, float("inf")]).isposinf().tolist() == [False, True]
isreal: Tensor([1.0]).isreal().tolist() == [True]
item: Tensor([3]).item() == 3
itemsize: Tensor([1.0]).itemsize == 4
kaiming_normal: Tensor.kaiming_normal(2, 3).shape == (2, 3)
kaiming_uniform: Tensor.kaiming_uniform(2, 3).shape == (2, 3)
kl_div: Tensor([0.0]).kl_div(Tensor([1.0])).item() == 0.0
kron: Tensor([[1, 2]]).kron(Tensor([[1, 10]])).tolist() == [[1, 10, 2, 20]]
kthvalue: Tensor([30, 10, 20]).kthvalue(2).values.item() == 20
l1_loss: Tensor([1.0, 5.0]).l1_loss(Tensor([2.0, 2.0])).item() == 2.0
layer_norm: Tensor([[1.0, 1.0]]).layer_norm((2,)).tolist() == [[0.0, 0.0]]
layernorm: Tensor([[1.0, 1.0]]).layernorm().tolist() == [[0.0, 0.0]]
lcm: Tensor([4, 6]).lcm(10).tolist() == [20, 30]
ldexp: Tensor([3.0]).ldexp(Tensor([2])).tolist() == [12.0]
le: Tensor([1, 2, 3]).le(2).tolist() == [True, True, False]
leaky_relu: Tensor([-100.0, 2.0]).leaky_relu(0.5).tolist() == [-50.0, 2.0]
lerp: Tensor([0.0]).lerp(Tensor([10.0]), 0.5).tolist() == [5.0]
less: Tensor([1, 2, 3]).less(2).tolist() == [True, False, False]
lgamma: Tensor([1.0, 2.0]).lgamma().round().abs().tolist() == [0.0, 0.0]
linear: Tensor([[1.0, 2.0]]).linear(Tensor([[3.0, 4.0]])).tolist() == [[11.0]]
linspace: Tensor.linspace(0, 1, 3).tolist() == [0.0, 0.5, 1.0]
log: Tensor([1.0]).log().tolist() == [0.0]
log10: Tensor([1.0]).log10().tolist() == [0.0]
log1p: Tensor([0.0]).log1p().tolist() == [0.0]
log2: Tensor([1.0]).log2().tolist() == [0.0]
log_softmax: Tensor([[5.0]]).log_softmax(1).tolist() == [[0.0]]
logaddexp: Tensor([float("-inf")]).logaddexp(Tensor([2.0])).tolist() == [2.0]
logaddexp2: Tensor([float("-inf")]).logaddexp2(Tensor([0.0])).tolist() == [0.0]
logcumsumexp: Tensor([2.0]).logcumsumexp(0).tolist() == [2.0]
logical_and: Tensor([True, True]).logical_and(Tensor([True, False])).tolist() == [True, False]
logical_not: Tensor([True, False]).logical_not().tolist() == [False, True]
logical_or: Tensor([True, False]).logical_or(Tensor([False, False])).tolist() == [True, False]
logical_xor: Tensor([True, True]).logical_xor(Tensor([True, False])).tolist() == [False, True]
logit: Tensor([0.5]).logit().tolist() == [0.0]
logsigmoid: Tensor([100.0]).logsigmoid().round().tolist() == [-0.0]
logsumexp: Tensor([[2.0]]).logsumexp(1).tolist() == [2.0]
long: str(Tensor([1.0]).long().dtype) == "int64"
mT: Tensor.ones(4, 2, 3).mT.shape == (4, 3, 2)
masked_fill: Tensor([1, 2]).masked_fill(Tensor([True, False]), 0).tolist() == [0, 2]
masked_scatter: Tensor([1, 2]).masked_scatter(Tensor([False, True]), Tensor([9])).tolist() == [1, 9]
masked_select: Tensor([1, 2, 3]).masked_select(Tensor([True, False, True])).tolist() == [1, 3]
matmul: Tensor([[1, 2]]).matmul(Tensor([[3], [4]])).tolist() == [[11]]
max: Tensor([3, 1, 2]).max().item() == 3
max_pool1d: Tensor([[[1.0, 3.0, 5.0, 7.0]]]).max_pool1d(2).tolist() == [[[3.0, 7.0]]]
max_pool2d: Tensor([[[[1.0, 2.0], [3.0, 6.0]]]]).max_pool2d(2).tolist() == [[[[6.0]]]]
max_pool3d: Tensor.ones(1, 1, 2, 2, 2).max_pool3d(2).tolist() == [[[[[1.0]]]]]
max_unpool2d: Tensor([[[[3.0]]]]).max_unpool2d(Tensor([[[[3]]]]), 2).sum().item() == 3.0
maximum: Tensor([1, 5]).maximum(Tensor([3, 3])).tolist() == [3, 5]
mean: Tensor([[1.0, 3.0], [5.0, 7.0]]).mean(1).tolist() == [2.0, 6.0]
median: Tensor([3, 1, 2]).median().item() == 2
meshgrid: [x.shape for x in Tensor([1, 2, 3]).meshgrid(Tensor([3, 4]))] == [(3, 2), (3, 2)]
min: Tensor([3, 1, 2]).min().item() == 1
minimum: Tensor([1, 5]).minimum(Tensor([3, 3])).tolist() == [1, 3]
mish: Tensor([0.0]).mish().tolist() == [0.0]
mm: Tensor([[1, 2]]).mm(Tensor([[3], [4]])).tolist() == [[11]]
mod: Tensor([7, -7]).mod(3).tolist() == [1, 2]
mode: Tensor([1, 2, 2]).mode().values.item() == 2
moveaxis: Tensor.ones(2, 3, 4).moveaxis(0, 2).shape == (3, 4, 2)
mse_loss: Tensor([1.0, 3.0]).mse_loss(Tensor([0.0, 0.0])).item() == 5.0
msort: Tensor([3, 1, 2]).msort().tolist() == [1, 2, 3]
mul: Tensor([1, 2]).mul(3).tolist() == [3, 6]
multinomial: Tensor([0.0, 1.0]).multinomial(1).tolist() == [1]
mv: Tensor([[1, 2]]).mv(Tensor([3, 4])).tolist() == [11]
mvlgamma: Tensor([3.0]).mvlgamma(2).shape == (1,)
nan_to_num: Tensor([float("nan"), 1.0]).nan_to_num(0.5).tolist() == [0.5, 1.0]
nanmean: Tensor([1.0, float("nan"), 3.0]).nanmean().item() == 2.0
nanmedian: Tensor([1.0, float("nan"), 3.0]).nanmedian().item() == 1.0
nanquantile: Tensor([1.0, float("nan"), 3.0]).nanquantile(0.5).item() == 2.0
nansum: Tensor([1.0, float("nan"), 3.0]).nansum().item() == 4.0
narrow: Tensor([1, 2, 3, 4]).narrow(0, 1, 2).tolist() == [2, 3]
nbytes: Tensor([1.0, 2.0]).nbytes == 8
ndim: Tensor.ones(2, 3).ndim == 2
ne: Tensor([1, 2]).ne(2).tolist() == [True, False]
neg: Tensor([1, -2]).neg().tolist() == [-1, 2]
nelement: Tensor.ones(2, 3).nelement() == 6
new_empty: Tensor([1]).new_empty(2, 3).shape == (2, 3)
new_full: Tensor([1]).new_full((2,), 7).tolist() == [7, 7]
new_ones: Tensor([2]).new_ones(3).tolist() == [1, 1, 1]
new_tensor: str(Tensor([1.0]).new_tensor([1, 2]).dtype) == "float32"
new_zeros: Tensor([2]).new_zeros(3).tolist() == [0, 0, 0]
newton_schulz: Tensor([[5.0]]).newton_schulz(20, (1.5, -0.5)).round().tolist() == [[1.0]]
nll_loss: Tensor([[-1.0, -2.0]]).nll_loss(Tensor([1])).item() == 2.0
node: Tensor([1.0, 2.0]).node.shape == (2,)
nonzero: Tensor([0, 3, 0, 5]).nonzero().tolist() == [[1], [3]]
norm: Tensor([3.0, 4.0]).norm().item() == 5.0
normal: Tensor.normal(2, 3, mean=5.0).shape == (2, 3)
normalize: Tensor([[3.0, 4.0]]).normalize().round(decimals=1).shape == (1, 2)
numpy: Tensor([1, 2]).numpy().shape == (2,)
one_hot: Tensor([0, 2]).one_hot(3).tolist() == [[1, 0, 0], [0, 0, 1]]
ones: Tensor.ones(2, 3).shape == (2, 3)
ones_like: Tensor([5, 6]).ones_like().tolist() == [1, 1]
outer: Tensor([1, 2]).outer(Tensor([3, 4])).tolist() == [[3, 4], [6, 8]]
pad: Tensor([[1, 2]]).pad((1, 0)).tolist() == [[0, 1, 2]]
pad_to: Tensor([1, 2]).pad_to(4).tolist() == [1, 2, 0, 0]
permute: Tensor.ones(2, 3, 4).permute(2, 0, 1).shape == (4, 2, 3)
pixel_shuffle: Tensor.ones(1, 4, 2, 2).pixel_shuffle(2).shape == (1, 1, 4, 4)
pixel_unshuffle: Tensor.ones(1, 1, 4, 4).pixel_unshuffle(2).shape == (1, 4, 2, 2)
polygamma: Tensor([1.0]).polygamma(2).shape == (1,)
positive: Tensor([1, -2]).positive().tolist() == [1, -2]
pow: Tensor([2, 3]).pow(2).tolist() == [4, 9]
prelu: Tensor([[-2.0, 2.0]]).prelu(Tensor([0.5])).tolist() == [[-1.0, 2.0]]
prod: Tensor([2, 3, 4]).prod().item() == 24
put: Tensor([1, 2]).put(Tensor([1]), Tensor([9])).tolist() == [1, 9]
quantile: Tensor([1.0, 2.0, 3.0]).quantile(0.5).item() == 2.0
quick_gelu: Tensor([0.0]).quick_gelu().tolist() == [0.0]
rad2deg: Tensor([0.0]).rad2deg().tolist() == [0.0]
rand: Tensor.rand(2, 3).shape == (2, 3)
rand_like: Tensor.ones(2, 3).rand_like().shape == (2, 3)
randint: Tensor.randint(2, 3, low=5, high=6).tolist() == [[5, 5, 5], [5, 5, 5]]
randn: Tensor.randn(2, 3).shape == (2, 3)
randn_like: Tensor.ones(2, 3).randn_like().shape == (2, 3)
randperm: sorted(Tensor.randperm(4).tolist()) == [0, 1, 2, 3]
ravel: Tensor([[1, 2], [3, 4]]).ravel().tolist() == [1, 2, 3, 4]
realize: (Tensor([1.0]) + 1).realize().is_realized is True
rearrange: Tensor.ones(2, 3, 4).rearrange("a b c -> (a c) b").shape == (8, 3)
reciprocal: Tensor([4.0]).reciprocal().tolist() == [0.25]
relu: Tensor([-1.0, 2.0]).relu().tolist() == [0.0, 2.0]
relu6: Tensor([-1.0, 2.0, 8.0]).relu6().tolist() == [0.0, 2.0, 6.0]
renorm: Tensor([[3.0, 4.0]]).renorm(2, 0, 1.0).norm().round().item() == 1.0
repeat: Tensor([1, 2]).repeat(2).tolist() == [1, 2, 1, 2]
repeat_interleave: Tensor([1, 2]).repeat_interleave(2).tolist() == [1, 1, 2, 2]
replace: Tensor([1.0]).replace(Tensor([2.0])).tolist() == [2.0]
requires_grad: Tensor([1.0], requires_grad=True).requires_grad is True
requires_grad_: Tensor([1.0]).requires_grad_().requires_grad is True
reshape: Tensor([1, 2, 3, 4]).reshape(2, -1).tolist() == [[1, 2], [3, 4]]
reshape_as: Tensor([1, 2]).reshape_as(Tensor.ones(2, 1)).tolist() == [[1], [2]]
rms_norm: Tensor([[0.0, 0.0]]).rms_norm((2,)).tolist() == [[0.0, 0.0]]
roll: Tensor([1, 2, 3]).roll(1).tolist() == [3, 1, 2]
rot90: Tensor([[1, 2], [3, 4]]).rot90().tolist() == [[2, 4], [1, 3]]
round: Tensor([0.5, 1.5, 2.4]).round().tolist() == [0.0, 2.0, 2.0]
row_stack: Tensor([1, 2]).row_stack(Tensor([3, 4])).tolist() == [[1, 2], [3, 4]]
rsqrt: Tensor([4.0]).rsqrt().tolist() == [0.5]
rsub: Tensor([1, 2]).rsub(10).tolist() == [9, 8]
scaled_uniform: Tensor.scaled_uniform(2, 3).shape == (2, 3)
scatter: Tensor([0, 0, 0]).scatter(0, Tensor([2]), Tensor([7])).tolist() == [0, 0, 7]
scatter_add: Tensor([1, 1]).scatter_add(0, Tensor([1, 1]), Tensor([2, 3])).tolist() == [1, 6]
scatter_reduce: Tensor([1]).scatter_reduce(0, Tensor([0]), Tensor([3]), "amax").tolist() == [3]
searchsorted: Tensor([1, 3, 5]).searchsorted(Tensor([2, 5])).tolist() == [1, 2]
select: Tensor([[1, 2], [3, 4]]).select(1, 0).tolist() == [1, 3]
select_scatter: Tensor([1, 2]).select_scatter(Tensor(9), 0, 1).tolist() == [1, 9]
selu: Tensor([0.0]).selu().tolist() == [0.0]
sequential: Tensor([-1.0, 2.0]).sequential([Tensor.relu, Tensor.neg]).tolist() == [-0.0, -2.0]
sgn: Tensor([-3.0, 0.0, 2.0]).sgn().tolist() == [-1.0, 0.0, 1.0]
shape: Tensor.ones(2, 3).shape == (2, 3)
short: str(Tensor([1]).short().dtype) == "int16"
shrink: Tensor([1, 2, 3, 4]).shrink(((1, 3),)).tolist() == [2, 3]
shrink_to: Tensor([1, 2, 3]).shrink_to(2).tolist() == [1, 2]
sigmoid: Tensor([0.0]).sigmoid().tolist() == [0.5]
signbit: Tensor([-1.0, 1.0]).signbit().tolist() == [True, False]
silu: Tensor([0.0]).silu().tolist() == [0.0]
sin: Tensor([0.0]).sin().tolist() == [0.0]
sinc: Tensor([0.0]).sinc().tolist() == [1.0]
sinh: Tensor([0.0]).sinh().tolist() == [0.0]
size: Tensor.ones(2, 3).size(1) == 3
slice_scatter: Tensor([0, 0, 0]).slice_scatter(Tensor([7]), 0, 1, 2).tolist() == [0, 7, 0]
smooth_l1_loss: Tensor([3.0]).smooth_l1_loss(Tensor([0.0])).item() == 2.5
softmax: Tensor([[1.0, 1.0]]).softmax(1).tolist() == [[0.5, 0.5]]
softmin: Tensor([[1.0, 1.0]]).softmin(1).tolist() == [[0.5, 0.5]]
softplus: Tensor([100.0]).softplus().tolist() == [100.0]
softshrink: Tensor([-2.0, 0.2, 2.0]).softshrink().tolist() == [-1.5, 0.0, 1.5]
softsign: Tensor([-1.0, 3.0]).softsign().tolist() == [-0.5, 0.75]
sort: Tensor([3, 1, 2]).sort().values.tolist() == [1, 2, 3]
split: [part.tolist() for part in Tensor([1, 2, 3]).split(2)] == [[1, 2], [3]]
split_with_sizes: [x.shape for x in Tensor([1, 2, 3]).split_with_sizes([1, 2])] == [(1,), (2,)]
sqrt: Tensor([4.0, 9.0]).sqrt().tolist() == [2.0, 3.0]
square: Tensor([2, -3]).square().tolist() == [4, 9]
squeeze: Tensor.ones(2, 1, 3).squeeze(1).shape == (2, 3)
stack: Tensor([1, 2]).stack(Tensor([3, 4])).tolist() == [[1, 2], [3, 4]]
std: Tensor([1.0, 3.0]).std(correction=0).item() == 1.0
std_mean: [x.item() for x in Tensor([1.0, 3.0]).std_mean(correction=0)] == [1.0, 2.0]
storage: (Tensor([1.0]) + 1).storage is None
stride: Tensor.ones(2, 3).stride() == (3, 1)
sub: Tensor([5, 6]).sub(2).tolist() == [3, 4]
sum: Tensor([[1, 2], [3, 4]]).sum(1).tolist() == [3, 7]
sum_to_size: Tensor([[1, 2], [3, 4]]).sum_to_size(1, 2).tolist() == [[4, 6]]
swapaxes: Tensor.ones(2, 3, 4).swapaxes(0, 2).shape == (4, 3, 2)
t: Tensor([[1, 2]]).t().tolist() == [[1], [2]]
take: Tensor([[1, 2], [3, 4]]).take(Tensor([3, 0])).tolist() == [4, 1]
take_along_dim: Tensor([[3, 1, 2]]).take_along_dim(Tensor([[1, 2, 0]]), 1).tolist() == [[1, 2, 3]]
tan: Tensor([0.0]).tan().tolist() == [0.0]
tanh: Tensor([0.0]).tanh().tolist() == [0.0]
tanhshrink: Tensor([0.0]).tanhshrink().tolist() == [0.0]
tensor_split: [part.tolist() for part in Tensor([1, 2, 3]).tensor_split(2)] == [[1, 2], [3]]
tensordot: Tensor([[1, 2]]).tensordot(Tensor([[3], [4]]), 1).tolist() == [[11]]
threshold: Tensor([0.5, 2.0]).threshold(1.0, -1.0).tolist() == [-1.0, 2.0]
tile: Tensor([1, 2]).tile((2,)).tolist() == [1, 2, 1, 2]
to: str(Tensor([1.0]).to("float16").dtype) == "float16"
tolist: Tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
topk: Tensor([1, 5, 3]).topk(2).values.tolist() == [5, 3]
trace: Tensor([[1, 2], [3, 4]]).trace().item() == 5
tril: Tensor([[1, 2], [3, 4]]).tril().tolist() == [[1, 0], [3, 4]]
triu: Tensor([[1, 2], [3, 4]]).triu().tolist() == [[1, 2], [0, 4]]
type: str(Tensor([1]).type("float32").dtype) == "float32"
type_as: str(Tensor([1]).type_as(Tensor([1.0])).dtype) == "float32"
unbind: [row.tolist() for row in Tensor([[1, 2], [3, 4]]).unbind()] == [[1, 2], [3, 4]]
unflatten: Tensor.ones(6).unflatten(0, (2, 3)).shape == (2, 3)
unfold: Tensor([1, 2, 3]).unfold(0, 2, 1).tolist() == [[1, 2], [2, 3]]
uniform: Tensor.uniform(2, 3, low=1, high=2).shape == (2, 3)
uniform_: Tensor.zeros(2).uniform_(1.0, 1.0).tolist() == [1.0, 1.0]
unique: Tensor([3, 1, 3]).unique().tolist() == [1, 3]
unique_consecutive: Tensor([1, 1, 2, 1]).unique_consecutive().tolist() == [1, 2, 1]
unsqueeze: Tensor([1, 2]).unsqueeze(0).shape == (1, 2)
uprod: Tensor([2.0]).uprod(Tensor([3.0]), 4).tolist() == [24.0]
usum: Tensor([2.0]).usum(Tensor([3.0]), 4).tolist() == [9.0]
var: Tensor([1.0, 3.0]).var(correction=0).item() == 1.0
var_mean: [x.item() for x in Tensor([1.0, 3.0]).var_mean(correction=0)] == [1.0, 2.0]
vdot: Tensor([1, 2]).vdot(Tensor([3, 4])).item() == 11
view: Tensor([1, 2, 3, 4]).view(2, 2).tolist() == [[1, 2], [3, 4]]
view_as: Tensor([1, 2]).view_as(Tensor.ones(2, 1)).tolist() == [[1], [2]]
vsplit: [part.tolist() for part in Tensor([[1], [2]]).vsplit(2)] == [[[1]], [[2]]]
where: Tensor([True, False]).where(1, 2).tolist() == [1, 2]
xlogy: Tensor([0.0, 1.0]).xlogy(Tensor([0.0, 1.0])).tolist() == [0.0, 0.0]
zero_: Tensor([1, 2]).zero_().tolist() == [0, 0]
zeros: Tensor.zeros(2, 3).shape == (2, 3)
zeros_like: Tensor([5, 6]).zeros_like().tolist() == [0, 0]
"""
"""A line is the name of a method, and a program in which each comparison holds."""


def examples() -> dict[str, str]:
    """The example of each method, by name."""
    return dict(line.split(": ", 1) for line in EXAMPLES.splitlines())


def add_examples(cls: type) -> None:
    """Let the docstring of each method end with its example."""
    for name, example in examples().items():
        method: Any = getattr(cls, name)
        told = getattr(method, "__func__", method)
        text = told.__doc__
        if text is not None and example not in text:
            text = cleandoc(text) if "\n" in text else text
            told.__doc__ = f"{text}\n\n{example}"
