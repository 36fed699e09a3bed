"""The functions of schema quantumflow as the catalog has them, so that a test forgets none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

_FUNCTIONS = """
select
  p.proname::text,
  p.provolatile <> 'v',
  array(
    select row(a.name, format_type(a.type, null), a.n > p.pronargs - p.pronargdefaults)
    from unnest(p.proargnames[:p.pronargs], p.proargtypes::oid[]) with ordinality a (name, type, n)
    order by a.n)
from pg_proc p
where p.pronamespace = 'quantumflow'::regnamespace
  and p.prorettype <> 'trigger'::regtype
order by p.proname, p.oid
"""


@dataclass(frozen=True, slots=True)
class Argument:
    name: str
    type: str
    has_default: bool


@dataclass(frozen=True, slots=True)
class Function:
    name: str
    is_reading: bool
    arguments: tuple[Argument, ...]

    @property
    def is_public(self) -> bool:
        return not self.name.startswith("_")

    def call(self, values: dict[str, str]) -> str:
        """A call: each argument an SQL expression as given, else its default, else null.

        A definition names its workflow itself, so whoever takes one is not given another slug.
        """
        if any(argument.name == "definition" for argument in self.arguments):
            values = {name: value for name, value in values.items() if name != "workflow_slug"}
        given = [
            f"{argument.name} => ({values.get(argument.name, 'null')})::{argument.type}"
            for argument in self.arguments
            if argument.name in values or not argument.has_default
        ]
        return f"select * from quantumflow.{self.name}({', '.join(given)})"


def functions_of(connection: psycopg.Connection[Any]) -> list[Function]:
    """Every function of the schema that can be called, public and private."""
    return [
        Function(
            name,
            is_reading,
            tuple(Argument(n, t, d in (True, "t")) for n, t, d in arguments),
        )
        for name, is_reading, arguments in connection.execute(_FUNCTIONS)
    ]
