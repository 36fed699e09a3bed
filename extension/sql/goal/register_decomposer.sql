create function quantumflow.register_decomposer(
  name      text,
  kind      text,
  command   text default null,
  version   text default '1',
  may_use   text[] default null,
  max_depth int default null,
  timeout   interval default null,
  cache_for interval default null,
  fallback  text default null)
returns quantumflow.decomposers
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $register_decomposer$
declare
  v_row quantumflow.decomposers;
begin
  v_row := row(
    register_decomposer.name, register_decomposer.kind, register_decomposer.command, register_decomposer.version,
    (select array_agg(distinct u.command order by u.command) from unnest(register_decomposer.may_use) u (command)),
    register_decomposer.max_depth, register_decomposer.timeout, register_decomposer.cache_for, register_decomposer.fallback,
    quantumflow._now()
  )::quantumflow.decomposers;

  perform quantumflow._refuse_wrong_decomposer(v_row);

  insert into quantumflow.decomposers as d
  select
    v_row.name, v_row.kind, v_row.command, v_row.version, v_row.may_use, v_row.max_depth, quantumflow._as_seconds(v_row.timeout),
    quantumflow._as_seconds(v_row.cache_for), v_row.fallback, v_row.created_at
  on conflict on constraint decomposers_pkey do update
  set
    kind = excluded.kind,
    command = excluded.command,
    version = excluded.version,
    may_use = excluded.may_use,
    max_depth = excluded.max_depth,
    timeout = excluded.timeout,
    cache_for = excluded.cache_for,
    fallback = excluded.fallback
  where (d.kind, d.command, d.version, d.may_use, d.max_depth, d.timeout, d.cache_for, d.fallback)
    is distinct from (excluded.kind, excluded.command, excluded.version, excluded.may_use, excluded.max_depth, excluded.timeout,
      excluded.cache_for, excluded.fallback);

  if found then
    perform quantumflow._record_act(
      'register_decomposer', v_row.created_at, p_detail => to_jsonb(v_row) - 'created_at');
  end if;

  return quantumflow._decomposer(v_row.name);
end
$register_decomposer$;

comment on function quantumflow.register_decomposer(text, text, text, text, text[], int, interval, interval, text) is
'Says what makes tasks of goals, and returns its row; one of that name is changed. The same again changes nothing, so an application may call it
whenever it begins.

name: a letter, then letters, digits and underscores, at most 100. kind: "rules", which add_method adds, or "command", a handler of a worker.
command: the handler''s, of one that is a command. version: of its prompt or code, 1 to 100 characters: what another version has made is not used again.
may_use: the commands that its tasks may have; null, of rules: any. max_depth: how deep goals may be nested in tasks, 1 to 100 and no more
than orchestrator.max_depth; null: as that says. timeout: how long it may take, 1 ms to 1 day; null: as orchestrator.timeout_ms says.
cache_for: how long, 1 s to 10 years, a graph that it made, and that did well, serves the same goal and context again; null: not at all.
fallback: another decomposer, which is asked for goals that no rule fits.

Errors: QF608 the fallback is unknown, or falls back in the end on this one; QF612 an argument that is none of these.';

create function quantumflow._refuse_wrong_decomposer(p_row quantumflow.decomposers)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_wrong_decomposer$
declare
  v_wrong record;
begin
  select *
  into v_wrong
  from (
    values
      ('name', to_jsonb(p_row.name), 'a letter, then letters, digits and underscores, at most 100',
        p_row.name ~ '^[A-Za-z][A-Za-z0-9_]{0,99}$'),
      ('kind', to_jsonb(p_row.kind), '"rules" or "command"', p_row.kind in ('rules', 'command')),
      ('command', to_jsonb(p_row.command), 'the command of a handler, 1 to 256 characters, and only of kind "command"',
        (p_row.kind = 'command') = (p_row.command is not null) and coalesce(length(p_row.command), 1) between 1 and 256),
      ('version', to_jsonb(p_row.version), 'a text of 1 to 100 characters', length(p_row.version) between 1 and 100),
      ('may_use', to_jsonb(p_row.may_use), 'commands, at least one of kind "command", each of 1 to 256 characters',
        (p_row.kind = 'rules' or cardinality(p_row.may_use) > 0)
          and not exists (select from unnest(p_row.may_use) u (command) where length(u.command) between 1 and 256 is not true)),
      ('max_depth', to_jsonb(p_row.max_depth), 'a whole number from 1 to 100', coalesce(p_row.max_depth, 1) between 1 and 100),
      ('timeout', to_jsonb(p_row.timeout::text), 'an interval of 1 ms to 1 day',
        coalesce(extract(epoch from p_row.timeout), 1) between 0.001 and 86400),
      ('cache_for', to_jsonb(p_row.cache_for::text), 'an interval of 1 s to 10 years',
        coalesce(extract(epoch from p_row.cache_for), 1) between 1 and 315576000)
  ) a (argument, value, wanted, is_good)
  where a.is_good is not true
  limit 1;

  if found then
    raise exception '% of a decomposer cannot be %', v_wrong.argument, quantumflow._shown(v_wrong.value)
    using
      errcode = 'QF612',
      detail = format('It is to be %s.', v_wrong.wanted),
      hint = 'For example: select quantumflow.register_decomposer(''orders'', ''rules'').';
  end if;

  if p_row.fallback = any (quantumflow._fallbacks(p_row.fallback) || case when p_row.fallback = p_row.name then p_row.name end)
    or p_row.name = any (quantumflow._fallbacks(p_row.fallback))
  then
    raise exception 'decomposer "%" would fall back on itself', p_row.name
    using
      errcode = 'QF608',
      detail = format('Its fallback is "%s".', p_row.fallback),
      hint = 'Let the last one have no fallback.';
  end if;

  perform quantumflow._decomposer(p_row.fallback)
  where p_row.fallback is not null;
end
$_refuse_wrong_decomposer$;

comment on function quantumflow._refuse_wrong_decomposer(quantumflow.decomposers) is
'Refuses what no decomposer can be.

Errors: QF608, QF612.';

create function quantumflow._fallbacks(p_name text)
returns text[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_fallbacks$
begin
  return (
    with recursive next (name) as (
      select d.fallback
      from quantumflow.decomposers d
      where d.name = p_name
      union
      select d.fallback
      from next n
      join quantumflow.decomposers d
        on d.name = n.name
    )
    select coalesce(array_agg(n.name), '{}')
    from next n
    where n.name is not null
  );
end
$_fallbacks$;

comment on function quantumflow._fallbacks(text) is 'The decomposers on which one falls back, and these in turn.';

create function quantumflow._decomposer(p_name text)
returns quantumflow.decomposers
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_decomposer$
declare
  v_row quantumflow.decomposers;
begin
  select *
  into v_row
  from quantumflow.decomposers d
  where d.name = p_name;

  if not found then
    raise exception 'decomposer "%" is not registered', coalesce(left(p_name, 80), 'null')
    using
      errcode = 'QF608',
      detail = 'Upper and lower case matter.',
      hint = 'select * from quantumflow.decomposers shows them; quantumflow.register_decomposer() makes one.';
  end if;

  return v_row;
end
$_decomposer$;

comment on function quantumflow._decomposer(text) is
'The row of a decomposer.

Errors: QF608 there is none.';
