-- quantumflow 0.2.0 to 0.3.0, derived from the scripts of both and from extension/upgrades/0.2.0--0.3.0.sql.
-- Until the end of the transaction, so that names and operators below mean the same, whoever updates.
set local search_path = pg_catalog, pg_temp;

do $guard$
declare
  v_owner text := (select pg_get_userbyid(n.nspowner) from pg_namespace n where n.nspname = 'quantumflow');
begin
  -- A plain-SQL installation has nobody else to see that the script fits.
  if quantumflow.version() <> '0.2.0' then
    raise exception 'this script updates quantumflow 0.2.0 to 0.3.0, and here is %', quantumflow.version()
    using errcode = 'object_not_in_prerequisite_state';
  end if;

  -- What is new runs with the rights of whoever makes it: that is to be the owner, also when a superuser updates.
  if current_user <> v_owner then
    perform set_config('role', v_owner, true);
  end if;

  -- Whoever waits for a table makes everybody else wait behind it: rather than that, give up, change nothing, and be tried again.
  if current_setting('lock_timeout') = '0' then
    set local lock_timeout = '3 s';
  end if;

  -- What is dropped and made anew loses what was granted on it; finish.sql grants it again. A function goes by its name alone: it may
  -- have got another argument.
  perform set_config(
    'quantumflow.granted',
    (
      select coalesce(jsonb_agg(jsonb_build_array(
        o.kind, o.name, case a.grantee when 0 then 'public' else a.grantee::regrole::text end, a.privilege_type, a.is_grantable
      )), '[]')::text
      from (
        select 'function', p.oid::regproc::text, p.proacl, p.proowner
        from pg_proc p
        where p.pronamespace = 'quantumflow'::regnamespace
        union all
        select 'table', c.oid::regclass::text, c.relacl, c.relowner
        from pg_class c
        where c.relnamespace = 'quantumflow'::regnamespace
      ) o (kind, name, acl, owner)
      cross join aclexplode(o.acl) a
      where a.grantee <> o.owner
    ),
    true);
end
$guard$;

-- What is gone, or cannot be replaced.
drop function quantumflow.add_step( text, text, text[], text, text, text, int, int, interval, interval, interval, text, jsonb );
drop function quantumflow._read_messages(text, int, timestamptz);
drop function quantumflow._read_lapsed(text, timestamptz);
drop function quantumflow._start_runs(text, int, uuid[], jsonb[], int, timestamptz, text, jsonb);
drop function quantumflow._advance(quantumflow._step_ref[], quantumflow._step_ref[], timestamptz);
drop function quantumflow._step_became_ready(quantumflow._step_ref[], timestamptz);
drop function quantumflow._make_tasks(quantumflow._step_ref[], int, int, timestamptz);
drop function quantumflow._make_tasks_in_portions(quantumflow._step_ref[], int, timestamptz);
drop function quantumflow._count_finished_steps(quantumflow._step_ref[], timestamptz);
drop function quantumflow._gather_run_outputs(quantumflow._step_ref[]);
drop function quantumflow._queue_tasks(quantumflow._new_task[], boolean);
drop function quantumflow._require_queue(text);
drop function quantumflow._hand_out(quantumflow._held_task[], interval, timestamptz);
drop function quantumflow._fail_oversized(quantumflow._held_task, timestamptz);
drop function quantumflow._refuse_bad_claim(uuid, int, text[], interval);
drop function quantumflow._refuse_bad_lease(interval);
drop function quantumflow._claim_messages(text, quantumflow._message[], boolean, uuid, interval, text[], timestamptz);
drop function quantumflow._hold_messages(text, quantumflow._message[], text[]);
drop function quantumflow._put_aside(text, quantumflow._message[], quantumflow._held_task[], timestamptz);
drop function quantumflow._refuse_non_array(jsonb, text);
drop function quantumflow._parse_reports(jsonb);
drop function quantumflow._has_failed_with(uuid, text, int, bigint);
drop function quantumflow._report_outcomes(quantumflow._held_task[]);
drop function quantumflow._record_outputs(jsonb, quantumflow._held_task[], timestamptz);
drop function quantumflow._violation(jsonb);
drop function quantumflow._end_map(uuid, text, int, timestamptz);
drop type quantumflow._new_task;
drop type quantumflow._message;

-- Source: upgrades/0.2.0--0.3.0.sql
-- Every call of a worker reads the settings before anything else: whoever has them alone waits for nobody who waits for this.
alter table quantumflow.settings
  drop constraint settings_name_known,
  add constraint settings_name_known check (name in (
    'test_clock', 'identity',
    'max_steps', 'max_depth', 'max_definition_bytes', 'max_map_items', 'max_input_bytes', 'max_headers_bytes', 'max_output_bytes',
    'max_error_bytes', 'notify'));

alter table quantumflow.workflow_steps
  add column chunk_size int,
  add constraint workflow_steps_chunk_size_of_maps check (chunk_size is null or (chunk_size >= 1 and step_type = 'map'));

-- What is new or different, and what must see it.

create or replace function quantumflow._limits()
returns table (name text, usual bigint, low bigint, high bigint)
language sql
immutable
begin atomic
  values
    ('max_steps', 10000::bigint, 1::bigint, 1000000::bigint),
    ('max_depth', 1000, 1, 1000000),
    ('max_definition_bytes', 4194304, 1000, 268435455),
    ('max_map_items', 1000000, 1000, 2000000),
    ('max_input_bytes', 67108864, 1000, 268435455),
    ('max_headers_bytes', 8192, 1000, 32768),
    ('max_output_bytes', 67108864, 1000, 268435455),
    ('max_error_bytes', 131072, 1000, 268435455),
    ('notify', 1, 0, 1);
end;

create or replace function quantumflow._now()
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_now$
begin
  if coalesce(current_setting('quantumflow.now', true), '') = '' then
    return clock_timestamp();
  end if;

  if exists (select from quantumflow.settings s where s.name = 'test_clock' and s.value = 'on') then
    return current_setting('quantumflow.now')::timestamptz;
  end if;

  return clock_timestamp();
end
$_now$;

create or replace function quantumflow._as_uuid(p_text text)
returns uuid
language sql
immutable
return case
  when p_text like '________-____-____-____-____________'
    and p_text !~ '[^0-9a-fA-F-]'
    and p_text not like '%-%-%-%-%-%'
  then p_text::uuid
end;

comment on function quantumflow._as_uuid(text) is
'A uuid in its usual form; null when the text is none.';

create or replace function quantumflow._as_number(p_text text, p_digits int)
returns bigint
language sql
immutable
return case
  when length(p_text) between 1 and p_digits
    and p_text !~ '[^0-9]'
  then p_text::bigint
end;

comment on function quantumflow._as_number(text, int) is
'A whole number of at most p_digits digits, 18 or fewer; null when the text is none.';

create or replace function quantumflow._first_uuid_v7(p_at timestamptz)
returns uuid
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_first_uuid_v7$
begin
  return encode(int8send((greatest(extract(epoch from p_at) * 1000, 0)::bigint << 16) | 28672) || '\x8000000000000000', 'hex')::uuid;
end
$_first_uuid_v7$;

comment on function quantumflow._first_uuid_v7(timestamptz) is
'The least version 7 uuid of that millisecond: those made before sort before it.';

create or replace function quantumflow.version()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $version$
  select '0.3.0';
$version$;

comment on column quantumflow.workflow_steps.step_type is
'single: one task. map: one task per item or per chunk of items. callback: run when a run of this version ends.';

comment on column quantumflow.workflow_steps.chunk_size is
'How many items of a map one task has, all of them in one array; null: one item a task, as it is.';

create or replace function quantumflow._key_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_key_problems$
declare
  c_slug  constant text := '(?i)^(?!(run|item|index)$)[a-z][a-z0-9_]{0,127}$';
  c_queue constant text := '^[a-z][a-z0-9_]{0,46}$';
  v_flow  jsonb := case when jsonb_typeof(p_definition) = 'object' then p_definition else '{}' end;
  v_steps jsonb := case when jsonb_typeof(v_flow -> 'steps') = 'array' then v_flow -> 'steps' else '[]' end;
begin
  if v_flow is distinct from p_definition then
    return query
    select
      'QF101',
      '',
      'the definition must be an object, not ' || quantumflow._shown(p_definition),
      -1;
    return;
  end if;

  return query
  with rule (place, key, json_type, code, pattern, low, high, whole, wanted) as (
    values
      ('flow', 'version', 'string', 'QF101', '^1\.0$', null::numeric, null::numeric, false, '"1.0"'),
      ('flow', 'slug', 'string', 'QF103', c_slug, null, null, false,
        'a letter, then letters, digits and underscores, at most 128, and not run, item or index'),
      ('flow', 'title', 'string', 'QF101', '', null, null, false, 'text'),
      ('flow', 'on_complete', 'string', 'QF101', '', 1, 256, false, 'text of 1 to 256 characters'),
      ('flow', 'on_failure', 'string', 'QF101', '', 1, 256, false, 'text of 1 to 256 characters'),
      ('flow', 'steps', 'array', 'QF101', null, null, null, false, 'an array of steps'),
      ('step', 'name', 'string', 'QF103', c_slug, null, null, false,
        'a letter, then letters, digits and underscores, at most 128, and not run, item or index'),
      ('step', 'slug', 'string', 'QF103', c_slug, null, null, false,
        'a letter, then letters, digits and underscores, at most 128, and not run, item or index'),
      ('step', 'type', 'string', 'QF101', '^(single|task|map)$', null, null, false, '"single" (or "task") or "map"'),
      ('step', 'command', 'string', 'QF101', '', 1, 256, false, 'text of 1 to 256 characters'),
      ('step', 'args', null, null, null, null, null, false, 'anything'),
      ('step', 'dependencies', 'array', 'QF101', null, null, null, false, 'an array of step names'),
      ('step', 'depends_on', 'array', 'QF101', null, null, null, false, 'an array of step names'),
      ('step', 'map_over', 'string', 'QF101', '', null, null, false, 'the name of a dependency'),
      ('step', 'chunk_size', 'number', 'QF101', null, 1, 100000, true, 'a whole number from 1 to 100000'),
      ('step', 'start_delay', 'number', 'QF101', null, 0, 315360000, false, 'a number of seconds from 0 to 315360000'),
      ('both', 'max_attempts', 'number', 'QF101', null, 1, 1000000, true, 'a whole number from 1 to 1000000'),
      ('both', 'max_lost', 'number', 'QF101', null, 1, 1000000, true, 'a whole number from 1 to 1000000'),
      ('both', 'retry_delay', 'number', 'QF101', null, 0, 315360000, false, 'a number of seconds from 0 to 315360000'),
      ('both', 'timeout', 'number', 'QF101', null, 0.001, 315360000, false, 'a number of seconds from 0.001 to 315360000'),
      ('both', 'queue', 'string', 'QF110', c_queue, null, null, false,
        'a lower-case letter, then lower-case letters, digits and underscores, at most 47')
  ),
  step as materialized (
    select (s.number - 1)::int as index, s.value, jsonb_typeof(s.value) = 'object' as is_object
    from jsonb_array_elements(v_steps) with ordinality as s(value, number)
  ),
  entry as (
    select 'flow' as place, -1 as index, '' as prefix, e.key, e.value
    from jsonb_each(v_flow) as e
    union all
    select 'step', s.index, 'steps[' || s.index || '].', e.key, e.value
    from step s
    cross join jsonb_each(case when s.is_object then s.value else '{}' end) as e
  ),
  problem (code, path, message, index) as (
    -- Each key of the flow and of its steps, against its rule.
    select
      case
        when r.key is null then 'QF102'
        when jsonb_typeof(e.value) <> r.json_type then 'QF101'
        else r.code
      end,
      e.prefix || case when e.key ~ '^\w{1,80}$' then e.key else to_jsonb(left(e.key, 80))::text end,
      case
        when r.key is null then 'unknown key ' || quantumflow._shown(to_jsonb(e.key))
        else format('%s must be %s, not %s', r.key, r.wanted, quantumflow._shown(e.value))
      end,
      e.index
    from entry e
    left join rule r on r.key = e.key and r.place in (e.place, 'both')
    where r.key is null
      or jsonb_typeof(e.value) <> r.json_type
      or case jsonb_typeof(e.value)
        when 'string' then left(e.value #>> '{}', 300) collate "C" !~ r.pattern
          or length(e.value #>> '{}') not between r.low and r.high
        when 'number' then e.value::numeric not between r.low and r.high
          or (r.whole and e.value::numeric <> trunc(e.value::numeric))
      end

    union all
    select 'QF101', m.key, m.key || ' is missing', -1
    from unnest(array['slug', 'steps']) as m(key)
    where not v_flow ? m.key

    union all
    select 'QF109', 'steps', 'the definition has no steps', -1
    where v_flow -> 'steps' = '[]'

    union all
    select
      'QF101',
      'steps[' || s.index || ']',
      'a step must be an object, not ' || quantumflow._shown(s.value),
      s.index
    from step s
    where not s.is_object

    union all
    select 'QF101', 'steps[' || s.index || '].name', 'name is missing', s.index
    from step s
    where s.is_object
      and not s.value ?| array['name', 'slug']

    union all
    select
      'QF101',
      'steps[' || s.index || '].' || a.alias,
      format('%s and %s are the same key, and both are there', a.key, a.alias),
      s.index
    from step s
    join (values ('name', 'slug'), ('dependencies', 'depends_on')) as a(key, alias)
      on s.value ?& array[a.key, a.alias]
    where s.is_object

    union all
    select
      'QF101',
      format('steps[%s].%s[%s]', s.index, a.key, d.number - 1),
      'a dependency must be the name of a step, not ' || quantumflow._shown(d.value),
      s.index
    from step s
    cross join unnest(array['dependencies', 'depends_on']) as a(key)
    cross join jsonb_array_elements(
      case when jsonb_typeof(s.value -> a.key) = 'array' then s.value -> a.key else '[]' end
    ) with ordinality as d(value, number)
    where jsonb_typeof(d.value) <> 'string'
  )
  select p.code, p.path, p.message, p.index
  from problem p;
end
$_key_problems$;

create or replace function quantumflow._graph_problems(p_definition jsonb)
returns table (code text, path text, message text, step_index int)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_graph_problems$
declare
  v_max_depth bigint := quantumflow._limit('max_depth');
  v_steps     jsonb := case when jsonb_typeof(p_definition -> 'steps') = 'array' then p_definition -> 'steps' else '[]' end;
begin
  return query
  -- No joins: the planner expects a hundred steps, and would run through thousands of them in nested loops.
  with given as (
    select
      (s.number - 1)::int as index,
      coalesce(s.value -> 'name', s.value -> 'slug') as name,
      case when s.value ? 'dependencies' then 'dependencies' else 'depends_on' end as key,
      coalesce(s.value -> 'dependencies', s.value -> 'depends_on') as dependencies,
      coalesce(s.value ->> 'type', 'single') = 'map' as is_map,
      s.value -> 'map_over' as map_over,
      s.value ? 'chunk_size' as has_chunks
    from jsonb_array_elements(v_steps) with ordinality as s(value, number)
  ),
  step as materialized (
    select
      g.index,
      g.name #>> '{}' as name,
      quantumflow._shown(g.name) as shown,
      row_number() over (partition by lower((g.name #>> '{}') collate "C") order by g.index) as occurrence,
      g.key,
      case when jsonb_typeof(g.dependencies) = 'array' then g.dependencies else '[]' end as dependencies,
      g.is_map,
      g.has_chunks,
      case when jsonb_typeof(g.map_over) = 'string' then g.map_over end as map_over
    from given g
    where jsonb_typeof(g.name) = 'string'
  ),
  dependency as materialized (
    select
      s.index,
      s.name,
      s.shown,
      s.occurrence,
      format('steps[%s].%s[%s]', s.index, s.key, d.number - 1) as path,
      d.value #>> '{}' as depends_on,
      row_number() over (partition by s.index, d.value order by d.number) as repetition
    from step s
    cross join jsonb_array_elements(s.dependencies) with ordinality as d(value, number)
    where jsonb_typeof(d.value) = 'string'
  ),
  graph as materialized (
    select g.cycle, g.longest_chain
    from (
      select array_agg(d.name) as steps, array_agg(d.depends_on) as depends_on
      from dependency d
      where d.occurrence = 1
        and d.repetition = 1
        and d.depends_on <> d.name
    ) e
    cross join lateral quantumflow._examine_graph(e.steps, e.depends_on) g
  ),
  problem (code, path, message, index) as (
    select 'QF104', format('steps[%s].name', s.index), 'duplicate step ' || s.shown, s.index
    from step s
    where s.occurrence > 1

    union all
    select
      'QF105',
      d.path,
      format('step %s depends on unknown step %s', d.shown, quantumflow._shown(to_jsonb(d.depends_on))),
      d.index
    from dependency d
    where d.repetition = 1
      and d.depends_on not in (select s.name from step s)

    union all
    select 'QF106', d.path, format('step %s depends on itself', d.shown), d.index
    from dependency d
    where d.repetition = 1
      and d.depends_on = d.name

    union all
    select
      'QF107',
      'steps',
      'steps depend on each other in a cycle: ' || translate(array_to_string(g.cycle, ' -> '), e'\n\r', '  '),
      -1
    from graph g
    where g.cycle is not null

    union all
    select 'QF116', 'steps', format('the longest chain has %s steps, and %s are allowed', g.longest_chain, v_max_depth), -1
    from graph g
    where g.longest_chain > v_max_depth

    union all
    select 'QF108', format('steps[%s].chunk_size', s.index), format('single step %s has chunk_size', s.shown), s.index
    from step s
    where s.has_chunks
      and not s.is_map

    union all
    select
      'QF108',
      format('steps[%s].map_over', s.index),
      case
        when not s.is_map then format('single step %s has map_over', s.shown)
        when s.map_over is null then format('map step %s has several dependencies and no map_over', s.shown)
        else
          format(
            'map step %s maps over %s, which is not among its dependencies',
            s.shown,
            quantumflow._shown(s.map_over)
          )
      end,
      s.index
    from step s
    where case
      when not s.is_map then s.map_over is not null
      when s.map_over is null then
        (select count(distinct d.value) > 1 from jsonb_array_elements(s.dependencies) as d(value))
      else not s.dependencies @> s.map_over
    end
  )
  select p.code, p.path, p.message, p.index
  from problem p;
end
$_graph_problems$;

create or replace function quantumflow._canonical_keys(p_object jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_canonical_keys$
declare
  v_object jsonb;
begin
  select
    jsonb_object_agg(
      case e.key when 'depends_on' then 'dependencies' else e.key end,
      case
        when e.key in ('max_attempts', 'max_lost', 'retry_delay', 'timeout', 'start_delay', 'chunk_size')
          then to_jsonb(trim_scale(round(e.value::numeric, 6)))
        when e.key in ('dependencies', 'depends_on')
          then (
            select jsonb_agg(d.name order by d.first)
            from (
              select i.name, min(i.number) as first
              from jsonb_array_elements(e.value) with ordinality as i(name, number)
              group by i.name
            ) as d
          )
        else e.value
      end
    )
  into v_object
  from jsonb_each(p_object) as e
  where case e.key
    when 'dependencies' then e.value <> '[]'
    when 'depends_on' then e.value <> '[]'
    when 'start_delay' then round(e.value::numeric, 6) <> 0
    else true
  end;

  return coalesce(v_object, '{}');
end
$_canonical_keys$;

create or replace function quantumflow._store_steps(
  p_workflow_slug text,
  p_version       int,
  p_definition    jsonb
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_store_steps$
declare
  v_flow       jsonb := quantumflow._default_settings() || (p_definition - 'steps');
  v_dependents jsonb;
  v_mapped     jsonb;
begin
  delete from quantumflow.workflow_step_edges e
  where e.workflow_slug = p_workflow_slug
    and e.version = p_version;

  delete from quantumflow.workflow_steps s
  where s.workflow_slug = p_workflow_slug
    and s.version = p_version;

  insert into quantumflow.workflow_step_edges (workflow_slug, version, step_slug, depends_on_step)
  select p_workflow_slug, p_version, s.value ->> 'name', d.name
  from jsonb_array_elements(p_definition -> 'steps') as s(value)
  cross join jsonb_array_elements_text(s.value -> 'dependencies') as d(name);

  -- Looked up by key below, since a join of steps with steps would be planned for a hundred of them.
  select jsonb_object_agg(e.step_slug, e.dependents)
  into v_dependents
  from (
    select d.name as step_slug, jsonb_agg(s.value -> 'name' order by s.number) as dependents
    from jsonb_array_elements(p_definition -> 'steps') with ordinality as s(value, number)
    cross join jsonb_array_elements_text(s.value -> 'dependencies') as d(name)
    group by d.name
  ) as e;

  select jsonb_object_agg(s.value ->> 'map_over', true)
  into v_mapped
  from jsonb_array_elements(p_definition -> 'steps') as s(value)
  where s.value ? 'map_over';

  insert into quantumflow.workflow_steps (
    workflow_slug, version, step_slug, step_index, step_type, command, map_over, dependencies, dependents,
    feeds_map, max_attempts, max_lost, retry_delay, timeout, start_delay, queue, args, chunk_size
  )
  with step as materialized (
    select
      s.number - 1 as step_index,
      s.value ->> 'name' as step_slug,
      s.value ->> 'type' as step_type,
      s.value,
      v_flow || s.value as settings
    from jsonb_array_elements(p_definition -> 'steps') with ordinality as s(value, number)
    union all
    select
      jsonb_array_length(p_definition -> 'steps') + c.number - 1,
      '_' || c.key,
      'callback',
      jsonb_build_object('command', v_flow -> c.key),
      v_flow
    from unnest(array['on_complete', 'on_failure']) with ordinality as c(key, number)
    where v_flow ? c.key
  )
  select
    p_workflow_slug,
    p_version,
    s.step_slug,
    s.step_index,
    s.step_type,
    coalesce(s.value ->> 'command', s.step_slug),
    s.value ->> 'map_over',
    array(select jsonb_array_elements_text(s.value -> 'dependencies')),
    array(select jsonb_array_elements_text(v_dependents -> s.step_slug)),
    s.step_type = 'single' and coalesce(v_mapped ? s.step_slug, false),
    (s.settings ->> 'max_attempts')::int,
    (s.settings ->> 'max_lost')::int,
    make_interval(secs => (s.settings ->> 'retry_delay')::double precision),
    make_interval(secs => (s.settings ->> 'timeout')::double precision),
    make_interval(secs => coalesce(s.value ->> 'start_delay', '0')::double precision),
    s.settings ->> 'queue',
    s.value -> 'args',
    (s.value ->> 'chunk_size')::int
  from step s;
end
$_store_steps$;

create or replace function quantumflow.add_step(
  workflow_slug text,
  step_slug     text,
  depends_on    text[] default '{}',
  step_type     text default 'single',
  command       text default null,
  map_over      text default null,
  max_attempts  int default null,
  max_lost      int default null,
  retry_delay   interval default null,
  timeout       interval default null,
  start_delay   interval default '0',
  queue         text default null,
  args          jsonb default null,
  chunk_size    int default null
)
returns quantumflow.workflow_steps
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $add_step$
declare
  v_definition jsonb;
  v_place      int;
  v_step       jsonb;
  v_version    quantumflow.workflow_versions;
  v_row        quantumflow.workflow_steps;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object(
    'workflow_slug', add_step.workflow_slug,
    'step_slug', add_step.step_slug,
    'depends_on', add_step.depends_on,
    'step_type', add_step.step_type,
    'start_delay', add_step.start_delay
  ));
  perform quantumflow._lock_flow(add_step.workflow_slug, true);

  v_definition := quantumflow.get_flow(add_step.workflow_slug);

  v_step := jsonb_strip_nulls(jsonb_build_object(
    'name', add_step.step_slug,
    'type', add_step.step_type,
    'dependencies', add_step.depends_on,
    'command', add_step.command,
    'map_over', add_step.map_over,
    'max_attempts', add_step.max_attempts,
    'max_lost', add_step.max_lost,
    'retry_delay', extract(epoch from add_step.retry_delay),
    'timeout', extract(epoch from add_step.timeout),
    'start_delay', extract(epoch from add_step.start_delay),
    'queue', add_step.queue,
    'chunk_size', add_step.chunk_size
  ));
  if add_step.args is not null then
    v_step := v_step || jsonb_build_object('args', add_step.args);
  end if;

  select (s.number - 1)::int
  into v_place
  from jsonb_array_elements(v_definition -> 'steps') with ordinality as s(value, number)
  where s.value ->> 'name' = add_step.step_slug;

  v_version := quantumflow._store_definition(
    jsonb_set(
      v_definition,
      array['steps', coalesce(v_place, jsonb_array_length(v_definition -> 'steps'))::text],
      v_step
    ),
    p_may_be_empty => false
  );

  select s.*
  into strict v_row
  from quantumflow.workflow_steps s
  where s.workflow_slug = v_version.workflow_slug
    and s.version = v_version.version
    and s.step_slug = add_step.step_slug;

  return v_row;
end
$add_step$;

comment on function quantumflow.add_step(
  text, text, text[], text, text, text, int, int, interval, interval, interval, text, jsonb, int
) is
'Adds a step to a workflow''s current version, or replaces the step of that name.

step_type is single or map; the other arguments are the keys of a step in a definition, and null leaves a setting
to the flow (command: to the step''s name). The step''s dependencies must be there already. The same call again
changes nothing. On a version that a run has used it works on a copy, the next version, and runs that are on keep theirs.
Errors: QF101 an argument that is null or out of range; QF103 bad slug; QF104 a step whose name differs only in case;
QF105 unknown dependency; QF106 a step that depends on itself; QF107 a cycle; QF108 a map without one thing to map over;
QF110 bad queue name; QF111 unknown workflow; QF115 a definition that is too large or has too many steps;
QF116 too long a chain of steps; QF402 pgmq is missing or too old; QF403 a queue that holds messages of somebody else.';

create index workflow_runs_other_ids
  on quantumflow.workflow_runs (id)
  where substr(id::text, 15, 1) <> '7';

create type quantumflow.task_exchange as (
  outcome          text,
  run_id           uuid,
  workflow_slug    text,
  step_slug        text,
  task_index       int,
  command          text,
  args             jsonb,
  input            jsonb,
  attempt          int,
  max_attempts     int,
  lease_token      bigint,
  lease_expires_at timestamptz,
  deadline         timestamptz,
  queue            text,
  message_id       bigint,
  headers          jsonb
);

comment on type quantumflow.task_exchange is
'A row of complete_and_claim: with an outcome it is the answer to a result, as a task_outcome; without, a task, as a claimed_task.';

comment on column quantumflow.task_exchange.outcome is 'What became of a result; null where the row is a task that is handed out.';

comment on column quantumflow.task_exchange.run_id is 'The run.';

comment on column quantumflow.task_exchange.workflow_slug is 'The workflow.';

comment on column quantumflow.task_exchange.step_slug is 'The step; _on_complete or _on_failure for a callback.';

comment on column quantumflow.task_exchange.task_index is 'The position of the item from 0; 0 for a single step.';

comment on column quantumflow.task_exchange.command is 'The handler to call.';

comment on column quantumflow.task_exchange.args is 'The args of the step, unchanged.';

comment on column quantumflow.task_exchange.input is '{"run", <dependency>: output, ...}, or {"item", "index"}, or {"run", "output"} or {"run", "error"}.';

comment on column quantumflow.task_exchange.attempt is 'Which attempt this is, from 1.';

comment on column quantumflow.task_exchange.max_attempts is 'How many failures end the task.';

comment on column quantumflow.task_exchange.lease_token is 'To be shown with the report.';

comment on column quantumflow.task_exchange.lease_expires_at is 'Until when the claimer holds the task, unless it extends the lease.';

comment on column quantumflow.task_exchange.deadline is 'Until when the lease can be extended: the timeout of the step after the claim.';

comment on column quantumflow.task_exchange.queue is 'The queue it came from.';

comment on column quantumflow.task_exchange.message_id is 'The msg_id of its message.';

comment on column quantumflow.task_exchange.headers is 'The headers of the run.';

create type quantumflow._new_task as (
  run_id        uuid,
  step_slug     text,
  task_index    int,
  item_value    jsonb,
  workflow_slug text,
  version       int,
  step_type     text,
  command       text,
  timeout       interval,
  queue         text,
  ready_at      timestamptz,
  vt            timestamptz,
  headers       jsonb,
  worker_id     uuid,
  lease_token   bigint,
  started_at    timestamptz
);

comment on type quantumflow._new_task is
'A task to be made: from when it may be claimed (ready_at), and the vt its message is sent with, earlier by its priority.

One that is handed over as it is made has a worker_id, a lease_token and a started_at, and its vt is the end of its lease.';

comment on type quantumflow._held_task is
'A task whose row this transaction has locked, or is about to write, with what the row and its run said then, and what the call decided
about it.

tid is where the row was then, so that the update need not look for it again. A report that names no task has only its key.';

create type quantumflow._taken_task as (
  run_id        uuid,
  workflow_slug text,
  step_slug     text,
  task_index    int,
  queue         text,
  attempt       int,
  losses        int,
  lease_token   bigint,
  timeout       interval
);

comment on type quantumflow._taken_task is 'A task that this transaction has claimed, or handed over.';

create type quantumflow._offer as (
  worker_id uuid,
  free      int,
  queues    text[],
  lease     interval,
  commands  text[],
  quiet     text[],
  taken     quantumflow._taken_task[]
);

comment on type quantumflow._offer is
'What a worker could start at once, the tasks it has been given, and in which of its queues nothing was visible when these were
handed over.';

comment on type quantumflow._step_progress is
'A step of tasks that this call holds: how many of them it completes, and whether that ends the step.';

create or replace function quantumflow._refuse_foreign_queue(p_queue text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_foreign_queue$
declare
  v_msg_id bigint;
  v_run_id text;
begin
  execute format('select m.msg_id, m.message ->> ''workflow_run_id'' from pgmq.%I m order by m.msg_id limit 1', 'q_' || p_queue)
  into v_msg_id, v_run_id;

  if v_msg_id is not null
    and not exists (
      select
      from quantumflow.step_tasks t
      where t.run_id = quantumflow._as_uuid(v_run_id)
        and t.message_id = v_msg_id
    )
  then
    raise exception 'queue "%" holds messages of somebody else', p_queue
    using
      errcode = 'QF403',
      detail = format('Its message %s names no task of quantumflow.', v_msg_id),
      hint = 'Name another queue. If the messages are left over from an earlier installation: select pgmq.purge_queue(...).';
  end if;
end
$_refuse_foreign_queue$;

create or replace function quantumflow._queue_table(p_queue text)
returns regclass
language sql
stable
return case when p_queue is not null then to_regclass(format('pgmq.%I', 'q_' || p_queue)) end;

create type quantumflow._message as (
  msg_id     bigint,
  run_id     text,
  step_slug  text,
  task_index text,
  vt         timestamptz,
  part       oid,
  tid        tid
);

comment on type quantumflow._message is
'A message that was read and locked: its id, the task that it names, if it names one, since when it is visible, and where it is: part
is the table, of a partitioned queue the partition.';

create or replace function quantumflow._read_messages(p_queue text, p_quantity int, p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_messages$
declare
  v_front    timestamptz := quantumflow._front(p_queue, p_now);
  v_passed   bigint := quantumflow._entries_read(p_queue);
  v_messages quantumflow._message[];
begin
  execute format(
    $$
    select array_agg(
      row(
        m.msg_id, m.message ->> 'workflow_run_id', m.message ->> 'step_name', m.message ->> 'task_index', m.vt, m.part, m.tid
      )::quantumflow._message
      order by m.vt, m.msg_id)
    from (
      select q.msg_id, q.vt, q.message, q.tableoid as part, q.ctid as tid
      from pgmq.%I q
      where q.vt >= $3
        and q.vt <= $1
      order by q.vt
      limit $2
      for update skip locked
    ) m
    $$,
    'q_' || p_queue)
  using p_now, p_quantity, v_front
  into v_messages;

  v_passed := quantumflow._entries_read(p_queue) - v_passed;
  if v_passed > 2000 or v_front > '-infinity' then
    perform quantumflow._remember_front(p_queue, v_front, v_messages[1].vt, v_passed, p_now);
  end if;

  return v_messages;
end
$_read_messages$;

comment on function quantumflow._read_messages(text, int, timestamptz) is
'Locks the p_quantity messages that have been visible longest, skipping those that others hold, and changes nothing.

Null when there is none. The lock is what makes a claim exclusive until _hide hides the message. See _remember_front for what
may be overlooked, and for how long.';

create or replace function quantumflow._oldest_vt(p_queue text, p_now timestamptz)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_oldest_vt$
declare
  v_front  timestamptz;
  v_passed bigint;
  v_vt     timestamptz;
begin
  if quantumflow._queue_table(p_queue) is null then
    return null;
  end if;

  v_front := quantumflow._front(p_queue, p_now);
  v_passed := quantumflow._entries_read(p_queue);

  execute format('select q.vt from pgmq.%I q where q.vt >= $2 and q.vt <= $1 order by q.vt limit 1', 'q_' || p_queue)
  using p_now, v_front
  into v_vt;

  v_passed := quantumflow._entries_read(p_queue) - v_passed;
  if v_passed > 2000 or v_front > '-infinity' then
    perform quantumflow._remember_front(p_queue, v_front, v_vt, v_passed, p_now);
  end if;

  return v_vt;
end
$_oldest_vt$;

comment on function quantumflow._oldest_vt(text, timestamptz) is
'Since when the message has been visible that has been visible longest; null when none is.';

create or replace function quantumflow._entries_read(p_queue text)
returns bigint
language sql
volatile
return coalesce(pg_stat_get_xact_tuples_returned(to_regclass(format('pgmq.%I', 'q_' || p_queue || '_vt_idx'))), 0);

comment on function quantumflow._entries_read(text) is
'How many entries of the queue''s index on vt this transaction has read, dead ones too; 0 where PostgreSQL does not count.';

create or replace function quantumflow._front(p_queue text, p_now timestamptz)
returns timestamptz
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_front$
declare
  v_noted numeric[] := nullif(current_setting('quantumflow.front_' || p_queue, true), '')::numeric[];
begin
  if extract(epoch from p_now) between v_noted[1] and v_noted[2] then
    return to_timestamp(v_noted[1]);
  end if;

  return '-infinity'::timestamptz;
end
$_front$;

comment on function quantumflow._front(text, timestamptz) is
'From which vt on this session is to look for visible messages: -infinity, or what _remember_front has noted.';

create or replace function quantumflow._remember_front(
  p_queue  text,
  p_front  timestamptz,
  p_oldest timestamptz,
  p_passed bigint,
  p_now    timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remember_front$
declare
  v_name  text := 'quantumflow.front_' || p_queue;
  v_first timestamptz := coalesce(p_oldest, p_now);
  v_until numeric;
begin
  if p_front > '-infinity' then
    v_until := (current_setting(v_name)::numeric[])[2];
  else
    v_until := extract(epoch from p_now) + 0.000002 * p_passed;
  end if;

  -- A sender reads the clock some time before it commits; only where very many are sent at once there is no room for that.
  if p_front = '-infinity' or p_passed <= 2000 then
    v_first := greatest(p_front, v_first - interval '100 ms');
  end if;

  perform set_config(v_name, array[extract(epoch from v_first), v_until]::text, false);
end
$_remember_front$;

comment on function quantumflow._remember_front(text, timestamptz, timestamptz, bigint, timestamptz) is
'Notes, in a setting of this session, where the visible messages of a queue begin, since many dead index entries lie before them.

They pile up while some transaction keeps an old snapshot: no vacuum may remove them, and to pass one by takes about 0.2 us.
p_front: from where was read. p_oldest: the vt of the first message found. p_passed: how many entries were read. The next
reads begin 100 ms before that message, until 2 us for each entry passed are over; then one begins at the beginning. So that costs a
tenth of the time at most, and what has a vt before the front (by its priority, a release, a slow commit) is overlooked no longer.';

create or replace function quantumflow._hide(p_queue text, p_parts oid[], p_tids tid[], p_vts timestamptz[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hide$
begin
  if cardinality(p_tids) > 0 then
    execute format(
      $$
      update pgmq.%I q
      set
        vt = k.vt,
        read_ct = q.read_ct + 1
      from unnest($1, $2, $3) k (part, tid, vt)
      where q.tableoid = k.part
        and q.ctid = k.tid
      $$,
      'q_' || p_queue)
    using p_parts, p_tids, p_vts;
  end if;
end
$_hide$;

comment on function quantumflow._hide(text, oid[], tid[], timestamptz[]) is
'Hides messages that the caller has read until each one''s vt, and counts the reading, as pgmq.read does.

The caller has locked them, so they are still where they were read.';

comment on function quantumflow._set_vt(text, bigint[], timestamptz[], int) is
'Sets when each message becomes visible, in one statement; p_reads is added to read_ct.

The caller holds the messages. They are found one by one and updated by ctid: statistics of an empty queue, which is what
autovacuum mostly finds, would have a join by msg_id read the whole queue for every call.';

create or replace function quantumflow._extend_vt(p_queue text, p_msg_ids bigint[], p_vts timestamptz[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_extend_vt$
declare
  v_msg_ids bigint[];
  v_vts     timestamptz[];
begin
  if quantumflow._queue_table(p_queue) is null then
    return;
  end if;

  -- A message that somebody holds is being claimed or reported: then there is nothing to extend.
  execute format(
    $$
    select array_agg(k.msg_id), array_agg(k.vt)
    from unnest($1, $2) k (msg_id, vt)
    cross join lateral (
      select m.vt
      from pgmq.%I m
      where m.msg_id = k.msg_id
      offset 0
      for update skip locked
    ) m
    where m.vt < k.vt
    $$,
    'q_' || p_queue)
  using p_msg_ids, p_vts
  into v_msg_ids, v_vts;

  perform quantumflow._set_vt(p_queue, v_msg_ids, v_vts);
end
$_extend_vt$;

create or replace function quantumflow._read_lapsed(p_queue text, p_now timestamptz)
returns quantumflow._message[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_lapsed$
declare
  v_msg_ids  bigint[];
  v_messages quantumflow._message[];
begin
  -- Visible messages of started tasks, among those visible longest. The first condition spares most of the others a look at their
  -- task: what was never read, nor sent with a lease, has never been claimed.
  execute format(
    $$
    select array_agg(q.msg_id)
    from (
      select m.msg_id, m.read_ct, m.enqueued_at, m.vt, m.message
      from pgmq.%I m
      where m.vt >= $2
        and m.vt <= $1
      order by m.vt
      limit 10000
    ) q
    where (q.read_ct > 0 or q.vt >= q.enqueued_at + interval '1 ms')
      and exists (
        select
        from quantumflow.step_tasks t
        where t.run_id = quantumflow._as_uuid(q.message ->> 'workflow_run_id')
          and t.step_slug = q.message ->> 'step_name'
          and t.task_index = quantumflow._as_number(q.message ->> 'task_index', 9)::int
          and t.status = 'started'
        offset 0
      )
    $$,
    'q_' || p_queue)
  using p_now, quantumflow._front(p_queue, p_now)
  into v_msg_ids;

  if v_msg_ids is null then
    return null;
  end if;

  execute format(
    $$
    select array_agg(
      row(
        m.msg_id, m.message ->> 'workflow_run_id', m.message ->> 'step_name', m.message ->> 'task_index', m.vt, m.part, m.tid
      )::quantumflow._message
      order by m.vt, m.msg_id)
    from (
      select q.msg_id, q.vt, q.message, q.tableoid as part, q.ctid as tid
      from pgmq.%I q
      where q.msg_id = any ($2)
      offset 0
      for update skip locked
    ) m
    where m.vt <= $1
    $$,
    'q_' || p_queue)
  using p_now, v_msg_ids
  into v_messages;

  return v_messages;
end
$_read_lapsed$;

comment on function quantumflow._read_lapsed(text, timestamptz) is
'Locks messages of started tasks that are visible, so that their lease has run out. Null when there is none.';

create or replace function quantumflow._recall_put_back(p_queue text, p_commands text[], p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_recall_put_back$
declare
  v_msg_ids bigint[];
begin
  -- A queued task whose time has come but whose message is hidden was put back for want of a handler.
  execute format(
    $$
    select array_agg(q.msg_id)
    from (
      select m.msg_id
      from pgmq.%I m
      cross join lateral (
        select l.run_id, l.step_slug
        from quantumflow.step_tasks l
        where l.run_id = quantumflow._as_uuid(m.message ->> 'workflow_run_id')
          and l.step_slug = m.message ->> 'step_name'
          and l.task_index = quantumflow._as_number(m.message ->> 'task_index', 9)::int
          and l.message_id = m.msg_id
          and l.status = 'queued'
          and l.queued_at <= $1
        limit 1
      ) t
      cross join lateral (
        select l.workflow_slug, l.version
        from quantumflow.workflow_runs l
        where l.id = t.run_id
        limit 1
      ) r
      cross join lateral (
        select l.command
        from quantumflow.workflow_steps l
        where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
        limit 1
      ) w
      where m.vt > $1
        and m.vt <= $1 + interval '60 s'
        and ($2 is null or w.command = any ($2))
      for update of m skip locked
    ) q
    $$,
    'q_' || p_queue)
  using p_now, p_commands
  into v_msg_ids;

  if v_msg_ids is null then
    return 0;
  end if;

  perform quantumflow._set_vt(p_queue, v_msg_ids, array_fill(p_now, array[cardinality(v_msg_ids)]));

  return cardinality(v_msg_ids);
end
$_recall_put_back$;

create or replace function quantumflow._wake_messages(p_run quantumflow.workflow_runs, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_wake_messages$
declare
  v_queue   text;
  v_msg_ids bigint[];
  v_vts     timestamptz[];
begin
  for v_queue in
    select distinct t.queue
    from quantumflow.step_tasks t
    where t.run_id = p_run.id
      and t.status in ('queued', 'started')
    order by t.queue
  loop
    execute format(
      $$
      select
        coalesce(array_agg(t.message_id order by t.message_id), '{}'),
        array_agg(
          case t.status
            when 'queued' then quantumflow._visible_at(t.queued_at, $2, $3)
            else $3
          end
          order by t.message_id)
      from quantumflow.step_tasks t
      cross join lateral (
        select m.vt
        from pgmq.%I m
        where m.msg_id = t.message_id
        limit 1
      ) q
      where t.run_id = $1
        and t.queue = $4
        and q.vt = 'infinity'
        and (t.status = 'started' or (t.status = 'queued' and $5 <> 'paused'))
      $$,
      'q_' || v_queue)
    using p_run.id, p_run.priority, p_now, v_queue, p_run.status
    into v_msg_ids, v_vts;

    perform quantumflow._redelay(v_queue, v_msg_ids, v_vts);
  end loop;
end
$_wake_messages$;

create or replace function quantumflow._notify(p_queue text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_notify$
begin
  -- Idle workers look at least once a second. So where something has waited for longer, nobody is idle; and a commit that notifies
  -- keeps all others that do waiting while it is written to disk.
  if quantumflow._limit('notify') = 1
    and coalesce(quantumflow._oldest_vt(p_queue, p_now) > p_now - interval '1 s', true)
  then
    perform pg_notify('quantumflow', p_queue);
  end if;
end
$_notify$;

comment on function quantumflow._notify(text, timestamptz) is
'Wakes workers that listen on channel quantumflow, with the queue''s name, once the transaction commits: unless the setting notify is
0, or the queue has a backlog. To be called before messages are sent, or shown.

A worker that listens must look by itself, too: nobody is told of delays that end, nor, for a second, of what is sent behind them.';

create or replace function quantumflow.start_flow(
  workflow_slug   text,
  input           jsonb default '{}',
  run_id          uuid default null,
  priority        int default 0,
  start_at        timestamptz default null,
  idempotency_key text default null,
  headers         jsonb default null,
  version         int default null)
returns uuid
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $start_flow$
declare
  v_run_id uuid := coalesce(start_flow.run_id, quantumflow._uuid_v7());
  v_found  uuid := quantumflow._run_of_key(start_flow.workflow_slug, start_flow.idempotency_key);
begin
  -- Before anything is refused: the same request again is no new run, and need not be able to become one.
  if v_found is not null then
    return v_found;
  end if;
  if length(start_flow.idempotency_key) not between 1 and 255 then
    raise exception 'idempotency key is not valid'
    using
      errcode = 'QF206',
      detail = format('It has %s characters.', length(start_flow.idempotency_key)),
      hint = 'Use 1 to 255 characters, a hash of something longer for example.';
  end if;

  v_found := (quantumflow._start_runs(
    start_flow.workflow_slug, start_flow.version, array[v_run_id], array[coalesce(start_flow.input, '{}')],
    start_flow.priority, start_flow.start_at, start_flow.idempotency_key, start_flow.headers,
    start_flow.run_id is null and start_flow.idempotency_key is null))[1];

  -- Somebody else may have started it in between.
  v_found := coalesce(v_found, quantumflow._run_of_key(start_flow.workflow_slug, start_flow.idempotency_key));

  if v_found is null then
    raise exception 'run % exists already', v_run_id
    using
      errcode = 'QF202',
      detail = 'A run_id may be used once.',
      hint = 'Leave run_id out, or pass an idempotency_key to get the same run for the same request.';
  end if;

  return v_found;
end
$start_flow$;

create or replace function quantumflow.start_flows(workflow_slug text, inputs jsonb[], priority int default 0)
returns setof uuid
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $start_flows$
declare
  v_run_ids uuid[];
  v_inputs  jsonb[];
begin
  select array_agg(quantumflow._uuid_v7() order by i.n), array_agg(coalesce(i.input, '{}') order by i.n)
  into v_run_ids, v_inputs
  from unnest(start_flows.inputs) with ordinality i (input, n);

  v_run_ids := quantumflow._start_runs(
    start_flows.workflow_slug, null, coalesce(v_run_ids, '{}'), coalesce(v_inputs, '{}'),
    start_flows.priority, null, null, null, true);

  return query
  select u.run_id
  from unnest(v_run_ids) u (run_id);
end
$start_flows$;

create or replace function quantumflow._start_runs(
  p_workflow_slug   text,
  p_version         int,
  p_run_ids         uuid[],
  p_inputs          jsonb[],
  p_priority        int,
  p_start_at        timestamptz,
  p_idempotency_key text,
  p_headers         jsonb,
  p_are_new         boolean)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_runs$
declare
  v_now        timestamptz := quantumflow._now();
  v_version    int;
  v_steps      int;
  v_maps_input boolean;
  v_ready      quantumflow._step_ref[];
begin
  perform quantumflow._refuse_bad_start(p_priority, p_start_at, p_headers);
  perform quantumflow._record_identity();
  perform quantumflow._lock_flow(p_workflow_slug, false);
  v_version := quantumflow._pick_version(p_workflow_slug, p_version);

  select count(*)::int, coalesce(bool_or(w.step_type = 'map' and w.map_over is null), false)
  into v_steps, v_maps_input
  from quantumflow.workflow_steps w
  where (w.workflow_slug, w.version) = (p_workflow_slug, v_version)
    and w.step_type <> 'callback';

  if v_steps = 0 then
    raise exception 'workflow "%" has no steps', p_workflow_slug
    using
      errcode = 'QF203',
      detail = format('Its version %s is empty.', v_version),
      hint = 'Add steps with quantumflow.add_step() or quantumflow.define_flow().';
  end if;

  if cardinality(p_run_ids) = 0 then
    return array[]::uuid[];
  end if;

  -- Under an older snapshot a definition that was deleted meanwhile still shows; to lock it raises 40001.
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    perform
    from quantumflow.workflow_versions v
    where (v.workflow_slug, v.version) = (p_workflow_slug, v_version)
    for key share;
  end if;

  if v_maps_input then
    perform quantumflow._refuse_non_arrays(p_workflow_slug, p_inputs);
  end if;
  perform quantumflow._refuse_large_inputs(p_inputs, p_headers, v_maps_input);

  -- The first run freezes the version; a definition that wants to change it waits for this transaction.
  update quantumflow.workflow_versions v
  set frozen_at = v_now
  where (v.workflow_slug, v.version) = (p_workflow_slug, v_version)
    and v.frozen_at is null;

  if p_are_new then
    -- Not ready for a conflict, which would cost a record of the log for each run.
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, created_at, started_at)
    select
      u.run_id, p_workflow_slug, v_version, 'started', u.input, v_steps, p_priority, p_headers, v_now, greatest(v_now, p_start_at)
    from unnest(p_run_ids, p_inputs) u (run_id, input);
  else
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, idempotency_key, created_at, started_at)
    values
      (p_run_ids[1], p_workflow_slug, v_version, 'started', p_inputs[1], v_steps, p_priority, p_headers, p_idempotency_key,
       v_now, greatest(v_now, p_start_at))
    on conflict do nothing;

    if not found then
      return array[]::uuid[];
    end if;
  end if;

  -- A single step that waits for nothing is written as started at once.
  insert into quantumflow.step_states
    (run_id, step_slug, status, remaining_deps, remaining_tasks, initial_tasks, created_at, started_at)
  select
    u.run_id,
    w.step_slug,
    case when w.step_type = 'single' and w.dependencies = '{}' then 'started' else 'created' end,
    cardinality(w.dependencies),
    case w.step_type when 'single' then 1 end,
    case w.step_type when 'single' then 1 end,
    v_now,
    case when w.step_type = 'single' and w.dependencies = '{}' then v_now end
  from unnest(p_run_ids) u (run_id)
  cross join quantumflow.workflow_steps w
  where (w.workflow_slug, w.version) = (p_workflow_slug, v_version)
    and w.step_type <> 'callback';

  select array_agg(
    row(u.run_id, w.step_slug, w.workflow_slug, w.version, w.step_type, w.dependents)::quantumflow._step_ref)
  into v_ready
  from unnest(p_run_ids) u (run_id)
  cross join quantumflow.workflow_steps w
  where (w.workflow_slug, w.version) = (p_workflow_slug, v_version)
    and w.step_type <> 'callback'
    and w.dependencies = '{}';

  perform quantumflow._advance('{}', v_ready, v_now);

  return p_run_ids;
end
$_start_runs$;

comment on function quantumflow._start_runs(text, int, uuid[], jsonb[], int, timestamptz, text, jsonb, boolean) is
'Starts one run per id and input, and returns the ids. Unless they are new, there is one, and it may exist already, or its
idempotency key: then it returns none.

Errors: QF111, QF112, QF203, QF204, QF205, QF208, QF210, QF217, QF401 as start_flow.';

create or replace function quantumflow._refuse_large_inputs(p_inputs jsonb[], p_headers jsonb, p_are_mapped boolean)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_large_inputs$
declare
  v_max_bytes bigint;
  v_max_items bigint;
  v_fact      text;
begin
  -- No limit can be lower than 1000.
  if p_headers is null and pg_column_size(p_inputs) <= 1000 then
    return;
  end if;

  v_max_bytes := quantumflow._limit('max_input_bytes');
  v_max_items := case when p_are_mapped then quantumflow._limit('max_map_items') end;

  if p_headers is not null and quantumflow._bytes(p_headers) > quantumflow._limit('max_headers_bytes') then
    v_fact := format(
      'headers have %s bytes, and %s are allowed', quantumflow._bytes(p_headers), quantumflow._limit('max_headers_bytes'));

  -- One by one only where there are enough bytes for one to exceed a limit; an item has four at least.
  elsif pg_column_size(p_inputs) > least(v_max_bytes, 4 * v_max_items) then
    select
      case
        when quantumflow._bytes(i.input) > v_max_bytes
        then format('input %s has %s bytes, and %s are allowed', i.n, quantumflow._bytes(i.input), v_max_bytes)
        else format('input %s has %s items, and a map may have %s', i.n, jsonb_array_length(i.input), v_max_items)
      end
    into v_fact
    from unnest(p_inputs) with ordinality i (input, n)
    where quantumflow._bytes(i.input) > v_max_bytes
      or (p_are_mapped and jsonb_array_length(i.input) > v_max_items)
    order by i.n
    limit 1;
  end if;

  if v_fact is not null then
    raise exception '%', v_fact
    using
      errcode = 'QF217',
      detail = 'Nothing was started.',
      hint = 'Pass a reference to what is large; quantumflow.configure() sets max_input_bytes, max_headers_bytes and max_map_items.';
  end if;
end
$_refuse_large_inputs$;

create type quantumflow._readied as (
  taskless quantumflow._step_ref[],
  offer    quantumflow._offer
);

comment on type quantumflow._readied is
'Of the steps that became ready the maps of nothing, which are done, and the offer of a worker with the tasks that it was given.';

create or replace function quantumflow._advance(
  p_done  quantumflow._step_ref[],
  p_ready quantumflow._step_ref[],
  p_now   timestamptz,
  p_offer quantumflow._offer default null)
returns quantumflow._offer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_advance$
declare
  v_done     quantumflow._step_ref[] := p_done;
  v_ready    quantumflow._step_ref[] := p_ready;
  v_finished quantumflow._step_ref[] := p_done;
  v_offer    quantumflow._offer := p_offer;
  v_started  quantumflow._readied;
  v_counted  uuid[];
  v_runs     int;
begin
  -- One turn a level of the graph, and only maps of nothing lead to another.
  loop
    if v_done <> '{}' then
      v_ready := v_ready || quantumflow._release_dependents(v_done, p_now);
    end if;

    exit when v_ready = '{}';

    v_started := quantumflow._step_became_ready(v_ready, p_now, v_offer);
    v_offer := v_started.offer;
    v_done := v_started.taskless;
    v_ready := '{}';
    v_finished := v_finished || v_done;
  end loop;

  if v_finished = '{}' then
    return v_offer;
  end if;

  -- The runs' counters, last; of runs without any step left they are written with their ends.
  with finished as (
    select f.run_id, count(*)::int as steps
    from unnest(v_finished) f
    group by f.run_id
  ),
  counted as (
    update quantumflow.workflow_runs r
    set remaining_steps = r.remaining_steps - k.steps
    from finished k
    cross join lateral (
      select l.ctid as tid
      from quantumflow.workflow_runs l
      where l.id = k.run_id
        and l.remaining_steps > k.steps
      limit 1
    ) c
    where r.ctid = c.tid
    returning r.id
  )
  select coalesce(array_agg(c.id), '{}'), (select count(*)::int from finished)
  into v_counted, v_runs
  from counted c;

  if cardinality(v_counted) < v_runs then
    perform quantumflow._finish_runs(quantumflow._gather_run_outputs(v_finished, v_counted), p_now);
  end if;

  return v_offer;
end
$_advance$;

comment on function quantumflow._advance(quantumflow._step_ref[], quantumflow._step_ref[], timestamptz, quantumflow._offer) is
'Moves runs on: releases what waited for the steps that are done, starts what is ready, ends runs that have no step left. Returns
the offer of the worker that caused it, with the tasks that it was given.

The caller has locked the runs FOR NO KEY UPDATE or stronger and has marked the rows of p_done.';

create or replace function quantumflow._release_dependents(p_done quantumflow._step_ref[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_release_dependents$
declare
  v_ready quantumflow._step_ref[];
begin
  -- Counted per dependent first: a step that waits for two of p_done is one row to update.
  with released as (
    update quantumflow.step_states s
    set
      remaining_deps = s.remaining_deps - k.done_deps,
      status = case when c.becomes_ready and w.step_type = 'single' then 'started' else s.status end,
      started_at = case when c.becomes_ready and w.step_type = 'single' then p_now else s.started_at end
    from (
        select u.run_id, u.workflow_slug, u.version, u.step_slug, count(*)::int as done_deps
        from (
          select d.run_id, d.workflow_slug, d.version, unnest(d.dependents) as step_slug
          from unnest(p_done) d
        ) u
        group by u.run_id, u.workflow_slug, u.version, u.step_slug
      ) k
      cross join lateral (
        select l.ctid as tid, l.remaining_deps = k.done_deps and r.status = 'started' as becomes_ready
        from quantumflow.step_states l
        join quantumflow.workflow_runs r
          on r.id = l.run_id
        where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
        limit 1
      ) c
      cross join lateral (
        select l.step_type, l.dependents
        from quantumflow.workflow_steps l
        where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
        limit 1
      ) w
    where s.ctid = c.tid
    returning k.run_id, k.step_slug, k.workflow_slug, k.version, w.step_type, w.dependents, c.becomes_ready
  )
  select array_agg(
    row(d.run_id, d.step_slug, d.workflow_slug, d.version, d.step_type, d.dependents)::quantumflow._step_ref)
  into v_ready
  from released d
  where d.becomes_ready;

  return coalesce(v_ready, '{}');
end
$_release_dependents$;

create or replace function quantumflow._step_became_ready(
  p_steps quantumflow._step_ref[],
  p_now   timestamptz,
  p_offer quantumflow._offer)
returns quantumflow._readied
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_step_became_ready$
declare
  c_portion  constant int := 20000;
  v_taskless quantumflow._step_ref[] := array[]::quantumflow._step_ref[];
  v_tasks    bigint;
  v_offer    quantumflow._offer;
begin
  -- A map learns its size here; one over an empty array is done at once.
  if exists (select from unnest(p_steps) k where k.step_type = 'map') then
    with sized as (
      update quantumflow.step_states s
      set
        status = case m.tasks when 0 then 'completed' else 'started' end,
        initial_tasks = m.tasks,
        remaining_tasks = m.tasks - m.kept,
        started_at = p_now,
        completed_at = case m.tasks when 0 then p_now end,
        output = case m.tasks when 0 then '[]'::jsonb end
      from (
        select
          k.*,
          ceil(
            jsonb_array_length(quantumflow._map_source(k.run_id, k.workflow_slug, k.version, k.step_slug))::numeric
            / quantumflow._chunk_size(k.workflow_slug, k.version, k.step_slug))::int as tasks,
          quantumflow._kept_tasks(k.run_id, k.step_slug) as kept
        from unnest(p_steps) k
        where k.step_type = 'map'
        offset 0
      ) m
      cross join lateral (
        select l.ctid as tid
        from quantumflow.step_states l
        where (l.run_id, l.step_slug) = (m.run_id, m.step_slug)
        limit 1
      ) d
      where s.ctid = d.tid
      returning m.run_id, m.step_slug, m.workflow_slug, m.version, m.step_type, m.dependents, m.tasks
    )
    select
      coalesce(
        array_agg(
          row(d.run_id, d.step_slug, d.workflow_slug, d.version, d.step_type, d.dependents)::quantumflow._step_ref
          order by d.run_id, d.step_slug) filter (where d.tasks = 0),
        '{}'),
      sum(d.tasks)
    into v_taskless, v_tasks
    from sized d;
  end if;

  if v_tasks > c_portion then
    v_offer := quantumflow._make_tasks_in_portions(p_steps, c_portion, p_now, p_offer);
  else
    v_offer := quantumflow._make_tasks(p_steps, null, null, p_now, p_offer);
  end if;

  return row(v_taskless, v_offer)::quantumflow._readied;
end
$_step_became_ready$;

comment on function quantumflow._step_became_ready(quantumflow._step_ref[], timestamptz, quantumflow._offer) is
'The only way a step gets its tasks: one for a single step, one per item, or per chunk of items, for a map. Returns the maps of
nothing, which are done, and the offer with what was handed over.

A retried map has kept the tasks that were completed, and gets the others. A single step''s row was marked started by the statement
that saw it ready.';

create or replace function quantumflow._make_tasks(
  p_steps quantumflow._step_ref[],
  p_first int,
  p_last  int,
  p_now   timestamptz,
  p_offer quantumflow._offer)
returns quantumflow._offer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_tasks$
declare
  v_tasks  quantumflow._new_task[];
  v_oldest timestamptz[];
  v_offer  quantumflow._offer := p_offer;
begin
  select array_agg(
    row(
      k.run_id, k.step_slug, i.task_index, i.item_value, k.workflow_slug, k.version, k.step_type, w.command, w.timeout,
      w.queue, d.ready_at,
      case
        when d.ready_at > p_now then d.ready_at
        -- Not all of a large map at one moment, or a claim could not tell how far it had come: see _remember_front.
        else p_now - make_interval(secs => r.priority) + interval '1 us' * (i.task_index / 1000)
      end,
      r.headers, null, null, null
    )::quantumflow._new_task)
  into v_tasks
  from unnest(p_steps) k
  cross join lateral (
    select l.started_at, l.priority, l.headers, l.retries
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r
  cross join lateral (
    select l.command, l.timeout, l.queue, l.start_delay, l.chunk_size
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w
  cross join lateral (select greatest(p_now, r.started_at) + w.start_delay as ready_at) d
  cross join lateral (
    select 0 as task_index, null::jsonb as item_value
    where k.step_type = 'single'
    union all
    select (e.n - 1)::int + coalesce(p_first, 0), e.item
    from jsonb_array_elements(quantumflow._map_items(k, p_first, p_last, 1)) with ordinality e (item, n)
    where k.step_type = 'map'
      and w.chunk_size is null
    union all
    select ((e.n - 1) / w.chunk_size)::int + coalesce(p_first, 0), jsonb_agg(e.item order by e.n)
    from jsonb_array_elements(quantumflow._map_items(k, p_first, p_last, w.chunk_size)) with ordinality e (item, n)
    where w.chunk_size is not null
    group by 1
  ) i
  where case
    when r.retries > 0 then not exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (k.run_id, k.step_slug, i.task_index)
      offset 0
    )
    else true
  end;

  if p_offer.free > cardinality(p_offer.taken) then
    v_oldest := quantumflow._oldest_vts(p_offer.queues, p_now);
    v_tasks := quantumflow._take_up(p_offer, v_tasks, v_oldest, p_now);
    v_offer := quantumflow._with_taken(p_offer, v_tasks, v_oldest);
  end if;

  perform quantumflow._queue_tasks(v_tasks);

  return v_offer;
end
$_make_tasks$;

comment on function quantumflow._make_tasks(quantumflow._step_ref[], int, int, timestamptz, quantumflow._offer) is
'Makes the tasks of steps; of maps only those from p_first to p_last, unless these are null. Returns the offer with those that were
handed over.';

create or replace function quantumflow._map_items(p_step quantumflow._step_ref, p_first int, p_last int, p_chunk_size int)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_map_items$
declare
  v_source jsonb := quantumflow._map_source(p_step.run_id, p_step.workflow_slug, p_step.version, p_step.step_slug);
begin
  if p_first is null then
    return v_source;
  end if;

  return jsonb_path_query_array(
    v_source, '$[$first to $last]',
    jsonb_build_object('first', p_first::bigint * p_chunk_size, 'last', (p_last + 1)::bigint * p_chunk_size - 1));
end
$_map_items$;

comment on function quantumflow._map_items(quantumflow._step_ref, int, int, int) is
'The items of a map that its tasks p_first to p_last have; all of them when p_first is null.';

create or replace function quantumflow._chunk_size(p_workflow_slug text, p_version int, p_step_slug text)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_chunk_size$
begin
  return (
    select coalesce(w.chunk_size, 1)
    from quantumflow.workflow_steps w
    where (w.workflow_slug, w.version, w.step_slug) = (p_workflow_slug, p_version, p_step_slug)
  );
end
$_chunk_size$;

comment on function quantumflow._chunk_size(text, int, text) is
'How many items of a map one task has.';

create or replace function quantumflow._make_tasks_in_portions(
  p_steps   quantumflow._step_ref[],
  p_portion int,
  p_now     timestamptz,
  p_offer   quantumflow._offer)
returns quantumflow._offer
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_make_tasks_in_portions$
declare
  v_step  quantumflow._step_ref;
  v_tasks int;
  v_offer quantumflow._offer := p_offer;
begin
  foreach v_step in array p_steps loop
    select s.initial_tasks
    into v_tasks
    from quantumflow.step_states s
    where (s.run_id, s.step_slug) = (v_step.run_id, v_step.step_slug);

    for v_first in 0 .. v_tasks - 1 by p_portion loop
      v_offer := quantumflow._make_tasks(array[v_step], v_first, v_first + p_portion - 1, p_now, v_offer);
    end loop;
  end loop;

  return v_offer;
end
$_make_tasks_in_portions$;

comment on function quantumflow._make_tasks_in_portions(quantumflow._step_ref[], int, timestamptz, quantumflow._offer) is
'Makes the tasks of steps with many items, p_portion at a time: all at once, with their messages, would need gigabytes, and more
than an array may hold.';

create or replace function quantumflow._gather_run_outputs(p_finished quantumflow._step_ref[], p_going_on uuid[])
returns quantumflow._ended_run[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_gather_run_outputs$
declare
  v_ended quantumflow._ended_run[];
begin
  select array_agg(
    row(f.run_id, null, f.workflow_slug, f.version)::quantumflow._ended_run
    order by f.run_id)
  into v_ended
  from (
    select distinct e.run_id, e.workflow_slug, e.version
    from unnest(p_finished) e
  ) f
  where f.run_id <> all (p_going_on);

  return quantumflow._gather_outputs(v_ended);
end
$_gather_run_outputs$;

comment on function quantumflow._gather_run_outputs(quantumflow._step_ref[], uuid[]) is
'The runs of finished steps, without those that go on, with their outputs; null where it cannot be one jsonb value.';

create or replace function quantumflow._fire_callbacks(p_run_ids uuid[], p_step_slug text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fire_callbacks$
declare
  v_tasks quantumflow._new_task[];
begin
  select array_agg(
    row(
      r.id, w.step_slug, r.retries, null, r.workflow_slug, r.version, w.step_type, w.command, w.timeout, w.queue, p_now,
      p_now - make_interval(secs => r.priority), r.headers, null, null, null
    )::quantumflow._new_task)
  into v_tasks
  from unnest(p_run_ids) u (run_id)
  cross join lateral (
    select l.*
    from quantumflow.workflow_runs l
    where l.id = u.run_id
    limit 1
  ) r
  cross join lateral (
    select l.step_slug, l.step_type, l.command, l.timeout, l.queue
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, p_step_slug)
    limit 1
  ) w;

  if v_tasks is not null then
    perform quantumflow._queue_tasks(v_tasks);
  end if;
end
$_fire_callbacks$;

create or replace function quantumflow.start_ready_steps(run_id uuid)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $start_ready_steps$
declare
  v_run quantumflow.workflow_runs;
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = start_ready_steps.run_id
  for no key update;

  if not found then
    perform quantumflow._raise_unknown_run(start_ready_steps.run_id);
  end if;

  if v_run.status <> 'started' then
    return 0;
  end if;

  return quantumflow._start_ready(v_run, quantumflow._now());
end
$start_ready_steps$;

create or replace function quantumflow._start_ready(p_run quantumflow.workflow_runs, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_ready$
declare
  v_ready quantumflow._step_ref[];
begin
  select array_agg(
    row(s.run_id, s.step_slug, w.workflow_slug, w.version, w.step_type, w.dependents)::quantumflow._step_ref
    order by s.step_slug)
  into v_ready
  from quantumflow.step_states s
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, s.step_slug)
  where s.run_id = p_run.id
    and s.status = 'created'
    and s.remaining_deps = 0;

  if v_ready is null then
    return 0;
  end if;

  update quantumflow.step_states s
  set
    status = 'started',
    started_at = p_now
  from unnest(v_ready) k
  cross join lateral (
    select l.ctid as tid
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
    limit 1
  ) d
  where k.step_type = 'single'
    and s.ctid = d.tid;

  perform quantumflow._advance('{}', v_ready, p_now);

  return cardinality(v_ready);
end
$_start_ready$;

create or replace function quantumflow.cancel_run(run_id uuid, reason text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $cancel_run$
declare
  v_now timestamptz := quantumflow._now();
  -- Only the run is waited for. Whoever holds its tasks may be waiting for the run too.
  v_run quantumflow.workflow_runs := quantumflow._hold_run(cancel_run.run_id);
begin
  if v_run.status = 'cancelled' then
    return v_run;
  end if;
  perform quantumflow._refuse_ended_run(v_run, 'cancelled');

  update quantumflow.workflow_runs r
  set
    status = 'cancelled',
    cancelled_at = v_now,
    error_message = quantumflow._cut(cancel_run.reason)
  where r.id = v_run.id
  returning *
  into v_run;

  perform quantumflow._stop_runs(array[v_run.id], v_now);

  return v_run;
end
$cancel_run$;

create or replace function quantumflow.pause_run(run_id uuid)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $pause_run$
declare
  v_now   timestamptz := quantumflow._now();
  v_run   quantumflow.workflow_runs := quantumflow._hold_run(pause_run.run_id);
  v_batch record;
begin
  if v_run.status = 'paused' then
    return v_run;
  end if;
  perform quantumflow._refuse_ended_run(v_run, 'paused');

  update quantumflow.workflow_runs r
  set
    status = 'paused',
    paused_at = v_now
  where r.id = v_run.id
  returning *
  into v_run;

  -- A message that a claim holds now is parked by the next claim that reads it.
  for v_batch in
    select t.queue, array_agg(t.message_id order by t.message_id) as msg_ids
    from quantumflow.step_tasks t
    where t.run_id = v_run.id
      and t.status = 'queued'
    group by t.queue
    order by t.queue
  loop
    perform quantumflow._extend_vt(
      v_batch.queue, v_batch.msg_ids, array_fill('infinity'::timestamptz, array[cardinality(v_batch.msg_ids)]));
  end loop;

  return v_run;
end
$pause_run$;

create or replace function quantumflow.resume_run(run_id uuid)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $resume_run$
declare
  v_now timestamptz := quantumflow._now();
  v_run quantumflow.workflow_runs;
begin
  perform quantumflow._require_read_committed('resume a run');

  v_run := quantumflow._hold_run(resume_run.run_id);
  if v_run.status = 'started' then
    return v_run;
  end if;
  perform quantumflow._refuse_ended_run(v_run, 'resumed');

  update quantumflow.workflow_runs r
  set status = 'started'
  where r.id = v_run.id
  returning *
  into v_run;

  perform quantumflow._start_ready(v_run, v_now);

  perform quantumflow._show_queued(v_run, v_now);

  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = v_run.id;

  return v_run;
end
$resume_run$;

create or replace function quantumflow._show_queued(p_run quantumflow.workflow_runs, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_show_queued$
declare
  v_batch record;
begin
  -- Every queued task, and not only what the pause parked: failures and claims have parked others since.
  for v_batch in
    select
      t.queue,
      array_agg(t.message_id order by t.message_id) as msg_ids,
      array_agg(quantumflow._visible_at(t.queued_at, p_run.priority, p_now) order by t.message_id) as vts
    from quantumflow.step_tasks t
    where t.run_id = p_run.id
      and t.status = 'queued'
    group by t.queue
    order by t.queue
  loop
    if p_now >= any (v_batch.vts) then
      perform quantumflow._notify(v_batch.queue, p_now);
    end if;

    perform quantumflow._redelay(v_batch.queue, v_batch.msg_ids, v_batch.vts);
  end loop;
end
$_show_queued$;

create or replace function quantumflow.retry_run(run_id uuid, from_step text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $retry_run$
declare
  v_now   timestamptz := quantumflow._now();
  v_run   quantumflow.workflow_runs;
  v_steps text[];
begin
  perform quantumflow._require_read_committed('retry a run');

  v_run := quantumflow._hold_resting_run(retry_run.run_id, 'retried');

  select array_agg(p.step_slug order by p.step_slug)
  into v_steps
  from quantumflow._plan_retry(v_run, retry_run.from_step) p;

  -- Change: what is left of the tasks, the steps as if they had never started, the run; then start what is ready.
  perform quantumflow._forget_tasks(v_run, retry_run.from_step);

  update quantumflow.step_states s
  set
    status = 'created',
    remaining_deps = cardinality(array(select unnest(w.dependencies) intersect select unnest(v_steps))),
    remaining_tasks = case w.step_type when 'single' then 1 end,
    initial_tasks = case w.step_type when 'single' then 1 end,
    output = null,
    error_message = null,
    started_at = null,
    completed_at = null,
    failed_at = null
  from quantumflow.workflow_steps w
  where s.run_id = v_run.id
    and s.step_slug = any (v_steps)
    and (w.workflow_slug, w.version, w.step_slug) = (v_run.workflow_slug, v_run.version, s.step_slug);

  delete from quantumflow._unfinished_ends e
  where e.run_id = v_run.id;

  update quantumflow.workflow_runs r
  set
    status = 'started',
    retries = r.retries + 1,
    remaining_steps = cardinality(v_steps),
    output = null,
    error_message = null,
    completed_at = null,
    failed_at = null,
    cancelled_at = null
  where r.id = v_run.id
  returning *
  into v_run;

  perform quantumflow._start_ready(v_run, v_now);

  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = v_run.id;

  return v_run;
end
$retry_run$;

create or replace function quantumflow._forget_tasks(p_run quantumflow.workflow_runs, p_from_step text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_forget_tasks$
declare
  v_batch record;
begin
  -- Deleted, so that the steps get their tasks in the one way there is. A pending callback is no step: it is cancelled.
  for v_batch in
    with forgotten as (
      delete from quantumflow.step_tasks t
      using quantumflow._plan_retry(p_run, p_from_step) p
      cross join lateral (
        select l.ctid as tid
        from quantumflow.step_tasks l
        where (l.run_id, l.step_slug) = (p_run.id, p.step_slug)
          and not (p.keeps_tasks and l.status = 'completed')
        offset 0
      ) k
      where t.ctid = k.tid
      returning t.queue, t.message_id, t.status
    ),
    cancelled as (
      update quantumflow.step_tasks t
      set status = 'cancelled'
      where t.run_id = p_run.id
        and t.step_slug in ('_on_complete', '_on_failure')
        and t.status in ('queued', 'started')
      returning t.queue, t.message_id
    )
    select m.queue, array_agg(m.message_id order by m.message_id) as msg_ids
    from (
      select f.queue, f.message_id
      from forgotten f
      where f.status in ('queued', 'started')
      union all
      select c.queue, c.message_id
      from cancelled c
    ) m
    group by m.queue
    order by m.queue
  loop
    perform quantumflow._remove_messages(v_batch.queue, v_batch.msg_ids);
  end loop;
end
$_forget_tasks$;

create or replace function quantumflow.delete_run(run_id uuid)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $delete_run$
declare
  v_run quantumflow.workflow_runs;
begin
  perform quantumflow._require_read_committed('delete a run');

  v_run := quantumflow._hold_resting_run(delete_run.run_id, 'deleted');
  perform quantumflow._delete_runs(array[v_run.id]);

  return v_run;
end
$delete_run$;

create or replace function quantumflow.prune(older_than interval, max_runs int default 1000)
returns bigint
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $prune$
declare
  v_before  timestamptz;
  v_run_ids uuid[];
begin
  perform quantumflow._require_read_committed('prune');
  perform quantumflow._refuse_bad_prune(prune.older_than, prune.max_runs);
  v_before := quantumflow._now() - prune.older_than;

  -- Ids of version 7 tell when their runs were created, and that was before they ended; of the others there is an index.
  select array_agg(p.id order by p.id)
  into v_run_ids
  from (
    (
      select r.id
      from quantumflow.workflow_runs r
      where r.id < quantumflow._first_uuid_v7(v_before + interval '1 ms')
        and coalesce(r.completed_at, r.failed_at, r.cancelled_at) < v_before
        and quantumflow._open_callback(r.id) is null
      order by r.id
      limit prune.max_runs
    )
    union
    (
      select r.id
      from quantumflow.workflow_runs r
      where substr(r.id::text, 15, 1) <> '7'
        and coalesce(r.completed_at, r.failed_at, r.cancelled_at) < v_before
        and quantumflow._open_callback(r.id) is null
      order by r.id
      limit prune.max_runs
    )
    order by 1
    limit prune.max_runs
  ) p;

  -- Somebody may have retried or deleted one before it was held.
  select array_agg(r.id)
  into v_run_ids
  from quantumflow._hold_whole_runs(v_run_ids) r
  where coalesce(r.completed_at, r.failed_at, r.cancelled_at) < v_before
    and quantumflow._open_callback(r.id) is null;

  perform quantumflow._delete_runs(v_run_ids);

  delete from quantumflow.workers w
  where coalesce(w.stopped_at, w.last_seen_at) < v_before;

  return coalesce(cardinality(v_run_ids), 0)::bigint;
end
$prune$;

create or replace function quantumflow._queue_tasks(p_tasks quantumflow._new_task[], p_again boolean default false)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_queue_tasks$
declare
  v_now      timestamptz := quantumflow._now();
  v_batch    record;
  v_messages bigint[];
begin
  -- A loop, because one send goes to one queue with one delay; nearly always it runs once.
  for v_batch in
    select
      t.queue,
      t.vt,
      array_agg(t order by t.run_id, t.step_slug, t.task_index) as tasks,
      array_agg(
        jsonb_build_object(
          'workflow_run_id', t.run_id,
          'step_name', t.step_slug,
          'task_index', t.task_index,
          'is_map_task', t.step_type = 'map')
        order by t.run_id, t.step_slug, t.task_index) as messages,
      case
        when count(t.headers) > 0
        then array_agg(t.headers order by t.run_id, t.step_slug, t.task_index)
      end as headers
    from unnest(p_tasks) t
    group by t.queue, t.vt
    order by t.queue, t.vt
  loop
    if quantumflow._queue_table(v_batch.queue) is null then
      perform quantumflow._raise_unknown_queue(v_batch.queue);
    end if;

    if v_batch.vt <= v_now then
      perform quantumflow._notify(v_batch.queue, v_now);
    end if;

    select array_agg(s.msg_id order by s.n)
    into v_messages
    from pgmq.send_batch(
      queue_name => v_batch.queue,
      msgs => v_batch.messages,
      headers => v_batch.headers,
      delay => v_batch.vt) with ordinality s (msg_id, n);

    if p_again then
      update quantumflow.step_tasks t
      set message_id = k.sent_id
      from (
        select v_messages[n.ordinality] as sent_id, l.ctid as tid
        from unnest(v_batch.tasks) with ordinality n
        cross join lateral (
          select m.ctid
          from quantumflow.step_tasks m
          where (m.run_id, m.step_slug, m.task_index) = (n.run_id, n.step_slug, n.task_index)
          limit 1
        ) l
      ) k
      where t.ctid = k.tid;

      continue;
    end if;

    insert into quantumflow.step_tasks
      (run_id, step_slug, task_index, queue, message_id, queued_at, item_value,
       attempts, worker_id, lease_token, started_at, status)
    select
      t.run_id, t.step_slug, t.task_index, t.queue, v_messages[t.ordinality], t.ready_at, t.item_value,
      (t.lease_token is not null)::int, t.worker_id, t.lease_token, t.started_at,
      case when t.lease_token is null then 'queued' else 'started' end
    from unnest(v_batch.tasks) with ordinality t;
  end loop;
end
$_queue_tasks$;

comment on function quantumflow._queue_tasks(quantumflow._new_task[], boolean) is
'Makes tasks: a message each, and the row that knows its message; or, with p_again, new messages for tasks that are there.

What is handed over is born started; for the rest that can be claimed at once, idle workers are woken.

Errors: QF401 when a queue is gone.';

create or replace function quantumflow._raise_unknown_queue(p_queue text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_raise_unknown_queue$
begin
  raise exception 'queue "%" does not exist', p_queue
  using
    errcode = 'QF401',
    detail = format('There is no table pgmq.%I.', concat('q_', p_queue)),
    hint = 'Queues are made by defining a workflow that names them, or by quantumflow.setup().';
end
$_raise_unknown_queue$;

comment on function quantumflow._raise_unknown_queue(text) is
'Raises QF401.

Errors: QF401 always.';

create or replace view quantumflow._task_inputs as
select
  t.run_id,
  t.step_slug,
  t.task_index,
  case
    when w.chunk_size is not null then jsonb_build_object('items', t.item_value, 'index', t.task_index * w.chunk_size)
    when w.step_type = 'map' then jsonb_build_object('item', t.item_value, 'index', t.task_index)
    when t.step_slug = '_on_complete' then jsonb_build_object('run', r.input, 'output', r.output)
    when t.step_slug = '_on_failure' then jsonb_build_object('run', r.input, 'error', r.error_message)
    when w.dependencies = '{}' then jsonb_build_object('run', r.input)
    else (
      select jsonb_object_agg(g.key, g.value)
      from (
        select 'run' as key, r.input as value
        union all
        select d.step_slug, coalesce(s.output, o.output)
        from (select unnest(w.dependencies) as step_slug) d
        cross join lateral (
          select l.output
          from quantumflow.step_states l
          where (l.run_id, l.step_slug) = (t.run_id, d.step_slug)
            and l.status = 'completed'
          limit 1
        ) s
        left join lateral (
          select l.output
          from quantumflow.step_tasks l
          where (l.run_id, l.step_slug, l.task_index) = (t.run_id, d.step_slug, 0)
          limit 1
        ) o
          on s.output is null
      ) g
    )
  end as input,
  t.status,
  t.message_id,
  w.command,
  w.args,
  w.max_attempts,
  r.headers
from quantumflow.step_tasks t
join quantumflow.workflow_runs r
  on r.id = t.run_id
join quantumflow.workflow_steps w
  on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug);

comment on view quantumflow._task_inputs is
'What a task''s handler is given: {"run", <dependency>: output, ...}, or {"item", "index"} for a map task, {"items", "index"}
for one of a map in chunks, with the index of the first item, which fetches the rest on
demand, or {"run", "output"} or {"run", "error"} for a callback.

A dependency that was skipped is absent; one whose output is null is null. Nothing is merged, so no key can hide another.';

comment on column quantumflow._task_inputs.status is 'The task''s status.';

comment on column quantumflow._task_inputs.message_id is 'The task''s message.';

comment on column quantumflow._task_inputs.command is 'The handler to call.';

comment on column quantumflow._task_inputs.args is 'The args of the step.';

comment on column quantumflow._task_inputs.max_attempts is 'How many failures end the task.';

comment on column quantumflow._task_inputs.headers is 'The headers of the run.';

create or replace function quantumflow.claim_tasks(
  worker_id uuid,
  quantity  int default 1,
  queues    text[] default '{quantum_flow_queue}',
  lease     interval default '300 s',
  commands  text[] default null)
returns setof quantumflow.claimed_task
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $claim_tasks$
declare
  v_now   timestamptz := quantumflow._now();
  v_taken quantumflow._taken_task[];
begin
  perform quantumflow._refuse_copy();

  v_taken := quantumflow._claim(
    quantumflow._checked_offer(
      claim_tasks.worker_id, claim_tasks.quantity, claim_tasks.queues, claim_tasks.lease, claim_tasks.commands),
    v_now);

  return query
  select *
  from quantumflow._hand_out_each(v_taken, claim_tasks.lease, v_now);
end
$claim_tasks$;

create or replace function quantumflow._claim(p_offer quantumflow._offer, p_now timestamptz)
returns quantumflow._taken_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim$
declare
  v_queue    text;
  v_read     int;
  v_looked   int;
  v_messages quantumflow._message[];
  v_left     quantumflow._message[];
  v_taken    quantumflow._taken_task[] := p_offer.taken;
begin
  if p_offer.commands = '{}' then
    return v_taken;
  end if;

  if exists (select from quantumflow._unfinished_ends) then
    perform quantumflow._finish_ends(10, p_now);
  end if;
  perform quantumflow._worker_seen(p_offer.worker_id, p_now);

  -- Rounds, because a message that was read may turn out not to be claimable; nearly always there is one.
  foreach v_queue in array p_offer.queues loop
    continue when v_queue = any (p_offer.quiet);

    v_looked := 0;

    while cardinality(v_taken) < p_offer.free and v_looked < 10 * p_offer.free::bigint loop
      -- After a round of nothing but others' work, all that may still be looked at, at once.
      v_read := case
        when v_looked > 0 and cardinality(v_taken) = 0 then 10 * p_offer.free - v_looked
        else p_offer.free - cardinality(v_taken)
      end;
      v_messages := quantumflow._read_messages(v_queue, v_read, p_now);
      -- The same ones again are left for the next claim, unless their leases had only just been found run out.
      exit when v_messages is null or (v_messages = v_left and cardinality(v_taken) > 0);

      v_left := v_messages;
      v_looked := v_looked + cardinality(v_messages);
      v_taken := v_taken || quantumflow._claim_messages(
        v_queue, v_messages, p_offer.free - cardinality(v_taken), cardinality(v_taken) > 0, p_offer.worker_id, p_offer.lease,
        p_offer.commands, p_now);

      -- A task lost before goes out alone.
      exit when v_taken[1].losses > 0;
      exit when cardinality(v_messages) < v_read and cardinality(v_taken) > 0;
    end loop;

    exit when v_taken[1].losses > 0 or cardinality(v_taken) = p_offer.free;
  end loop;

  return v_taken;
end
$_claim$;

comment on function quantumflow._claim(quantumflow._offer, timestamptz) is
'Claims as many tasks as the offer has room for, counting those it has been given, and returns them all. Queues that were found
quiet when these were handed over are not looked into again.';

create or replace function quantumflow._hand_out_each(p_taken quantumflow._taken_task[], p_lease interval, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hand_out_each$
begin
  return query
  select *
  from quantumflow._hand_out(p_taken, p_lease, p_now);
exception
  when program_limit_exceeded or out_of_memory or internal_error then
    -- Some input is larger than a jsonb value may be: hand the others out, and fail that task. What was begun to be returned has not
    -- got here: _hand_out returns all or nothing.
    for n in 1 .. cardinality(p_taken) loop
      begin
        return query
        select *
        from quantumflow._hand_out(p_taken[n:n], p_lease, p_now);
      exception
        when program_limit_exceeded or out_of_memory or internal_error then
          perform quantumflow._fail_oversized(p_taken[n], p_now);
      end;
    end loop;
end
$_hand_out_each$;

comment on function quantumflow._hand_out_each(quantumflow._taken_task[], interval, timestamptz) is
'What a claim returns for the tasks it has taken; those whose input is too large for one jsonb value fail instead.';

create or replace function quantumflow._hand_out(p_taken quantumflow._taken_task[], p_lease interval, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_hand_out$
begin
  return query
  select
    k.run_id,
    k.workflow_slug,
    k.step_slug,
    k.task_index,
    i.command,
    i.args,
    i.input,
    k.attempt,
    i.max_attempts,
    k.lease_token,
    p_now + least(p_lease, k.timeout),
    p_now + k.timeout,
    k.queue,
    i.message_id,
    i.headers
  from unnest(p_taken) k
  -- A lease found lost in a later round may have ended the run of a task taken before.
  cross join lateral (
    select *
    from quantumflow._task_inputs l
    where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      and l.status = 'started'
    limit 1
  ) i;
end
$_hand_out$;

comment on function quantumflow._hand_out(quantumflow._taken_task[], interval, timestamptz) is
'What a claim returns for the tasks it has taken.';

create or replace function quantumflow._fail_oversized(p_task quantumflow._taken_task, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_oversized$
declare
  v_error text := 'its input exceeds what one jsonb value can hold (QF308)';
  v_held  quantumflow._held_task := (quantumflow._read_reported(
    jsonb_build_array(jsonb_build_object(
      'run_id', p_task.run_id,
      'step_slug', p_task.step_slug,
      'task_index', p_task.task_index,
      'lease_token', p_task.lease_token)),
    'fail'))[1];
begin
  -- While somebody holds the step or the run, the task waits for its lease to run out.
  if v_held.step_type <> 'callback' and not quantumflow._hold_for_failure(p_task.run_id, p_task.step_slug) then
    return;
  end if;

  perform quantumflow._record_failure(v_held, 'error', v_error, null, p_now);

  update quantumflow.step_tasks t
  set
    status = 'failed',
    failed_at = p_now,
    error_message = v_error
  where t.ctid = v_held.tid;

  perform quantumflow._remove_messages(v_held.queue, array[v_held.message_id]);

  if v_held.step_type <> 'callback' then
    perform quantumflow._fail_step(
      v_held.run_id, v_held.step_slug, v_held.task_index, v_held.step_type, v_error, p_now);
  end if;
end
$_fail_oversized$;

comment on function quantumflow._fail_oversized(quantumflow._taken_task, timestamptz) is
'Fails a task that cannot be handed out, since its input is too large, and its run: whoever claims it would fail for ever.';

create or replace function quantumflow._checked_offer(
  p_worker_id uuid,
  p_quantity  int,
  p_queues    text[],
  p_lease     interval,
  p_commands  text[])
returns quantumflow._offer
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_checked_offer$
declare
  v_queue  text;
  v_queues text[] := array[]::text[];
begin
  if p_worker_id is null then
    raise exception 'worker_id must not be null'
    using
      errcode = 'QF304',
      detail = 'The worker_id is null.',
      hint = 'Any uuid does: gen_random_uuid() for example.';
  end if;

  if p_quantity is null or p_quantity not between 1 and 10000 then
    raise exception 'quantity must be between 1 and 10000'
    using
      errcode = 'QF302',
      detail = format('The quantity is %s.', coalesce(p_quantity::text, 'null')),
      hint = 'Claim as many tasks as can be started at once.';
  end if;

  if p_queues is null or cardinality(p_queues) = 0 then
    raise exception 'queues must name at least one queue'
    using
      errcode = 'QF401',
      detail = format('The queues are %s.', coalesce(p_queues::text, 'null')),
      hint = 'Leave queues out for the default one, quantum_flow_queue.';
  end if;

  -- The array may have any dimensions.
  foreach v_queue in array p_queues loop
    if quantumflow._queue_table(v_queue) is null then
      perform quantumflow._raise_unknown_queue(v_queue);
    end if;

    v_queues := v_queues || v_queue;
  end loop;

  return row(
    p_worker_id, p_quantity, v_queues, quantumflow._checked_lease(p_lease), p_commands, '{}', '{}'
  )::quantumflow._offer;
end
$_checked_offer$;

comment on function quantumflow._checked_offer(uuid, int, text[], interval, text[]) is
'What a worker that claims offers to do; refuses arguments with which nothing can be claimed.

Errors: QF302 bad quantity; QF303 bad lease; QF304 no worker_id; QF401 unknown queue.';

create or replace function quantumflow._checked_lease(p_lease interval)
returns interval
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_checked_lease$
begin
  if p_lease is null or p_lease not between '1 ms' and '1 day' then
    raise exception 'lease must be between 1 ms and 1 day'
    using
      errcode = 'QF303',
      detail = format('The lease is %s.', coalesce(p_lease::text, 'null')),
      hint = 'Take a short one, 30 s for example, and extend it while the work goes on.';
  end if;

  return p_lease;
end
$_checked_lease$;

comment on function quantumflow._checked_lease(interval) is
'The lease that it is given, if it is a length of time to work in.

Errors: QF303 when it is outside 1 ms to 1 day.';

create or replace function quantumflow._claim_messages(
  p_queue       text,
  p_messages    quantumflow._message[],
  p_most        int,
  p_has_others  boolean,
  p_worker_id   uuid,
  p_lease       interval,
  p_commands    text[],
  p_now         timestamptz)
returns quantumflow._taken_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim_messages$
declare
  v_held  quantumflow._held_task[] := quantumflow._hold_messages(p_queue, p_messages, p_commands);
  v_taken quantumflow._taken_task[];
  v_parts oid[];
  v_tids  tid[];
  v_vts   timestamptz[];
begin
  if cardinality(v_held) < cardinality(p_messages) then
    perform quantumflow._put_aside(p_queue, p_messages, v_held, p_now);
  end if;

  if exists (select from unnest(v_held) h where h.outcome <> 'claim' or h.losses > 0) then
    perform quantumflow._settle_messages(p_queue, v_held, p_now);
    v_held := quantumflow._lost_go_alone(v_held, p_has_others);
  end if;

  if cardinality(v_held) > p_most then
    v_held := array(select h from unnest(v_held) h where h.outcome = 'claim' order by h.ord limit p_most);
  end if;

  -- What a lapse that was just settled has cancelled with its run is no longer where it was.
  with taken as (
    update quantumflow.step_tasks t
    set
      status = 'started',
      attempts = h.attempts + 1,
      worker_id = p_worker_id,
      lease_token = floor(random() * 9007199254740991)::bigint,
      started_at = p_now
    from unnest(v_held) h
    where h.outcome = 'claim'
      and t.ctid = h.tid
    returning
      h.ord, h.run_id, h.workflow_slug, h.step_slug, h.task_index, t.queue, t.attempts, t.losses, t.lease_token, h.timeout
  )
  select
    coalesce(
      array_agg(
        row(
          k.run_id, k.workflow_slug, k.step_slug, k.task_index, k.queue, k.attempts, k.losses, k.lease_token, k.timeout
        )::quantumflow._taken_task),
      '{}'),
    array_agg(p_messages[k.ord].part),
    array_agg(p_messages[k.ord].tid),
    array_agg(p_now + least(p_lease, k.timeout))
  into v_taken, v_parts, v_tids, v_vts
  from taken k;

  perform quantumflow._hide(p_queue, v_parts, v_tids, v_vts);

  return v_taken;
end
$_claim_messages$;

comment on function quantumflow._claim_messages(text, quantumflow._message[], int, boolean, uuid, interval, text[], timestamptz) is
'Claims those of the tasks named by messages that may be claimed, at most p_most, and puts messages that are not claimable where
they belong.';

create or replace function quantumflow._hold_messages(
  p_queue    text,
  p_messages quantumflow._message[],
  p_commands text[] default null)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_messages$
declare
  v_held quantumflow._held_task[];
begin
  -- The run first, shared, so that whatever stops a run waits for this claim or is seen by it; then the task.
  select array_agg(
    row(
      m.n, r.id, m.step_slug, t.task_index, t.tid, t.queue, m.msg_id, t.status, t.attempts, t.losses,
      t.worker_id, t.lease_token, t.started_at, t.queued_at,
      r.workflow_slug, r.version, w.step_type, w.timeout, r.status, r.retries,
      case
        when t.message_id <> m.msg_id or t.queue <> p_queue then 'foreign'
        when t.status not in ('queued', 'started') then 'drop'
        when w.step_type <> 'callback' and r.status not in ('started', 'paused') then 'drop'
        when t.status = 'started' and m.vt < t.started_at + w.timeout then 'lost'
        when t.status = 'started' then 'timeout'
        when w.step_type <> 'callback' and r.status = 'paused' then 'park'
        when p_commands is not null and (w.command = any (p_commands)) is not true then 'later'
        else 'claim'
      end
    )::quantumflow._held_task)
  into v_held
  from unnest(p_messages) with ordinality m (msg_id, run_id, step_slug, task_index, vt, part, tid, n)
  cross join lateral (
    select l.id, l.workflow_slug, l.version, l.status, l.retries
    from quantumflow.workflow_runs l
    where l.id = quantumflow._as_uuid(m.run_id)
    for key share skip locked
  ) r
  cross join lateral (
    select
      l.ctid as tid, l.task_index, l.queue, l.message_id, l.status, l.attempts, l.losses,
      l.worker_id, l.lease_token, l.started_at, l.queued_at
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug) = (r.id, m.step_slug)
      and l.task_index = quantumflow._as_number(m.task_index, 9)::int
    for update skip locked
  ) t
  cross join lateral (
    select s.command, s.step_type, s.timeout
    from quantumflow.workflow_steps s
    where (s.workflow_slug, s.version, s.step_slug) = (r.workflow_slug, r.version, m.step_slug)
    limit 1
  ) w;

  return coalesce(v_held, '{}');
end
$_hold_messages$;

comment on function quantumflow._hold_messages(text, quantumflow._message[], text[]) is
'Locks the runs (FOR KEY SHARE) and tasks (FOR UPDATE) that messages name, without waiting, and returns those it got, in order.

message_id is that of the message that was read. outcome says what is to become of it:
claim: hand it out. later: its command is not asked for. lost: its lease ran out. timeout: it ran out at the deadline.
park: its run is paused.
drop: nothing is left to do. foreign: it is not the message its task names.';

create or replace function quantumflow._put_aside(
  p_queue    text,
  p_messages quantumflow._message[],
  p_held     quantumflow._held_task[],
  p_now      timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_aside$
declare
  v_busy    bigint[];
  v_foreign bigint[];
begin
  select
    coalesce(array_agg(m.msg_id) filter (where m.is_ours), '{}'),
    coalesce(array_agg(m.msg_id) filter (where not m.is_ours), '{}')
  into v_busy, v_foreign
  from (
    select
      a.msg_id,
      exists (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug) = (quantumflow._as_uuid(a.run_id), a.step_slug)
          and t.task_index = quantumflow._as_number(a.task_index, 9)::int
        offset 0
      ) as is_ours
    from unnest(p_messages) a
    where a.msg_id <> all (array(select h.message_id from unnest(p_held) h))
  ) m;

  perform quantumflow._set_vt(p_queue, v_busy, array_fill(p_now + interval '100 ms', array[cardinality(v_busy)]));

  if v_foreign <> '{}' then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;
end
$_put_aside$;

comment on function quantumflow._put_aside(text, quantumflow._message[], quantumflow._held_task[], timestamptz) is
'Deals with messages whose task could not be held: busy ones come back after 100 ms, those that name no task are archived.';

create or replace function quantumflow._settle_lapsed(p_queue text, p_lapsed quantumflow._held_task[], p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_lapsed$
declare
  v_task      record;
  v_exhausted boolean;
  v_ready_at  timestamptz;
  v_error     text;
  v_settled   int := 0;
begin
  -- One by one: lost leases are rare, and each may end a run.
  for v_task in
    select
      h.*,
      h as held,
      w.max_attempts,
      w.max_lost,
      w.retry_delay,
      r.priority,
      h.outcome as kind,
      h.attempts - h.losses as failures
    from unnest(p_lapsed) h
    cross join lateral (
      select l.priority
      from quantumflow.workflow_runs l
      where l.id = h.run_id
      limit 1
    ) r
    cross join lateral (
      select l.max_attempts, l.max_lost, l.retry_delay
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (h.workflow_slug, h.version, h.step_slug)
      limit 1
    ) w
    order by h.ord
  loop
    -- A task before this one may have ended the run, and so this task.
    continue when v_task.step_type <> 'callback' and not exists (
      select
      from quantumflow.workflow_runs r
      where r.id = v_task.run_id
        and r.status in ('started', 'paused')
    );

    if v_task.kind = 'timeout' then
      v_exhausted := v_task.failures >= v_task.max_attempts;
      v_error := format('timed out after %s', v_task.timeout);
    else
      v_exhausted := v_task.losses + 1 >= v_task.max_lost;
      v_error := format('lost its worker %s', v_task.worker_id);
    end if;

    -- To end a run takes the step and the run whole; while somebody holds either, this waits in the queue.
    if v_exhausted
      and v_task.step_type <> 'callback'
      and not quantumflow._hold_for_failure(v_task.run_id, v_task.step_slug)
    then
      perform quantumflow._set_vt(p_queue, array[v_task.message_id], array[p_now + interval '100 ms']);
      continue;
    end if;

    v_settled := v_settled + 1;

    perform quantumflow._record_failure(v_task.held, v_task.kind, v_error, null, p_now);

    v_ready_at := case v_task.kind
      when 'timeout' then p_now + quantumflow._retry_delay(v_task.retry_delay, v_task.failures)
      else p_now
    end;

    update quantumflow.step_tasks t
    set
      status = case when v_exhausted then 'failed' else 'queued' end,
      losses = t.losses + (v_task.kind = 'lost')::int,
      lease_token = null,
      queued_at = case when v_exhausted then t.queued_at else v_ready_at end,
      failed_at = case when v_exhausted then p_now end,
      error_message = v_error
    where t.ctid = v_task.tid;

    if v_exhausted then
      perform quantumflow._remove_messages(p_queue, array[v_task.message_id]);

      if v_task.step_type <> 'callback' then
        perform quantumflow._fail_step(
          v_task.run_id, v_task.step_slug, v_task.task_index, v_task.step_type,
          format('%s (attempt %s, lost %s times)', v_error, v_task.attempts, v_task.losses + (v_task.kind = 'lost')::int),
          p_now);
      end if;
    else
      -- What was lost gets its place in the queue back, ahead of what was queued after it.
      perform quantumflow._set_vt(
        p_queue,
        array[v_task.message_id],
        array[case v_task.kind
          when 'timeout' then v_ready_at
          else v_task.queued_at - make_interval(secs => v_task.priority)
        end]);
    end if;
  end loop;

  return v_settled;
end
$_settle_lapsed$;

create or replace function quantumflow._checked_array(p_value jsonb, p_name text)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_checked_array$
begin
  if p_value is null or jsonb_typeof(p_value) <> 'array' then
    raise exception '% must be a JSON array', p_name
    using
      errcode = 'QF301',
      detail = format('It is %s.', coalesce('JSON of type ' || jsonb_typeof(p_value), 'null')),
      hint = 'For example [{"run_id": "...", "step_slug": "...", "task_index": 0, "lease_token": 1}].';
  end if;

  return p_value;
end
$_checked_array$;

comment on function quantumflow._checked_array(jsonb, text) is
'The array of reports that it is given, and nothing else.

Errors: QF301 when it is no JSON array.';

create or replace function quantumflow._parse_reports(p_reports jsonb)
returns table (
  ord         int,
  run_id      uuid,
  step_slug   text,
  task_index  int,
  token       text,
  is_by_hand  boolean,
  is_final    boolean,
  output_type text)
language sql
immutable
begin atomic
  select
    (e.n - 1)::int,
    quantumflow._as_uuid(e.report ->> 'run_id'),
    e.report ->> 'step_slug',
    quantumflow._as_number(e.report ->> 'task_index', 9)::int,
    e.report ->> 'lease_token',
    coalesce(jsonb_typeof(e.report -> 'lease_token') = 'null', false),
    coalesce(e.report ->> 'retryable' = 'false', false),
    jsonb_typeof(e.report -> 'output')
  from jsonb_array_elements(p_reports) with ordinality e (report, n);
end;

comment on function quantumflow._parse_reports(jsonb) is
'Reads an array of reports or of tasks, whatever it holds: what cannot be read is null, and names no task.

ord counts from 0. token: to be compared with a lease_token as a text. is_by_hand: the lease_token is there, and null. is_final:
retryable is false.';

create or replace function quantumflow._hold_reported(p_reports jsonb, p_verb text)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_reported$
declare
  v_held quantumflow._held_task[];
  v_last tid;
begin
  perform
  from (
    select p.run_id, p.step_slug, p.task_index
    from quantumflow._parse_reports(p_reports) p
    order by p.run_id, p.step_slug, p.task_index
    offset 0
  ) k
  cross join lateral (
    select
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
    for update
  ) t;

  -- Read in a statement after the one that may have waited.
  v_held := quantumflow._read_reported(p_reports, p_verb);

  for n in 1 .. cardinality(v_held) loop
    if v_held[n].outcome in ('acts', 'fails') then
      if v_held[n].tid = v_last then
        v_held[n].outcome := 'duplicate';
      end if;

      v_last := v_held[n].tid;
    end if;
  end loop;

  return v_held;
end
$_hold_reported$;

comment on function quantumflow._hold_reported(jsonb, text) is
'Locks the tasks that reports name, in order of their keys, waiting for each, and says what each report comes to. Of several
reports of one attempt the first acts.';

create or replace function quantumflow._read_reported(p_reports jsonb, p_verb text, p_ords int[] default null)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_reported$
declare
  v_may_exceed boolean := p_verb = 'complete' and quantumflow._may_exceed(p_reports);
  v_held       quantumflow._held_task[];
begin
  -- Laterals, so that the reports drive the plan, whatever the statistics say of the tables.
  select array_agg(
    row(
      v.ord, v.run_id, v.step_slug, v.task_index, v.tid, v.queue, v.message_id, v.status, v.attempts, v.losses,
      v.worker_id, v.lease_token, v.started_at, v.queued_at,
      v.workflow_slug, v.version, v.step_type, v.timeout, 'started', 0,
      case
        when v.status is null then 'stale'
        when v.is_live and v_may_exceed and quantumflow._excess(p_reports -> v.ord -> 'output', v.feeds_map) is not null then 'fails'
        when v.is_live and p_verb = 'complete' and v.feeds_map and v.output_type is distinct from 'array' then 'violates'
        when v.is_live and p_verb = 'complete' and v.chunk_size is not null and not quantumflow._fits_chunk(
          v.run_id, v.step_slug, v.task_index, p_reports -> v.ord -> 'output')
        then 'violates'
        when v.is_live and p_verb = 'fail' and (v.is_final or v.failures >= v.max_attempts) then 'fails'
        when v.is_live then 'acts'
        when v.is_known and v.status in ('cancelled', 'skipped') then 'run_ended'
        when v.is_known then 'duplicate'
        when v.token is not null and quantumflow._has_failed_with(v.run_id, v.step_slug, v.task_index, v.token)
        then 'duplicate'
        else 'stale'
      end
    )::quantumflow._held_task)
  into v_held
  from (
    select
      k.*, t.*, r.*, w.*,
      coalesce(t.is_leased, k.is_by_hand) as is_known,
      case
        when k.is_by_hand then coalesce(t.status in ('started', 'queued'), false)
        else coalesce(t.is_leased and t.status = 'started', false)
      end as is_live,
      -- Failing a queued task by hand counts as an attempt.
      t.attempts + (t.status = 'queued')::int - t.losses as failures
    from (
      select *
      from quantumflow._parse_reports(p_reports) p
      where p_ords is null
        or p.ord = any (p_ords)
      order by p.run_id, p.step_slug, p.task_index, p.ord
      offset 0
    ) k
    left join lateral (
      select
        l.ctid as tid, l.queue, l.message_id, l.status, l.attempts, l.losses,
        l.worker_id, l.lease_token, l.started_at, l.queued_at, l.lease_token::text = k.token as is_leased
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      limit 1
    ) t on true
    left join lateral (
      select l.workflow_slug, l.version
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      limit 1
    ) r on true
    left join lateral (
      select l.step_type, l.timeout, l.feeds_map, l.max_attempts, l.chunk_size
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, k.step_slug)
      limit 1
    ) w on true
  ) v;

  return coalesce(v_held, '{}');
end
$_read_reported$;

comment on function quantumflow._read_reported(jsonb, text, int[]) is
'The tasks that reports name, in order of their keys, and what each report comes to as they are now; p_ords: only these reports.

p_verb: complete, fail or release. outcome is, for a live attempt, "violates" where an output offends a map or does not fit its
chunk, "fails" where it is too large or no attempt is left, else "acts"; for others duplicate, stale or run_ended, by the precedence
of the manual. Of the run only what never changes is read here; it is assumed to be started, and never retried.';

create or replace function quantumflow._fits_chunk(p_run_id uuid, p_step_slug text, p_task_index int, p_output jsonb)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fits_chunk$
begin
  return case
    when jsonb_typeof(p_output) = 'array' then jsonb_array_length(p_output) = (
      select jsonb_array_length(t.item_value)
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (p_run_id, p_step_slug, p_task_index)
    )
    else false
  end;
end
$_fits_chunk$;

comment on function quantumflow._fits_chunk(uuid, text, int, jsonb) is
'Whether an output is an array with an entry for each item of the task''s chunk.';

create or replace function quantumflow._has_failed_with(p_run_id uuid, p_step_slug text, p_task_index int, p_token text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_has_failed_with$
begin
  return exists (
    select
    from quantumflow.task_failures f
    where (f.run_id, f.step_slug, f.task_index) = (p_run_id, p_step_slug, p_task_index)
      and f.lease_token::text = p_token
      and f.kind = 'error'
  );
end
$_has_failed_with$;

comment on function quantumflow._has_failed_with(uuid, text, int, text) is
'Whether the holder of this lease has reported its failure already.';

create or replace function quantumflow._hold_runs(p_held quantumflow._held_task[], p_mode text)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_runs$
declare
  v_run_ids uuid[] := array(
    select distinct h.run_id
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails')
    order by h.run_id);
  v_differ  boolean;
begin
  -- One mode for the whole call, the strongest that any of its reports needs: an upgrade later could deadlock.
  if p_mode = 'key share' then
    select bool_or(r.status <> 'started' or r.retries > 0)
    into v_differ
    from unnest(v_run_ids) k (run_id)
    cross join lateral (
      select l.status, l.retries
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      for key share
    ) r;
  elsif p_mode = 'no key update' then
    select bool_or(r.status <> 'started' or r.retries > 0)
    into v_differ
    from unnest(v_run_ids) k (run_id)
    cross join lateral (
      select l.status, l.retries
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      for no key update
    ) r;
  else
    select bool_or(r.status <> 'started' or r.retries > 0)
    into v_differ
    from unnest(v_run_ids) k (run_id)
    cross join lateral (
      select l.status, l.retries
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      for update
    ) r;
  end if;

  -- Nearly always the runs are what was assumed.
  if v_differ is not true then
    return p_held;
  end if;

  return array(
    select
      row(
        h.ord, h.run_id, h.step_slug, h.task_index, h.tid, h.queue, h.message_id, h.status, h.attempts, h.losses,
        h.worker_id, h.lease_token, h.started_at, h.queued_at,
        h.workflow_slug, h.version, h.step_type, h.timeout, r.status, r.retries,
        case
          when h.outcome in ('acts', 'violates', 'fails')
            and h.step_type <> 'callback'
            and r.status not in ('started', 'paused')
          then 'run_ended'
          else h.outcome
        end
      )::quantumflow._held_task
    from unnest(p_held) h
    left join lateral (
      select l.status, l.retries
      from quantumflow.workflow_runs l
      where l.id = h.run_id
      limit 1
    ) r on true);
end
$_hold_runs$;

comment on function quantumflow._hold_runs(quantumflow._held_task[], text) is
'Locks the runs of the reports that act, in order of their ids, waiting for each, and adds what they say now if that is not what was
assumed.

p_mode: "key share" when no step ends, "no key update" when one does, "update" when a run fails. A report whose run has ended
meanwhile gets the outcome run_ended.';

create or replace function quantumflow._cancel_late(p_held quantumflow._held_task[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_cancel_late$
declare
  v_batch record;
begin
  -- The run ended while this call held the task, so whoever ended it had to leave the task to us.
  for v_batch in
    with cancelled as (
      update quantumflow.step_tasks t
      set
        status = 'cancelled',
        attempts = h.attempts,
        started_at = h.started_at,
        output = null,
        completed_at = null,
        failed_at = null,
        error_message = (
          select f.error_message
          from quantumflow.task_failures f
          where (f.run_id, f.step_slug, f.task_index, f.retries) = (h.run_id, h.step_slug, h.task_index, h.retries)
          order by f.attempt desc
          limit 1
        )
      from unnest(p_held) h
      cross join lateral (
        select l.ctid as tid
        from quantumflow.step_tasks l
        where (l.run_id, l.step_slug, l.task_index) = (h.run_id, h.step_slug, h.task_index)
        limit 1
      ) c
      where h.outcome = 'run_ended'
        and h.status in ('queued', 'started')
        and t.ctid = c.tid
      returning t.queue, t.message_id
    )
    select c.queue, array_agg(c.message_id order by c.message_id) as msg_ids
    from cancelled c
    group by c.queue
    order by c.queue
  loop
    perform quantumflow._remove_messages(v_batch.queue, v_batch.msg_ids);
  end loop;
end
$_cancel_late$;

comment on function quantumflow._cancel_late(quantumflow._held_task[]) is
'Cancels the held tasks of runs that have ended, whatever this call has written to them, and removes their messages.';

create or replace function quantumflow._answers(p_held quantumflow._held_task[], p_acts text)
returns setof quantumflow.task_outcome
language sql
immutable
begin atomic
  select
    h.run_id,
    h.step_slug,
    h.task_index,
    case h.outcome
      when 'acts' then p_acts
      when 'violates' then 'type_violation'
      when 'fails' then 'failed'
      else h.outcome
    end
  from unnest(p_held) h
  order by h.ord;
end;

comment on function quantumflow._answers(quantumflow._held_task[], text) is
'The answer to a batch of reports, in its order; p_acts: what one that acts has done, completed or retrying.';

create or replace function quantumflow._remove_reported(p_held quantumflow._held_task[], p_outcomes text[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remove_reported$
begin
  perform quantumflow._remove_messages(h.queue, array_agg(h.message_id order by h.message_id))
  from unnest(p_held) h
  where h.outcome = any (p_outcomes)
  group by h.queue
  order by h.queue;
end
$_remove_reported$;

create type quantumflow._completion as (
  held  quantumflow._held_task[],
  offer quantumflow._offer
);

comment on type quantumflow._completion is
'What became of reported results, and the offer of the worker that reported them with the tasks that it was given.';

create or replace function quantumflow.complete_tasks(results jsonb)
returns setof quantumflow.task_outcome
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $complete_tasks$
declare
  v_done quantumflow._completion;
begin
  v_done := quantumflow._complete(
    quantumflow._checked_array(complete_tasks.results, 'results'), quantumflow._now(), null);

  return query
  select *
  from quantumflow._answers(v_done.held, 'completed');
end
$complete_tasks$;

create or replace function quantumflow._complete(
  p_results jsonb,
  p_now     timestamptz,
  p_offer   quantumflow._offer)
returns quantumflow._completion
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_complete$
declare
  v_held  quantumflow._held_task[];
  v_steps quantumflow._step_progress[];
  v_mode  text;
  v_offer quantumflow._offer;
begin
  -- Lock: the tasks, which are written at once, their steps, their runs.
  v_held := quantumflow._record_results(p_results, p_now);
  v_steps := quantumflow._hold_steps(v_held);

  select case
    when bool_or(h.outcome in ('violates', 'fails')) then 'update'
    when exists (select from unnest(v_steps) s where s.ends) then 'no key update'
    else 'key share'
  end
  into v_mode
  from unnest(v_held) h;

  v_held := quantumflow._hold_runs(v_held, v_mode);

  -- Change: what came too late, then steps, what they lead to, messages.
  if exists (select from unnest(v_held) h where h.outcome = 'run_ended') then
    perform quantumflow._cancel_late(v_held);
    v_steps := quantumflow._without_ended_runs(v_steps);
  end if;

  v_offer := quantumflow._advance(quantumflow._count_done_tasks(v_steps, p_now), '{}', p_now, p_offer);
  perform quantumflow._remove_reported(v_held, array['acts', 'violates', 'fails']);

  if v_mode = 'update' then
    perform quantumflow._fail_violations(v_held, p_now);
  end if;

  return row(v_held, v_offer)::quantumflow._completion;
end
$_complete$;

comment on function quantumflow._complete(jsonb, timestamptz, quantumflow._offer) is
'What complete_tasks does: records results, moves their runs on, and hands what becomes ready over to the worker that has made an
offer, if any. Returns that offer with what was taken, and what became of each result.';

create or replace function quantumflow._hold_steps(p_held quantumflow._held_task[])
returns quantumflow._step_progress[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_steps$
declare
  v_steps quantumflow._step_progress[];
begin
  select array_agg(
    row(
      k.run_id, k.step_slug, s.tid, k.workflow_slug, k.version, k.step_type, w.dependents, k.done_tasks,
      k.done_tasks > 0 and k.done_tasks = s.remaining_tasks
    )::quantumflow._step_progress)
  into v_steps
  from (
    select
      h.run_id, h.step_slug, h.workflow_slug, h.version, h.step_type,
      (count(*) filter (where h.outcome = 'acts'))::int as done_tasks
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails')
      and h.step_type <> 'callback'
    group by h.run_id, h.step_slug, h.workflow_slug, h.version, h.step_type
    order by h.run_id, h.step_slug
    offset 0
  ) k
  left join lateral (
    select l.ctid as tid, l.remaining_tasks
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
      and k.step_type = 'map'
    for no key update
  ) m on true
  -- The only task of a single step is held, and nobody else moves the step of a task that is live.
  cross join lateral (
    select coalesce(m.tid, l.ctid) as tid, coalesce(m.remaining_tasks, 1) as remaining_tasks
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
    limit 1
  ) s
  cross join lateral (
    select l.dependents
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
    limit 1
  ) w;

  return coalesce(v_steps, '{}');
end
$_hold_steps$;

comment on function quantumflow._hold_steps(quantumflow._held_task[]) is
'Locks the maps of the tasks that act, in order of their keys, waiting for each, and tells which of the steps this call ends.';

create or replace function quantumflow._record_results(p_results jsonb, p_now timestamptz)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_results$
declare
  v_held   quantumflow._held_task[] := array[]::quantumflow._held_task[];
  v_read   quantumflow._held_task[] := quantumflow._read_reported(p_results, 'complete');
  v_missed int[];
begin
  -- Nearly always one turn; another for tasks that somebody changed while this call waited for them, or that were named twice.
  loop
    v_missed := quantumflow._record_outputs(p_results, v_read, p_now);

    exit when v_missed is null;

    v_held := v_held || array(select r from unnest(v_read) r where r.ord <> all (v_missed));
    v_read := quantumflow._read_reported(p_results, 'complete', v_missed);
  end loop;

  return v_held || v_read;
end
$_record_results$;

comment on function quantumflow._record_results(jsonb, timestamptz) is
'Writes results to their tasks, in order of their keys, waiting for each, and says what each result comes to, as the tasks were.

The update is the lock: to lock rows that are about to be written costs a record of the log each. Should a run turn out to have ended,
_cancel_late takes it back.';

create or replace function quantumflow._record_outputs(p_results jsonb, p_held quantumflow._held_task[], p_now timestamptz)
returns int[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_outputs$
declare
  v_recorded int[];
  v_missed   int[];
begin
  with recorded as (
    update quantumflow.step_tasks t
    set
      status = case h.outcome when 'acts' then 'completed' else 'failed' end,
      attempts = h.attempts + (h.outcome <> 'acts' and h.status = 'queued')::int,
      output = case when h.outcome <> 'fails' then coalesce(p_results -> h.ord -> 'output', 'null') end,
      started_at = coalesce(t.started_at, p_now),
      completed_at = case h.outcome when 'acts' then p_now end,
      failed_at = case when h.outcome <> 'acts' then p_now end,
      error_message = case h.outcome
        when 'violates' then quantumflow._violation(
          p_results -> h.ord -> 'output', case h.step_type when 'map' then t.item_value end)
        when 'fails' then quantumflow._excess(p_results -> h.ord -> 'output', true)
      end
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails')
      and t.ctid = h.tid
      and t.status = h.status
      and t.message_id = h.message_id
      and t.attempts = h.attempts
      and t.lease_token is not distinct from h.lease_token
    returning h.ord
  )
  select array_agg(r.ord)
  into v_recorded
  from recorded r;

  if cardinality(v_recorded) = cardinality(p_held) then
    return null;
  end if;

  select array_agg(h.ord)
  into v_missed
  from unnest(p_held) h
  where h.outcome in ('acts', 'violates', 'fails')
    and (h.ord = any (v_recorded)) is not true;

  return v_missed;
end
$_record_outputs$;

comment on function quantumflow._record_outputs(jsonb, quantumflow._held_task[], timestamptz) is
'Writes what tasks were completed with, unless they have changed since they were read; returns which results those are, null for none.
A second result for a task is one of them: by then the first has changed it.
An output that offends a map is kept on its failed task, one too large is not.

Such an output given by hand to a queued task counts as an attempt, as failing it by hand does.';

create or replace function quantumflow._violation(p_output jsonb, p_items jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_violation$
begin
  return format(
    'the output must be %s, but is %s (QF305)',
    case
      when p_items is null then 'an array, because a map maps over it'
      else format('an array of %s, one for each item of the chunk', jsonb_array_length(p_items))
    end,
    case
      when jsonb_typeof(p_output) = 'array' then format('one of %s', jsonb_array_length(p_output))
      else 'JSON of type ' || coalesce(jsonb_typeof(p_output), 'null')
    end);
end
$_violation$;

comment on function quantumflow._violation(jsonb, jsonb) is
'The error message of a type violation; p_items is the chunk of a map task, null for a single step.';

create or replace function quantumflow._may_exceed(p_results jsonb)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_may_exceed$
declare
  v_bytes bigint := quantumflow._bytes(p_results);
begin
  -- No limit can be lower than 1000, and an item has four bytes at least.
  if v_bytes <= 1000 then
    return false;
  end if;

  return v_bytes > (
    select min(coalesce(s.value::bigint, l.usual) * case l.name when 'max_map_items' then 4 else 1 end)
    from quantumflow._limits() l
    left join quantumflow.settings s
      on s.name = l.name
    where l.name in ('max_output_bytes', 'max_map_items'));
end
$_may_exceed$;

create or replace function quantumflow._fail_violations(p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_violations$
declare
  v_task record;
begin
  for v_task in
    select h.*, h as held, t.error_message
    from unnest(p_held) h
    cross join lateral (
      select l.error_message
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (h.run_id, h.step_slug, h.task_index)
      limit 1
    ) t
    where h.outcome in ('violates', 'fails')
    order by h.run_id, h.step_slug
  loop
    perform quantumflow._record_failure(v_task.held, 'error', v_task.error_message, null, p_now);

    if v_task.step_type <> 'callback' then
      perform quantumflow._fail_step(
        v_task.run_id, v_task.step_slug, v_task.task_index, v_task.step_type, v_task.error_message, p_now);
    end if;
  end loop;
end
$_fail_violations$;

create or replace function quantumflow._count_done_tasks(p_steps quantumflow._step_progress[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_count_done_tasks$
declare
  v_step quantumflow._step_progress;
  v_done quantumflow._step_ref[];
begin
  -- Counters once per call and step, in the order in which the steps were locked.
  with counted as (
    update quantumflow.step_states s
    set
      remaining_tasks = s.remaining_tasks - k.done_tasks,
      status = case when k.ends then 'completed' else s.status end,
      completed_at = case when k.ends then p_now end
    from unnest(p_steps) k
    where k.done_tasks > 0
      and not (k.ends and k.step_type = 'map')
      and s.ctid = k.tid
    returning k.*
  )
  select coalesce(
    array_agg(
      row(c.run_id, c.step_slug, c.workflow_slug, c.version, c.step_type, c.dependents)::quantumflow._step_ref
    ) filter (where c.ends),
    '{}')
  into v_done
  from counted c;

  -- A loop, because each array is gathered, and may prove too large, by itself.
  for v_step in
    select k.*
    from unnest(p_steps) k
    where k.ends
      and k.step_type = 'map'
  loop
    if quantumflow._end_map(v_step.run_id, v_step.step_slug, v_step.done_tasks, p_now) then
      v_done := v_done || row(
        v_step.run_id, v_step.step_slug, v_step.workflow_slug, v_step.version, v_step.step_type, v_step.dependents
      )::quantumflow._step_ref;
    end if;
  end loop;

  return v_done;
end
$_count_done_tasks$;

create or replace function quantumflow._end_map(p_run_id uuid, p_step_slug text, p_done_tasks int, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_map$
declare
  v_output jsonb;
  v_status text;
begin
  begin
    v_output := quantumflow._gather_map(p_run_id, p_step_slug);
  exception
    when program_limit_exceeded or out_of_memory or internal_error then
      v_output := null;
  end;

  update quantumflow.step_states s
  set
    remaining_tasks = s.remaining_tasks - p_done_tasks,
    status = case when v_output is null or s.status <> 'started' then s.status else 'completed' end,
    completed_at = case when v_output is not null and s.status = 'started' then p_now end,
    output = case when s.status = 'started' then v_output end
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
  returning s.status
  into v_status;

  if v_output is null then
    -- Raising instead would wedge whoever reports last, for ever.
    perform quantumflow._fail_step(
      p_run_id, p_step_slug, null, 'map', 'its outputs exceed what one jsonb array can hold (QF306)', p_now);
  end if;

  return v_status = 'completed';
end
$_end_map$;

comment on function quantumflow._end_map(uuid, text, int, timestamptz) is
'Completes a map, and says whether it is: its output is its tasks'' outputs as an array in index order, nulls kept.

Outputs too large for one jsonb value (256 MB) fail the step and the run instead, with QF306 in error_message.';

create or replace function quantumflow._gather_map(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_gather_map$
declare
  v_in_chunks boolean;
  v_output    jsonb;
begin
  select w.chunk_size is not null
  into v_in_chunks
  from quantumflow.workflow_runs r
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, p_step_slug)
  where r.id = p_run_id;

  if v_in_chunks then
    select jsonb_agg(e.output order by t.task_index, e.n)
    into v_output
    from quantumflow.step_tasks t
    cross join jsonb_array_elements(case jsonb_typeof(t.output) when 'array' then t.output end) with ordinality e (output, n)
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug);
  else
    select jsonb_agg(t.output order by t.task_index)
    into v_output
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug);
  end if;

  return v_output;
end
$_gather_map$;

comment on function quantumflow._gather_map(uuid, text) is
'The outputs of a map''s items as an array in index order, nulls kept. Raises 54000 when that is too large for a jsonb value.';

create or replace function quantumflow.complete_and_claim(
  worker_id uuid,
  results   jsonb,
  quantity  int default 1,
  queues    text[] default '{quantum_flow_queue}',
  lease     interval default '300 s',
  commands  text[] default null)
returns setof quantumflow.task_exchange
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $complete_and_claim$
declare
  v_now   timestamptz := quantumflow._now();
  v_done  quantumflow._completion;
  v_taken quantumflow._taken_task[];
begin
  perform quantumflow._refuse_copy();

  v_done := quantumflow._complete(
    quantumflow._checked_array(complete_and_claim.results, 'results'),
    v_now,
    quantumflow._checked_offer(
      complete_and_claim.worker_id, complete_and_claim.quantity, complete_and_claim.queues, complete_and_claim.lease,
      complete_and_claim.commands));
  v_taken := quantumflow._claim(v_done.offer, v_now);

  return query
  select
    o.outcome, o.run_id, null::text, o.step_slug, o.task_index, null::text, null::jsonb, null::jsonb, null::int, null::int,
    null::bigint, null::timestamptz, null::timestamptz, null::text, null::bigint, null::jsonb
  from quantumflow._answers(v_done.held, 'completed') o;

  return query
  select null::text, c.*
  from quantumflow._hand_out_each(v_taken, complete_and_claim.lease, v_now) c;
end
$complete_and_claim$;

comment on function quantumflow.complete_and_claim(uuid, jsonb, int, text[], interval, text[]) is
'Reports tasks as done and hands out the next ones: complete_tasks and claim_tasks in one call and one commit.

results: as for complete_tasks; may be empty. The other arguments are those of claim_tasks; quantity is how many tasks the caller can
start at once. First come rows with the outcome of each result, in order, then rows without one: the tasks.

Steps that the results make ready are handed over as they start, without a claim of their own, if the caller could have claimed
them and nothing in their queue is ahead of them by more than a second. What room is left is filled by a claim, from the queues in
which anything was visible then.

Errors: as complete_tasks and claim_tasks: QF301, QF302, QF303, QF304, QF401, QF403, QF404; then no result is recorded.';

create or replace function quantumflow._oldest_vts(p_queues text[], p_now timestamptz)
returns timestamptz[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_oldest_vts$
declare
  v_queue  text;
  v_oldest timestamptz[] := array[]::timestamptz[];
begin
  foreach v_queue in array p_queues loop
    v_oldest := v_oldest || quantumflow._oldest_vt(v_queue, p_now);
  end loop;

  return v_oldest;
end
$_oldest_vts$;

comment on function quantumflow._oldest_vts(text[], timestamptz) is
'For each queue, since when the message has been visible that has been visible longest; null where none is.';

create or replace function quantumflow._take_up(
  p_offer  quantumflow._offer,
  p_tasks  quantumflow._new_task[],
  p_oldest timestamptz[],
  p_now    timestamptz)
returns quantumflow._new_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_take_up$
begin
  return array(
    select row(
      t.run_id, t.step_slug, t.task_index, t.item_value, t.workflow_slug, t.version, t.step_type, t.command, t.timeout,
      t.queue, t.ready_at,
      case when t.is_taken then p_now + least(p_offer.lease, t.timeout) else t.vt end,
      t.headers,
      case when t.is_taken then p_offer.worker_id end,
      case when t.is_taken then floor(random() * 9007199254740991)::bigint end,
      case when t.is_taken then p_now end
    )::quantumflow._new_task
    from (
      select
        c.*,
        c.may_be_taken
          and row_number() over (partition by c.may_be_taken order by c.vt, c.ordinality)
            <= p_offer.free - cardinality(p_offer.taken) as is_taken
      from (
        select
          n.*,
          n.ready_at <= p_now
            and n.queue = any (p_offer.queues)
            and coalesce(n.command = any (p_offer.commands), p_offer.commands is null)
            and coalesce(p_oldest[array_position(p_offer.queues, n.queue)] > n.vt - interval '1 s', true) as may_be_taken
        from unnest(p_tasks) with ordinality n
      ) c
    ) t
    order by t.ordinality);
end
$_take_up$;

comment on function quantumflow._take_up(quantumflow._offer, quantumflow._new_task[], timestamptz[], timestamptz) is
'Marks those of the tasks to be made that the worker is to have at once: of a queue and command that it asks for, due now, no more
than it has room for, and only where nothing visible in the queue is ahead by more than a second, so that others'' work, older and
higher, does not wait for it. p_oldest: what _oldest_vts says of the queues of the offer.';

create or replace function quantumflow._with_taken(
  p_offer  quantumflow._offer,
  p_tasks  quantumflow._new_task[],
  p_oldest timestamptz[])
returns quantumflow._offer
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_with_taken$
declare
  v_given quantumflow._taken_task[] := array(
    select row(
      t.run_id, t.workflow_slug, t.step_slug, t.task_index, t.queue, 1, 0, t.lease_token, t.timeout
    )::quantumflow._taken_task
    from unnest(p_tasks) with ordinality t
    where t.lease_token is not null
    order by t.vt, t.ordinality);
  v_quiet text[] := array[]::text[];
begin
  -- Where nothing was handed over, there may be something to claim: a callback of a run that this call ends.
  if v_given <> '{}' then
    for n in 1 .. cardinality(p_oldest) loop
      if p_oldest[n] is null then
        v_quiet := v_quiet || p_offer.queues[n];
      end if;
    end loop;
  end if;

  return row(
    p_offer.worker_id, p_offer.free, p_offer.queues, p_offer.lease, p_offer.commands, v_quiet, p_offer.taken || v_given
  )::quantumflow._offer;
end
$_with_taken$;

comment on function quantumflow._with_taken(quantumflow._offer, quantumflow._new_task[], timestamptz[]) is
'The offer with those of the tasks just made that were handed over, and with the queues in which nothing was visible.';

create or replace function quantumflow.fail_tasks(results jsonb)
returns setof quantumflow.task_outcome
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $fail_tasks$
declare
  v_now     timestamptz := quantumflow._now();
  v_held    quantumflow._held_task[];
  v_failing uuid[];
begin
  -- Lock: the tasks, the steps that fail, the runs.
  v_held := quantumflow._hold_reported(quantumflow._checked_array(fail_tasks.results, 'results'), 'fail');
  perform quantumflow._hold_steps(array(select h from unnest(v_held) h where h.outcome = 'fails'));
  v_failing := array(select h.run_id from unnest(v_held) h where h.outcome = 'fails' and h.step_type <> 'callback');
  v_held := quantumflow._hold_runs(v_held, case v_failing when '{}' then 'key share' else 'update' end);

  -- A run that fails here ends for the other tasks of the batch too: none of them will be tried again.
  for n in 1 .. case v_failing when '{}' then 0 else cardinality(v_held) end loop
    if v_held[n].outcome = 'acts' and v_held[n].step_type <> 'callback' and v_held[n].run_id = any (v_failing) then
      v_held[n].outcome := 'run_ended';
    end if;
  end loop;

  -- Change: tasks and their history, messages, runs.
  if exists (select from unnest(v_held) h where h.outcome = 'run_ended') then
    perform quantumflow._cancel_late(v_held);
  end if;

  perform quantumflow._record_failures(fail_tasks.results, v_held, v_now);
  perform quantumflow._remove_reported(v_held, array['fails']);

  perform quantumflow._fail_step(
    h.run_id, h.step_slug, h.task_index, h.step_type, quantumflow._error_of(fail_tasks.results -> h.ord), v_now)
  from unnest(v_held) h
  where h.outcome = 'fails'
    and h.step_type <> 'callback';

  -- Return.
  return query
  select *
  from quantumflow._answers(v_held, 'retrying');
end
$fail_tasks$;

create or replace function quantumflow.extend_leases(worker_id uuid, tasks jsonb, lease interval)
returns setof quantumflow.task_lease
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $extend_leases$
declare
  v_now   timestamptz := quantumflow._now();
  v_lease interval := quantumflow._checked_lease(extend_leases.lease);
  v_tasks jsonb := quantumflow._checked_array(extend_leases.tasks, 'tasks');
  v_batch record;
begin
  perform quantumflow._worker_seen(extend_leases.worker_id, v_now);

  for v_batch in
    with held as (
      select l.queue, l.message_id, least(v_now + v_lease, l.deadline) as vt
      from quantumflow._leases(v_tasks) l
      cross join lateral (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug, t.task_index) = (l.run_id, l.step_slug, l.task_index)
          and t.status = 'started'
          and t.lease_token = l.lease_token
        for no key update skip locked
      ) t
      where l.state = 'held'
    )
    select l.queue, array_agg(l.message_id) as msg_ids, array_agg(l.vt) as vts
    from held l
    group by l.queue
    order by l.queue
  loop
    perform quantumflow._extend_vt(v_batch.queue, v_batch.msg_ids, v_batch.vts);
  end loop;

  return query
  select
    l.run_id, l.step_slug, l.task_index, l.state,
    case l.state when 'held' then least(v_now + v_lease, l.deadline) end
  from quantumflow._leases(v_tasks) l
  order by l.ord;
end
$extend_leases$;

create or replace function quantumflow._leases(p_tasks jsonb)
returns table (
  ord         int,
  run_id      uuid,
  step_slug   text,
  task_index  int,
  lease_token bigint,
  state       text,
  queue       text,
  message_id  bigint,
  deadline    timestamptz)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_leases$
begin
  return query
  select
    k.ord,
    k.run_id,
    k.step_slug,
    k.task_index,
    t.lease_token,
    case
      when t.status = 'cancelled' and t.is_leased then 'cancelled'
      when t.status is distinct from 'started' or t.is_leased is not true then 'lost'
      when w.step_type <> 'callback' and r.status not in ('started', 'paused') then 'cancelled'
      else 'held'
    end,
    t.queue,
    t.message_id,
    t.started_at + w.timeout
  from quantumflow._parse_reports(p_tasks) k
  left join lateral (
    select l.status, l.lease_token, l.queue, l.message_id, l.started_at, l.lease_token::text = k.token as is_leased
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
    limit 1
  ) t on true
  left join lateral (
    select l.workflow_slug, l.version, l.status
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r on true
  left join lateral (
    select l.step_type, l.timeout
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, k.step_slug)
    limit 1
  ) w on true;
end
$_leases$;

create or replace function quantumflow.hold_task(run_id uuid, step_slug text, task_index int, lease_token bigint)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $hold_task$
declare
  v_state text;
  v_left  interval;
begin
  -- Lock the task and nothing else: a completion in this transaction takes step and run after it, in order.
  perform
  from quantumflow.step_tasks t
  where (t.run_id, t.step_slug, t.task_index) = (hold_task.run_id, hold_task.step_slug, hold_task.task_index)
  for update;

  -- Read in a statement after the one that may have waited.
  select l.state, l.deadline - quantumflow._now()
  into v_state, v_left
  from quantumflow._leases(jsonb_build_array(jsonb_build_object(
    'run_id', hold_task.run_id,
    'step_slug', hold_task.step_slug,
    'task_index', hold_task.task_index,
    'lease_token', hold_task.lease_token))) l;

  if v_state <> 'held' then
    return v_state;
  end if;

  if v_left <= interval '0' then
    return 'lost';
  end if;

  perform quantumflow._end_transaction_within(v_left);

  return 'held';
end
$hold_task$;

create or replace function quantumflow.release_tasks(tasks jsonb)
returns int
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $release_tasks$
declare
  v_now      timestamptz := quantumflow._now();
  v_held     quantumflow._held_task[];
  v_batch    record;
  v_released int := 0;
begin
  v_held := quantumflow._hold_reported(quantumflow._checked_array(release_tasks.tasks, 'tasks'), 'release');
  v_held := quantumflow._hold_runs(v_held, 'key share');

  if exists (select from unnest(v_held) h where h.outcome = 'run_ended') then
    perform quantumflow._cancel_late(v_held);
  end if;

  for v_batch in
    with released as (
      update quantumflow.step_tasks t
      set
        status = 'queued',
        attempts = t.attempts - 1,
        lease_token = null,
        worker_id = null,
        started_at = null
      from unnest(v_held) h
      where h.outcome = 'acts'
        and h.status = 'started'
        and t.ctid = h.tid
      returning
        t.queue,
        t.message_id,
        case h.run_status
          when 'paused' then 'infinity'
          else t.queued_at - make_interval(secs => (
            select r.priority from quantumflow.workflow_runs r where r.id = t.run_id))
        end as vt
    )
    select r.queue, array_agg(r.message_id) as msg_ids, array_agg(r.vt) as vts
    from released r
    group by r.queue
    order by r.queue
  loop
    if v_now >= any (v_batch.vts) then
      perform quantumflow._notify(v_batch.queue, v_now);
    end if;

    perform quantumflow._redelay(v_batch.queue, v_batch.msg_ids, v_batch.vts);
    v_released := v_released + cardinality(v_batch.msg_ids);
  end loop;

  return v_released;
end
$release_tasks$;

create or replace function quantumflow.sweep()
returns table (action text, tasks int)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $sweep$
declare
  v_now      timestamptz := quantumflow._now();
  v_queue    text;
  v_messages quantumflow._message[];
  v_lapsed   int := 0;
begin
  for v_queue in
    select q.queue
    from quantumflow._known_queues() q (queue)
  loop
    v_messages := quantumflow._read_lapsed(v_queue, v_now);
    continue when v_messages is null;

    v_lapsed := v_lapsed + quantumflow._settle_lapsed(
      v_queue,
      array(
        select h
        from unnest(quantumflow._hold_messages(v_queue, v_messages)) h
        where h.outcome in ('lost', 'timeout')),
      v_now);
  end loop;

  return query
  values
    ('lapsed leases', v_lapsed),
    ('unfinished ends', quantumflow._finish_ends(1000, v_now));
end
$sweep$;

create or replace function quantumflow.register_worker(worker_id uuid, name text, commands text[], queues text[])
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $register_worker$
declare
  v_now   timestamptz := quantumflow._now();
  v_queue text;
begin
  perform quantumflow._checked_offer(register_worker.worker_id, 1, register_worker.queues, '1 s', null);

  insert into quantumflow.workers as w (worker_id, name, commands, queues, started_at, last_seen_at)
  values (register_worker.worker_id, register_worker.name, register_worker.commands, register_worker.queues, v_now, v_now)
  on conflict on constraint workers_pkey do update
  set
    name = excluded.name,
    commands = excluded.commands,
    queues = excluded.queues,
    last_seen_at = excluded.last_seen_at,
    stopped_at = null;

  foreach v_queue in array register_worker.queues loop
    perform quantumflow._recall_put_back(v_queue, register_worker.commands, v_now);
  end loop;
end
$register_worker$;

create or replace function quantumflow.check_state(run_id uuid default null)
returns setof quantumflow.state_problem
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
set enable_nestloop = off
set jit = off
as $check_state$
begin
  return query
  select * from quantumflow._check_definitions(check_state.run_id)
  union all
  select * from quantumflow._check_references(check_state.run_id)
  union all
  select * from quantumflow._check_ends(check_state.run_id)
  union all
  select * from quantumflow._check_messages(check_state.run_id)
  union all
  select * from quantumflow._check_steps(check_state.run_id)
  union all
  select * from quantumflow._check_outputs(check_state.run_id)
  union all
  select * from quantumflow._check_chunks(check_state.run_id)
  union all
  select * from quantumflow._check_runs(check_state.run_id)
  union all
  select * from quantumflow._check_limits(check_state.run_id)
  order by 1, 2, 3, 4, 6;
end
$check_state$;

comment on function quantumflow.check_state(uuid) is
'Whatever breaks the rules that are always true, of one run or of all: no row means healthy. From one snapshot, so it is exact
under load too.

rule:
0 every row belongs to something (there are no foreign keys);
1 a run that ended has no queued or started task, callbacks aside, unless it is listed in _unfinished_ends;
2 every queued or started task has exactly one message, and every message such a task; only queued tasks of paused runs sleep;
3 remaining_steps, remaining_deps and remaining_tasks equal a recount;
6 a step starts only after all its dependencies are done, and does start then;
7 a map has a task per item, or per chunk_size items, and, when it is completed, their outputs in index order;
8 failures do not exceed max_attempts, nor losses max_lost; a step or run with nothing left to do has ended, and a run that ended
has its callback;
9 a completed run has only steps that are done, and a run that goes on no failed or cancelled step or task.
(4 and 5, one lease a task and one output a task, are kept by the table itself.)

problem says what is wrong with the run, step, task or message that the row names, remedy what repair() does about it.
It reads every row once or more, and the outputs of maps: some seconds for a million tasks.

Errors: none.';

create or replace function quantumflow._check_messages(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_messages$
begin
  -- The keys of both are compared, so that a message is its task's only if either names the other.
  return query execute format(
    $$
    select
      2, coalesce(t.run_id, n.run_id), coalesce(t.step_slug, m.step_slug), coalesce(t.task_index, m.task_index),
      coalesce(t.queue, m.queue), coalesce(t.message_id, m.msg_id),
      case
        when t.run_id is not null and m.msg_id is not null then format('the task is %%s but its message sleeps for ever', t.status)
        when m.msg_id is null and quantumflow._queue_table(t.queue) is null then 'the task''s queue does not exist'
        when m.msg_id is null then format('the task is %%s but its message is not in the queue', t.status)
        when n.run_id is null then 'the message names no task'
        when n.message_id <> m.msg_id or n.queue <> m.queue then 'the message is not the one its task names'
        else format('the message is in the queue although its task is %%s', n.status)
      end,
      case
        when t.run_id is not null and m.msg_id is not null then 'wake it'
        when m.msg_id is null and (t.step_slug like '\_%%' or r.status in ('started', 'paused')) then case t.status
          when 'queued' then 'send it a new message'
          else 'send it a new message, and count its lease as lost'
        end
        when m.msg_id is null and r.status in ('failed', 'cancelled') then 'cancel it'
        when m.msg_id is null then null
        when n.run_id is null or n.message_id <> m.msg_id or n.queue <> m.queue then 'archive the message'
        else 'remove the message'
      end
    from (
      select k.run_id, k.run_id::text as run_key, k.step_slug, k.task_index, k.queue, k.message_id, k.status
      from quantumflow.step_tasks k
      where k.status in ('queued', 'started')
        and ($1 is null or k.run_id = $1)
    ) t
    full join (
      select
        q.queue, q.msg_id, q.vt,
        q.message ->> 'workflow_run_id' as run_key,
        q.message ->> 'step_name' as step_slug,
        quantumflow._as_number(q.message ->> 'task_index', 9)::int as task_index
      from (%s) q
      where $1 is null or q.message ->> 'workflow_run_id' = $1::text
    ) m
      on (m.queue, m.msg_id, m.run_key, m.step_slug, m.task_index)
        = (t.queue, t.message_id, t.run_key, t.step_slug, t.task_index)
    left join lateral (
      select l.run_id, l.queue, l.message_id, l.status
      from quantumflow.step_tasks l
      where m.msg_id is not null
        and t.run_id is null
        and l.run_id = quantumflow._as_uuid(m.run_key)
        and (l.step_slug, l.task_index) = (m.step_slug, m.task_index)
      limit 1
    ) n on true
    left join lateral (
      select l.status
      from quantumflow.workflow_runs l
      where l.id = t.run_id
        and (m.msg_id is null or m.vt = 'infinity')
      limit 1
    ) r on true
    where t.run_id is null
      or m.msg_id is null
      or (
        m.vt = 'infinity'
        and case r.status
          when 'started' then true
          when 'paused' then t.status = 'started'
          else t.step_slug like '\_%%'
        end
      )
    $$,
    quantumflow._all_messages())
  using p_run_id;
end
$_check_messages$;

create or replace function quantumflow._check_outputs(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
as $_check_outputs$
begin
  -- Gathered again map by map, once it is known to be one.
  return query
  select 7, m.run_id, m.step_slug::text, null::int, null::text, null::bigint,
    format('the map''s output is not the outputs of its %s tasks in index order', m.initial_tasks), null::text
  from (
    select s.run_id, s.step_slug, s.initial_tasks, s.output
    from quantumflow.step_states s
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
      and w.step_type = 'map'
    where (p_run_id is null or s.run_id = p_run_id)
      and s.status = 'completed'
    offset 0
  ) m
  where m.output is distinct from coalesce(quantumflow._gather_map(m.run_id, m.step_slug), '[]');
end
$_check_outputs$;

create or replace function quantumflow._check_chunks(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_chunks$
begin
  return query
  with chunked as materialized (
    select s.run_id, s.step_slug, s.initial_tasks, w.chunk_size, r.workflow_slug, r.version
    from quantumflow.step_states s
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
      and w.chunk_size is not null
    where (p_run_id is null or s.run_id = p_run_id)
      and s.status in ('started', 'completed')
  )
  select 7, c.run_id, c.step_slug, null::int, null::text, null::bigint,
    format('the step has %s tasks for %s items in chunks of %s', c.initial_tasks, i.items, c.chunk_size), null::text
  from chunked c
  cross join lateral (
    select jsonb_array_length(quantumflow._map_source(c.run_id, c.workflow_slug, c.version, c.step_slug)) as items
    offset 0
  ) i
  where c.initial_tasks <> ceil(i.items / c.chunk_size::numeric)
  union all
  select 7, c.run_id, c.step_slug, t.task_index, null, null,
    format('the task is %s and has %s items, in chunks of %s, and %s outputs', t.status, n.items, c.chunk_size, n.outputs), null
  from chunked c
  join quantumflow.step_tasks t
    on (t.run_id, t.step_slug) = (c.run_id, c.step_slug)
  cross join lateral (
    select
      case jsonb_typeof(t.item_value) when 'array' then jsonb_array_length(t.item_value) else 0 end as items,
      case jsonb_typeof(t.output) when 'array' then jsonb_array_length(t.output) else 0 end as outputs
  ) n
  where n.items not between 1 and c.chunk_size
    or (n.items < c.chunk_size and t.task_index < c.initial_tasks - 1)
    or (t.status = 'completed' and n.outputs <> n.items);
end
$_check_chunks$;

comment on function quantumflow._check_chunks(uuid) is 'Rule 7 of check_state: maps whose tasks have several items each.';

create or replace function quantumflow._examine_server()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_server$
begin
  return query
  select
    'server',
    case when current_setting('server_version_num')::int >= 140000 then 'ok' else 'error' end,
    'PostgreSQL ' || current_setting('server_version'),
    case when current_setting('server_version_num')::int < 140000 then 'quantumflow needs PostgreSQL 14 or newer.' end
  union all
  select
    'fsync',
    case current_setting('fsync') when 'on' then 'ok' else 'error' end,
    'fsync is ' || current_setting('fsync'),
    case current_setting('fsync') when 'off' then 'A crash can lose or corrupt data. Turn fsync on, except for tests.' end
  union all
  select
    'autovacuum',
    case current_setting('autovacuum') when 'on' then 'ok' else 'warning' end,
    'autovacuum is ' || current_setting('autovacuum'),
    case current_setting('autovacuum') when 'off' then 'Queues grow without it. Turn autovacuum on.' end
  union all
  select
    'notifications',
    case when pg_notification_queue_usage() > 0.5 then 'warning' else 'ok' end,
    format(
      'workers are %s of new work; the server''s queue for that is %s %% full',
      case quantumflow._limit('notify') when 1 then 'told' else 'not told' end,
      round(100 * pg_notification_queue_usage())),
    case
      when pg_notification_queue_usage() > 0.5
      then 'Commits are refused when it is full. End the session that listens and has been in a transaction for long: '
        'see pg_stat_activity. Or tell nobody: select quantumflow.configure(''notify'', ''0'').'
    end
  union all
  select
    'clock',
    'warning',
    'the test clock is allowed',
    'Any session can move the clock, so leases can be ended early. Except for tests: '
      'delete from quantumflow.settings where name = ''test_clock''.'
  from quantumflow.settings s
  where s.name = 'test_clock'
    and s.value = 'on';
end
$_examine_server$;

create or replace function quantumflow._identity()
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_identity$
declare
  v_identity text := current_setting('quantumflow.identity', true);
  v_system   text := 'unknown';
begin
  -- Remembered, because a session never changes its database, and to ask reads a file.
  if v_identity <> '' then
    return v_identity;
  end if;

  if has_function_privilege('pg_control_system()', 'execute') then
    v_system := (select c.system_identifier::text from pg_control_system() c);
  end if;

  select format('%s/%s', v_system, d.oid)
  into v_identity
  from pg_database d
  where d.datname = current_database();

  perform set_config('quantumflow.identity', v_identity, false);

  return v_identity;
end
$_identity$;

create or replace function quantumflow._send_again(p_tids tid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_hashjoin = off
set enable_mergejoin = off
set jit = off
as $_send_again$
declare
  v_tasks quantumflow._new_task[];
begin
  select array_agg(
    row(
      t.run_id, t.step_slug, t.task_index, null, r.workflow_slug, r.version, w.step_type, null, w.timeout, t.queue, t.queued_at,
      case
        when t.status = 'started' then least(p_now, t.started_at + w.timeout - interval '1 ms')
        when r.status = 'paused' then 'infinity'
        else quantumflow._visible_at(t.queued_at, r.priority, p_now)
      end,
      r.headers, null, null, null
    )::quantumflow._new_task)
  into v_tasks
  from unnest(p_tids) k (tid)
  join quantumflow.step_tasks t
    on t.ctid = k.tid
  cross join lateral (
    select l.*
    from quantumflow.workflow_runs l
    where l.id = t.run_id
    limit 1
  ) r
  cross join lateral (
    select l.step_type, l.timeout
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    limit 1
  ) w;

  perform quantumflow._queue_tasks(v_tasks, true);

  -- As if they had been read, so that a sweep looks at them too.
  perform quantumflow._set_vt(s.queue, s.msg_ids, s.vts, 1)
  from (
    select k.queue, array_agg(t.message_id) as msg_ids, array_agg(k.vt) as vts
    from unnest(v_tasks) k
    cross join lateral (
      select l.message_id, l.status
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      limit 1
    ) t
    where t.status = 'started'
    group by k.queue
  ) s;
end
$_send_again$;

comment on function quantumflow.configure(text, text) is
'Sets a limit, for everybody and from the next call on, and returns the value in force; a null value sets it back to the usual one.

max_steps: steps of a definition; usually 10,000. max_depth: steps in its longest chain; 1,000.
max_definition_bytes: its size; 4 MB (4194304). max_map_items: items that a map maps over; 1,000,000, at most 2,000,000.
max_input_bytes: the size of a run''s input; 64 MB (67108864). max_headers_bytes: the size of its headers, which each message of
the run carries; 8 kB (8192), at most 32 kB.
max_output_bytes: the size of a task''s output; 64 MB. What exceeds it fails the task without another attempt.
max_error_bytes: the size of an error''s text, and of its details; 128 kB (131072). A longer text is cut.
notify: 1, as usual, lets new work wake workers that listen on channel quantumflow; with 0 they find it when they next look.
Sizes are in the bytes that PostgreSQL keeps a value in before it compresses them. What is there already stays.

Errors: QF503 unknown setting, or one that only the owner can change; QF504 bad value of a setting.';

create or replace function quantumflow._levels()
returns table (function_name text, levels text[])
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_levels$
begin
  return query
  values
    ('check_state', '{viewer}'::text[]),
    ('doctor', '{viewer}'),
    ('get_flow', '{viewer}'),
    ('list_failures', '{viewer}'),
    ('list_flows', '{viewer}'),
    ('list_runs', '{viewer}'),
    ('retry_preview', '{viewer}'),
    ('run_input', '{viewer,worker}'),
    ('status', '{viewer}'),
    ('step_output', '{viewer,worker}'),
    ('validate_flow', '{viewer}'),
    ('version', '{viewer}'),

    ('claim_tasks', '{worker}'),
    ('complete_and_claim', '{worker}'),
    ('complete_tasks', '{worker}'),
    ('extend_leases', '{worker}'),
    ('fail_tasks', '{worker}'),
    ('hold_task', '{worker}'),
    ('register_worker', '{worker}'),
    ('release_tasks', '{worker}'),
    ('stop_worker', '{worker}'),

    -- The single forms are also how a person finishes or gives up a task by hand.
    ('complete_task', '{worker,operator}'),
    ('fail_task', '{worker,operator}'),
    ('sweep', '{worker,operator}'),

    ('adopt', '{operator}'),
    ('cancel_run', '{operator}'),
    ('configure', '{operator}'),
    ('delete_run', '{operator}'),
    ('pause_run', '{operator}'),
    ('prune', '{operator}'),
    ('rebuild_queues', '{operator}'),
    ('repair', '{operator}'),
    ('resume_run', '{operator}'),
    ('retry_run', '{operator}'),
    ('setup', '{operator,author}'),
    ('start_flow', '{operator,author}'),
    ('start_flows', '{operator,author}'),
    ('start_ready_steps', '{operator}'),

    ('add_step', '{author}'),
    ('create_flow', '{author}'),
    ('define_flow', '{author}'),
    ('delete_flow', '{author}'),

    -- Only whoever installed quantumflow.
    ('grant_access', '{}'),
    ('revoke_access', '{}');
end
$_levels$;

revoke all on all functions in schema quantumflow from public;

do $backup$
declare
  v_table regclass;
begin
  if exists (
    select
    from pg_catalog.pg_extension e
    where e.extname operator(pg_catalog.=) 'quantumflow'
  )
  then
    for v_table in
      select c.oid
      from pg_catalog.pg_class c
      where c.relnamespace operator(pg_catalog.=) 'quantumflow'::pg_catalog.regnamespace
        and c.relkind operator(pg_catalog.=) any (array['r', 'S']::pg_catalog."char"[])
      order by c.relname
    loop
      perform pg_catalog.pg_extension_config_dump(v_table, '');
    end loop;
  end if;
end
$backup$;

do $finish$
declare
  v_granted jsonb;
begin
  for v_granted in
    select * from jsonb_array_elements(current_setting('quantumflow.granted')::jsonb)
  loop
    if (
      case v_granted ->> 0
        when 'function' then to_regproc(v_granted ->> 1) is not null
        else to_regclass(v_granted ->> 1) is not null
      end
    )
    then
      execute format(
        'grant %s on %s %s to %s', v_granted ->> 3, v_granted ->> 0, v_granted ->> 1,
        (v_granted ->> 2) || case when (v_granted ->> 4)::boolean then ' with grant option' else '' end);
    end if;
  end loop;

  -- Whoever waits for a table that is gone began before there was the one in its place, and would find it empty.
  if exists (
    select
    from pg_locks l
    where l.database = (select d.oid from pg_database d where d.datname = current_database())
      and not l.granted
      and l.locktype = 'relation'
      and not exists (select from pg_class c where c.oid = l.relation)
  )
  then
    raise exception 'somebody came while quantumflow was being updated to 0.3.0'
    using
      errcode = 'lock_not_available',
      hint = 'Nothing was changed. Try again.';
  end if;
end
$finish$;
