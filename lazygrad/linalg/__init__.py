"""Linear algebra, with PyTorch's names: `lazygrad.linalg.solve(A, B)`.

Matrices are in the last two axes, those before are batches. Products, powers and most norms are
ordinary tensor operations. What factors a matrix is computed on the host by LAPACK when it is asked
for, and has a gradient all the same (`host.py` says why); inside a captured function (`jit`) it is
refused, as everything that reads values. float16 and bfloat16 are computed in float32.

    host       from LAPACK to a node with a gradient
    solving    inv, solve, det, slogdet, pinv, lstsq, ...
    factoring  cholesky, qr, eigh, svd, ...
    lu         lu, lu_factor, lu_solve
    norms      norm, vector_norm, matrix_norm, cond, matrix_rank
    products   cross, multi_dot, matrix_power, matrix_exp, ...
"""

from typing import TYPE_CHECKING

from ..absent import LINALG, absent_from
from .factoring import cholesky, eigh, eigvalsh, qr, svd, svdvals
from .lu import lu, lu_factor, lu_factor_ex, lu_solve, lu_unpack
from .norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from .products import (
    cross,
    diagonal,
    matmul,
    matrix_exp,
    matrix_power,
    multi_dot,
    vander,
    vecdot,
)
from .solving import (
    det,
    inv,
    inverse,
    logdet,
    lstsq,
    pinv,
    slogdet,
    solve,
    solve_triangular,
    tensorinv,
    tensorsolve,
)

__all__ = [
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "inverse",
    "logdet",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "lu_unpack",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

if not TYPE_CHECKING:
    __getattr__ = absent_from(__name__, LINALG)
