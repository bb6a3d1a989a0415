# Stubs of toolz: `juxt` and `merge` precisely, every other name is Any.

from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, Generic, ParamSpec, TypeVar, overload

_P = ParamSpec("_P")
_T = TypeVar("_T")
_T1 = TypeVar("_T1")
_T2 = TypeVar("_T2")
_T3 = TypeVar("_T3")
_K = TypeVar("_K")
_V = TypeVar("_V")
_M = TypeVar("_M", bound=MutableMapping[Any, Any])
_Results_co = TypeVar("_Results_co", bound=tuple[Any, ...], covariant=True)

# Separate callables may name their parameter differently, or be generic (min, max), so that one
# ParamSpec for all of them rejects correct calls. Those in an iterable share one type.
class juxt(Generic[_P, _Results_co]):
    funcs: tuple[Callable[..., Any], ...]
    @overload
    def __init__(self: juxt[..., tuple[_T1]], func: Callable[..., _T1], /) -> None: ...
    @overload
    def __init__(
        self: juxt[..., tuple[_T1, _T2]],
        func1: Callable[..., _T1],
        func2: Callable[..., _T2],
        /,
    ) -> None: ...
    @overload
    def __init__(
        self: juxt[..., tuple[_T1, _T2, _T3]],
        func1: Callable[..., _T1],
        func2: Callable[..., _T2],
        func3: Callable[..., _T3],
        /,
    ) -> None: ...
    @overload
    def __init__(self: juxt[..., tuple[_T, ...]], *funcs: Callable[..., _T]) -> None: ...
    @overload
    def __init__(self: juxt[_P, tuple[_T, ...]], funcs: Iterable[Callable[_P, _T]], /) -> None: ...
    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _Results_co: ...

# One argument that is no mapping is an iterable of them.
@overload
def merge(*dicts: Mapping[_K, _V]) -> dict[_K, _V]: ...
@overload
def merge(dicts: Iterable[Mapping[_K, _V]], /) -> dict[_K, _V]: ...
@overload
def merge(*dicts: Mapping[Any, Any], factory: Callable[[], _M]) -> _M: ...
@overload
def merge(dicts: Iterable[Mapping[Any, Any]], /, *, factory: Callable[[], _M]) -> _M: ...
def __getattr__(name: str) -> Any: ...
