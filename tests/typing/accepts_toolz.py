"""Correct code for toolz, about which no checker may complain; and it runs."""

from __future__ import annotations

import math
import operator
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import toolz
from toolz import juxt, merge
from typing_extensions import assert_type


def inc(x: int) -> int:
    return x + 1


def text(y: int) -> str:
    return str(y)


def half(x: int) -> float:
    return x / 2


class Times:
    def __init__(self, k: float) -> None:
        self.k = k

    def __call__(self, epoch: int) -> float:
        return self.k * epoch

    def method(self, epoch: int) -> float:
        return self.k * epoch


schedules: list[Callable[[int], float]] = [half, Times(2.0), Times(2.0).method, partial(pow, 2.0)]
assert_type(juxt(schedules)(3), tuple[float, ...])
assert_type(juxt(tuple(schedules))(3), tuple[float, ...])
assert_type(list(juxt(schedules)(3)), list[float])
assert_type(juxt([inc, inc])(1), tuple[int, ...])
assert_type(juxt(f for f in schedules)(1), tuple[float, ...])
assert_type(juxt(inc)(1), tuple[int])
assert_type(juxt(inc, half)(1), tuple[int, float])
assert_type(juxt(inc, half)(x=1), tuple[int, float])
assert_type(juxt(inc, half, inc)(1), tuple[int, float, int])
assert_type(juxt(math.cos, math.sin)(1), tuple[float, float])
assert_type(juxt(Times(1.0), Times(2.0))(1), tuple[float, float])
assert_type(juxt(inc, inc, inc, inc)(1), tuple[int, ...])
assert_type(juxt(inc, text)(1), tuple[int, str])
assert_type(juxt(inc, text, half)(1), tuple[int, str, float])
juxt(inc, text, half, inc)(1)
assert_type(juxt(str, len)("abc"), tuple[str, int])
juxt(min, max)([3, 1, 2])
juxt(operator.itemgetter(1), len)("ab")
juxt(*schedules)(3)
assert_type(juxt(schedules).funcs, tuple[Callable[..., Any], ...])
f: Callable[[int], tuple[float, ...]] = juxt(schedules)
g = toolz.juxt(schedules)
toolz.groupby(len, ["a", "bb"])

mapping: dict[int, float] = {0: 0.1}
read_only: Mapping[int, float] = mapping
assert_type(merge(mapping, read_only), dict[int, float])
assert_type(merge([mapping, mapping]), dict[int, float])
assert_type(merge(m for m in [mapping]), dict[int, float])
assert_type(merge(mapping, factory=OrderedDict[int, float]), OrderedDict[int, float])
