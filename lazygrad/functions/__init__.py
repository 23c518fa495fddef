"""The functions at the top level: `lazygrad.exp(x)` is `x.exp()`, `lazygrad.zeros(2)` a new tensor.

Names, arguments and meaning are PyTorch's; those of the array API standard are there too, so that
`x.__array_namespace__()` is the package `lazygrad`.

    methods   the methods of Tensor that are functions too
    forms     what is no method, or takes its arguments in another order
    numeric   differences, integrals, distances, windows
    types     what is known of dtypes
    special   `lazygrad.special`, which is imported when it is used

    lazygrad.exp(lazygrad.zeros(2)).tolist() == [1.0, 1.0]
"""

from . import forms, methods, numeric, types
from .forms import *  # noqa: F403
from .methods import *  # noqa: F403
from .numeric import *  # noqa: F403
from .types import *  # noqa: F403

__all__: list[str] = []
__all__ += methods.__all__
__all__ += forms.__all__
__all__ += numeric.__all__
__all__ += types.__all__
