"""metrics() as text, in the format that Prometheus reads."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ._sql.looking import Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_PARTS = re.compile(r"_(bucket|sum|count)$")
_IN_LABEL = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
_IN_HELP = str.maketrans({"\\": r"\\", "\n": r"\n"})


def text_of(metrics: Iterable[Metric]) -> str:
    """The metrics, those of a name together, each name with its kind and what it means."""
    families: dict[str, list[Metric]] = {}
    for metric in metrics:
        families.setdefault(_family(metric), []).append(metric)
    lines = []
    for name, members in families.items():
        lines.append(f"# HELP {name} {members[0].help.translate(_IN_HELP)}")
        lines.append(f"# TYPE {name} {members[0].kind}")
        lines += (f"{m.name}{_labels(m.labels)} {_number(m.value)}" for m in members)
    return "".join(f"{line}\n" for line in lines)


def _family(metric: Metric) -> str:
    return _PARTS.sub("", metric.name) if metric.kind == "histogram" else metric.name


def _labels(labels: Mapping[str, object]) -> str:
    said = [f'{name}="{str(value).translate(_IN_LABEL)}"' for name, value in labels.items()]
    return f"{{{','.join(said)}}}" if said else ""


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
