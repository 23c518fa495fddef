"""Weights of a norm of their own, and of spectral norm 1."""

from __future__ import annotations

from ...errors import ArgumentError
from ...tensor import Tensor
from ..module import Module
from .parametrize import register_parametrization


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Let a weight be g * v / |v|: its norm and its direction are trained apart (Salimans and
    Kingma 2016). Norms are over all axes but `dim`; over all axes where that is None.

        layer = nn.utils.parametrizations.weight_norm(nn.Linear(2, 3))
        layer.parametrizations.weight.original0.shape == (3, 1)
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)


class _WeightNorm(Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def _norm(self, v: Tensor) -> Tensor:
        if self.dim is None or self.dim == -1:
            return v.square().sum().sqrt()
        axes = tuple(axis for axis in range(v.ndim) if axis != self.dim % v.ndim)
        return v.square().sum(axes, keepdim=True).sqrt()

    def forward(self, weight_g: Tensor, weight_v: Tensor) -> Tensor:
        return weight_v * (weight_g / self._norm(weight_v))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """What gives this weight."""
        return self._norm(weight), weight


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
) -> Module:
    """Let a weight be divided by its largest singular value (Miyato et al. 2018), which power
    iteration finds: in training, some more steps at each call.

        layer = nn.utils.parametrizations.spectral_norm(nn.Linear(2, 3))
        layer(Tensor.ones(1, 2)).shape == (1, 3)
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ArgumentError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if "ConvTranspose" in type(module).__name__ else 0
    made = _SpectralNorm(weight, n_power_iterations, dim, eps)
    return register_parametrization(module, name, made)


class _SpectralNorm(Module):
    def __init__(self, weight: Tensor, n_power_iterations: int, dim: int, eps: float) -> None:
        super().__init__()
        if n_power_iterations <= 0:
            raise ArgumentError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.dim, self.eps, self.n_power_iterations = dim, eps, n_power_iterations
        if weight.ndim > 1:
            matrix = self._matrix(weight.detach())
            u, v = Tensor.randn(matrix.shape[0]), Tensor.randn(matrix.shape[1])
            u, v = u.normalize(2, 0, eps), v.normalize(2, 0, eps)
            u, v = self._iterated(matrix, u, v, 15)
            self.register_buffer("_u", u.realize())
            self.register_buffer("_v", v.realize())

    def _matrix(self, weight: Tensor) -> Tensor:
        """The weight as a matrix, with the axis `dim` as its rows."""
        return (weight if self.dim == 0 else weight.movedim(self.dim, 0)).flatten(1)

    def _iterated(self, matrix: Tensor, u: Tensor, v: Tensor, steps: int) -> tuple[Tensor, Tensor]:
        """Approximations of the first singular vectors, after some more steps."""
        for _ in range(steps):
            u = (matrix @ v).normalize(2, 0, self.eps)
            v = (matrix.T @ u).normalize(2, 0, self.eps)
        return u, v

    def forward(self, weight: Tensor) -> Tensor:
        if weight.ndim == 1:
            return weight.normalize(2, 0, self.eps)
        matrix = self._matrix(weight)
        own_u, own_v = self.get_buffer("_u"), self.get_buffer("_v")
        u: Tensor = own_u.detach()
        v: Tensor = own_v.detach()
        if self.training:
            with Tensor.no_grad():
                u, v = self._iterated(matrix.detach(), u, v, self.n_power_iterations)
                own_u.assign(u)
                own_v.assign(v)
        sigma = (u * (matrix @ v)).sum()
        return weight / sigma

    def right_inverse(self, value: Tensor) -> Tensor:
        """A weight is taken as it is."""
        return value
