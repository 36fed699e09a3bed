"""What the catalog knows about the schema quantumflow, as text that can be compared."""

from __future__ import annotations

from typing import Any

import psycopg

_DESCRIPTIONS = """
select format('function %s %s acl=%s %s', p.oid::regprocedure, md5(pg_get_functiondef(p.oid)),
  p.proacl, obj_description(p.oid, 'pg_proc'))
from pg_proc p
where p.pronamespace = 'quantumflow'::regnamespace and p.prokind in ('f', 'p')
union all
select format('relation %s %s %s %s acl=%s %s', c.oid::regclass, c.relkind, c.relpersistence,
  c.reloptions, c.relacl, obj_description(c.oid, 'pg_class'))
from pg_class c
where c.relnamespace = 'quantumflow'::regnamespace
union all
select format('view %s %s', c.oid::regclass, pg_get_viewdef(c.oid))
from pg_class c
where c.relnamespace = 'quantumflow'::regnamespace and c.relkind in ('v', 'm')
union all
select format('column %s %s.%s %s %s not_null=%s identity=%s generated=%s default=%s %s',
  c.relkind, c.oid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod),
  a.attnotnull, a.attidentity, a.attgenerated, pg_get_expr(d.adbin, d.adrelid),
  col_description(c.oid, a.attnum))
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
where c.relnamespace = 'quantumflow'::regnamespace and c.relkind in ('r', 'p', 'v', 'm', 'c')
union all
select format('constraint %s %s %s', k.conrelid::regclass, k.conname, pg_get_constraintdef(k.oid))
from pg_constraint k
where k.connamespace = 'quantumflow'::regnamespace
union all
select format('index %s', i.indexdef)
from pg_indexes i
where i.schemaname = 'quantumflow'
union all
select format('trigger %s %s', t.tgrelid::regclass, pg_get_triggerdef(t.oid))
from pg_trigger t
join pg_class c on c.oid = t.tgrelid
where c.relnamespace = 'quantumflow'::regnamespace and not t.tgisinternal
union all
select format('type %s %s %s', t.oid::regtype, t.typtype, obj_description(t.oid, 'pg_type'))
from pg_type t
where t.typnamespace = 'quantumflow'::regnamespace
"""


def describe_schema(connection: psycopg.Connection[Any]) -> list[str]:
    """One line for every object of the schema quantumflow, with all that defines it.

    Two databases in which it is equal behave equally: fresh and upgraded, extension and plain SQL.
    """
    return sorted(row[0] for row in connection.execute(_DESCRIPTIONS))
