"""Conditions at random, and how long each takes for an input, counted and not measured.

A condition is made as a tree, so that what it costs can be told without reading it: the database
reads the text. The count is what PostgreSQL does at most, when nothing ends early: a step for each
value that an accessor meets, each pair of a comparison, each character that is looked at.
"""

from __future__ import annotations

import functools
import json
import math
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Tree = tuple[Any, ...]

_KEYS = ("x", "y")
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")
_METHODS = ("double", "floor", "size", "type", "keyvalue", "datetime")
_PATTERNS = {
    "^a+$": 1,
    "[a-z]{3}-\\d{2}": 1,
    "(a|b)*x(c|\\{2})?": 1,
    "a.{20}b": 1,
    # These take a time that grows faster than the text does.
    "(a*)\\1b": 2,
    "a(?=.*b)": 2,
    "(a{2}b){3}": 1,
    "x{1,200}y{100}": 1,
}


class Maker:
    """Makes conditions."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def condition(self) -> tuple[Tree, bool]:
        """A predicate, and whether it is lax."""
        return self._predicate(3, in_filter=False), self._random.random() < 0.2

    def _predicate(self, depth: int, *, in_filter: bool) -> Tree:
        kind = self._random.choice(
            [
                "compare",
                "compare",
                "compare",
                "and",
                "or",
                "not",
                "exists",
                "like",
                "starts",
                "unknown",
            ]
            if depth > 0
            else ["compare", "compare", "exists", "like"]
        )
        if kind in ("and", "or"):
            return (kind, *(self._predicate(depth - 1, in_filter=in_filter) for _ in range(2)))
        if kind in ("not", "unknown"):
            return (kind, self._predicate(depth - 1, in_filter=in_filter))
        if kind == "compare":
            sides = [self._value(depth, in_filter=in_filter) for _ in range(2)]
            return (kind, self._random.choice(_COMPARISONS), *sides)
        path = self._path(depth, in_filter=in_filter)
        if kind == "like":
            return (kind, path, self._random.choice(list(_PATTERNS)))
        return (kind, path)

    def _value(self, depth: int, *, in_filter: bool) -> Tree:
        kind = self._random.choice(["path"] * 5 + ["number", "text", "times", "plus", "minus"])
        if kind == "number":
            return (kind, self._random.choice([0, 1, 2.5, 100]))
        if kind == "text":
            return (kind, self._random.choice(["a", "", '$.x "q" [*]', "skipped"]))
        if kind == "path" or depth <= 0:
            return self._path(depth, in_filter=in_filter)
        if kind == "minus":
            return (kind, self._value(depth - 1, in_filter=in_filter))
        return (kind, *(self._value(depth - 1, in_filter=in_filter) for _ in range(2)))

    def _path(self, depth: int, *, in_filter: bool) -> Tree:
        root = self._random.choice(["$.run", "$.a", "$.b", "$status.a"])
        if in_filter and self._random.random() < 0.8:
            root = "@"
        accessors: list[Tree] = []
        for _ in range(self._random.randint(0, 3)):
            kind = self._random.choice(
                ["key"] * 5 + ["each"] * 3 + ["values", "index", "range", "filter", "method"]
            )
            match kind:
                case "key":
                    accessors.append((kind, self._random.choice(_KEYS)))
                case "index":
                    accessors.append((kind, self._random.choice(["0", "last", "0, 1", "last - 1"])))
                case "range":
                    accessors.append((kind, self._random.choice(["0 to last", "0 to 1"])))
                case "method":
                    accessors.append((kind, self._random.choice(_METHODS)))
                case "filter" if depth > 0:
                    accessors.append((kind, self._predicate(depth - 1, in_filter=True)))
                case "each" | "values":
                    accessors.append((kind,))
        return ("path", root, tuple(accessors))


def text_of(tree: Tree) -> str:
    """A condition, or a part of one, as a jsonpath."""
    match tree:
        case ("and", left, right):
            return f"({text_of(left)}) && ({text_of(right)})"
        case ("or", left, right):
            return f"({text_of(left)}) || ({text_of(right)})"
        case ("not", inner):
            return f"!({text_of(inner)})"
        case ("unknown", inner):
            return f"({text_of(inner)}) is unknown"
        case ("compare", sign, left, right):
            return f"{text_of(left)} {sign} {text_of(right)}"
        case ("exists", path):
            return f"exists({text_of(path)})"
        case ("like", path, pattern):
            return f"{text_of(path)} like_regex {json.dumps(pattern)}"
        case ("starts", path):
            return f'{text_of(path)} starts with "a"'
        case ("number", number):
            return str(number)
        case ("text", text):
            return json.dumps(text)
        case ("minus", inner):
            return f"(-{text_of(inner)})"
        case ("times", left, right):
            return f"({text_of(left)} * {text_of(right)})"
        case ("plus", left, right):
            return f"({text_of(left)} + {text_of(right)})"
        case ("path", root, accessors):
            return f"{root}{''.join(map(_accessor, accessors))}"
    raise AssertionError(tree)


def _accessor(accessor: Tree) -> str:
    match accessor:
        case ("key", key):
            return f".{key}"
        case ("each",):
            return "[*]"
        case ("values",):
            return ".*"
        case ("index" | "range", which):
            return f"[{which}]"
        case ("method", name):
            return f".{name}()"
        case ("filter", predicate):
            return f" ? ({text_of(predicate)})"
    raise AssertionError(accessor)


Split = Callable[[int], tuple[int, int]]

SPLITS: list[Split] = [
    lambda size: (size, 1),
    lambda size: (math.isqrt(size), math.isqrt(size)),
    lambda size: (1, size),
]
"""Into how many parts, of which size, a value of a size falls where an accessor takes it apart."""


@dataclass
class Count:
    """How much a condition does at most with an input of a size.

    Each value of the input is whatever is asked of it: an array, an object that has every key, a
    text or a number as long as it is large. Only its size counts.
    """

    size: int
    is_lax: bool
    split: Split
    steps: int = 0

    def of(self, tree: Tree, current: int = 1, *, in_filter: bool = False) -> int:
        """Count a predicate; `current` is the size of what is filtered."""
        match tree:
            case ("and" | "or", left, right):
                self.of(left, current, in_filter=in_filter)
                self.of(right, current, in_filter=in_filter)
            case ("not" | "unknown", inner):
                self.of(inner, current, in_filter=in_filter)
            case ("compare", _, left, right):
                lefts = self._operand(left, current, in_filter)
                rights = self._operand(right, current, in_filter)
                longest = max(rights)
                self.steps += len(lefts) * len(rights) + sum(min(v, longest) for v in lefts)
            case ("like", path, pattern):
                self.steps += sum(
                    v ** _PATTERNS[pattern] for v in self._operand(path, current, in_filter)
                )
            case ("exists" | "starts", path):
                self._operand(path, current, in_filter)
        return self.steps

    def _operand(self, tree: Tree, current: int, in_filter: bool) -> list[int]:
        values = self._values(tree, current, in_filter)
        return self._parts(values) if self.is_lax and tree[0] == "path" else values

    def _values(self, tree: Tree, current: int, in_filter: bool) -> list[int]:
        match tree:
            case ("number" | "text", _):
                self.steps += 1
                return [1]
            case ("minus", inner):
                values = self._operand(inner, current, in_filter)
                self.steps += sum(values)
                return values
            case ("times" | "plus" as kind, left, right):
                lefts = self._operand(left, current, in_filter)
                rights = self._operand(right, current, in_filter)
                # Of one value each; and a number has a hundred thousand digits at most.
                one, other = max(lefts), max(rights)
                self.steps += one * other if kind == "times" and in_filter else one + other
                return [max(one, other)]
            case ("path", root, accessors):
                self.steps += 1
                sizes = {"@": current, "$status.a": 1}
                values = [sizes.get(root, self.size)]
                for accessor in accessors:
                    values = self._next(accessor, values)
                return values
        raise AssertionError(tree)

    def _next(self, accessor: Tree, values: list[int]) -> list[int]:
        kind, *what = accessor
        if kind in ("each", "values", "range") or what == ["keyvalue"]:
            return self._parts(values)
        if self.is_lax and kind in ("key", "filter", "method"):
            values = self._parts(values)
        self.steps += len(values)
        if kind == "filter":
            for value in values:
                self.of(what[0], value, in_filter=True)
        elif kind == "method" and what[0] not in ("size", "type"):
            self.steps += sum(values)
        return values

    def _parts(self, values: list[int]) -> list[int]:
        found = []
        for value in values:
            number, size = self.split(value)
            found += [size] * max(number, 1)
        self.steps += len(found)
        return found


def hostile() -> Iterator[Callable[[int], dict[str, Any]]]:
    """Inputs of about any size, each made so that something is many or long."""
    nodes: list[Callable[[int], Any]] = [
        lambda n: {"x": [1] * n, "y": [2] * n},
        lambda n: [{"x": i, "y": "a"} for i in range(n)],
        lambda n: {
            "x": [{"x": [1] * 8, "y": "a"} for _ in range(n // 8)],
            "y": [[1] * 8] * (n // 8),
        },
        lambda n: {"x": {f"k{i}": i for i in range(n)}, "y": [["a"] * (n // 4)] * 4},
        lambda n: {"x": "a" * n, "y": ["a"] * n},
        lambda n: {"x": 10 ** min(n, 100_000), "y": [10] * n},
        lambda n: ["a"] * n,
    ]
    for node in nodes:
        yield functools.partial(_around, node)


def _around(node: Callable[[int], Any], size: int) -> dict[str, Any]:
    return {key: node(size) for key in ("run", "a", "b")}
