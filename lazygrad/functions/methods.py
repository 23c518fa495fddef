"""The methods of Tensor that are functions too: the table of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from ..errors import KindError, told
from ..tensor import Tensor

P = ParamSpec("P")
R = TypeVar("R")


def _of_tensor(method: Callable[P, R]) -> Callable[P, R]:
    """A method of Tensor as a function. Raises TypeError where the first argument is no tensor."""
    name = method.__name__

    @wraps(method)
    def function(*args: P.args, **named: P.kwargs) -> R:
        if args and not isinstance(args[0], Tensor):
            raise KindError(f"{name}: the first argument is a tensor, not {told(args[0])}")
        return method(*args, **named)

    return function


def _of_several(method: Callable[..., Any]) -> Callable[..., Tensor]:
    """A method of several tensors, or of a list of them, as a function."""
    return method


# ------------------------------------------------------------ making tensors

arange = Tensor.arange
empty = Tensor.empty
empty_like = _of_tensor(Tensor.empty_like)
eye = Tensor.eye
from_dlpack = Tensor.from_dlpack
from_numpy = Tensor.from_numpy
full = Tensor.full
full_like = _of_tensor(Tensor.full_like)
linspace = Tensor.linspace
meshgrid = Tensor.meshgrid
ones = Tensor.ones
ones_like = _of_tensor(Tensor.ones_like)
rand = Tensor.rand
rand_like = _of_tensor(Tensor.rand_like)
randn = Tensor.randn
randn_like = _of_tensor(Tensor.randn_like)
randperm = Tensor.randperm
zeros = Tensor.zeros
zeros_like = _of_tensor(Tensor.zeros_like)

# ------------------------------------------------------------ random numbers

bernoulli = _of_tensor(Tensor.bernoulli)
get_rng_state = Tensor.get_rng_state
manual_seed = Tensor.manual_seed
multinomial = _of_tensor(Tensor.multinomial)
set_rng_state = Tensor.set_rng_state

# ------------------------------------------------------------ arithmetic

abs = _of_tensor(Tensor.abs)
absolute = _of_tensor(Tensor.abs)
add = _of_tensor(Tensor.add)
addcdiv = _of_tensor(Tensor.addcdiv)
addcmul = _of_tensor(Tensor.addcmul)
clamp = _of_tensor(Tensor.clamp)
clamp_max = _of_tensor(Tensor.clamp_max)
clamp_min = _of_tensor(Tensor.clamp_min)
clip = _of_tensor(Tensor.clamp)
copysign = _of_tensor(Tensor.copysign)
div = _of_tensor(Tensor.div)
divide = _of_tensor(Tensor.div)
float_power = _of_tensor(Tensor.float_power)
floor_divide = _of_tensor(Tensor.floor_divide)
fmax = _of_tensor(Tensor.fmax)
fmin = _of_tensor(Tensor.fmin)
fmod = _of_tensor(Tensor.fmod)
heaviside = _of_tensor(Tensor.heaviside)
lerp = _of_tensor(Tensor.lerp)
maximum = _of_tensor(Tensor.maximum)
minimum = _of_tensor(Tensor.minimum)
mul = _of_tensor(Tensor.mul)
multiply = _of_tensor(Tensor.mul)
nan_to_num = _of_tensor(Tensor.nan_to_num)
neg = _of_tensor(Tensor.neg)
negative = _of_tensor(Tensor.neg)
positive = _of_tensor(Tensor.positive)
reciprocal = _of_tensor(Tensor.reciprocal)
remainder = _of_tensor(Tensor.remainder)
rsub = _of_tensor(Tensor.rsub)
sgn = _of_tensor(Tensor.sign)
sign = _of_tensor(Tensor.sign)
square = _of_tensor(Tensor.square)
sub = _of_tensor(Tensor.sub)
subtract = _of_tensor(Tensor.sub)
true_divide = _of_tensor(Tensor.div)
xlogy = _of_tensor(Tensor.xlogy)

# ------------------------------------------------------------ functions

acos = _of_tensor(Tensor.acos)
acosh = _of_tensor(Tensor.acosh)
arccos = _of_tensor(Tensor.acos)
arccosh = _of_tensor(Tensor.acosh)
arcsin = _of_tensor(Tensor.asin)
arcsinh = _of_tensor(Tensor.asinh)
arctan = _of_tensor(Tensor.atan)
arctan2 = _of_tensor(Tensor.atan2)
arctanh = _of_tensor(Tensor.atanh)
asin = _of_tensor(Tensor.asin)
asinh = _of_tensor(Tensor.asinh)
atan = _of_tensor(Tensor.atan)
atan2 = _of_tensor(Tensor.atan2)
atanh = _of_tensor(Tensor.atanh)
ceil = _of_tensor(Tensor.ceil)
cos = _of_tensor(Tensor.cos)
cosh = _of_tensor(Tensor.cosh)
deg2rad = _of_tensor(Tensor.deg2rad)
digamma = _of_tensor(Tensor.digamma)
erf = _of_tensor(Tensor.erf)
erfc = _of_tensor(Tensor.erfc)
erfinv = _of_tensor(Tensor.erfinv)
exp = _of_tensor(Tensor.exp)
exp2 = _of_tensor(Tensor.exp2)
expm1 = _of_tensor(Tensor.expm1)
fix = _of_tensor(Tensor.trunc)
floor = _of_tensor(Tensor.floor)
frac = _of_tensor(Tensor.frac)
hypot = _of_tensor(Tensor.hypot)
i0 = _of_tensor(Tensor.i0)
isneginf = _of_tensor(Tensor.isneginf)
isposinf = _of_tensor(Tensor.isposinf)
isreal = _of_tensor(Tensor.isreal)
ldexp = _of_tensor(Tensor.ldexp)
lgamma = _of_tensor(Tensor.lgamma)
log = _of_tensor(Tensor.log)
log10 = _of_tensor(Tensor.log10)
log1p = _of_tensor(Tensor.log1p)
log2 = _of_tensor(Tensor.log2)
logaddexp = _of_tensor(Tensor.logaddexp)
logaddexp2 = _of_tensor(Tensor.logaddexp2)
logit = _of_tensor(Tensor.logit)
mvlgamma = _of_tensor(Tensor.mvlgamma)
rad2deg = _of_tensor(Tensor.rad2deg)
round = _of_tensor(Tensor.round)
rsqrt = _of_tensor(Tensor.rsqrt)
sigmoid = _of_tensor(Tensor.sigmoid)
sin = _of_tensor(Tensor.sin)
sinc = _of_tensor(Tensor.sinc)
sinh = _of_tensor(Tensor.sinh)
sqrt = _of_tensor(Tensor.sqrt)
tan = _of_tensor(Tensor.tan)
tanh = _of_tensor(Tensor.tanh)
trunc = _of_tensor(Tensor.trunc)

# ------------------------------------------------------------ comparing, logic, bits

allclose = _of_tensor(Tensor.allclose)
bitwise_and = _of_tensor(Tensor.bitwise_and)
bitwise_left_shift = _of_tensor(Tensor.bitwise_left_shift)
bitwise_not = _of_tensor(Tensor.bitwise_not)
bitwise_or = _of_tensor(Tensor.bitwise_or)
bitwise_right_shift = _of_tensor(Tensor.bitwise_right_shift)
bitwise_xor = _of_tensor(Tensor.bitwise_xor)
eq = _of_tensor(Tensor.eq)
equal = _of_tensor(Tensor.equal)
ge = _of_tensor(Tensor.ge)
greater = _of_tensor(Tensor.gt)
greater_equal = _of_tensor(Tensor.ge)
gt = _of_tensor(Tensor.gt)
isclose = _of_tensor(Tensor.isclose)
isfinite = _of_tensor(Tensor.isfinite)
isin = _of_tensor(Tensor.isin)
isinf = _of_tensor(Tensor.isinf)
isnan = _of_tensor(Tensor.isnan)
le = _of_tensor(Tensor.le)
less = _of_tensor(Tensor.lt)
less_equal = _of_tensor(Tensor.le)
logical_and = _of_tensor(Tensor.logical_and)
logical_not = _of_tensor(Tensor.logical_not)
logical_or = _of_tensor(Tensor.logical_or)
logical_xor = _of_tensor(Tensor.logical_xor)
lt = _of_tensor(Tensor.lt)
masked_fill = _of_tensor(Tensor.masked_fill)
ne = _of_tensor(Tensor.ne)
not_equal = _of_tensor(Tensor.ne)
signbit = _of_tensor(Tensor.signbit)

# ------------------------------------------------------------ shapes

adjoint = _of_tensor(Tensor.adjoint)
broadcast_to = _of_tensor(Tensor.expand)
chunk = _of_tensor(Tensor.chunk)
clone = _of_tensor(Tensor.clone)
detach = _of_tensor(Tensor.detach)
diag = _of_tensor(Tensor.diag)
diag_embed = _of_tensor(Tensor.diag_embed)
diagflat = _of_tensor(Tensor.diagflat)
diagonal = _of_tensor(Tensor.diagonal)
diff = _of_tensor(Tensor.diff)
dsplit = _of_tensor(Tensor.dsplit)
flatten = _of_tensor(Tensor.flatten)
flip = _of_tensor(Tensor.flip)
fliplr = _of_tensor(Tensor.fliplr)
flipud = _of_tensor(Tensor.flipud)
hsplit = _of_tensor(Tensor.hsplit)
moveaxis = _of_tensor(Tensor.movedim)
movedim = _of_tensor(Tensor.movedim)
narrow = _of_tensor(Tensor.narrow)
permute = _of_tensor(Tensor.permute)
ravel = _of_tensor(Tensor.ravel)
repeat_interleave = _of_tensor(Tensor.repeat_interleave)
reshape = _of_tensor(Tensor.reshape)
roll = _of_tensor(Tensor.roll)
rot90 = _of_tensor(Tensor.rot90)
select = _of_tensor(Tensor.select)
split = _of_tensor(Tensor.split)
split_with_sizes = _of_tensor(Tensor.split_with_sizes)
squeeze = _of_tensor(Tensor.squeeze)
swapaxes = _of_tensor(Tensor.transpose)
swapdims = _of_tensor(Tensor.transpose)
t = _of_tensor(Tensor.t)
tensor_split = _of_tensor(Tensor.tensor_split)
tile = _of_tensor(Tensor.tile)
transpose = _of_tensor(Tensor.transpose)
tril = _of_tensor(Tensor.tril)
triu = _of_tensor(Tensor.triu)
unbind = _of_tensor(Tensor.unbind)
unflatten = _of_tensor(Tensor.unflatten)
unsqueeze = _of_tensor(Tensor.unsqueeze)
vsplit = _of_tensor(Tensor.vsplit)

# ------------------------------------------------------------ joining

cat = _of_several(Tensor.cat)
column_stack = _of_several(Tensor.column_stack)
concat = _of_several(Tensor.cat)
concatenate = _of_several(Tensor.cat)
dstack = _of_several(Tensor.dstack)
hstack = _of_several(Tensor.hstack)
row_stack = _of_several(Tensor.vstack)
stack = _of_several(Tensor.stack)
vstack = _of_several(Tensor.vstack)

# ------------------------------------------------------------ reducing

all = _of_tensor(Tensor.all)
amax = _of_tensor(Tensor.amax)
amin = _of_tensor(Tensor.amin)
aminmax = _of_tensor(Tensor.aminmax)
any = _of_tensor(Tensor.any)
argmax = _of_tensor(Tensor.argmax)
argmin = _of_tensor(Tensor.argmin)
count_nonzero = _of_tensor(Tensor.count_nonzero)
cummax = _of_tensor(Tensor.cummax)
cummin = _of_tensor(Tensor.cummin)
cumprod = _of_tensor(Tensor.cumprod)
cumsum = _of_tensor(Tensor.cumsum)
dist = _of_tensor(Tensor.dist)
logcumsumexp = _of_tensor(Tensor.logcumsumexp)
logsumexp = _of_tensor(Tensor.logsumexp)
max = _of_tensor(Tensor.max)
mean = _of_tensor(Tensor.mean)
median = _of_tensor(Tensor.median)
min = _of_tensor(Tensor.min)
mode = _of_tensor(Tensor.mode)
nanmean = _of_tensor(Tensor.nanmean)
nanmedian = _of_tensor(Tensor.nanmedian)
nansum = _of_tensor(Tensor.nansum)
norm = _of_tensor(Tensor.norm)
prod = _of_tensor(Tensor.prod)
quantile = _of_tensor(Tensor.quantile)
std = _of_tensor(Tensor.std)
std_mean = _of_tensor(Tensor.std_mean)
sum = _of_tensor(Tensor.sum)
var = _of_tensor(Tensor.var)
var_mean = _of_tensor(Tensor.var_mean)

# ------------------------------------------------------------ picking, sorting, counting

argsort = _of_tensor(Tensor.argsort)
argwhere = _of_tensor(Tensor.argwhere)
bincount = _of_tensor(Tensor.bincount)
bucketize = _of_tensor(Tensor.bucketize)
corrcoef = _of_tensor(Tensor.corrcoef)
cov = _of_tensor(Tensor.cov)
diagonal_scatter = _of_tensor(Tensor.diagonal_scatter)
gather = _of_tensor(Tensor.gather)
gcd = _of_tensor(Tensor.gcd)
histc = _of_tensor(Tensor.histc)
index_add = _of_tensor(Tensor.index_add)
index_copy = _of_tensor(Tensor.index_copy)
index_fill = _of_tensor(Tensor.index_fill)
index_put = _of_tensor(Tensor.index_put)
index_select = _of_tensor(Tensor.index_select)
kthvalue = _of_tensor(Tensor.kthvalue)
lcm = _of_tensor(Tensor.lcm)
masked_scatter = _of_tensor(Tensor.masked_scatter)
masked_select = _of_tensor(Tensor.masked_select)
msort = _of_tensor(Tensor.msort)
nanquantile = _of_tensor(Tensor.nanquantile)
nonzero = _of_tensor(Tensor.nonzero)
put = _of_tensor(Tensor.put)
renorm = _of_tensor(Tensor.renorm)
scatter = _of_tensor(Tensor.scatter)
scatter_add = _of_tensor(Tensor.scatter_add)
scatter_reduce = _of_tensor(Tensor.scatter_reduce)
searchsorted = _of_tensor(Tensor.searchsorted)
select_scatter = _of_tensor(Tensor.select_scatter)
slice_scatter = _of_tensor(Tensor.slice_scatter)
sort = _of_tensor(Tensor.sort)
take = _of_tensor(Tensor.take)
take_along_dim = _of_tensor(Tensor.take_along_dim)
topk = _of_tensor(Tensor.topk)
unique = _of_tensor(Tensor.unique)
unique_consecutive = _of_tensor(Tensor.unique_consecutive)

# ------------------------------------------------------------ products

addbmm = _of_tensor(Tensor.addbmm)
addmm = _of_tensor(Tensor.addmm)
addmv = _of_tensor(Tensor.addmv)
addr = _of_tensor(Tensor.addr)
baddbmm = _of_tensor(Tensor.baddbmm)
bmm = _of_tensor(Tensor.bmm)
cross = _of_tensor(Tensor.cross)
dot = _of_tensor(Tensor.dot)
einsum = Tensor.einsum
ger = _of_tensor(Tensor.ger)
inner = _of_tensor(Tensor.inner)
kron = _of_tensor(Tensor.kron)
matmul = _of_tensor(Tensor.matmul)
mm = _of_tensor(Tensor.mm)
mv = _of_tensor(Tensor.mv)
outer = _of_tensor(Tensor.outer)
tensordot = _of_tensor(Tensor.tensordot)
trace = _of_tensor(Tensor.trace)
vdot = _of_tensor(Tensor.vdot)

# ------------------------------------------------------------ networks

celu = _of_tensor(Tensor.celu)
conv1d = _of_tensor(Tensor.conv1d)
conv2d = _of_tensor(Tensor.conv2d)
conv3d = _of_tensor(Tensor.conv3d)
conv_transpose1d = _of_tensor(Tensor.conv_transpose1d)
conv_transpose2d = _of_tensor(Tensor.conv_transpose2d)
conv_transpose3d = _of_tensor(Tensor.conv_transpose3d)
cosine_similarity = _of_tensor(Tensor.cosine_similarity)
dropout = _of_tensor(Tensor.dropout)
layer_norm = _of_tensor(Tensor.layer_norm)
log_softmax = _of_tensor(Tensor.log_softmax)
pixel_shuffle = _of_tensor(Tensor.pixel_shuffle)
pixel_unshuffle = _of_tensor(Tensor.pixel_unshuffle)
prelu = _of_tensor(Tensor.prelu)
relu = _of_tensor(Tensor.relu)
rms_norm = _of_tensor(Tensor.rms_norm)
selu = _of_tensor(Tensor.selu)
softmax = _of_tensor(Tensor.softmax)

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "addbmm", "addcdiv", "addcmul", "addmm", "addmv",
    "addr", "adjoint", "all", "allclose", "amax", "amin", "aminmax", "any", "arange", "arccos",
    "arccosh", "arcsin", "arcsinh", "arctan", "arctan2", "arctanh", "argmax", "argmin",
    "argsort", "argwhere", "asin", "asinh", "atan", "atan2", "atanh", "baddbmm", "bernoulli",
    "bincount", "bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "bmm", "broadcast_to", "bucketize", "cat", "ceil",
    "celu", "chunk", "clamp", "clamp_max", "clamp_min", "clip", "clone", "column_stack",
    "concat", "concatenate", "conv1d", "conv2d", "conv3d", "conv_transpose1d",
    "conv_transpose2d", "conv_transpose3d", "copysign", "corrcoef", "cos", "cosh",
    "cosine_similarity", "count_nonzero", "cov", "cross", "cummax", "cummin", "cumprod",
    "cumsum", "deg2rad", "detach", "diag", "diag_embed", "diagflat", "diagonal",
    "diagonal_scatter", "diff", "digamma", "dist", "div", "divide", "dot", "dropout", "dsplit",
    "dstack", "einsum", "empty", "empty_like", "eq", "equal", "erf", "erfc", "erfinv", "exp",
    "exp2", "expm1", "eye", "fix", "flatten", "flip", "fliplr", "flipud", "float_power",
    "floor", "floor_divide", "fmax", "fmin", "fmod", "frac", "from_dlpack", "from_numpy",
    "full", "full_like", "gather", "gcd", "ge", "ger", "get_rng_state", "greater",
    "greater_equal", "gt", "heaviside", "histc", "hsplit", "hstack", "hypot", "i0", "index_add",
    "index_copy", "index_fill", "index_put", "index_select", "inner", "isclose", "isfinite",
    "isin", "isinf", "isnan", "isneginf", "isposinf", "isreal", "kron", "kthvalue",
    "layer_norm", "lcm", "ldexp", "le", "lerp", "less", "less_equal", "lgamma", "linspace",
    "log", "log10", "log1p", "log2", "log_softmax", "logaddexp", "logaddexp2", "logcumsumexp",
    "logical_and", "logical_not", "logical_or", "logical_xor", "logit", "logsumexp", "lt",
    "manual_seed", "masked_fill", "masked_scatter", "masked_select", "matmul", "max", "maximum",
    "mean", "median", "meshgrid", "min", "minimum", "mm", "mode", "moveaxis", "movedim",
    "msort", "mul", "multinomial", "multiply", "mv", "mvlgamma", "nan_to_num", "nanmean",
    "nanmedian", "nanquantile", "nansum", "narrow", "ne", "neg", "negative", "nonzero", "norm",
    "not_equal", "ones", "ones_like", "outer", "permute", "pixel_shuffle", "pixel_unshuffle",
    "positive", "prelu", "prod", "put", "quantile", "rad2deg", "rand", "rand_like", "randn",
    "randn_like", "randperm", "ravel", "reciprocal", "relu", "remainder", "renorm",
    "repeat_interleave", "reshape", "rms_norm", "roll", "rot90", "round", "row_stack", "rsqrt",
    "rsub", "scatter", "scatter_add", "scatter_reduce", "searchsorted", "select",
    "select_scatter", "selu", "set_rng_state", "sgn", "sigmoid", "sign", "signbit", "sin",
    "sinc", "sinh", "slice_scatter", "softmax", "sort", "split", "split_with_sizes", "sqrt",
    "square", "squeeze", "stack", "std", "std_mean", "sub", "subtract", "sum", "swapaxes",
    "swapdims", "t", "take", "take_along_dim", "tan", "tanh", "tensor_split", "tensordot",
    "tile", "topk", "trace", "transpose", "tril", "triu", "true_divide", "trunc", "unbind",
    "unflatten", "unique", "unique_consecutive", "unsqueeze", "var", "var_mean", "vdot",
    "vsplit", "vstack", "xlogy", "zeros", "zeros_like",
]  # fmt: skip
