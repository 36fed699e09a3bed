-- quantumflow 0.3.0, assembled from extension/sql/quantumflow.sql. Edit the parts, not this file.

-- Source: sql/base/schema.sql
-- Until the end of the transaction, so that names and operators below mean the same, whoever installs.
set local search_path = pg_catalog, pg_temp;

-- The script makes its own schema, so that DROP EXTENSION removes it, and so that a schema somebody
-- else made beforehand (whose owner could add overloads to it) is refused instead of adopted.
create schema quantumflow;

comment on schema quantumflow is
'quantumflow: durable DAG workflows coordinated inside PostgreSQL, on top of pgmq.

Functions whose name starts with an underscore are private and may change in any release.';

-- Source: sql/base/settings.sql
create table quantumflow.settings (
  name  text not null,
  value text not null,
  constraint settings_pkey primary key (name),
  constraint settings_name_known check (name in (
    'test_clock', 'identity',
    'max_steps', 'max_depth', 'max_definition_bytes', 'max_map_items', 'max_input_bytes', 'max_headers_bytes', 'max_output_bytes',
    'max_error_bytes', 'notify'))
);

comment on table quantumflow.settings is
'What an installation changes from the defaults, with quantumflow.configure(). No row means the default.';
comment on column quantumflow.settings.name is
'max_...: a limit; see configure(). identity: which database the runs belong to; see adopt().
test_clock: "on" lets the setting quantumflow.now replace the clock; for tests only, default "off".';
comment on column quantumflow.settings.value is
'The value, as text.';

-- Source: sql/base/limits.sql
create function quantumflow._limits()
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

comment on function quantumflow._limits() is
'The limits that can be configured: what each is when nobody configured it, and between what it may be.';

create function quantumflow._limit(p_setting text)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_limit$
begin
  return coalesce(
    (select s.value::bigint from quantumflow.settings s where s.name = p_setting),
    (select l.usual from quantumflow._limits() l where l.name = p_setting));
end
$_limit$;

comment on function quantumflow._limit(text) is
'A limit in force: as configured, else as usual.';

create function quantumflow._bytes(p_value jsonb)
returns bigint
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_bytes$
begin
  -- The path to the whole value unpacks what a table had compressed.
  return pg_column_size(p_value #> '{}')::bigint;
end
$_bytes$;

comment on function quantumflow._bytes(jsonb) is
'The size of a JSON value, in the bytes that PostgreSQL keeps it in before it compresses them: about those of its text.';

create function quantumflow._cut(p_text text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_cut$
declare
  v_limit bigint;
  v_note  text;
  v_text  text := p_text;
begin
  -- No limit can be lower.
  if p_text is null or octet_length(p_text) <= 1000 then
    return p_text;
  end if;

  v_limit := quantumflow._limit('max_error_bytes');

  if octet_length(p_text) <= v_limit then
    return p_text;
  end if;

  v_note := format('... (cut: it had %s bytes)', octet_length(p_text));

  while octet_length(v_text) > v_limit - octet_length(v_note) loop
    -- A character has at most four bytes.
    v_text := left(v_text, -greatest(1, (octet_length(v_text) - v_limit + octet_length(v_note)) / 4)::int);
  end loop;

  return v_text || v_note;
end
$_cut$;

comment on function quantumflow._cut(text) is
'An error text as it is kept: cut to max_error_bytes, and then it says so.';

-- Source: sql/base/clock.sql
create function quantumflow._now()
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

comment on function quantumflow._now() is
'The one clock: clock_timestamp(), read once per call into a variable.

A test may set it with "set quantumflow.now = ...", which is honoured only while the row
("test_clock", "on") is in quantumflow.settings, so that no role can expire leases.';

-- Source: sql/base/texts.sql
-- Numbers and ids out of text that may hold anything. Without a path of their own, so that they are inlined where they are called.
-- The patterns are chosen for speed: one that counts, as {12} does, costs several times as much.

create function quantumflow._as_uuid(p_text text)
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

create function quantumflow._as_number(p_text text, p_digits int)
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

-- Source: sql/base/uuid.sql
create function quantumflow._uuid_v7()
returns uuid
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_uuid_v7$
declare
  v_us bigint := (extract(epoch from clock_timestamp()) * 1000000)::bigint;
begin
  -- 48 bits of milliseconds, the version, 12 bits of the fraction of the millisecond; the rest is random.
  return encode(
    overlay(
      uuid_send(gen_random_uuid())
      placing int8send((v_us / 1000 << 16) | 28672 | (v_us % 1000 * 4096 / 1000))
      from 1 for 8),
    'hex')::uuid;
end
$_uuid_v7$;

comment on function quantumflow._uuid_v7() is
'A version 7 uuid (RFC 9562, section 5.7, with the sub-millisecond fraction of section 6.2, method 3).

Ids made later sort later, to about a microsecond, so a run''s rows land at the right edge of their indexes.
PostgreSQL 18 has uuidv7(); this is the same on every supported version.';

create function quantumflow._first_uuid_v7(p_at timestamptz)
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

-- Source: sql/base/version.sql
create function quantumflow.version()
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $version$
  select '0.3.0';
$version$;

comment on function quantumflow.version() is
'The version of quantumflow that is installed, however it was installed.';

-- Source: sql/definition/tables.sql
create table quantumflow.workflows (
  workflow_slug   text collate "C" not null,
  current_version int not null,
  created_at      timestamptz not null,
  constraint workflows_pkey primary key (workflow_slug),
  constraint workflows_slug_well_formed check (workflow_slug ~ '^[A-Za-z][A-Za-z0-9_]{0,127}$')
);

create unique index workflows_slug_unique_whatever_case on quantumflow.workflows (lower(workflow_slug));

comment on table quantumflow.workflows is
'One row per workflow: its name and the version that new runs use.';
comment on column quantumflow.workflows.workflow_slug is
'The name: a letter, then letters, digits and underscores, at most 128; unique whatever the case.';
comment on column quantumflow.workflows.current_version is
'The version that start_flow uses unless told otherwise.';
comment on column quantumflow.workflows.created_at is
'When the workflow was first defined.';

create table quantumflow.workflow_versions (
  workflow_slug text collate "C" not null,
  version       int not null,
  content_hash  text not null,
  definition    jsonb not null,
  frozen_at     timestamptz,
  constraint workflow_versions_pkey primary key (workflow_slug, version),
  constraint workflow_versions_same_content_same_version unique (workflow_slug, content_hash),
  constraint workflow_versions_count_from_one check (version >= 1)
);

comment on table quantumflow.workflow_versions is
'The definitions a workflow has had. A version is frozen by its first run; a change after that makes a new one.';
comment on column quantumflow.workflow_versions.workflow_slug is
'The workflow.';
comment on column quantumflow.workflow_versions.version is
'1, 2, 3 and so on. Not the "version" key of the definition, which is that of the JSON format.';
comment on column quantumflow.workflow_versions.content_hash is
'SHA-256 of the definition in hex, with its steps in order of name: the same content is the same version.';
comment on column quantumflow.workflow_versions.definition is
'The definition in canonical form: define_flow accepts it again. Defaults that were not given stay absent.';
comment on column quantumflow.workflow_versions.frozen_at is
'When the first run of this version started; null while it may still change.';

create table quantumflow.workflow_steps (
  workflow_slug text collate "C" not null,
  version       int not null,
  step_slug     text collate "C" not null,
  step_index    int not null,
  step_type     text not null,
  command       text not null,
  map_over      text collate "C",
  dependencies  text[] collate "C" not null,
  dependents    text[] collate "C" not null,
  feeds_map     boolean not null,
  max_attempts  int not null,
  max_lost      int not null,
  retry_delay   interval not null,
  timeout       interval not null,
  start_delay   interval not null,
  queue         text not null,
  args          jsonb,
  chunk_size    int,
  constraint workflow_steps_pkey primary key (workflow_slug, version, step_slug),
  constraint workflow_steps_type_known check (step_type in ('single', 'map', 'callback')),
  constraint workflow_steps_callbacks_are_ours check ((step_type = 'callback') = (step_slug like '\_%')),
  constraint workflow_steps_only_maps_map check (map_over is null or step_type = 'map'),
  constraint workflow_steps_chunk_size_of_maps check (chunk_size is null or (chunk_size >= 1 and step_type = 'map')),
  constraint workflow_steps_max_attempts_positive check (max_attempts >= 1),
  constraint workflow_steps_max_lost_positive check (max_lost >= 1),
  constraint workflow_steps_retry_delay_not_negative check (retry_delay >= '0 s'),
  constraint workflow_steps_timeout_positive check (timeout > '0 s'),
  constraint workflow_steps_start_delay_not_negative check (start_delay >= '0 s')
);

comment on table quantumflow.workflow_steps is
'The steps of each version, with every setting resolved: what the engine reads while runs are on.

A version''s on_complete and on_failure commands are here too, as steps of type "callback" named
_on_complete and _on_failure; they have no row in step_states.';
comment on column quantumflow.workflow_steps.workflow_slug is 'The workflow.';
comment on column quantumflow.workflow_steps.version is 'The version.';
comment on column quantumflow.workflow_steps.step_slug is 'The step''s name, unique in its version whatever the case.';
comment on column quantumflow.workflow_steps.step_index is 'The position in the definition, from 0.';
comment on column quantumflow.workflow_steps.step_type is
'single: one task. map: one task per item or per chunk of items. callback: run when a run of this version ends.';
comment on column quantumflow.workflow_steps.command is 'The name of the handler that executes the step.';
comment on column quantumflow.workflow_steps.map_over is
'The dependency whose array a map step maps over; null: the run''s input.';
comment on column quantumflow.workflow_steps.dependencies is 'The steps that must be done first, in the order given.';
comment on column quantumflow.workflow_steps.dependents is 'The steps that wait for this one.';
comment on column quantumflow.workflow_steps.feeds_map is 'A single step over whose output a map maps: it must be an array.';
comment on column quantumflow.workflow_steps.max_attempts is 'How many failures (errors and timeouts) end a task.';
comment on column quantumflow.workflow_steps.max_lost is 'How many lost leases end a task; 1 is "at most once".';
comment on column quantumflow.workflow_steps.retry_delay is 'The delay before the second attempt; it doubles with each failure.';
comment on column quantumflow.workflow_steps.timeout is 'How long one attempt may take from its claim.';
comment on column quantumflow.workflow_steps.start_delay is 'How long the step''s tasks wait once the step is ready.';
comment on column quantumflow.workflow_steps.queue is 'The pgmq queue of the step''s tasks.';
comment on column quantumflow.workflow_steps.args is 'Handed to the handler unchanged.';
comment on column quantumflow.workflow_steps.chunk_size is
'How many items of a map one task has, all of them in one array; null: one item a task, as it is.';

create table quantumflow.workflow_step_edges (
  workflow_slug   text collate "C" not null,
  version         int not null,
  step_slug       text collate "C" not null,
  depends_on_step text collate "C" not null,
  constraint workflow_step_edges_pkey primary key (workflow_slug, version, step_slug, depends_on_step),
  constraint workflow_step_edges_not_to_itself check (step_slug <> depends_on_step)
);

comment on table quantumflow.workflow_step_edges is
'The graph: one row per dependency. The engine reads the arrays of workflow_steps; this is for people and for the cycle check.';
comment on column quantumflow.workflow_step_edges.workflow_slug is 'The workflow.';
comment on column quantumflow.workflow_step_edges.version is 'The version.';
comment on column quantumflow.workflow_step_edges.step_slug is 'The step that waits.';
comment on column quantumflow.workflow_step_edges.depends_on_step is 'The step it waits for.';

-- Source: sql/definition/lock.sql
create function quantumflow._lock_flow(
  p_workflow_slug text,
  p_exclusive     boolean
)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_lock_flow$
declare
  v_class int := hashtext('quantumflow');
  v_flow  int := hashtext(lower(p_workflow_slug collate "C"));
begin
  if p_exclusive then
    perform pg_advisory_xact_lock(v_class, v_flow);
  else
    perform pg_advisory_xact_lock_shared(v_class, v_flow);
  end if;
end
$_lock_flow$;

comment on function quantumflow._lock_flow(text, boolean) is
'Locks a workflow''s name until the transaction ends: shared to start runs, exclusive to change the definition.

The name need not exist yet. Names that differ only in case share a lock, and so may, harmlessly,
two names with the same hash. Read the definition in a later statement than the one that locks.';

-- Source: sql/definition/cycle.sql
create function quantumflow._find_cycle(p_steps text[], p_depends_on text[])
returns text[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_find_cycle$
begin
  return (quantumflow._examine_graph(p_steps, p_depends_on)).cycle;
end
$_find_cycle$;

comment on function quantumflow._find_cycle(text[], text[]) is
'One cycle among dependencies, as _examine_graph tells.';

create function quantumflow._examine_graph(
  p_steps           text[],
  p_depends_on      text[],
  out cycle         text[],
  out longest_chain int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_examine_graph$
declare
  v_names text[];
  v_from  int[];
  v_to    int[];
  v_walk  record;
  v_cycle int[];
begin
  select
    array_agg(distinct n.name collate "C" order by n.name collate "C"),
    array_agg(n.number order by n.place) filter (where n.place <= cardinality(p_steps)),
    array_agg(n.number order by n.place) filter (where n.place > cardinality(p_steps))
  into v_names, v_from, v_to
  from (
    select e.name, e.place, dense_rank() over (order by e.name collate "C")::int as number
    from unnest(p_steps || p_depends_on) with ordinality e (name, place)
  ) n;

  if v_names is null then
    return;
  end if;

  v_walk := quantumflow._walk(
    cardinality(v_names), v_from, v_to,
    array(select generate_series(1, cardinality(v_names)) except select unnest(v_to)));
  v_cycle := v_walk.cycle;
  longest_chain := v_walk.deepest + 1;

  if v_cycle is null and v_walk.unreached is not null then
    -- A step that no source leads to lies behind a cycle: walk from it against the arrows.
    v_walk := quantumflow._walk(cardinality(v_names), v_to, v_from, array[v_walk.unreached]);
    v_cycle := array(
      select w.step
      from unnest(v_walk.cycle) with ordinality w (step, place)
      order by w.place desc);
  end if;

  if v_cycle is null then
    return;
  end if;

  cycle := array(
    select v_names[c.step]
    from unnest(v_cycle) with ordinality c (step, place)
    order by c.place);
  longest_chain := null;
end
$_examine_graph$;

comment on function quantumflow._examine_graph(text[], text[]) is
'One cycle among dependencies, as the steps along it, the first again at the end; or, when there is none, how many steps the longest
chain of dependencies has. Nulls where there are no dependencies.

Edge i says that p_steps[i] depends on p_depends_on[i], and each step on the returned cycle depends on the next.';

create function quantumflow._walk(
  p_steps       int,
  p_from        int[],
  p_to          int[],
  p_starts      int[],
  out cycle     int[],
  out deepest   int,
  out unreached int)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_walk$
declare
  v_targets int[];
  v_first   int[];
  v_reached int[];
  v_level   int[];
  v_path    int[];
  v_place   int;
begin
  -- The edges as one array, those of step 1 first; v_first says where each step's begin.
  select array_agg(e.target order by e.step, e.target) filter (where e.target is not null),
    array(
      select (1 + sum(count(f.step)) over (order by s.step) - count(f.step))::int
      from generate_series(1, p_steps + 1) s (step)
      left join unnest(p_from) f (step)
        on f.step = s.step
      group by s.step
      order by s.step)
  into v_targets, v_first
  from unnest(p_from, p_to) e (step, target);

  -- Steps by the lengths of the walks that lead to them. Distinct pairs, cut off at the number of steps, so that the
  -- work is bounded by steps times edges however many paths there are.
  with recursive reached (step, depth) as (
    select s.step, 0
    from unnest(p_starts) s (step)
    union
    select t.step, r.depth + 1
    from reached r
    cross join lateral unnest(v_targets[v_first[r.step] : v_first[r.step + 1] - 1]) t (step)
    where r.depth < p_steps
  )
  select
    array_agg(r.step order by r.depth, r.step) filter (where d.deepest = p_steps),
    array_agg(r.depth order by r.depth, r.step) filter (where d.deepest = p_steps),
    (select min(s.step) from generate_series(1, p_steps) s (step) where s.step not in (select r.step from reached r)),
    min(d.deepest)
  into v_reached, v_level, unreached, deepest
  from reached r
  cross join (select max(r.depth) as deepest from reached r) d;

  -- A walk as long as there are steps has met one twice. Follow it back until it does.
  if v_reached is not null then
    v_path := v_reached[cardinality(v_reached) : cardinality(v_reached)];

    for i in reverse cardinality(v_reached) - 1 .. 1 loop
      if v_level[i] = p_steps - cardinality(v_path)
        and v_path[1] = any (v_targets[v_first[v_reached[i]] : v_first[v_reached[i] + 1] - 1])
      then
        v_place := array_position(v_path, v_reached[i]);
        v_path := v_reached[i] || v_path;

        if v_place is not null then
          cycle := v_path[1 : v_place + 1];
          return;
        end if;
      end if;
    end loop;
  end if;
end
$_walk$;

comment on function quantumflow._walk(int, int[], int[], int[]) is
'Walks a graph of steps 1 to p_steps from p_starts along the edges p_from[i] -> p_to[i], by recursive CTE.

cycle: one cycle that a walk runs into, its first step again at the end, or null. deepest: how many edges the longest walk has.
unreached: a step that no walk leads to, or null.';

create function quantumflow._refuse_cycle()
returns trigger
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_refuse_cycle$
declare
  v_version record;
  v_cycle   text[];
begin
  for v_version in
    select distinct n.workflow_slug, n.version
    from new_edges n
  loop
    select quantumflow._find_cycle(array_agg(e.step_slug), array_agg(e.depends_on_step))
    into v_cycle
    from quantumflow.workflow_step_edges e
    where e.workflow_slug = v_version.workflow_slug
      and e.version = v_version.version;

    if v_cycle is not null then
      raise exception 'steps depend on each other in a cycle: %', array_to_string(v_cycle, ' -> ')
      using
        errcode = 'QF107',
        detail = format('The cycle is in workflow "%s", version %s.', v_version.workflow_slug, v_version.version),
        hint = 'Each step in the cycle depends on the next one: remove one of these dependencies.';
    end if;
  end loop;

  return null;
end
$_refuse_cycle$;

comment on function quantumflow._refuse_cycle() is
'Trigger function: refuses a statement that leaves a cycle in workflow_step_edges. It only looks, at that table alone.

Errors: QF107 when dependencies form a cycle.';

create trigger insert_makes_no_cycle
after insert on quantumflow.workflow_step_edges
referencing new table as new_edges
for each statement
execute function quantumflow._refuse_cycle();

comment on trigger insert_makes_no_cycle on quantumflow.workflow_step_edges is
'An INSERT that closes a cycle is refused, whoever makes it.';

create trigger update_makes_no_cycle
after update on quantumflow.workflow_step_edges
referencing new table as new_edges
for each statement
execute function quantumflow._refuse_cycle();

comment on trigger update_makes_no_cycle on quantumflow.workflow_step_edges is
'An UPDATE that closes a cycle is refused, whoever makes it.';

-- Source: sql/definition/validate.sql
create function quantumflow._key_problems(p_definition jsonb)
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

comment on function quantumflow._key_problems(jsonb) is
'What is wrong with the keys and values of a definition, each by itself.

step_index is -1 for the flow. The rules are the rows of "rule": the keys of a flow and of a step, and what each may hold.';

create function quantumflow._graph_problems(p_definition jsonb)
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

comment on function quantumflow._graph_problems(jsonb) is
'What is wrong with the steps of a definition together: duplicates, dependencies, cycles, maps.

Parts that are not what they should be are passed over: _key_problems reports them. step_index is -1 for the flow.';

create function quantumflow._size_problems(p_definition jsonb)
returns table (code text, path text, message text)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_size_problems$
declare
  v_bytes     bigint := quantumflow._bytes(p_definition);
  v_max_bytes bigint := quantumflow._limit('max_definition_bytes');
  v_steps     int;
  v_max_steps bigint;
begin
  if v_bytes > v_max_bytes then
    return query
    select 'QF115', '', format('the definition has %s bytes, and %s are allowed', v_bytes, v_max_bytes);
  elsif jsonb_typeof(p_definition -> 'steps') = 'array' then
    v_steps := jsonb_array_length(p_definition -> 'steps');
    v_max_steps := quantumflow._limit('max_steps');

    return query
    select 'QF115', 'steps', format('the definition has %s steps, and %s are allowed', v_steps, v_max_steps)
    where v_steps > v_max_steps;
  end if;
end
$_size_problems$;

comment on function quantumflow._size_problems(jsonb) is
'Whether a definition exceeds a limit, as one row: then it is not looked at any further.';

create function quantumflow.validate_flow(definition jsonb)
returns table (code text, path text, message text)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $validate_flow$
begin
  return query
  select z.*
  from quantumflow._size_problems(validate_flow.definition) as z;

  if found then
    return;
  end if;

  return query
  select p.code, p.path, p.message
  from (
    select k.* from quantumflow._key_problems(validate_flow.definition) as k
    union all
    select g.* from quantumflow._graph_problems(validate_flow.definition) as g
  ) as p
  order by p.code collate "C", p.step_index, p.path collate "C";
end
$validate_flow$;

comment on function quantumflow.validate_flow(jsonb) is
'Every problem of a definition, one a row; no rows when define_flow would take it.

Never raises. path leads to the place, as in steps[2].max_attempts, with positions from 0; it is empty for the whole.
Rows are in order of code, then of place, and define_flow raises the first.
Codes: QF101 wrong structure, QF102 unknown key, QF103 bad slug, QF104 duplicate step, QF105 unknown dependency,
QF106 depends on itself, QF107 cycle (one is shown, each step in it depending on the next),
QF108 map rule, QF109 no steps, QF110 bad queue name, QF115 too large or too many steps (then nothing else is looked at),
QF116 too long a chain of steps. Limits are settings: see configure().';

-- Source: sql/definition/canonical.sql
create function quantumflow._canonical_keys(p_object jsonb)
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

comment on function quantumflow._canonical_keys(jsonb) is
'The keys and values of a valid flow or step in their one form.

Numbers lose their trailing zeros and what is below a microsecond, dependencies their repetitions;
no dependencies and no start_delay are absent. A flow''s steps are passed through.';

create function quantumflow._canonical_definition(p_definition jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_canonical_definition$
declare
  v_steps jsonb;
begin
  select
    jsonb_agg(
      c.step - 'slug'
        || jsonb_build_object(
          'name', coalesce(c.step -> 'name', c.step -> 'slug'),
          'type', case c.step ->> 'type' when 'map' then 'map' else 'single' end
        )
        || case
          when c.step ->> 'type' = 'map' and c.step ? 'dependencies'
            then jsonb_build_object('map_over', coalesce(c.step -> 'map_over', c.step #> '{dependencies,0}'))
          else '{}'
        end
      order by s.number
    )
  into v_steps
  from jsonb_array_elements(p_definition -> 'steps') with ordinality as s(value, number)
  cross join lateral quantumflow._canonical_keys(s.value) as c(step);

  return quantumflow._canonical_keys(p_definition - 'steps')
    || jsonb_build_object('version', '1.0', 'steps', coalesce(v_steps, '[]'));
end
$_canonical_definition$;

comment on function quantumflow._canonical_definition(jsonb) is
'The one form of a valid definition: what is stored and what get_flow returns.

Keys have their first names (name, dependencies), each step says its type (single or map),
each map says what it maps over unless that is the run''s input. Settings that were not given stay absent.';

create function quantumflow._content_hash(p_definition jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_content_hash$
declare
  v_steps jsonb;
begin
  select
    jsonb_agg(
      s.value || case
        when s.value ? 'dependencies' then jsonb_build_object(
          'dependencies',
          (
            select jsonb_agg(d.name order by d.name collate "C")
            from jsonb_array_elements_text(s.value -> 'dependencies') as d(name)
          )
        )
        else '{}'
      end
      order by s.value ->> 'name' collate "C"
    )
  into v_steps
  from jsonb_array_elements(p_definition -> 'steps') as s(value);

  return encode(
    sha256(convert_to((p_definition || jsonb_build_object('steps', coalesce(v_steps, '[]')))::text, 'UTF8')),
    'hex'
  );
end
$_content_hash$;

comment on function quantumflow._content_hash(jsonb) is
'SHA-256, in hex, of a canonical definition with its steps and their dependencies in order of name.';

-- Source: sql/definition/shown.sql
create function quantumflow._shown(p_value jsonb)
returns text
language sql
immutable
set search_path = pg_catalog, pg_temp
as $_shown$
  select case jsonb_typeof(p_value)
    when 'object' then 'an object'
    when 'array' then 'an array'
    else coalesce(left(p_value::text, 80) || case when length(p_value::text) > 80 then '...' else '' end, 'null')
  end
$_shown$;

comment on function quantumflow._shown(jsonb) is
'A JSON value as an error message shows it: one line, at most 80 characters.';

-- Source: sql/definition/store.sql
create function quantumflow._default_settings()
returns jsonb
language sql
immutable
set search_path = pg_catalog, pg_temp
as $_default_settings$
  select jsonb '{"max_attempts": 3, "max_lost": 3, "retry_delay": 1, "timeout": 60, "queue": "quantum_flow_queue"}'
$_default_settings$;

comment on function quantumflow._default_settings() is
'The settings of a step when neither it nor its flow gives them, as the keys of a definition.';

create function quantumflow._raise_problems(
  p_definition    jsonb,
  p_may_be_empty  boolean
)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_raise_problems$
declare
  v_code    text;
  v_message text;
  v_all     text;
begin
  select
    (array_agg(p.code))[1],
    (array_agg(p.message))[1],
    string_agg(format('%s at %s: %s', p.code, coalesce(nullif(p.path, ''), 'the top'), p.message), e'\n')
  into v_code, v_message, v_all
  from quantumflow.validate_flow(p_definition) as p
  where not (p_may_be_empty and p.code = 'QF109');

  if v_code is not null then
    raise exception '%', v_message
    using
      errcode = v_code,
      detail = v_all,
      hint = 'Correct the definition; quantumflow.validate_flow(definition) lists its problems as rows.';
  end if;
end
$_raise_problems$;

comment on function quantumflow._raise_problems(jsonb, boolean) is
'Raises a definition''s first problem; DETAIL lists them all, one a line.

p_may_be_empty allows a definition without steps.
Errors: QF101, QF102, QF103, QF104, QF105, QF106, QF107, QF108, QF109, QF110, QF115, QF116, as validate_flow tells.';

create function quantumflow._store_steps(
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

comment on function quantumflow._store_steps(text, int, jsonb) is
'Writes the rows of workflow_steps and workflow_step_edges of one version, in place of those that are there.

Every setting is resolved here: the step''s value, else the flow''s, else the default.';

create function quantumflow._store_definition(
  p_definition   jsonb,
  p_may_be_empty boolean
)
returns quantumflow.workflow_versions
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_store_definition$
declare
  v_definition jsonb;
  v_slug       text;
  v_hash       text;
  v_other_slug text;
  v_current    quantumflow.workflow_versions;
  v_version    quantumflow.workflow_versions;
begin
  perform quantumflow._raise_problems(p_definition, p_may_be_empty);

  v_definition := quantumflow._canonical_definition(p_definition);
  v_slug := v_definition ->> 'slug';
  v_hash := quantumflow._content_hash(v_definition);

  perform quantumflow._lock_flow(v_slug, true);

  select w.workflow_slug
  into v_other_slug
  from quantumflow.workflows w
  where lower(w.workflow_slug) = lower(v_slug collate "C")
    and w.workflow_slug <> v_slug;

  if found then
    raise exception 'workflow "%" differs from "%" only in case', v_slug, v_other_slug
    using
      errcode = 'QF114',
      detail = format('The workflow "%s" exists, and slugs are unique whatever the case.', v_other_slug),
      hint = format('Define it as "%s" to change that workflow, or choose another slug.', v_other_slug);
  end if;

  select v.*
  into v_current
  from quantumflow.workflows w
  join quantumflow.workflow_versions v
    on v.workflow_slug = w.workflow_slug
    and v.version = w.current_version
  where w.workflow_slug = v_slug
  for update of w;

  select v.*
  into v_version
  from quantumflow.workflow_versions v
  where v.workflow_slug = v_slug
    and v.content_hash = v_hash;

  if not found then
    if v_current.version is not null and v_current.frozen_at is null then
      update quantumflow.workflow_versions v
      set content_hash = v_hash,
        definition = v_definition
      where v.workflow_slug = v_slug
        and v.version = v_current.version
      returning v.* into v_version;
    else
      -- No conflict can be, but under an older snapshot, where this clause makes it 40001.
      insert into quantumflow.workflow_versions as v (workflow_slug, version, content_hash, definition)
      select v_slug, coalesce(max(o.version), 0) + 1, v_hash, v_definition
      from quantumflow.workflow_versions o
      where o.workflow_slug = v_slug
      on conflict do nothing
      returning v.* into v_version;
    end if;

    perform quantumflow._store_steps(v_slug, v_version.version, v_definition);
  end if;

  insert into quantumflow.workflows as w (workflow_slug, current_version, created_at)
  values (v_slug, v_version.version, quantumflow._now())
  on conflict (workflow_slug) do update
  set current_version = excluded.current_version
  where w.current_version <> excluded.current_version;

  perform quantumflow._ensure_queue(q.queue)
  from (
    select distinct s.queue
    from quantumflow.workflow_steps s
    where s.workflow_slug = v_slug
      and s.version = v_version.version
    order by 1
  ) as q;

  return v_version;
end
$_store_definition$;

comment on function quantumflow._store_definition(jsonb, boolean) is
'The one way a definition gets in: create_flow, add_step and define_flow build one and call this.

Content the workflow has had before is that version again, and becomes current. Other content replaces the
current version while no run has used it, and is the next version otherwise. The queues are made here.
p_may_be_empty allows a definition without steps.
Errors: QF101, QF102, QF103, QF104, QF105, QF106, QF107, QF108, QF109, QF110, QF115, QF116, as validate_flow tells;
QF114 when another workflow''s slug differs only in case.';

-- Source: sql/definition/define.sql
create function quantumflow.define_flow(definition jsonb)
returns quantumflow.workflow_versions
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $define_flow$
begin
  return quantumflow._store_definition(define_flow.definition, p_may_be_empty => false);
end
$define_flow$;

comment on function quantumflow.define_flow(jsonb) is
'Defines a workflow from a whole definition, and makes its queues.

The same content again, whatever the order of the steps, is the same version, and becomes current again: a rollback.
Other content replaces the current version while no run has used it; once a run has, it becomes the next version,
and runs that are on keep theirs. It waits for transactions that start or change the same workflow.
Errors: QF101 wrong structure; QF102 unknown key; QF103 bad slug; QF104 duplicate step; QF105 unknown dependency;
QF106 a step that depends on itself; QF107 a cycle; QF108 a map without one thing to map over; QF109 no steps;
QF110 bad queue name; QF114 a workflow whose slug differs only in case; QF115 a definition that is too large or has too many
steps; QF116 too long a chain of steps; QF402 pgmq is missing or too old; QF403 a queue that holds messages of somebody else.
DETAIL lists every problem, one a line.';

-- Source: sql/definition/create.sql
create function quantumflow._refuse_nulls(p_arguments jsonb)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_nulls$
declare
  v_name text;
begin
  select a.key
  into v_name
  from jsonb_each(p_arguments) as a
  where a.value = 'null'
  order by a.key
  limit 1;

  if found then
    raise exception '% must not be null', v_name
    using
      errcode = 'QF101',
      detail = format('The argument "%s" is null.', v_name),
      hint = 'Give it a value, or leave it out if it has a default.';
  end if;
end
$_refuse_nulls$;

comment on function quantumflow._refuse_nulls(jsonb) is
'Raises when one of the named arguments is null.

Errors: QF101 when one is.';

create function quantumflow.create_flow(
  workflow_slug text,
  title         text default null,
  max_attempts  int default 3,
  max_lost      int default 3,
  retry_delay   interval default '1 s',
  timeout       interval default '60 s',
  queue         text default 'quantum_flow_queue',
  on_complete   text default null,
  on_failure    text default null
)
returns quantumflow.workflow_versions
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $create_flow$
declare
  v_settings jsonb;
  v_steps    jsonb;
begin
  v_settings := jsonb_build_object(
    'max_attempts', create_flow.max_attempts,
    'max_lost', create_flow.max_lost,
    'retry_delay', extract(epoch from create_flow.retry_delay),
    'timeout', extract(epoch from create_flow.timeout),
    'queue', create_flow.queue
  );

  perform quantumflow._refuse_nulls(
    v_settings || jsonb_build_object('workflow_slug', create_flow.workflow_slug)
  );
  perform quantumflow._lock_flow(create_flow.workflow_slug, true);

  select v.definition -> 'steps'
  into v_steps
  from quantumflow.workflows w
  join quantumflow.workflow_versions v
    on v.workflow_slug = w.workflow_slug
    and v.version = w.current_version
  where w.workflow_slug = create_flow.workflow_slug;

  -- Nobody can tell a default that was given from one that was not: defaults are left out.
  select coalesce(jsonb_object_agg(s.key, s.value), '{}')
  into v_settings
  from jsonb_each(v_settings) as s
  where s.value <> quantumflow._default_settings() -> s.key;

  return quantumflow._store_definition(
    v_settings
      || jsonb_build_object('slug', create_flow.workflow_slug, 'steps', coalesce(v_steps, '[]'))
      || jsonb_strip_nulls(jsonb_build_object(
        'title', create_flow.title,
        'on_complete', create_flow.on_complete,
        'on_failure', create_flow.on_failure
      )),
    p_may_be_empty => true
  );
end
$create_flow$;

comment on function quantumflow.create_flow(text, text, int, int, interval, interval, text, text, text) is
'Creates a workflow without steps, or changes the settings of one and keeps its steps.

The settings are what steps use that have none of their own: max_attempts and max_lost from 1 to 1,000,000,
retry_delay from 0 and timeout from 1 ms to ten years (a month counts 30 days). on_complete and on_failure
are commands to run when a run ends. The same call again changes nothing. Other values replace those of the
current version while no run has used it, and make the next version otherwise.
Errors: QF101 an argument that is null or out of range; QF103 bad slug; QF110 bad queue name;
QF114 a workflow whose slug differs only in case; QF115 a definition that is too large; QF402 pgmq is missing or too old;
QF403 a queue that holds messages of somebody else.';

-- Source: sql/definition/add_step.sql
create function quantumflow.add_step(
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

-- Source: sql/definition/get.sql
create function quantumflow.get_flow(
  workflow_slug text,
  version       int default null
)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $get_flow$
declare
  v_current    int;
  v_definition jsonb;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object('workflow_slug', get_flow.workflow_slug));

  select w.current_version
  into v_current
  from quantumflow.workflows w
  where w.workflow_slug = get_flow.workflow_slug;

  if not found then
    raise exception 'workflow "%" does not exist', get_flow.workflow_slug
    using
      errcode = 'QF111',
      detail = 'No workflow has this slug; upper and lower case matter.',
      hint = 'quantumflow.list_flows() lists the workflows; define_flow and create_flow make one.';
  end if;

  select v.definition
  into v_definition
  from quantumflow.workflow_versions v
  where v.workflow_slug = get_flow.workflow_slug
    and v.version = coalesce(get_flow.version, v_current);

  if not found then
    raise exception 'workflow "%" has no version %', get_flow.workflow_slug, get_flow.version
    using
      errcode = 'QF112',
      detail = format('Its current version is %s.', v_current),
      hint = 'Leave out the version for the current one.';
  end if;

  return v_definition;
end
$get_flow$;

comment on function quantumflow.get_flow(text, int) is
'The definition of a workflow, in canonical form: define_flow accepts it again. The current version unless told otherwise.

Steps are in the order given, under their first names (name, dependencies); settings that were not given are absent.
Errors: QF101 when workflow_slug is null; QF111 unknown workflow; QF112 unknown version.';

-- Source: sql/definition/list.sql
create type quantumflow.flow_summary as (
  workflow_slug   text,
  title           text,
  current_version int,
  versions        int,
  steps           int,
  frozen          boolean,
  created_at      timestamptz
);

comment on type quantumflow.flow_summary is 'A row of list_flows().';
comment on column quantumflow.flow_summary.workflow_slug is 'The workflow.';
comment on column quantumflow.flow_summary.title is 'The current version''s title.';
comment on column quantumflow.flow_summary.current_version is 'The version that new runs use.';
comment on column quantumflow.flow_summary.versions is 'How many versions there are.';
comment on column quantumflow.flow_summary.steps is 'How many steps the current version has.';
comment on column quantumflow.flow_summary.frozen is 'Whether a run has used the current version: then a change makes the next one.';
comment on column quantumflow.flow_summary.created_at is 'When the workflow was first defined.';

create function quantumflow.list_flows()
returns setof quantumflow.flow_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_flows$
begin
  return query
  select
    w.workflow_slug,
    v.definition ->> 'title',
    w.current_version,
    (
      select count(*)::int
      from quantumflow.workflow_versions o
      where o.workflow_slug = w.workflow_slug
    ),
    jsonb_array_length(v.definition -> 'steps'),
    v.frozen_at is not null,
    w.created_at
  from quantumflow.workflows w
  join quantumflow.workflow_versions v
    on v.workflow_slug = w.workflow_slug
    and v.version = w.current_version
  order by w.created_at desc, w.workflow_slug;
end
$list_flows$;

comment on function quantumflow.list_flows() is
'The workflows, the newest first.';

-- Source: sql/definition/delete.sql
create function quantumflow.delete_flow(workflow_slug text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $delete_flow$
declare
  v_runs bigint;
begin
  perform quantumflow._refuse_nulls(jsonb_build_object('workflow_slug', delete_flow.workflow_slug));

  -- Under the other levels the count below would not see a run that was started while this waited.
  perform quantumflow._require_read_committed('delete a workflow');

  perform quantumflow._lock_flow(delete_flow.workflow_slug, true);

  select count(*)
  into v_runs
  from quantumflow.workflow_runs r
  where r.workflow_slug = delete_flow.workflow_slug;

  if v_runs > 0 then
    raise exception 'workflow "%" has runs', delete_flow.workflow_slug
    using
      errcode = 'QF113',
      detail = format('%s of its runs are in workflow_runs.', v_runs),
      hint = 'Its runs, ended ones too, need their definition: see quantumflow.delete_run() and quantumflow.prune().';
  end if;

  delete from quantumflow.workflow_step_edges e
  where e.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.workflow_steps s
  where s.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.workflow_versions v
  where v.workflow_slug = delete_flow.workflow_slug;

  delete from quantumflow.workflows w
  where w.workflow_slug = delete_flow.workflow_slug;

  return found;
end
$delete_flow$;

comment on function quantumflow.delete_flow(text) is
'Deletes a workflow with all its versions; true when there was one. Its queues stay.

It waits for transactions that start a run or change the workflow, and then refuses if there are runs, ended ones included.
Errors: QF101 when the argument is null; QF113 while runs exist; 0A000 unless the transaction is read committed.';

-- Source: sql/queue/tables.sql
create table quantumflow.queues (
  queue   text not null,
  archive boolean not null default false,
  constraint queues_pkey primary key (queue),
  constraint queues_name_well_formed check (queue ~ '^[a-z][a-z0-9_]{0,46}$')
);

comment on table quantumflow.queues is
'Settings of queues. No row means the defaults; the queue itself is pgmq''s.';
comment on column quantumflow.queues.queue is
'The queue''s name: a lower-case letter, then letters, digits and underscores, at most 47.';
comment on column quantumflow.queues.archive is
'Whether a finished task''s message goes to pgmq''s archive instead of being deleted; default false, since the task row is the history.';

-- Source: sql/run/tables.sql
create table quantumflow.workflow_runs (
  id              uuid not null,
  workflow_slug   text collate "C" not null,
  version         int not null,
  input           jsonb not null,
  error_message   text,
  priority        int not null default 0,
  retries         int not null default 0,
  headers         jsonb,
  idempotency_key text,
  created_at      timestamptz not null,
  started_at      timestamptz not null,
  failed_at       timestamptz,
  cancelled_at    timestamptz,
  paused_at       timestamptz,
  remaining_steps int not null,
  status          text not null,
  completed_at    timestamptz,
  output          jsonb,
  constraint workflow_runs_pkey primary key (id),
  constraint workflow_runs_status_known check (status in ('started', 'paused', 'completed', 'failed', 'cancelled')),
  constraint workflow_runs_remaining_steps_not_negative check (remaining_steps >= 0),
  constraint workflow_runs_priority_not_negative check (priority >= 0),
  constraint workflow_runs_retries_not_negative check (retries >= 0),
  constraint workflow_runs_completed_has_time check ((status = 'completed') = (completed_at is not null)),
  constraint workflow_runs_failed_has_time check ((status = 'failed') = (failed_at is not null)),
  constraint workflow_runs_cancelled_has_time check ((status = 'cancelled') = (cancelled_at is not null)),
  constraint workflow_runs_output_when_completed check (output is null or status = 'completed')
) with (fillfactor = 40, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

create unique index workflow_runs_idempotency_key_unique
  on quantumflow.workflow_runs (workflow_slug, idempotency_key)
  where idempotency_key is not null;

-- For prune: ids that do not tell when they were made.
create index workflow_runs_other_ids
  on quantumflow.workflow_runs (id)
  where substr(id::text, 15, 1) <> '7';

comment on table quantumflow.workflow_runs is 'One row per run: one execution of one version of a workflow.';
comment on column quantumflow.workflow_runs.id is 'A version 7 uuid unless the caller chose one: later runs sort later.';
comment on column quantumflow.workflow_runs.workflow_slug is 'The workflow.';
comment on column quantumflow.workflow_runs.version is 'The version the run is pinned to.';
comment on column quantumflow.workflow_runs.input is 'What the run was started with.';
comment on column quantumflow.workflow_runs.error_message is 'Why the run failed or was cancelled.';
comment on column quantumflow.workflow_runs.priority is 'Seconds by which the run''s tasks overtake those of priority 0.';
comment on column quantumflow.workflow_runs.retries is 'How often the run was retried.';
comment on column quantumflow.workflow_runs.headers is 'An object that travels with every message of the run, a traceparent for example.';
comment on column quantumflow.workflow_runs.idempotency_key is 'Unique within the workflow: the same key again is the same run.';
comment on column quantumflow.workflow_runs.created_at is 'When start_flow was called.';
comment on column quantumflow.workflow_runs.started_at is 'From when the first steps may run: created_at, or start_at when that is later.';
comment on column quantumflow.workflow_runs.failed_at is 'When a task failed for good.';
comment on column quantumflow.workflow_runs.cancelled_at is 'When the run was cancelled.';
comment on column quantumflow.workflow_runs.paused_at is 'When the run was paused last.';
comment on column quantumflow.workflow_runs.remaining_steps is 'Steps that are not done yet; 0 completes the run.';
comment on column quantumflow.workflow_runs.status is 'started, paused, completed, failed or cancelled.';
comment on column quantumflow.workflow_runs.completed_at is 'When the last step was done.';
comment on column quantumflow.workflow_runs.output is
'An object with the output of each leaf step, once the run is completed; a map''s output is an array in index order.';

create table quantumflow.step_states (
  run_id          uuid not null,
  step_slug       text collate "C" not null,
  error_message   text,
  created_at      timestamptz not null,
  failed_at       timestamptz,
  initial_tasks   int,
  remaining_deps  int not null,
  started_at      timestamptz,
  remaining_tasks int,
  status          text not null,
  completed_at    timestamptz,
  output          jsonb,
  constraint step_states_pkey primary key (run_id, step_slug),
  constraint step_states_status_known
    check (status in ('created', 'started', 'completed', 'failed', 'skipped', 'cancelled')),
  constraint step_states_remaining_deps_not_negative check (remaining_deps >= 0),
  constraint step_states_remaining_tasks_within_initial check (remaining_tasks between 0 and initial_tasks),
  constraint step_states_waits_for_dependencies check (remaining_deps = 0 or status in ('created', 'skipped', 'cancelled')),
  constraint step_states_started_has_tasks check (status not in ('started', 'completed') or initial_tasks is not null),
  constraint step_states_completed_has_no_open_tasks check (status <> 'completed' or remaining_tasks = 0),
  constraint step_states_completed_has_time check ((status = 'completed') = (completed_at is not null)),
  constraint step_states_failed_has_time check ((status = 'failed') = (failed_at is not null))
) with (fillfactor = 35, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

comment on table quantumflow.step_states is 'One row per step of a run, from the run''s start.';
comment on column quantumflow.step_states.run_id is 'The run.';
comment on column quantumflow.step_states.step_slug is 'The step.';
comment on column quantumflow.step_states.error_message is 'Why the step failed.';
comment on column quantumflow.step_states.created_at is 'When the run started.';
comment on column quantumflow.step_states.failed_at is 'When a task of it failed for good.';
comment on column quantumflow.step_states.initial_tasks is 'How many tasks the step has; null while a map''s size is unknown.';
comment on column quantumflow.step_states.remaining_deps is 'Dependencies that are not done yet; 0 makes the step ready.';
comment on column quantumflow.step_states.started_at is 'When the last dependency was done and the tasks were queued.';
comment on column quantumflow.step_states.remaining_tasks is 'Tasks that are not done yet; 0 completes the step. Null while a map''s size is unknown.';
comment on column quantumflow.step_states.status is 'created, started, completed, failed, skipped or cancelled.';
comment on column quantumflow.step_states.completed_at is 'When the last task was done.';
comment on column quantumflow.step_states.output is
'A map''s outputs as an array in index order, once completed. Null for a single step, whose output is on its task.';

create table quantumflow._unfinished_ends (
  run_id      uuid not null,
  recorded_at timestamptz not null,
  constraint _unfinished_ends_pkey primary key (run_id)
);

comment on table quantumflow._unfinished_ends is
'Runs that ended while another transaction held some of their rows: what was skipped is finished by the next claim or sweep.';
comment on column quantumflow._unfinished_ends.run_id is 'The run.';
comment on column quantumflow._unfinished_ends.recorded_at is 'When the run ended.';

-- Source: sql/task/tables.sql
create table quantumflow.step_tasks (
  run_id        uuid not null,
  step_slug     text collate "C" not null,
  task_index    int not null,
  queue         text not null,
  message_id    bigint not null,
  queued_at     timestamptz not null,
  failed_at     timestamptz,
  item_value    jsonb,
  error_message text,
  attempts      int not null default 0,
  losses        int not null default 0,
  worker_id     uuid,
  lease_token   bigint,
  started_at    timestamptz,
  status        text not null,
  completed_at  timestamptz,
  output        jsonb,
  constraint step_tasks_pkey primary key (run_id, step_slug, task_index),
  constraint step_tasks_status_known
    check (status in ('queued', 'started', 'completed', 'failed', 'skipped', 'cancelled')),
  constraint step_tasks_index_not_negative check (task_index >= 0),
  constraint step_tasks_attempts_not_negative check (attempts >= 0),
  constraint step_tasks_losses_within_attempts check (losses between 0 and attempts),
  constraint step_tasks_started_has_lease check (status <> 'started' or (lease_token is not null and started_at is not null)),
  constraint step_tasks_completed_has_output check (status <> 'completed' or (output is not null and completed_at is not null)),
  constraint step_tasks_failed_has_time check ((status = 'failed') = (failed_at is not null))
) with (fillfactor = 33, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);

comment on table quantumflow.step_tasks is
'One row per task: index 0 for a single step, one per item for a map step.

A run''s on_complete and on_failure tasks are here too, as steps _on_complete and _on_failure.';
comment on column quantumflow.step_tasks.run_id is 'The run.';
comment on column quantumflow.step_tasks.step_slug is 'The step.';
comment on column quantumflow.step_tasks.task_index is 'The item''s position from 0; 0 for a single step; the run''s retries for a callback.';
comment on column quantumflow.step_tasks.queue is 'The pgmq queue of its message.';
comment on column quantumflow.step_tasks.message_id is 'The msg_id of its message; its vt is the lease. Gone from the queue once the task has ended.';
comment on column quantumflow.step_tasks.queued_at is 'From when it could be claimed: later than its creation after a delay, and after a failure.';
comment on column quantumflow.step_tasks.failed_at is 'When it failed for good.';
comment on column quantumflow.step_tasks.item_value is 'A map task''s item; null for others.';
comment on column quantumflow.step_tasks.error_message is 'Its latest failure.';
comment on column quantumflow.step_tasks.attempts is 'How often the task was claimed.';
comment on column quantumflow.step_tasks.losses is 'How many of the attempts ended with a lost lease; the rest of the ended ones failed.';
comment on column quantumflow.step_tasks.worker_id is 'Who claimed it last.';
comment on column quantumflow.step_tasks.lease_token is
'Proves the latest claim: random, below 2^53. Stays after a report; cleared by a release and when the lease is found lost.';
comment on column quantumflow.step_tasks.started_at is 'When the latest attempt was claimed.';
comment on column quantumflow.step_tasks.status is 'queued, started, completed, failed, skipped or cancelled.';
comment on column quantumflow.step_tasks.completed_at is 'When it was completed.';
comment on column quantumflow.step_tasks.output is 'What it was completed with, never SQL NULL then; on a type violation the output that offended.';

create table quantumflow.task_failures (
  run_id        uuid not null,
  step_slug     text collate "C" not null,
  task_index    int not null,
  retries       int not null,
  attempt       int not null,
  kind          text not null,
  worker_id     uuid,
  lease_token   bigint,
  started_at    timestamptz,
  ended_at      timestamptz not null,
  error_message text,
  error_details jsonb,
  constraint task_failures_pkey primary key (run_id, step_slug, task_index, retries, attempt),
  constraint task_failures_kind_known check (kind in ('error', 'timeout', 'lost'))
);

comment on table quantumflow.task_failures is 'One row per attempt that did not complete: what went wrong, where and when.';
comment on column quantumflow.task_failures.run_id is 'The run.';
comment on column quantumflow.task_failures.step_slug is 'The step.';
comment on column quantumflow.task_failures.task_index is 'The task.';
comment on column quantumflow.task_failures.retries is 'The run''s retries at that time.';
comment on column quantumflow.task_failures.attempt is 'The attempt, from 1.';
comment on column quantumflow.task_failures.kind is 'error: reported. timeout: its deadline passed. lost: its lease ran out.';
comment on column quantumflow.task_failures.worker_id is 'Who had claimed it.';
comment on column quantumflow.task_failures.lease_token is 'The token of that claim.';
comment on column quantumflow.task_failures.started_at is 'When it was claimed.';
comment on column quantumflow.task_failures.ended_at is 'When the failure was reported or noticed.';
comment on column quantumflow.task_failures.error_message is 'What was reported.';
comment on column quantumflow.task_failures.error_details is 'Whatever the reporter added: exception class, traceback.';

-- Source: sql/task/types.sql
create type quantumflow.claimed_task as (
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

comment on type quantumflow.claimed_task is
'A task handed to a worker by claim_tasks: what to do, with what, until when, and the token to report it with.';
comment on column quantumflow.claimed_task.run_id is 'The run.';
comment on column quantumflow.claimed_task.workflow_slug is 'The workflow.';
comment on column quantumflow.claimed_task.step_slug is 'The step; _on_complete or _on_failure for a callback.';
comment on column quantumflow.claimed_task.task_index is 'The position of the item from 0; 0 for a single step.';
comment on column quantumflow.claimed_task.command is 'The handler to call.';
comment on column quantumflow.claimed_task.args is 'The args of the step, unchanged.';
comment on column quantumflow.claimed_task.input is '{"run", <dependency>: output, ...}, or {"item", "index"}, or {"run", "output"} or {"run", "error"}.';
comment on column quantumflow.claimed_task.attempt is 'Which attempt this is, from 1.';
comment on column quantumflow.claimed_task.max_attempts is 'How many failures end the task.';
comment on column quantumflow.claimed_task.lease_token is 'To be shown with the report.';
comment on column quantumflow.claimed_task.lease_expires_at is 'Until when the claimer holds the task, unless it extends the lease.';
comment on column quantumflow.claimed_task.deadline is 'Until when the lease can be extended: the timeout of the step after the claim.';
comment on column quantumflow.claimed_task.queue is 'The queue it came from.';
comment on column quantumflow.claimed_task.message_id is 'The msg_id of its message.';
comment on column quantumflow.claimed_task.headers is 'The headers of the run.';

create type quantumflow.task_outcome as (
  run_id     uuid,
  step_slug  text,
  task_index int,
  outcome    text
);

comment on type quantumflow.task_outcome is
'What became of one report: completed, type_violation, retrying, failed, duplicate, stale or run_ended.';
comment on column quantumflow.task_outcome.run_id is 'The run that the report named.';
comment on column quantumflow.task_outcome.step_slug is 'The step.';
comment on column quantumflow.task_outcome.task_index is 'The task.';
comment on column quantumflow.task_outcome.outcome is 'completed, type_violation, retrying, failed, duplicate, stale or run_ended.';

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

create type quantumflow.task_lease as (
  run_id           uuid,
  step_slug        text,
  task_index       int,
  state            text,
  lease_expires_at timestamptz
);

comment on type quantumflow.task_lease is
'What became of one lease that extend_leases was asked to extend: held, lost or cancelled, and until when it is held.';
comment on column quantumflow.task_lease.run_id is 'The run.';
comment on column quantumflow.task_lease.step_slug is 'The step.';
comment on column quantumflow.task_lease.task_index is 'The task.';
comment on column quantumflow.task_lease.state is 'held, lost or cancelled.';
comment on column quantumflow.task_lease.lease_expires_at is 'Until when it is held, unless its rows were busy; null when it is not.';

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

create type quantumflow._held_task as (
  ord           int,
  run_id        uuid,
  step_slug     text,
  task_index    int,
  tid           tid,
  queue         text,
  message_id    bigint,
  status        text,
  attempts      int,
  losses        int,
  worker_id     uuid,
  lease_token   bigint,
  started_at    timestamptz,
  queued_at     timestamptz,
  workflow_slug text,
  version       int,
  step_type     text,
  timeout       interval,
  run_status    text,
  retries       int,
  outcome       text
);

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

create type quantumflow._step_ref as (
  run_id        uuid,
  step_slug     text,
  workflow_slug text,
  version       int,
  step_type     text,
  dependents    text[]
);

comment on type quantumflow._step_ref is 'A step of a run, with what its definition says of it.';

create type quantumflow._step_progress as (
  run_id        uuid,
  step_slug     text,
  tid           tid,
  workflow_slug text,
  version       int,
  step_type     text,
  dependents    text[],
  done_tasks    int,
  ends          boolean
);

comment on type quantumflow._step_progress is
'A step of tasks that this call holds: how many of them it completes, and whether that ends the step.';

-- Source: sql/worker/tables.sql
create table quantumflow.workers (
  worker_id    uuid not null,
  name         text,
  commands     text[],
  queues       text[],
  started_at   timestamptz not null,
  last_seen_at timestamptz not null,
  stopped_at   timestamptz,
  constraint workers_pkey primary key (worker_id)
);

comment on table quantumflow.workers is 'Who has been working. Informative: a worker may claim without a row.';
comment on column quantumflow.workers.worker_id is 'The id the worker claims with.';
comment on column quantumflow.workers.name is 'A name for people: host and process, say.';
comment on column quantumflow.workers.commands is 'The commands it has handlers for; null: any.';
comment on column quantumflow.workers.queues is 'The queues it serves.';
comment on column quantumflow.workers.started_at is 'When it registered.';
comment on column quantumflow.workers.last_seen_at is 'When it last claimed or extended a lease, to a few seconds.';
comment on column quantumflow.workers.stopped_at is 'When it said that it stopped.';

-- Source: sql/queue/ensure.sql
create function quantumflow._ensure_queue(p_queue text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_ensure_queue$
begin
  if p_queue is null or p_queue !~ '^[a-z][a-z0-9_]{0,46}$' then
    raise exception 'queue name "%" is not valid', p_queue
    using
      errcode = 'QF110',
      detail = 'A queue name is a lower-case letter, then lower-case letters, digits and underscores, at most 47.',
      hint = 'Choose another name.';
  end if;

  perform quantumflow._require_pgmq();

  if quantumflow._queue_table(p_queue) is not null then
    perform quantumflow._refuse_foreign_queue(p_queue);
    return;
  end if;

  -- Two definitions may need the same new queue at once: the second finds it made.
  perform pg_advisory_xact_lock(hashtext('quantumflow.queue'), hashtext(p_queue));

  -- In the catalog itself: what the session remembers of it may be from before the wait.
  perform
  from pg_class c
  where (c.relnamespace, c.relname) = ('pgmq'::regnamespace, 'q_' || p_queue);

  if found then
    return;
  end if;

  perform quantumflow._create_queue(p_queue);
end
$_ensure_queue$;

comment on function quantumflow._ensure_queue(text) is
'Makes the pgmq queue when it is not there, with storage settings for a busy queue.

Errors: QF110 when the name breaks pgmq''s rules or ours; QF402 when pgmq is missing or older than 1.5.1; QF403 when it holds
messages of somebody else.';

create function quantumflow._require_pgmq()
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_require_pgmq$
begin
  if to_regprocedure('pgmq.send_batch(text, jsonb[], jsonb[], timestamptz)') is null then
    raise exception 'pgmq is missing or too old'
    using
      errcode = 'QF402',
      detail = 'quantumflow needs pgmq 1.5.1 or newer in schema pgmq.',
      hint = 'Run "create extension pgmq", or update it.';
  end if;
end
$_require_pgmq$;

comment on function quantumflow._require_pgmq() is
'Refuses to work without pgmq.

Errors: QF402 when it is missing or older than 1.5.1.';

create function quantumflow._create_queue(p_queue text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_create_queue$
begin
  perform pgmq.create(queue_name => p_queue);

  -- A claim updates whole pages of messages at once and leaves as many dead ones behind.
  execute format(
    'alter table pgmq.%I set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, '
    'autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)',
    'q_' || p_queue);
end
$_create_queue$;

comment on function quantumflow._create_queue(text) is
'Makes what is missing of a pgmq queue, with storage settings for a busy one.';

create function quantumflow._refuse_foreign_queue(p_queue text)
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

comment on function quantumflow._refuse_foreign_queue(text) is
'Refuses a queue whose first message is not ours: claiming from it would archive what somebody else waits for.

Errors: QF403 when it holds messages of somebody else.';

create function quantumflow._queue_table(p_queue text)
returns regclass
language sql
stable
return case when p_queue is not null then to_regclass(format('pgmq.%I', 'q_' || p_queue)) end;

comment on function quantumflow._queue_table(text) is
'The table of a pgmq queue; null when there is no such queue.';

create function quantumflow._named_queues()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_named_queues$
begin
  return query
  select w.queue from quantumflow.workflow_steps w
  union
  select q.queue from quantumflow.queues q
  union
  select 'quantum_flow_queue'
  order by 1;
end
$_named_queues$;

comment on function quantumflow._named_queues() is
'The queues that definitions or settings name, and the default one, whether they exist or not.';

create function quantumflow._known_queues()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_known_queues$
begin
  return query
  select n.queue
  from quantumflow._named_queues() n (queue)
  where quantumflow._queue_table(n.queue) is not null
  order by n.queue;
end
$_known_queues$;

comment on function quantumflow._known_queues() is
'The queues that definitions or settings name and that exist.';

-- Source: sql/queue/messages.sql
-- The only statements that touch pgmq's tables directly: reading by vt, and setting vt row by row.
-- A message is looked up by its msg_id alone, and the rest asked outside (offset 0, limit 1): with statistics of an empty queue the
-- index on vt seems as good, and then each look-up reads all of it.
-- pgmq.read() sorts all messages by msg_id, visible or not, so delayed ones make every read slow.

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

create function quantumflow._read_messages(p_queue text, p_quantity int, p_now timestamptz)
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

create function quantumflow._oldest_vt(p_queue text, p_now timestamptz)
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

create function quantumflow._entries_read(p_queue text)
returns bigint
language sql
volatile
return coalesce(pg_stat_get_xact_tuples_returned(to_regclass(format('pgmq.%I', 'q_' || p_queue || '_vt_idx'))), 0);

comment on function quantumflow._entries_read(text) is
'How many entries of the queue''s index on vt this transaction has read, dead ones too; 0 where PostgreSQL does not count.';

create function quantumflow._front(p_queue text, p_now timestamptz)
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

create function quantumflow._remember_front(
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

create function quantumflow._hide(p_queue text, p_parts oid[], p_tids tid[], p_vts timestamptz[])
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

create function quantumflow._set_vt(p_queue text, p_msg_ids bigint[], p_vts timestamptz[], p_reads int default 0)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_set_vt$
begin
  if cardinality(p_msg_ids) > 0 then
    execute format(
      $$
      update pgmq.%1$I q
      set
        vt = c.vt,
        read_ct = q.read_ct + $3
      from (
        select k.vt, l.part, l.tid
        from unnest($1, $2) k (msg_id, vt)
        cross join lateral (
          select m.tableoid as part, m.ctid as tid
          from pgmq.%1$I m
          where m.msg_id = k.msg_id
          limit 1
        ) l
      ) c
      where q.tableoid = c.part
        and q.ctid = c.tid
      $$,
      'q_' || p_queue)
    using p_msg_ids, p_vts, p_reads;
  end if;
end
$_set_vt$;

comment on function quantumflow._set_vt(text, bigint[], timestamptz[], int) is
'Sets when each message becomes visible, in one statement; p_reads is added to read_ct.

The caller holds the messages. They are found one by one and updated by ctid: statistics of an empty queue, which is what
autovacuum mostly finds, would have a join by msg_id read the whole queue for every call.';

create function quantumflow._redelay(p_queue text, p_msg_ids bigint[], p_vts timestamptz[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_redelay$
begin
  if quantumflow._queue_table(p_queue) is null then
    return;
  end if;

  -- A statement of its own, because what was waited for may have moved.
  execute format(
    $$
    select
    from (
      select k.msg_id
      from unnest($1) k (msg_id)
      order by k.msg_id
      offset 0
    ) k
    cross join lateral (
      select
      from pgmq.%I m
      where m.msg_id = k.msg_id
      for update
    ) m
    $$,
    'q_' || p_queue)
  using p_msg_ids;

  perform quantumflow._set_vt(p_queue, p_msg_ids, p_vts);
end
$_redelay$;

comment on function quantumflow._redelay(text, bigint[], timestamptz[]) is
'Sets when each message becomes visible, after waiting for whoever holds it: a claim, at most, which does not wait itself.';

create function quantumflow._remove_messages(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remove_messages$
begin
  if cardinality(p_msg_ids) = 0 or quantumflow._queue_table(p_queue) is null then
    return;
  end if;

  if exists (select from quantumflow.queues q where q.queue = p_queue and q.archive) then
    perform pgmq.archive(queue_name => p_queue, msg_ids => p_msg_ids);
  else
    perform pgmq.delete(queue_name => p_queue, msg_ids => p_msg_ids);
  end if;
end
$_remove_messages$;

comment on function quantumflow._remove_messages(text, bigint[]) is
'Takes messages out of a queue: deleted, or archived where the queue''s settings say so. A dropped queue has none.';

create function quantumflow._remove_free_messages(p_queue text, p_msg_ids bigint[])
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remove_free_messages$
declare
  v_free bigint[];
  v_busy bigint[];
begin
  if quantumflow._queue_table(p_queue) is null then
    return array[]::bigint[];
  end if;

  execute format(
    $$
    select coalesce(array_agg(m.msg_id order by m.msg_id), '{}')
    from (
      select q.msg_id
      from pgmq.%I q
      where q.msg_id = any ($1)
      for update skip locked
    ) m
    $$,
    'q_' || p_queue)
  using p_msg_ids
  into v_free;

  perform quantumflow._remove_messages(p_queue, v_free);

  execute format(
    $$
    select coalesce(array_agg(q.msg_id), '{}')
    from pgmq.%I q
    where q.msg_id = any ($1)
    $$,
    'q_' || p_queue)
  using p_msg_ids
  into v_busy;

  return v_busy;
end
$_remove_free_messages$;

comment on function quantumflow._remove_free_messages(text, bigint[]) is
'Takes messages out of a queue without waiting, and returns those that stayed because others hold them.';

create function quantumflow._archive_foreign(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_archive_foreign$
begin
  if p_queue not in (select n.queue from quantumflow._named_queues() n (queue)) then
    raise exception 'queue "%" is not one of quantumflow''s', p_queue
    using
      errcode = 'QF403',
      detail = 'No step and no row of quantumflow.queues names it, and it holds messages of somebody else.',
      hint = 'Claim from the queues that your workflows name.';
  end if;

  perform pgmq.archive(queue_name => p_queue, msg_ids => p_msg_ids);

  raise warning 'archived % of queue "%" that name no task of quantumflow',
    case cardinality(p_msg_ids) when 1 then 'a message' else cardinality(p_msg_ids) || ' messages' end, p_queue
  using
    detail = format('Their msg_id: %s.', array_to_string(p_msg_ids[1:20], ', ')),
    hint = format('They are in pgmq.a_%s. Send other messages to another queue.', p_queue);
end
$_archive_foreign$;

comment on function quantumflow._archive_foreign(text, bigint[]) is
'Moves messages that are not ours, cannot be read or are not the one their task names to pgmq''s archive, with a warning.';

create function quantumflow._extend_vt(p_queue text, p_msg_ids bigint[], p_vts timestamptz[])
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

comment on function quantumflow._extend_vt(text, bigint[], timestamptz[]) is
'Makes messages stay hidden for longer, never shorter, skipping those that others hold.';

create function quantumflow._read_lapsed(p_queue text, p_now timestamptz)
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

create function quantumflow._recall_put_back(p_queue text, p_commands text[], p_now timestamptz)
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

comment on function quantumflow._recall_put_back(text, text[], timestamptz) is
'Makes the tasks of these commands that claims had put back for want of a handler claimable at once. Returns how many.';

create function quantumflow._all_messages()
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_all_messages$
begin
  return coalesce(
    (
      select string_agg(
        format('select %L as queue, q.msg_id, q.vt, q.message from pgmq.%I q', k.queue, 'q_' || k.queue), ' union all ')
      from quantumflow._known_queues() k (queue)
    ),
    'select null::text as queue, null::bigint as msg_id, null::timestamptz as vt, null::jsonb as message where false');
end
$_all_messages$;

comment on function quantumflow._all_messages() is
'The text of a query for the messages of all queues: queue, msg_id, vt, message.';

create function quantumflow._tasks_without_message(p_run_id uuid, p_callbacks_only boolean)
returns tid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_tasks_without_message$
declare
  v_queue text;
  v_found tid[];
  v_tids  tid[] := array[]::tid[];
begin
  for v_queue in
    select distinct t.queue
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
      and t.status in ('queued', 'started')
    order by t.queue
  loop
    execute format(
      $$
      select array_agg(t.ctid order by t.step_slug, t.task_index)
      from quantumflow.step_tasks t
      where t.run_id = $1
        and t.queue = $2
        and t.status in ('queued', 'started')
        and (not $3 or t.step_slug in ('_on_complete', '_on_failure'))
        and not exists (
          select
          from pgmq.%I q
          where q.msg_id = t.message_id
            and q.message ->> 'workflow_run_id' = t.run_id::text
            and q.message ->> 'step_name' = t.step_slug
            and q.message ->> 'task_index' = t.task_index::text
        )
      $$,
      'q_' || v_queue)
    using p_run_id, v_queue, p_callbacks_only
    into v_found;

    v_tids := v_tids || v_found;
  end loop;

  return v_tids;
end
$_tasks_without_message$;

comment on function quantumflow._tasks_without_message(uuid, boolean) is
'Where the queued and started tasks of a run, or only its callback, are whose message is not in their queue. The caller holds them.';

create function quantumflow._wake_messages(p_run quantumflow.workflow_runs, p_now timestamptz)
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

comment on function quantumflow._wake_messages(quantumflow.workflow_runs, timestamptz) is
'Makes messages that sleep although they should not visible: at their places in the queue; of started tasks, at once. The caller
holds the run with its tasks.';

create function quantumflow._renew_queue(p_queue text, p_model text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
set enable_nestloop = off
set jit = off
as $_renew_queue$
declare
  v_column  record;
  v_foreign bigint[];
begin
  perform quantumflow._create_queue(p_queue);

  -- A dump of an older pgmq brings tables without the columns that came later.
  for v_column in
    select k.prefix || p_queue as queue_table, a.attname as name, a.atttypid::regtype as type
    from unnest(array['q_', 'a_']) k (prefix)
    join pg_attribute a
      on a.attrelid = to_regclass(format('pgmq.%I', k.prefix || p_model))
    where a.attnum > 0
      and not a.attisdropped
      and not exists (
        select
        from pg_attribute o
        where o.attrelid = to_regclass(format('pgmq.%I', k.prefix || p_queue))
          and o.attname = a.attname
      )
    order by k.prefix, a.attnum
  loop
    execute format('alter table pgmq.%I add column %I %s', v_column.queue_table, v_column.name, v_column.type);
  end loop;

  execute format(
    $$
    select array_agg(q.msg_id)
    from pgmq.%I q
    where not exists (
      select
      from quantumflow.step_tasks t
      where t.run_id::text = q.message ->> 'workflow_run_id'
        and t.step_slug = q.message ->> 'step_name'
        and t.task_index::text = q.message ->> 'task_index'
    )
    $$,
    'q_' || p_queue)
  into v_foreign;

  if v_foreign is not null then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;

  execute format('truncate pgmq.%I', 'q_' || p_queue);

  -- The archive outlives the queue, and a msg_id that it has already could not be archived again.
  execute format(
    $$
    select setval(pg_get_serial_sequence('pgmq.%1$I', 'msg_id'), a.last_id)
    from (select max(o.msg_id) as last_id from pgmq.%2$I o) a
    where a.last_id > nextval(pg_get_serial_sequence('pgmq.%1$I', 'msg_id'))
    $$,
    'q_' || p_queue, 'a_' || p_queue);
end
$_renew_queue$;

comment on function quantumflow._renew_queue(text, text) is
'Makes a queue empty and what pgmq makes queues like, of which p_model is one; its archive stays. The caller has locked the queue.';

-- Source: sql/queue/notify.sql
create function quantumflow._notify(p_queue text, p_now timestamptz)
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

-- Source: sql/queue/setup.sql
create function quantumflow.setup()
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $setup$
declare
  v_queue text;
  v_made  text[] := array[]::text[];
begin
  for v_queue in
    select *
    from quantumflow._named_queues()
  loop
    if quantumflow._queue_table(v_queue) is null then
      v_made := v_made || v_queue;
    end if;
    perform quantumflow._ensure_queue(v_queue);
  end loop;

  if v_made = '{}' then
    return 'ready';
  end if;
  return 'ready; created ' || array_to_string(v_made, ', ');
end
$setup$;

comment on function quantumflow.setup() is
'Makes every queue that definitions and settings name, the default one included. Says what it did; safe to repeat.

Defining a workflow makes its queues too, so this is for a worker that starts first and for restored databases.

Errors: QF110 when a queue''s name is not valid; QF402 when pgmq is missing or older than 1.5.1; QF403 when a
queue holds messages of somebody else.';

-- Source: sql/run/start.sql
create function quantumflow.start_flow(
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

comment on function quantumflow.start_flow(text, jsonb, uuid, int, timestamptz, text, jsonb, int) is
'Starts a run of a workflow and returns its id. The run''s first tasks can be claimed when the transaction has committed.

input: any JSON, {} when left out; an array where the workflow maps over it.
run_id: the id to use; made when left out.
priority: seconds by which the run''s tasks overtake those of priority 0; 0 or more.
start_at: the first steps wait until then; a moment in the past is now.
idempotency_key: unique within the workflow; the same key again returns the same run, whatever else is passed.
headers: an object that travels with every message of the run.
version: the version to run; the current one when left out. The first run of a version freezes it.

Errors: QF111 unknown workflow; QF112 unknown version; QF202 run_id is taken; QF203 the version has no steps; QF204 the
workflow maps over its input and the input is no array; QF205 negative priority; QF206 bad idempotency_key; QF208 headers is no
object; QF210 start_at is not a moment before the year 9999; QF217 input or headers are too large; QF401 a queue is gone.';

create function quantumflow._run_of_key(p_workflow_slug text, p_idempotency_key text)
returns uuid
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_run_of_key$
begin
  if p_idempotency_key is null then
    return null;
  end if;

  return (
    select r.id
    from quantumflow.workflow_runs r
    where r.workflow_slug = p_workflow_slug
      and r.idempotency_key = p_idempotency_key
  );
end
$_run_of_key$;

comment on function quantumflow._run_of_key(text, text) is
'The run that was started with an idempotency key; null when there is none.';

create function quantumflow.start_flows(workflow_slug text, inputs jsonb[], priority int default 0)
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

comment on function quantumflow.start_flows(text, jsonb[], int) is
'Starts a run per input, in one transaction and a handful of statements, and returns their ids in the order of the inputs.

Errors: QF111 unknown workflow; QF203 the version has no steps; QF204 the workflow maps over its input and an input is no array;
QF205 negative priority; QF217 an input is too large; QF401 a queue is gone.';

create function quantumflow._start_runs(
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

create function quantumflow._pick_version(p_workflow_slug text, p_version int)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_pick_version$
declare
  v_current int;
begin
  select w.current_version
  into v_current
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug;

  if not found then
    raise exception 'workflow "%" does not exist', p_workflow_slug
    using
      errcode = 'QF111',
      detail = 'No workflow of that name is defined; names are case-sensitive.',
      hint = 'select * from quantumflow.list_flows() shows what is defined.';
  end if;

  if p_version is null then
    return v_current;
  end if;

  perform
  from quantumflow.workflow_versions v
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version);

  if not found then
    raise exception 'workflow "%" has no version %', p_workflow_slug, p_version
    using
      errcode = 'QF112',
      detail = format('Its current version is %s.', v_current),
      hint = 'Leave the version out to use the current one.';
  end if;

  return p_version;
end
$_pick_version$;

comment on function quantumflow._pick_version(text, int) is
'The version asked for, or the current one.

Errors: QF111 unknown workflow; QF112 unknown version.';

create function quantumflow._refuse_bad_start(p_priority int, p_start_at timestamptz, p_headers jsonb)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_start$
begin
  if p_priority is null or p_priority < 0 then
    raise exception 'priority must not be negative'
    using
      errcode = 'QF205',
      detail = format('The priority is %s.', coalesce(p_priority::text, 'null')),
      hint = 'Leave it out for 0; a higher number overtakes by as many seconds.';
  end if;

  if not isfinite(p_start_at) or p_start_at >= '9999-01-01 00:00:00+00' then
    raise exception 'start_at must be a moment before the year 9999'
    using
      errcode = 'QF210',
      detail = format('It is %s.', p_start_at),
      hint = 'Leave it out to start at once.';
  end if;

  if jsonb_typeof(p_headers) <> 'object' then
    raise exception 'headers must be a JSON object'
    using
      errcode = 'QF208',
      detail = format('It is JSON of type %s.', jsonb_typeof(p_headers)),
      hint = 'For example {"traceparent": "00-..."}.';
  end if;
end
$_refuse_bad_start$;

comment on function quantumflow._refuse_bad_start(int, timestamptz, jsonb) is
'Refuses arguments with which no run can start.

Errors: QF205 negative priority; QF208 headers is no object; QF210 start_at is not a moment before the year 9999.';

create function quantumflow._refuse_non_arrays(p_workflow_slug text, p_inputs jsonb[])
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_non_arrays$
declare
  v_bad record;
begin
  select jsonb_typeof(i.input) as type, i.n
  into v_bad
  from unnest(p_inputs) with ordinality i (input, n)
  where jsonb_typeof(i.input) <> 'array'
  order by i.n
  limit 1;

  if found then
    raise exception 'workflow "%" maps over its input, which must be an array', p_workflow_slug
    using
      errcode = 'QF204',
      detail = format('Input %s is JSON of type %s.', v_bad.n, v_bad.type),
      hint = 'Pass an array: one task is made per element.';
  end if;
end
$_refuse_non_arrays$;

comment on function quantumflow._refuse_non_arrays(text, jsonb[]) is
'Refuses inputs that a map step could not map over.

Errors: QF204 when one is no array.';

create function quantumflow._refuse_large_inputs(p_inputs jsonb[], p_headers jsonb, p_are_mapped boolean)
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

comment on function quantumflow._refuse_large_inputs(jsonb[], jsonb, boolean) is
'Refuses inputs over max_input_bytes, headers over max_headers_bytes, and inputs that a map would make more than max_map_items tasks of.

Errors: QF217 when one is too large.';

-- Source: sql/run/advance.sql
-- What happens when steps end or become ready. The caller holds the runs, so nobody else moves them.

create type quantumflow._ended_run as (
  run_id        uuid,
  output        jsonb,
  workflow_slug text,
  version       int
);

comment on type quantumflow._ended_run is 'A run that has no step left, and what it leaves.';

create type quantumflow._readied as (
  taskless quantumflow._step_ref[],
  offer    quantumflow._offer
);

comment on type quantumflow._readied is
'Of the steps that became ready the maps of nothing, which are done, and the offer of a worker with the tasks that it was given.';

create function quantumflow._advance(
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

create function quantumflow._release_dependents(p_done quantumflow._step_ref[], p_now timestamptz)
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

comment on function quantumflow._release_dependents(quantumflow._step_ref[], timestamptz) is
'Takes the steps that are done off the counters of those that wait for them, and returns which are ready now.

A single step that becomes ready is marked started by the same update. In a paused run nothing becomes ready.';

create function quantumflow._step_became_ready(
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

create function quantumflow._make_tasks(
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

create function quantumflow._map_items(p_step quantumflow._step_ref, p_first int, p_last int, p_chunk_size int)
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

create function quantumflow._chunk_size(p_workflow_slug text, p_version int, p_step_slug text)
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

create function quantumflow._make_tasks_in_portions(
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

create function quantumflow._kept_tasks(p_run_id uuid, p_step_slug text)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_kept_tasks$
begin
  return (
    select count(*)::int
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
  );
end
$_kept_tasks$;

comment on function quantumflow._kept_tasks(uuid, text) is
'How many tasks a step has before it starts: those that a retry kept, which are completed.';

create function quantumflow._map_source(p_run_id uuid, p_workflow_slug text, p_version int, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_map_source$
declare
  v_map_over text;
  v_source   jsonb;
begin
  select w.map_over
  into v_map_over
  from quantumflow.workflow_steps w
  where (w.workflow_slug, w.version, w.step_slug) = (p_workflow_slug, p_version, p_step_slug);

  if v_map_over is null then
    select r.input
    into v_source
    from quantumflow.workflow_runs r
    where r.id = p_run_id;
  else
    v_source := quantumflow._step_output(p_run_id, v_map_over);
  end if;

  return v_source;
end
$_map_source$;

comment on function quantumflow._map_source(uuid, text, int, text) is
'The array a map step maps over: a dependency''s output, or the run''s input.';

create function quantumflow._step_output(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_step_output$
declare
  v_output jsonb;
begin
  select coalesce(s.output, t.output)
  into v_output
  from quantumflow.step_states s
  left join quantumflow.step_tasks t
    on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0)
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
    and s.status = 'completed';

  return v_output;
end
$_step_output$;

comment on function quantumflow._step_output(uuid, text) is
'A completed step''s output, wherever it is stored: a map''s on the step, a single step''s on its task. Null before.';

create function quantumflow._gather_run_outputs(p_finished quantumflow._step_ref[], p_going_on uuid[])
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

create function quantumflow._gather_outputs(p_ended quantumflow._ended_run[])
returns quantumflow._ended_run[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_gather_outputs$
declare
  v_ended quantumflow._ended_run[] := p_ended;
begin
  begin
    return quantumflow._with_outputs(v_ended);
  exception
    when program_limit_exceeded or out_of_memory or internal_error then
      -- Some output is larger than a jsonb value may be: find out whose, one run at a time.
      for n in 1 .. cardinality(v_ended) loop
        begin
          v_ended[n] := (quantumflow._with_outputs(v_ended[n:n]))[1];
        exception
          when program_limit_exceeded or out_of_memory or internal_error then
            v_ended[n].output := null;
        end;
      end loop;
  end;

  return v_ended;
end
$_gather_outputs$;

comment on function quantumflow._gather_outputs(quantumflow._ended_run[]) is
'Adds the outputs of runs that have no step left; null where one cannot be one jsonb value.';

create function quantumflow._with_outputs(p_ended quantumflow._ended_run[])
returns quantumflow._ended_run[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_with_outputs$
begin
  return array(
    select row(k.run_id, o.output, k.workflow_slug, k.version)::quantumflow._ended_run
    from unnest(p_ended) k
    cross join lateral (
      select coalesce(jsonb_object_agg(s.step_slug, coalesce(s.output, t.output)), '{}') as output
      from quantumflow.workflow_steps w
      join quantumflow.step_states s
        on (s.run_id, s.step_slug) = (k.run_id, w.step_slug)
        and s.status = 'completed'
      left join quantumflow.step_tasks t
        on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0)
      where (w.workflow_slug, w.version) = (k.workflow_slug, k.version)
        and w.dependents = '{}'
    ) o);
end
$_with_outputs$;

comment on function quantumflow._with_outputs(quantumflow._ended_run[]) is
'Adds each run''s output: an object with the output of each leaf step, maps as arrays in index order.';

-- Source: sql/run/finish.sql
create function quantumflow._finish_runs(p_ended quantumflow._ended_run[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_finish_runs$
declare
  v_completed uuid[];
  v_oversized uuid;
begin
  with completed as (
    update quantumflow.workflow_runs r
    set
      status = 'completed',
      remaining_steps = 0,
      output = k.output,
      completed_at = p_now
    from unnest(p_ended) k
    cross join lateral (
      select l.ctid as tid
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      limit 1
    ) c
    where k.output is not null
      and r.ctid = c.tid
    returning r.id
  )
  select array_agg(c.id)
  into v_completed
  from completed c;

  if v_completed is not null then
    perform quantumflow._fire_callbacks(v_completed, '_on_complete', p_now);
  end if;

  for v_oversized in
    select k.run_id
    from unnest(p_ended) k
    where k.output is null
  loop
    update quantumflow.workflow_runs r
    set remaining_steps = 0
    where r.id = v_oversized;

    perform quantumflow._fail_run(
      v_oversized, 'the outputs of its leaf steps exceed what one jsonb value can hold (QF209)', p_now);
  end loop;
end
$_finish_runs$;

comment on function quantumflow._finish_runs(quantumflow._ended_run[], timestamptz) is
'The one place where runs complete. Runs whose output is too large for one jsonb value fail instead, with QF209 in error_message.';

create function quantumflow._fail_run(p_run_id uuid, p_error_message text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_run$
begin
  update quantumflow.workflow_runs r
  set
    status = 'failed',
    failed_at = p_now,
    error_message = p_error_message
  where r.id = p_run_id
    and r.status in ('started', 'paused');

  if found then
    perform quantumflow._stop_runs(array[p_run_id], p_now);
    perform quantumflow._fire_callbacks(array[p_run_id], '_on_failure', p_now);
  end if;
end
$_fail_run$;

comment on function quantumflow._fail_run(uuid, text, timestamptz) is
'Fails a run: what is left of it is cancelled, its messages go, its on_failure task is made. The first failure is the one recorded.';

create function quantumflow._stop_runs(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_stop_runs$
declare
  v_batch record;
  v_busy  bigint[];
begin
  -- Rows that others hold are skipped, never waited for: their holders may be waiting for the run.
  for v_batch in
    select t.queue, array_agg(t.tid) as tids, array_agg(t.message_id) as msg_ids
    from (
      select l.ctid as tid, l.queue, l.message_id
      from quantumflow.step_tasks l
      where l.run_id = any (p_run_ids)
        and l.status in ('queued', 'started')
        and l.step_slug not in ('_on_complete', '_on_failure')
      for update skip locked
    ) t
    group by t.queue
    order by t.queue
  loop
    -- A claim that found the task busy may hold its message a while longer.
    v_busy := quantumflow._remove_free_messages(v_batch.queue, v_batch.msg_ids);

    update quantumflow.step_tasks t
    set status = 'cancelled'
    from unnest(v_batch.tids, v_batch.msg_ids) h (tid, message_id)
    where h.message_id <> all (v_busy)
      and t.ctid = h.tid;
  end loop;

  with held as (
    select s.ctid as tid
    from quantumflow.step_states s
    where s.run_id = any (p_run_ids)
      and s.status in ('created', 'started')
    for no key update skip locked
  )
  update quantumflow.step_states s
  set status = 'cancelled'
  from held h
  where s.ctid = h.tid;

  insert into quantumflow._unfinished_ends (run_id, recorded_at)
  select u.run_id, p_now
  from unnest(p_run_ids) u (run_id)
  where quantumflow._has_live_rows(u.run_id)
  on conflict do nothing;
end
$_stop_runs$;

comment on function quantumflow._stop_runs(uuid[], timestamptz) is
'Cancels what is left of runs that have just ended and removes its messages. The caller holds the runs: FOR UPDATE, or, where an
output proved too large, FOR NO KEY UPDATE, beside claims and reports whose leftovers the next claim or sweep finishes.

Rows that another transaction holds are left to it, and the run is recorded in _unfinished_ends for the next claim or sweep.';

create function quantumflow._has_live_rows(p_run_id uuid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_has_live_rows$
begin
  return exists (
      select
      from quantumflow.step_tasks t
      where t.run_id = p_run_id
        and t.status in ('queued', 'started')
        and t.step_slug not in ('_on_complete', '_on_failure')
    )
    or exists (
      select
      from quantumflow.step_states s
      where s.run_id = p_run_id
        and s.status in ('created', 'started')
    );
end
$_has_live_rows$;

comment on function quantumflow._has_live_rows(uuid) is
'Whether a run has a task or step, callbacks aside, that has not ended.';

create function quantumflow._finish_ends(p_runs int, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_finish_ends$
declare
  v_recorded uuid[];
  v_held     uuid[];
begin
  select array_agg(u.run_id)
  into v_recorded
  from (
    select e.run_id
    from quantumflow._unfinished_ends e
    order by e.recorded_at, e.run_id
    limit p_runs
    for update skip locked
  ) u;

  if v_recorded is null then
    return 0;
  end if;

  select array_agg(u.id)
  into v_held
  from (
    select r.id
    from quantumflow.workflow_runs r
    where r.id = any (v_recorded)
      and r.status in ('completed', 'failed', 'cancelled')
    for update skip locked
  ) u;

  perform quantumflow._stop_runs(v_held, p_now);

  delete from quantumflow._unfinished_ends e
  where e.run_id = any (v_recorded)
    and not quantumflow._has_live_rows(e.run_id);

  return coalesce(cardinality(v_held), 0);
end
$_finish_ends$;

comment on function quantumflow._finish_ends(int, timestamptz) is
'Finishes the ends recorded in _unfinished_ends, at most p_runs of them, waiting for nothing. Returns how many runs it looked at.';

create function quantumflow._fire_callbacks(p_run_ids uuid[], p_step_slug text, p_now timestamptz)
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

comment on function quantumflow._fire_callbacks(uuid[], text, timestamptz) is
'Makes the on_complete or on_failure task of runs that have just ended, where their version names a command for it.';

-- Source: sql/run/start_ready_steps.sql
create function quantumflow.start_ready_steps(run_id uuid)
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

comment on function quantumflow.start_ready_steps(uuid) is
'Starts the steps of a run whose dependencies are all done and that have not started. Returns how many it started.

The engine starts steps by itself when they become ready, so this finds something only after a pause or a repair by hand.
Safe to call at any time; does nothing for a run that is paused or over.

Errors: QF201 unknown run.';

create function quantumflow._start_ready(p_run quantumflow.workflow_runs, p_now timestamptz)
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

comment on function quantumflow._start_ready(quantumflow.workflow_runs, timestamptz) is
'Starts the steps of a run whose dependencies are all done and that have not started. Returns how many. The caller holds the run,
which is started.';

create function quantumflow._raise_unknown_run(p_run_id uuid)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_raise_unknown_run$
begin
  raise exception 'run % does not exist', coalesce(p_run_id::text, 'null')
  using
    errcode = 'QF201',
    detail = 'No run has this id; it may have been deleted.',
    hint = 'select id, workflow_slug, status from quantumflow.workflow_runs order by id desc limit 20 shows the latest.';
end
$_raise_unknown_run$;

comment on function quantumflow._raise_unknown_run(uuid) is
'Raises QF201.

Errors: QF201 always.';

-- Source: sql/run/hold.sql
-- How calls on one run get hold of it: the run alone, to steer one that moves, or all of it, to change one at rest.

create function quantumflow._hold_run(p_run_id uuid)
returns quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_run$
declare
  v_run quantumflow.workflow_runs;
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_run_id
  for update;

  if not found then
    perform quantumflow._raise_unknown_run(p_run_id);
  end if;

  return v_run;
end
$_hold_run$;

comment on function quantumflow._hold_run(uuid) is
'Locks a run FOR UPDATE, waiting for claims and reports that have it. From then on nobody else changes its steps and tasks, though
a report that waits for the run may hold their rows.

Errors: QF201 unknown run.';

create function quantumflow._hold_whole_runs(p_run_ids uuid[])
returns setof quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_whole_runs$
begin
  perform
  from quantumflow.step_tasks t
  where t.run_id = any (p_run_ids)
  order by t.run_id, t.step_slug, t.task_index
  for update;

  perform
  from quantumflow.step_states s
  where s.run_id = any (p_run_ids)
  order by s.run_id, s.step_slug
  for update;

  return query
  select *
  from quantumflow.workflow_runs r
  where r.id = any (p_run_ids)
  order by r.id
  for update;
end
$_hold_whole_runs$;

comment on function quantumflow._hold_whole_runs(uuid[]) is
'Locks runs with all their tasks and steps, in the order tasks, steps, runs, waiting for each, and returns the runs as they are then.';

create function quantumflow._hold_resting_run(p_run_id uuid, p_verb text)
returns quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_resting_run$
declare
  v_run quantumflow.workflow_runs;
begin
  -- Before it is held too: a run that goes on shall not be held up, by one that waits for a task under way.
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_run_id;

  if found then
    perform quantumflow._refuse_moving_run(v_run, p_verb);
  end if;

  select *
  into v_run
  from quantumflow._hold_whole_runs(array[p_run_id]);

  if v_run.id is null then
    perform quantumflow._raise_unknown_run(p_run_id);
  end if;
  perform quantumflow._refuse_moving_run(v_run, p_verb);

  return v_run;
end
$_hold_resting_run$;

comment on function quantumflow._hold_resting_run(uuid, text) is
'Locks a run that has ended with all its tasks and steps, and refuses one that has not. p_verb: what is to be done with it, retried
or deleted.

Errors: QF201 unknown run; QF213 the run has not ended, or its callback has not.';

create function quantumflow._refuse_ended_run(p_run quantumflow.workflow_runs, p_verb text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_ended_run$
begin
  if p_run.status not in ('started', 'paused') then
    raise exception 'run % has ended', p_run.id
    using
      errcode = 'QF207',
      detail = format(
        'Its status is "%s" since %s.',
        p_run.status, coalesce(p_run.completed_at, p_run.failed_at, p_run.cancelled_at)),
      hint = format('Only a started or paused run can be %s.', p_verb);
  end if;
end
$_refuse_ended_run$;

comment on function quantumflow._refuse_ended_run(quantumflow.workflow_runs, text) is
'Refuses a run that is over.

Errors: QF207 the run has ended.';

create function quantumflow._refuse_moving_run(p_run quantumflow.workflow_runs, p_verb text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_moving_run$
declare
  v_callback text := quantumflow._open_callback(p_run.id);
begin
  if p_run.status in ('started', 'paused') then
    raise exception 'run % has not ended', p_run.id
    using
      errcode = 'QF213',
      detail = format('Its status is "%s".', p_run.status),
      hint = format('Only a run that has ended can be %s; quantumflow.cancel_run() ends it.', p_verb);
  end if;

  if v_callback is not null and p_verb = 'deleted' then
    raise exception 'run % has a task that has not ended', p_run.id
    using
      errcode = 'QF213',
      detail = format('Its %s task is still to be done.', v_callback),
      hint = format(
        'Wait for a worker to do it, or settle it by hand: select quantumflow.complete_task(%L, %L, %s).',
        p_run.id, v_callback, p_run.retries);
  end if;
end
$_refuse_moving_run$;

comment on function quantumflow._refuse_moving_run(quantumflow.workflow_runs, text) is
'Refuses a run that goes on, or, where it is to be deleted, whose callback is still to be done.

Errors: QF213 the run has not ended, or its callback has not.';

create function quantumflow._open_callback(p_run_id uuid)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_open_callback$
begin
  return (
    select t.step_slug
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
      and t.step_slug in ('_on_complete', '_on_failure')
      and t.status in ('queued', 'started')
  );
end
$_open_callback$;

comment on function quantumflow._open_callback(uuid) is
'The callback of an ended run that is still to be done, _on_complete or _on_failure; null when there is none.';

create function quantumflow._require_read_committed(p_action text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_require_read_committed$
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
    raise exception 'could not % at this isolation level', p_action
    using
      errcode = '0A000',
      detail = format('The transaction is %s.', current_setting('transaction_isolation')),
      hint = 'Repeat it in a read committed transaction.';
  end if;
end
$_require_read_committed$;

comment on function quantumflow._require_read_committed(text) is
'Refuses transactions whose snapshot is older than the locks they wait for: they would not see what others did meanwhile.

Errors: 0A000 unless the transaction is read committed.';

-- Source: sql/run/cancel.sql
create function quantumflow.cancel_run(run_id uuid, reason text default null)
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

comment on function quantumflow.cancel_run(uuid, text) is
'Cancels a run: nothing of it starts any more, its messages go, and what its workers still report changes nothing.

reason is kept as the run''s error_message, cut to max_error_bytes. Cancelling it again changes nothing. No callback is called.
A worker that is executing a task learns of it when it next extends the lease.

Errors: QF201 unknown run; QF207 the run has completed or failed.';

-- Source: sql/run/pause.sql
create function quantumflow.pause_run(run_id uuid)
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

comment on function quantumflow.pause_run(uuid) is
'Pauses a run: no step of it starts and no task of it is handed out until resume_run.

Tasks that workers have already are not disturbed: they keep their leases, and what they report is recorded. A run that has nothing
left to do ends even while it is paused. Pausing it again changes nothing.

Errors: QF201 unknown run; QF207 the run has ended.';

-- Source: sql/run/resume.sql
create function quantumflow.resume_run(run_id uuid)
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

comment on function quantumflow.resume_run(uuid) is
'Lets a paused run go on: its tasks can be claimed again, from their old places in the queue, delays that were running kept, and the
steps that became ready meanwhile start. Resuming a run that is not paused changes nothing.

Errors: QF201 unknown run; QF207 the run has ended; QF401 the queue of a step that would start is gone; 0A000 unless the
transaction is read committed.';

create function quantumflow._show_queued(p_run quantumflow.workflow_runs, p_now timestamptz)
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

comment on function quantumflow._show_queued(quantumflow.workflow_runs, timestamptz) is
'Puts the messages of a run''s queued tasks where they belong when it is not paused. The caller holds the run.';

create function quantumflow._visible_at(p_queued_at timestamptz, p_priority int, p_now timestamptz)
returns timestamptz
language sql
immutable
set search_path = pg_catalog, pg_temp
as $_visible_at$
  select case when p_queued_at > p_now then p_queued_at else p_queued_at - make_interval(secs => p_priority) end;
$_visible_at$;

comment on function quantumflow._visible_at(timestamptz, int, timestamptz) is
'From when the message of a queued task is to be visible: its delay''s end, else its place in the queue, p_priority seconds earlier.';

-- Source: sql/run/retry.sql
create function quantumflow.retry_run(run_id uuid, from_step text default null)
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

comment on function quantumflow.retry_run(uuid, text) is
'Runs again what an ended run did not finish, and, with from_step, that step and all that depends on it too.

Finished steps keep their outputs, and so do the finished tasks of a map that did not finish. The tasks that run again have all their
attempts again. task_failures keeps the history, under the run''s retries at that time. A callback of the ended run that is still to
be done is cancelled. retry_preview shows what would run again.

Errors: QF201 unknown run; QF213 the run has not ended; QF214 nothing to run again, as the run is completed and no from_step is given;
QF215 the run has no such step; QF401 the queue of a step that would start is gone; 0A000 unless the transaction is read committed.';

create function quantumflow.retry_preview(run_id uuid, from_step text default null)
returns table (step_slug text, status text, tasks_again int, tasks_kept int)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $retry_preview$
declare
  v_run quantumflow.workflow_runs;
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = retry_preview.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(retry_preview.run_id);
  end if;
  perform quantumflow._refuse_moving_run(v_run, 'retried');

  return query
  select
    p.step_slug,
    s.status,
    case
      when w.step_type = 'single' then 1
      when w.map_over in (select o.step_slug from quantumflow._plan_retry(v_run, retry_preview.from_step) o) then null
      else s.initial_tasks - k.kept
    end,
    k.kept
  from quantumflow._plan_retry(v_run, retry_preview.from_step) p
  join quantumflow.step_states s
    on (s.run_id, s.step_slug) = (v_run.id, p.step_slug)
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (v_run.workflow_slug, v_run.version, p.step_slug)
  cross join lateral (
    select (count(*) filter (where p.keeps_tasks and t.status = 'completed'))::int as kept
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (v_run.id, p.step_slug)
  ) k
  order by w.step_index;
end
$retry_preview$;

comment on function quantumflow.retry_preview(uuid, text) is
'What retry_run with the same arguments would run again, a row per step in the order of the definition; changes nothing.

status: what the step is now. tasks_again: how many of its tasks would run, null for a map whose size is not known before.
tasks_kept: how many finished ones would keep their outputs.

Errors: QF201, QF213, QF214, QF215 as retry_run.';

create function quantumflow._plan_retry(p_run quantumflow.workflow_runs, p_from_step text)
returns table (step_slug text, keeps_tasks boolean)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_plan_retry$
begin
  if not exists (
    select
    from quantumflow.step_states s
    where (s.run_id, s.step_slug) = (p_run.id, coalesce(p_from_step, s.step_slug))
  )
  then
    raise exception 'run % has no step "%"', p_run.id, p_from_step
    using
      errcode = 'QF215',
      detail = format('It runs version %s of workflow "%s".', p_run.version, p_run.workflow_slug),
      hint = 'select * from quantumflow.step_states where run_id = ... shows its steps.';
  end if;

  -- What did not finish; of a map that did not, the tasks that did are kept, unless all did: then it is their outputs that failed it.
  return query
  with recursive again (slug) as (
    select p_from_step collate "C"
    where p_from_step is not null
    union
    select u.dependent
    from again a
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (p_run.workflow_slug, p_run.version, a.slug)
    cross join unnest(w.dependents) u (dependent)
  )
  select
    s.step_slug,
    s.step_slug not in (select a.slug from again a)
    and exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug) = (s.run_id, s.step_slug)
        and t.status <> 'completed'
    )
  from quantumflow.step_states s
  where s.run_id = p_run.id
    and (
      s.status not in ('completed', 'skipped')
      or s.step_slug in (select a.slug from again a)
    );

  if not found then
    raise exception 'run % has nothing to run again', p_run.id
    using
      errcode = 'QF214',
      detail = 'All its steps are done.',
      hint = 'Name the step to run again from: quantumflow.retry_run(run_id, from_step => ...).';
  end if;
end
$_plan_retry$;

comment on function quantumflow._plan_retry(quantumflow.workflow_runs, text) is
'The steps of an ended run that a retry runs again, and whether their completed tasks are kept.

Errors: QF214 there is none; QF215 the run has no such step.';

create function quantumflow._forget_tasks(p_run quantumflow.workflow_runs, p_from_step text)
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

comment on function quantumflow._forget_tasks(quantumflow.workflow_runs, text) is
'Removes the tasks that a retry runs again, cancels a callback that is still to be done, and removes what messages they have.';

-- Source: sql/run/delete.sql
create function quantumflow.delete_run(run_id uuid)
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

comment on function quantumflow.delete_run(uuid) is
'Deletes a run that has ended, with its steps, tasks and history, and returns what it was. Its idempotency key may be used again.

Errors: QF201 unknown run; QF213 the run has not ended, or its callback has not; 0A000 unless the transaction is read committed.';

create function quantumflow._delete_runs(p_run_ids uuid[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_delete_runs$
declare
  v_batch record;
begin
  delete from quantumflow.task_failures f
  where f.run_id = any (p_run_ids);

  delete from quantumflow._unfinished_ends e
  where e.run_id = any (p_run_ids);

  delete from quantumflow.step_states s
  where s.run_id = any (p_run_ids);

  delete from quantumflow.workflow_runs r
  where r.id = any (p_run_ids);

  -- A task that its run's end had to leave still has a message.
  for v_batch in
    with deleted as (
      delete from quantumflow.step_tasks t
      where t.run_id = any (p_run_ids)
      returning t.queue, t.message_id, t.status
    )
    select d.queue, array_agg(d.message_id order by d.message_id) as msg_ids
    from deleted d
    where d.status in ('queued', 'started')
    group by d.queue
    order by d.queue
  loop
    perform quantumflow._remove_messages(v_batch.queue, v_batch.msg_ids);
  end loop;
end
$_delete_runs$;

comment on function quantumflow._delete_runs(uuid[]) is
'Deletes everything of these runs. The caller holds them with their tasks and steps.';

-- Source: sql/run/prune.sql
create function quantumflow.prune(older_than interval, max_runs int default 1000)
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

comment on function quantumflow.prune(interval, int) is
'Deletes runs that ended longer ago than older_than, those of the lowest ids first, with all that is theirs, and forgets workers
not seen since. Returns how many runs it deleted; as many as max_runs means that there may be more.

older_than: 0 s to 1,000 years. max_runs: 1 to 100,000, so that each call is a short transaction; call it again until it returns less.
Runs that go on, and ended ones whose callback is still to be done, stay.

Errors: QF216 an argument that is null or out of range; 0A000 unless the transaction is read committed.';

create function quantumflow._refuse_bad_prune(p_older_than interval, p_max_runs int)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_prune$
begin
  if p_older_than is null or p_older_than not between '0 s' and '1000 years' then
    raise exception 'older_than must be between 0 s and 1000 years'
    using
      errcode = 'QF216',
      detail = format('It is %s.', coalesce(p_older_than::text, 'null')),
      hint = 'For example: select quantumflow.prune(interval ''30 days'').';
  end if;

  if p_max_runs is null or p_max_runs not between 1 and 100000 then
    raise exception 'max_runs must be between 1 and 100000'
    using
      errcode = 'QF216',
      detail = format('It is %s.', coalesce(p_max_runs::text, 'null')),
      hint = 'Leave it out for 1000, and call again until the answer is less.';
  end if;
end
$_refuse_bad_prune$;

comment on function quantumflow._refuse_bad_prune(interval, int) is
'Refuses arguments that prune cannot work with.

Errors: QF216 an argument that is null or out of range.';

-- Source: sql/run/look.sql
create function quantumflow.run_input(run_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $run_input$
declare
  v_input jsonb;
begin
  select r.input
  into v_input
  from quantumflow.workflow_runs r
  where r.id = run_input.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(run_input.run_id);
  end if;

  return v_input;
end
$run_input$;

comment on function quantumflow.run_input(uuid) is
'What a run was started with: for the tasks of a map, which are handed only their own item.

Errors: QF201 unknown run.';

create function quantumflow.step_output(run_id uuid, step_slug text)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $step_output$
begin
  perform
  from quantumflow.step_states s
  where (s.run_id, s.step_slug) = (step_output.run_id, step_output.step_slug);

  if not found then
    perform quantumflow.run_input(step_output.run_id);

    raise exception 'run % has no step "%"', step_output.run_id, coalesce(step_output.step_slug, 'null')
    using
      errcode = 'QF307',
      detail = 'Step names are case-sensitive.',
      hint = 'select * from quantumflow.step_states where run_id = ... shows its steps.';
  end if;

  return quantumflow._step_output(step_output.run_id, step_output.step_slug);
end
$step_output$;

comment on function quantumflow.step_output(uuid, text) is
'The output of a step of a run, a map''s as an array in index order; null while the step is not completed.

Errors: QF201 unknown run; QF307 the run has no such step.';

-- Source: sql/run/status.sql
create function quantumflow.status(run_id uuid)
returns jsonb
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $status$
declare
  v_status jsonb;
begin
  select jsonb_build_object(
    'run_id', r.id,
    'workflow_slug', r.workflow_slug,
    'version', r.version,
    'status', r.status,
    'input', r.input,
    'output', r.output,
    'error_message', r.error_message,
    'remaining_steps', r.remaining_steps,
    'priority', r.priority,
    'retries', r.retries,
    'headers', r.headers,
    'idempotency_key', r.idempotency_key,
    'created_at', r.created_at,
    'started_at', r.started_at,
    'paused_at', r.paused_at,
    'ended_at', coalesce(r.completed_at, r.failed_at, r.cancelled_at),
    'steps', (
      select coalesce(
        jsonb_agg(
          jsonb_build_object(
            'step_slug', s.step_slug,
            'step_type', w.step_type,
            'command', w.command,
            'status', s.status,
            'depends_on', to_jsonb(w.dependencies),
            'remaining_deps', s.remaining_deps,
            'started_at', s.started_at,
            'ended_at', coalesce(s.completed_at, s.failed_at),
            'error_message', s.error_message,
            'tasks', quantumflow._count_tasks(s.run_id, s.step_slug))
          order by w.step_index),
        '[]')
      from quantumflow.step_states s
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
      where s.run_id = r.id
    ),
    'callbacks', (
      select coalesce(
        jsonb_agg(
          jsonb_build_object('step_slug', t.step_slug, 'status', t.status, 'error_message', t.error_message)
          order by t.step_slug, t.task_index),
        '[]')
      from quantumflow.step_tasks t
      where t.run_id = r.id
        and t.step_slug in ('_on_complete', '_on_failure')
    ))
  into v_status
  from quantumflow.workflow_runs r
  where r.id = status.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(status.run_id);
  end if;

  return v_status;
end
$status$;

comment on function quantumflow.status(uuid) is
'All there is to say of a run, as one object: its row, its steps in the order of the definition, their tasks counted by status.

ended_at is whichever of completed_at, failed_at and cancelled_at there is. tasks holds, besides a count per status that
occurs, "total" and "failures", the attempts that did not complete. Try: select jsonb_pretty(quantumflow.status(id)).

Errors: QF201 unknown run.';

create function quantumflow._count_tasks(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_count_tasks$
declare
  v_tasks jsonb;
begin
  select
    coalesce(jsonb_object_agg(c.status, c.tasks), '{}')
    || jsonb_build_object(
      'total', coalesce(sum(c.tasks), 0),
      'failures', (
        select count(*)
        from quantumflow.task_failures f
        where (f.run_id, f.step_slug) = (p_run_id, p_step_slug)
      ))
  into v_tasks
  from (
    select t.status, count(*) as tasks
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
    group by t.status
  ) c;

  return v_tasks;
end
$_count_tasks$;

comment on function quantumflow._count_tasks(uuid, text) is
'The tasks of a step, counted by status, and the attempts of them that did not complete.';

-- Source: sql/run/list.sql
create type quantumflow.run_summary as (
  run_id          uuid,
  workflow_slug   text,
  version         int,
  status          text,
  done_steps      int,
  steps           int,
  priority        int,
  retries         int,
  idempotency_key text,
  created_at      timestamptz,
  started_at      timestamptz,
  ended_at        timestamptz,
  error_message   text
);

comment on type quantumflow.run_summary is 'A run in a line, without its input and output.';
comment on column quantumflow.run_summary.run_id is 'The run.';
comment on column quantumflow.run_summary.workflow_slug is 'The workflow.';
comment on column quantumflow.run_summary.version is 'Its version.';
comment on column quantumflow.run_summary.status is 'started, paused, completed, failed or cancelled.';
comment on column quantumflow.run_summary.done_steps is 'Steps that are done.';
comment on column quantumflow.run_summary.steps is 'Steps there are.';
comment on column quantumflow.run_summary.priority is 'Seconds by which it overtakes.';
comment on column quantumflow.run_summary.retries is 'How often it was retried.';
comment on column quantumflow.run_summary.idempotency_key is 'The key it was started with.';
comment on column quantumflow.run_summary.created_at is 'When start_flow was called.';
comment on column quantumflow.run_summary.started_at is 'From when its first steps may run.';
comment on column quantumflow.run_summary.ended_at is 'When it completed, failed or was cancelled.';
comment on column quantumflow.run_summary.error_message is 'Why it failed or was cancelled.';

create function quantumflow.list_runs(
  workflow_slug text default null,
  status        text default null,
  max_runs      int default 20,
  before        uuid default null)
returns setof quantumflow.run_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_runs$
begin
  if list_runs.max_runs is null or list_runs.max_runs not between 1 and 10000 then
    raise exception 'max_runs must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(list_runs.max_runs::text, 'null')),
      hint = 'Page with before: the last run_id of one page is where the next begins.';
  end if;

  if list_runs.status not in ('started', 'paused', 'completed', 'failed', 'cancelled') then
    raise exception 'status "%" is not one of a run', list_runs.status
    using
      errcode = 'QF212',
      detail = 'A run is started, paused, completed, failed or cancelled.',
      hint = 'Leave status out for all of them.';
  end if;

  return query
  select
    r.id,
    r.workflow_slug,
    r.version,
    r.status,
    s.steps - r.remaining_steps,
    s.steps,
    r.priority,
    r.retries,
    r.idempotency_key,
    r.created_at,
    r.started_at,
    coalesce(r.completed_at, r.failed_at, r.cancelled_at),
    r.error_message
  from quantumflow.workflow_runs r
  cross join lateral (
    select count(*)::int as steps
    from quantumflow.step_states k
    where k.run_id = r.id
  ) s
  where (list_runs.workflow_slug is null or r.workflow_slug = list_runs.workflow_slug)
    and (list_runs.status is null or r.status = list_runs.status)
    and (list_runs.before is null or r.id < list_runs.before)
  order by r.id desc
  limit list_runs.max_runs;
end
$list_runs$;

comment on function quantumflow.list_runs(text, text, int, uuid) is
'The latest runs, newest first, of one workflow or status or of all.

max_runs: 1 to 10,000. before: only runs whose id is lower, for the next page. An unknown workflow has no runs.

Errors: QF211 bad max_runs; QF212 unknown status.';

-- Source: sql/task/queue_tasks.sql
create function quantumflow._queue_tasks(p_tasks quantumflow._new_task[], p_again boolean default false)
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

create function quantumflow._raise_unknown_queue(p_queue text)
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

-- Source: sql/task/input.sql
create view quantumflow._task_inputs as
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
comment on column quantumflow._task_inputs.run_id is 'The run.';
comment on column quantumflow._task_inputs.step_slug is 'The step.';
comment on column quantumflow._task_inputs.task_index is 'The task.';
comment on column quantumflow._task_inputs.input is 'The input.';
comment on column quantumflow._task_inputs.status is 'The task''s status.';
comment on column quantumflow._task_inputs.message_id is 'The task''s message.';
comment on column quantumflow._task_inputs.command is 'The handler to call.';
comment on column quantumflow._task_inputs.args is 'The args of the step.';
comment on column quantumflow._task_inputs.max_attempts is 'How many failures end the task.';
comment on column quantumflow._task_inputs.headers is 'The headers of the run.';

-- Source: sql/task/claim.sql
create function quantumflow.claim_tasks(
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

comment on function quantumflow.claim_tasks(uuid, int, text[], interval, text[]) is
'Hands out up to quantity tasks, each to one claimer, and nothing when there is none. Never waits.

worker_id: any uuid of the worker''s own; it need not be registered.
quantity: 1 to 10,000 tasks.
queues: served in the order given; within one, what has been visible longest first.
lease: how long the tasks are the worker''s, 0.001 s to 1 day; the step''s timeout caps it. See extend_leases.
commands: only tasks of these commands; others are put back for 1 to 60 s without spending an attempt. Null: all; {}: none.

Each row holds the task''s input ({"run", <dependency>: output} for a single step, {"item", "index"} for a map task,
{"run", "output"} or {"run", "error"} for a callback), the deadline (timeout after now) and the lease_token that a report must show.
A task that was lost before comes alone. Leases that have run out are found here: they count as lost, or, if they lasted to the
deadline, as a failure of kind timeout. A task whose input cannot be one jsonb value (256 MB) fails, with QF308 in its error_message.

Errors: QF302 bad quantity; QF303 bad lease; QF304 no worker_id; QF401 unknown queue; QF403 a queue that holds messages of
somebody else and that no workflow names; QF404 the database is a copy of the one where its runs were started.';

create function quantumflow._claim(p_offer quantumflow._offer, p_now timestamptz)
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

create function quantumflow._hand_out_each(p_taken quantumflow._taken_task[], p_lease interval, p_now timestamptz)
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

create function quantumflow._hand_out(p_taken quantumflow._taken_task[], p_lease interval, p_now timestamptz)
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

create function quantumflow._fail_oversized(p_task quantumflow._taken_task, p_now timestamptz)
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

create function quantumflow._checked_offer(
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

create function quantumflow._checked_lease(p_lease interval)
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

create function quantumflow._claim_messages(
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

create function quantumflow._hold_messages(
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

create function quantumflow._lost_go_alone(p_held quantumflow._held_task[], p_has_others boolean)
returns quantumflow._held_task[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_lost_go_alone$
declare
  v_held  quantumflow._held_task[] := p_held;
  v_first int;
  v_alone boolean;
begin
  -- The first claimable task decides: if it was lost before it goes, and only it; else the others go.
  select k.n::int
  into v_first
  from unnest(p_held) with ordinality k (
    ord, run_id, step_slug, task_index, tid, queue, message_id, status, attempts, losses, worker_id, lease_token,
    started_at, queued_at, workflow_slug, version, step_type, timeout, run_status, retries, outcome, n)
  where k.outcome = 'claim'
  order by k.n
  limit 1;

  v_alone := v_held[v_first].losses > 0 and not p_has_others;

  for n in 1 .. cardinality(v_held) loop
    if v_held[n].outcome = 'claim'
      and (
        (v_alone and n <> v_first)
        or (not v_alone and v_held[n].losses > 0)
      )
    then
      v_held[n].outcome := 'leave';
    end if;
  end loop;

  return v_held;
end
$_lost_go_alone$;

comment on function quantumflow._lost_go_alone(quantumflow._held_task[], boolean) is
'Sees to it that a task that was lost before is handed out by itself: what killed one worker shall not take others'' tasks along.

What is not to go now gets the outcome "leave": its message stays as it is, for the next claim.';

create function quantumflow._put_aside(
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

create function quantumflow._settle_messages(p_queue text, p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_messages$
declare
  v_foreign bigint[];
  v_dropped bigint[];
begin
  select
    array_agg(h.message_id) filter (where h.outcome = 'foreign'),
    array_agg(h.message_id) filter (where h.outcome = 'drop')
  into v_foreign, v_dropped
  from unnest(p_held) h;

  if v_foreign is not null then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;

  if v_dropped is not null then
    -- The task may be one that the end of its run had to leave.
    update quantumflow.step_tasks t
    set status = 'cancelled'
    from unnest(p_held) h
    where h.outcome = 'drop'
      and h.status in ('queued', 'started')
      and t.ctid = h.tid;

    perform quantumflow._remove_messages(p_queue, v_dropped);
  end if;

  perform quantumflow._set_vt(
    p_queue,
    array_agg(h.message_id),
    array_agg(
      case h.outcome
        when 'park' then 'infinity'
        else p_now + greatest(interval '1 s', least(interval '60 s', p_now - h.queued_at))
      end))
  from unnest(p_held) h
  where h.outcome in ('park', 'later');

  perform quantumflow._settle_lapsed(
    p_queue,
    array(select h from unnest(p_held) h where h.outcome in ('lost', 'timeout')),
    p_now);
end
$_settle_messages$;

comment on function quantumflow._settle_messages(text, quantumflow._held_task[], timestamptz) is
'Puts the messages of a claim that are not handed out where _hold_messages said.';

-- Source: sql/task/lapse.sql
create function quantumflow._settle_lapsed(p_queue text, p_lapsed quantumflow._held_task[], p_now timestamptz)
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

comment on function quantumflow._settle_lapsed(text, quantumflow._held_task[], timestamptz) is
'Ends attempts whose lease has run out: lost, or, if it lasted to the deadline, a failure of kind timeout. Returns how many.

It is the end of the lease that counts, not when somebody notices, so that an outage of all workers is no failure of their tasks.

A lost task is ready again at once, at its old place in the queue; a timed-out one after its delay. Either fails when it has used up
max_lost or max_attempts, and its run with it.';

create function quantumflow._record_failure(
  p_task          quantumflow._held_task,
  p_kind          text,
  p_error_message text,
  p_error_details jsonb,
  p_now           timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_failure$
begin
  insert into quantumflow.task_failures
    (run_id, step_slug, task_index, retries, attempt, kind, worker_id, lease_token, started_at, ended_at,
     error_message, error_details)
  values
    (p_task.run_id, p_task.step_slug, p_task.task_index, p_task.retries,
     p_task.attempts + (p_task.status = 'queued')::int,
     p_kind,
     case p_task.status when 'started' then p_task.worker_id end,
     case p_task.status when 'started' then p_task.lease_token end,
     case p_task.status when 'started' then p_task.started_at end,
     p_now, p_error_message, p_error_details);
end
$_record_failure$;

comment on function quantumflow._record_failure(quantumflow._held_task, text, text, jsonb, timestamptz) is
'Writes an attempt that did not complete to the history. What is failed by hand while queued counts as an attempt of nobody.';

create function quantumflow._hold_for_failure(p_run_id uuid, p_step_slug text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_for_failure$
begin
  perform
  from quantumflow.step_states s
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
  for no key update skip locked;

  if not found then
    return false;
  end if;

  perform
  from quantumflow.workflow_runs r
  where r.id = p_run_id
    and r.status in ('started', 'paused')
  for update skip locked;

  return found;
end
$_hold_for_failure$;

comment on function quantumflow._hold_for_failure(uuid, text) is
'Tries to lock a step and its live run for a failure, without waiting. False when somebody holds one of them.';

create function quantumflow._fail_step(
  p_run_id        uuid,
  p_step_slug     text,
  p_task_index    int,
  p_step_type     text,
  p_error_message text,
  p_now           timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_step$
declare
  v_error text := format(
    'step %s%s: %s',
    p_step_slug,
    case when p_step_type = 'map' and p_task_index is not null then format(', task %s', p_task_index) end,
    p_error_message);
begin
  update quantumflow.step_states s
  set
    status = 'failed',
    failed_at = p_now,
    error_message = p_error_message
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
    and s.status = 'started';

  perform quantumflow._fail_run(p_run_id, v_error, p_now);
end
$_fail_step$;

comment on function quantumflow._fail_step(uuid, text, int, text, text, timestamptz) is
'Fails a step because one of its tasks failed for good, and its run. The caller holds both.';

create function quantumflow._retry_delay(p_retry_delay interval, p_failures int)
returns interval
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_retry_delay$
declare
  v_seconds double precision := extract(epoch from p_retry_delay)::double precision;
begin
  -- In seconds, since an interval may overflow before it is capped; the exponent is clamped for the same reason.
  return make_interval(secs => least(
    greatest(3600, v_seconds),
    v_seconds * 2 ^ least(greatest(p_failures, 1) - 1, 30) * (1 + random() / 4)));
end
$_retry_delay$;

comment on function quantumflow._retry_delay(interval, int) is
'How long a task waits after its p_failures-th failure: p_retry_delay * 2^(p_failures - 1), up to a quarter more by chance,
at most the longer of one hour and p_retry_delay.

Exponential backoff with jitter keeps tasks that failed together from coming back together.';

-- Source: sql/task/report.sql
-- What complete and fail share: which reports count, and the locks they take, in the order tasks, steps, runs.

create function quantumflow._checked_array(p_value jsonb, p_name text)
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

create function quantumflow._parse_reports(p_reports jsonb)
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

create function quantumflow._hold_reported(p_reports jsonb, p_verb text)
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

create function quantumflow._read_reported(p_reports jsonb, p_verb text, p_ords int[] default null)
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

create function quantumflow._fits_chunk(p_run_id uuid, p_step_slug text, p_task_index int, p_output jsonb)
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

create function quantumflow._has_failed_with(p_run_id uuid, p_step_slug text, p_task_index int, p_token text)
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

create function quantumflow._hold_runs(p_held quantumflow._held_task[], p_mode text)
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

create function quantumflow._cancel_late(p_held quantumflow._held_task[])
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

create function quantumflow._answers(p_held quantumflow._held_task[], p_acts text)
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

create function quantumflow._remove_reported(p_held quantumflow._held_task[], p_outcomes text[])
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

comment on function quantumflow._remove_reported(quantumflow._held_task[], text[]) is
'Removes the messages of the held tasks with one of these outcomes, last of all locks.';

-- Source: sql/task/complete.sql
create type quantumflow._completion as (
  held  quantumflow._held_task[],
  offer quantumflow._offer
);

comment on type quantumflow._completion is
'What became of reported results, and the offer of the worker that reported them with the tasks that it was given.';

create function quantumflow.complete_task(
  run_id      uuid,
  step_slug   text,
  task_index  int default 0,
  output      jsonb default null,
  lease_token bigint default null)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $complete_task$
declare
  v_outcome text;
begin
  select o.outcome
  into v_outcome
  from quantumflow.complete_tasks(jsonb_build_array(jsonb_build_object(
    'run_id', complete_task.run_id,
    'step_slug', complete_task.step_slug,
    'task_index', complete_task.task_index,
    'lease_token', complete_task.lease_token,
    'output', complete_task.output))) o;

  return v_outcome;
end
$complete_task$;

comment on function quantumflow.complete_task(uuid, text, int, jsonb, bigint) is
'Reports that a task is done: complete_tasks with one result. Returns its outcome.

Without a lease_token a person acts by hand on whatever attempt is live, a queued task too.

Errors: none of its own; a task that does not exist is "stale".';

create function quantumflow.complete_tasks(results jsonb)
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

comment on function quantumflow.complete_tasks(jsonb) is
'Reports tasks as done, any number of them, of any runs, in one set of statements.

results: an array of {"run_id", "step_slug", "task_index", "lease_token", "output"}. One bad result never spoils the others.
A null lease_token means a person acts by hand; a result without that key is stale.

Returns a row per result, in order, with its outcome:
completed: recorded, and whatever waited for it has started. type_violation: a map maps over this output and it is no array; the
task and its run failed. failed: the output is too large, see configure(); the task failed without another attempt, and its run, with
QF309 in error_message. duplicate: this attempt has reported before; nothing changed. stale: the lease is somebody else''s by now,
or there is no such task; nothing changed. run_ended: the run was over first, and the result is not kept.

Errors: QF301 results is no array; QF401 the queue of a step that would start is gone. A report never raises for a race it lost.';

create function quantumflow._complete(
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

create function quantumflow._hold_steps(p_held quantumflow._held_task[])
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

create function quantumflow._without_ended_runs(p_steps quantumflow._step_progress[])
returns quantumflow._step_progress[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_without_ended_runs$
begin
  return array(
    select s
    from unnest(p_steps) s
    where exists (
      select
      from quantumflow.workflow_runs r
      where r.id = s.run_id
        and r.status in ('started', 'paused')
      offset 0
    ));
end
$_without_ended_runs$;

comment on function quantumflow._without_ended_runs(quantumflow._step_progress[]) is
'Leaves out the steps of runs that ended before this call got hold of them.';

create function quantumflow._record_results(p_results jsonb, p_now timestamptz)
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

create function quantumflow._record_outputs(p_results jsonb, p_held quantumflow._held_task[], p_now timestamptz)
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

create function quantumflow._violation(p_output jsonb, p_items jsonb)
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

create function quantumflow._excess(p_output jsonb, p_is_mapped boolean)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_excess$
declare
  v_bytes bigint := quantumflow._bytes(p_output);
  v_items int := case when p_is_mapped and jsonb_typeof(p_output) = 'array' then jsonb_array_length(p_output) end;
begin
  return case
    when v_bytes > quantumflow._limit('max_output_bytes')
    then format('the output has %s bytes, and %s are allowed (QF309)', v_bytes, quantumflow._limit('max_output_bytes'))
    when v_items > quantumflow._limit('max_map_items')
    then format('the output has %s items, and a map may have %s (QF309)', v_items, quantumflow._limit('max_map_items'))
  end;
end
$_excess$;

comment on function quantumflow._excess(jsonb, boolean) is
'The error message of an output that exceeds a limit; null when it exceeds none. p_is_mapped: a map maps over it.';

create function quantumflow._may_exceed(p_results jsonb)
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

comment on function quantumflow._may_exceed(jsonb) is
'Whether results are so large together that the output of one may exceed a limit.';

create function quantumflow._fail_violations(p_held quantumflow._held_task[], p_now timestamptz)
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

comment on function quantumflow._fail_violations(quantumflow._held_task[], timestamptz) is
'Fails the runs in which an output offends a map or is too large, attempts left or not: the same handler would return the same.';

create function quantumflow._count_done_tasks(p_steps quantumflow._step_progress[], p_now timestamptz)
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

comment on function quantumflow._count_done_tasks(quantumflow._step_progress[], timestamptz) is
'Takes completed tasks off their steps'' counters, finishes the steps that have none left, and returns those.';

create function quantumflow._end_map(p_run_id uuid, p_step_slug text, p_done_tasks int, p_now timestamptz)
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

create function quantumflow._gather_map(p_run_id uuid, p_step_slug text)
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

-- Source: sql/task/hand_over.sql
create function quantumflow.complete_and_claim(
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

create function quantumflow._oldest_vts(p_queues text[], p_now timestamptz)
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

create function quantumflow._take_up(
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

create function quantumflow._with_taken(
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

-- Source: sql/task/fail.sql
create function quantumflow.fail_task(
  run_id        uuid,
  step_slug     text,
  task_index    int default 0,
  error_message text default null,
  lease_token   bigint default null,
  retryable     boolean default true,
  retry_after   interval default null,
  error_details jsonb default null)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $fail_task$
declare
  v_outcome text;
begin
  select o.outcome
  into v_outcome
  from quantumflow.fail_tasks(jsonb_build_array(jsonb_build_object(
    'run_id', fail_task.run_id,
    'step_slug', fail_task.step_slug,
    'task_index', fail_task.task_index,
    'lease_token', fail_task.lease_token,
    'error_message', fail_task.error_message,
    'retryable', fail_task.retryable,
    'retry_after', extract(epoch from fail_task.retry_after),
    'error_details', fail_task.error_details))) o;

  return v_outcome;
end
$fail_task$;

comment on function quantumflow.fail_task(uuid, text, int, text, bigint, boolean, interval, jsonb) is
'Reports that a task failed: fail_tasks with one result. Returns its outcome.

retryable false fails the task for good; retry_after replaces the step''s own delay before the next attempt.
Without a lease_token a person acts by hand on whatever attempt is live, a queued task too.

Errors: none of its own; a task that does not exist is "stale".';

create function quantumflow.fail_tasks(results jsonb)
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

comment on function quantumflow.fail_tasks(jsonb) is
'Reports tasks as failed, any number of them, of any runs.

results: an array of {"run_id", "step_slug", "task_index", "lease_token", "error_message", "retryable", "retry_after",
"error_details"}; retry_after is in seconds. One bad result never spoils the others. An error_message over max_error_bytes is cut,
and such error_details are left out, with a note in their place.

Returns a row per result, in order, with its outcome:
retrying: the task is queued again, after retry_after or retry_delay * 2^(failures - 1), capped and jittered. failed: attempts are
used up or retryable is false; the task and its run failed. duplicate, stale, run_ended: as complete_tasks.

Errors: QF301 results is no array. A report never raises for a race it lost.';

create function quantumflow._record_failures(p_results jsonb, p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_failures$
declare
  v_batch record;
begin
  perform quantumflow._record_failure(
    h, 'error', quantumflow._error_of(p_results -> h.ord), quantumflow._details_of(p_results -> h.ord), p_now)
  from unnest(p_held) h
  where h.outcome in ('acts', 'fails');

  for v_batch in
    with failed as (
      update quantumflow.step_tasks t
      set
        status = case h.outcome when 'fails' then 'failed' else 'queued' end,
        attempts = h.attempts + (h.status = 'queued')::int,
        queued_at = case h.outcome when 'fails' then t.queued_at else p_now + d.delay end,
        failed_at = case h.outcome when 'fails' then p_now end,
        error_message = quantumflow._error_of(p_results -> h.ord)
      from unnest(p_held) h
      cross join lateral (
        select coalesce(
          quantumflow._retry_after(p_results -> h.ord -> 'retry_after'),
          quantumflow._retry_delay(w.retry_delay, h.attempts + (h.status = 'queued')::int - h.losses)) as delay
        from quantumflow.workflow_steps w
        where (w.workflow_slug, w.version, w.step_slug) = (h.workflow_slug, h.version, h.step_slug)
        limit 1
      ) d
      where h.outcome in ('acts', 'fails')
        and t.ctid = h.tid
      returning t.queue, t.message_id, t.status, case h.run_status when 'paused' then 'infinity' else t.queued_at end as vt
    )
    select f.queue, array_agg(f.message_id) as msg_ids, array_agg(f.vt) as vts
    from failed f
    where f.status = 'queued'
    group by f.queue
    order by f.queue
  loop
    perform quantumflow._redelay(v_batch.queue, v_batch.msg_ids, v_batch.vts);
  end loop;
end
$_record_failures$;

comment on function quantumflow._record_failures(jsonb, quantumflow._held_task[], timestamptz) is
'Writes failures to the history and to the held tasks, and delays the messages of those that will be tried again.';

create function quantumflow._error_of(p_result jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_error_of$
begin
  return coalesce(quantumflow._cut(p_result ->> 'error_message'), 'failed without a message');
end
$_error_of$;

comment on function quantumflow._error_of(jsonb) is
'The error message of a reported failure.';

create function quantumflow._details_of(p_result jsonb)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_details_of$
declare
  v_details jsonb  := nullif(p_result -> 'error_details', 'null');
  v_bytes   bigint := quantumflow._bytes(v_details);
begin
  -- No limit can be lower than 1000.
  if v_bytes > 1000 and v_bytes > quantumflow._limit('max_error_bytes') then
    return jsonb_build_object(
      'omitted', format('%s bytes, and %s are allowed', v_bytes, quantumflow._limit('max_error_bytes')));
  end if;

  return v_details;
end
$_details_of$;

comment on function quantumflow._details_of(jsonb) is
'The details of a reported failure; in place of what exceeds max_error_bytes, an object that says so.';

create function quantumflow._retry_after(p_seconds jsonb)
returns interval
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_retry_after$
begin
  if p_seconds #>> '{}' = 'Infinity' then
    return make_interval(secs => 31536000);
  end if;

  if jsonb_typeof(p_seconds) = 'number' or p_seconds #>> '{}' ~ '^-?[0-9]{1,30}([.][0-9]{1,30})?$' then
    return make_interval(secs => least(greatest((p_seconds #>> '{}')::numeric, 0), 31536000)::double precision);
  end if;

  return null;
end
$_retry_after$;

comment on function quantumflow._retry_after(jsonb) is
'The delay a failure asked for, 0 s to 365 days; null when it asked for none.';

-- Source: sql/task/extend.sql
create function quantumflow.extend_leases(worker_id uuid, tasks jsonb, lease interval)
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

comment on function quantumflow.extend_leases(uuid, jsonb, interval) is
'Keeps tasks for another lease from now, never past their deadline. Never waits, and never shortens a lease.

tasks: an array of {"run_id", "step_slug", "task_index", "lease_token"}.
lease: 0.001 s to 1 day; renew at a third of it.

Returns a row per task, in order, with its state: held, still the caller''s (also while a report of it is under way); lost, it is
somebody else''s or done; cancelled, its run has ended, so the work is for nothing.

Errors: QF301 tasks is no array; QF303 bad lease.';

create function quantumflow._leases(p_tasks jsonb)
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

comment on function quantumflow._leases(jsonb) is
'What the leases that tasks speak of are worth now: held, lost or cancelled. Locks nothing.';

-- Source: sql/task/hold.sql
create function quantumflow.hold_task(run_id uuid, step_slug text, task_index int, lease_token bigint)
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

comment on function quantumflow.hold_task(uuid, text, int, bigint) is
'Begins a task''s own transaction: the caller''s writes, and complete_task at its end, then commit together, or not at all.

To be called first, by the holder of the lease; waits for whoever has the task''s row. Returns
held: nobody can take the task away while the transaction is open. Extensions of its lease are answered held; whoever ends its run
goes round it, and the completion then says run_ended: roll back. lost: it is somebody else''s or done, or its deadline has
passed. cancelled: its run has ended. Write nothing unless it is held, and commit only if complete_task says completed.

A transaction that is forgotten ends by itself at the task''s deadline: for the rest of it transaction_timeout (PostgreSQL 17 and
newer), statement_timeout and idle_in_transaction_session_timeout are lowered to the time that is left. Before PostgreSQL 17 that
time counts anew from each statement. If the client''s machine vanishes it ends after 25 s.

Errors: none.';

create function quantumflow._end_transaction_within(p_left interval)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_transaction_within$
declare
  v_left text := least(ceil(extract(epoch from p_left) * 1000), 2147483647)::text;
  v_name text;
  v_now  text;
begin
  foreach v_name in array array['transaction_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout'] loop
    -- 0 is no limit; null is a setting that this server does not have.
    v_now := current_setting(v_name, true);

    if v_now = '0' or v_now::interval > p_left then
      -- By way of 0, because a timer that runs is not set anew.
      perform set_config(v_name, '0', true);
      perform set_config(v_name, v_left, true);
    end if;
  end loop;

  -- A machine that is gone says nothing any more, not even that it is.
  perform set_config('tcp_keepalives_idle', '10', true);
  perform set_config('tcp_keepalives_interval', '5', true);
  perform set_config('tcp_keepalives_count', '3', true);
  perform set_config('tcp_user_timeout', '25000', true);
end
$_end_transaction_within$;

comment on function quantumflow._end_transaction_within(interval) is
'Lets the server end this transaction when so much time has passed, unless it would sooner, and when the client''s machine has not
answered for 25 s. Lasts until the transaction ends.';

-- Source: sql/task/release.sql
create function quantumflow.release_tasks(tasks jsonb)
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

comment on function quantumflow.release_tasks(jsonb) is
'Hands back claimed tasks that were not begun: they can be claimed again at once, from their old place in the queue, and the
attempt does not count.

tasks: an array of {"run_id", "step_slug", "task_index", "lease_token"}; those whose lease is not the caller''s any more are
left alone. Returns how many were handed back.

Errors: QF301 tasks is no array.';

-- Source: sql/task/sweep.sql
create function quantumflow.sweep()
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

comment on function quantumflow.sweep() is
'Does what nobody else would notice: ends attempts whose lease ran out while nobody claims from their queue, and finishes the
ends of runs that had to leave something. Never waits.

Claims do their share of it, so this matters when there are no claims. Of a queue it looks at the 10,000 messages that have been
visible longest: claims come to the rest in turn. Any worker or pg_cron may call it, every few seconds.
Returns what it did, with how many: tasks for "lapsed leases", runs for "unfinished ends".

Errors: none.';

-- Source: sql/task/failures.sql
create type quantumflow.failed_attempt as (
  run_id        uuid,
  workflow_slug text,
  step_slug     text,
  task_index    int,
  retries       int,
  attempt       int,
  kind          text,
  worker_id     uuid,
  worker        text,
  started_at    timestamptz,
  ended_at      timestamptz,
  error_message text,
  error_details jsonb
);

comment on type quantumflow.failed_attempt is 'An attempt that did not complete, as task_failures has it, with the names that belong to it.';
comment on column quantumflow.failed_attempt.run_id is 'The run.';
comment on column quantumflow.failed_attempt.workflow_slug is 'The workflow.';
comment on column quantumflow.failed_attempt.step_slug is 'The step.';
comment on column quantumflow.failed_attempt.task_index is 'The task.';
comment on column quantumflow.failed_attempt.retries is 'The run''s retries at that time.';
comment on column quantumflow.failed_attempt.attempt is 'The attempt, from 1.';
comment on column quantumflow.failed_attempt.kind is 'error: reported. timeout: its deadline passed. lost: its lease ran out.';
comment on column quantumflow.failed_attempt.worker_id is 'Who had claimed it.';
comment on column quantumflow.failed_attempt.worker is 'The name of that worker; null when it is not registered.';
comment on column quantumflow.failed_attempt.started_at is 'When it was claimed.';
comment on column quantumflow.failed_attempt.ended_at is 'When the failure was reported or noticed.';
comment on column quantumflow.failed_attempt.error_message is 'What was reported.';
comment on column quantumflow.failed_attempt.error_details is 'Whatever the reporter added: exception class, traceback.';

create function quantumflow.list_failures(run_id uuid default null, max_failures int default 20)
returns setof quantumflow.failed_attempt
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_failures$
begin
  if list_failures.max_failures is null or list_failures.max_failures not between 1 and 10000 then
    raise exception 'max_failures must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(list_failures.max_failures::text, 'null')),
      hint = 'Leave it out for 20. All of them are in quantumflow.task_failures.';
  end if;

  if list_failures.run_id is not null then
    perform quantumflow.run_input(list_failures.run_id);
  end if;

  return query
  select
    f.run_id, r.workflow_slug, f.step_slug, f.task_index, f.retries, f.attempt, f.kind, f.worker_id, w.name,
    f.started_at, f.ended_at, f.error_message, f.error_details
  from (
    select *
    from quantumflow.task_failures k
    where list_failures.run_id is null or k.run_id = list_failures.run_id
    order by k.ended_at desc, k.run_id, k.step_slug, k.task_index, k.attempt desc
    limit list_failures.max_failures
  ) f
  left join quantumflow.workflow_runs r
    on r.id = f.run_id
  left join quantumflow.workers w
    on w.worker_id = f.worker_id
  order by f.ended_at desc, f.run_id, f.step_slug, f.task_index, f.attempt desc;
end
$list_failures$;

comment on function quantumflow.list_failures(uuid, int) is
'The attempts that failed last, of one run or of all, the latest first: what went wrong, where, when, with whom.

max_failures: 1 to 10,000. A run that has failures may well have completed: these are attempts.

Errors: QF201 unknown run; QF211 bad max_failures.';

-- Source: sql/worker/register.sql
create function quantumflow.register_worker(worker_id uuid, name text, commands text[], queues text[])
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

comment on function quantumflow.register_worker(uuid, text, text[], text[]) is
'Says that a worker is there: for people who look, and so that tasks of its commands that others had put back come back at once.

commands: those it has handlers for; null means any. queues: those it serves. Calling it again updates the row.

Errors: QF304 no worker_id; QF401 unknown queue.';

-- Source: sql/worker/stop.sql
create function quantumflow.stop_worker(worker_id uuid)
returns void
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $stop_worker$
begin
  update quantumflow.workers w
  set stopped_at = quantumflow._now()
  where w.worker_id = stop_worker.worker_id;
end
$stop_worker$;

comment on function quantumflow.stop_worker(uuid) is
'Says that a worker has stopped. Its tasks, if it kept any, come back when their leases run out.

Errors: none; an unknown worker_id changes nothing.';

-- Source: sql/worker/seen.sql
create function quantumflow._worker_seen(p_worker_id uuid, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_worker_seen$
begin
  perform
  from quantumflow.workers w
  where w.worker_id = p_worker_id
    and w.last_seen_at < p_now - interval '5 s'
  for no key update skip locked;

  if found then
    update quantumflow.workers w
    set last_seen_at = p_now
    where w.worker_id = p_worker_id;
  end if;
end
$_worker_seen$;

comment on function quantumflow._worker_seen(uuid, timestamptz) is
'Refreshes a registered worker''s last_seen_at, at most every 5 s and never waiting for the row.';

-- Source: sql/inspect/views.sql
create view quantumflow.step_dependencies as
select
  s.run_id,
  s.step_slug,
  e.depends_on_step
from quantumflow.step_states s
join quantumflow.workflow_runs r
  on r.id = s.run_id
join quantumflow.workflow_step_edges e
  on (e.workflow_slug, e.version, e.step_slug) = (r.workflow_slug, r.version, s.step_slug);

comment on view quantumflow.step_dependencies is
'The edges of each run, from the version it is pinned to: one row per dependency.';
comment on column quantumflow.step_dependencies.run_id is 'The run.';
comment on column quantumflow.step_dependencies.step_slug is 'The step that waits.';
comment on column quantumflow.step_dependencies.depends_on_step is 'The step it waits for.';

create view quantumflow.workflow_step_states as
select
  s.run_id as workflow_run_id,
  s.step_slug as step_name,
  case s.status when 'created' then 'pending' when 'completed' then 'done' else s.status end as status,
  case
    when w.step_type = 'single' and s.status <> 'created'
    then (
      select i.input
      from quantumflow._task_inputs i
      where (i.run_id, i.step_slug, i.task_index) = (s.run_id, s.step_slug, 0)
    )
  end as input,
  coalesce(s.output, case when s.status = 'completed' then t.output end) as output,
  s.error_message,
  (
    select max(a.attempts)
    from quantumflow.step_tasks a
    where (a.run_id, a.step_slug) = (s.run_id, s.step_slug)
  ) as attempt,
  t.queued_at as enqueued_at
from quantumflow.step_states s
join quantumflow.workflow_runs r
  on r.id = s.run_id
join quantumflow.workflow_steps w
  on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
left join quantumflow.step_tasks t
  on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0);

comment on view quantumflow.workflow_step_states is
'The steps of each run in the words pending, started, done and failed, with inputs and outputs.';
comment on column quantumflow.workflow_step_states.workflow_run_id is 'The run.';
comment on column quantumflow.workflow_step_states.step_name is 'The step.';
comment on column quantumflow.workflow_step_states.status is 'pending, started, done, failed, skipped or cancelled.';
comment on column quantumflow.workflow_step_states.input is
'What a single step''s handler is given; null before it starts, and for a map, whose tasks have an input each.';
comment on column quantumflow.workflow_step_states.output is 'The output of a step that is done, a map''s as an array.';
comment on column quantumflow.workflow_step_states.error_message is 'Why the step failed.';
comment on column quantumflow.workflow_step_states.attempt is 'The most attempts that one of its tasks has had.';
comment on column quantumflow.workflow_step_states.enqueued_at is 'From when its first task could be claimed.';

create view quantumflow.workflow_step_tasks as
select
  t.run_id as workflow_run_id,
  t.step_slug as step_name,
  t.task_index as item_index,
  t.item_value,
  case t.status when 'queued' then 'pending' when 'completed' then 'done' else t.status end as status,
  t.output,
  t.error_message,
  t.attempts as attempt
from quantumflow.step_tasks t;

comment on view quantumflow.workflow_step_tasks is
'The tasks of each run in the words pending, started, done and failed.';
comment on column quantumflow.workflow_step_tasks.workflow_run_id is 'The run.';
comment on column quantumflow.workflow_step_tasks.step_name is 'The step.';
comment on column quantumflow.workflow_step_tasks.item_index is 'The item''s position; 0 for a single step.';
comment on column quantumflow.workflow_step_tasks.item_value is 'A map task''s item.';
comment on column quantumflow.workflow_step_tasks.status is 'pending, started, done, failed, skipped or cancelled.';
comment on column quantumflow.workflow_step_tasks.output is 'What it was completed with.';
comment on column quantumflow.workflow_step_tasks.error_message is 'Its latest failure.';
comment on column quantumflow.workflow_step_tasks.attempt is 'How often it was claimed.';

create view quantumflow.workflow_step_dependencies as
select
  d.run_id as workflow_run_id,
  d.depends_on_step as from_step_name,
  d.step_slug as to_step_name
from quantumflow.step_dependencies d;

comment on view quantumflow.workflow_step_dependencies is
'The edges of each run, from the step that must be done first to the one that waits for it.';
comment on column quantumflow.workflow_step_dependencies.workflow_run_id is 'The run.';
comment on column quantumflow.workflow_step_dependencies.from_step_name is 'The step that must be done first.';
comment on column quantumflow.workflow_step_dependencies.to_step_name is 'The step that waits.';

-- Source: sql/inspect/check_state.sql
create type quantumflow.state_problem as (
  rule       int,
  run_id     uuid,
  step_slug  text,
  task_index int,
  queue      text,
  message_id bigint,
  problem    text,
  remedy     text
);

comment on type quantumflow.state_problem is
'Something that breaks a rule: which rule, what is wrong, with which run, step, task or message, and what repair() would do.';
comment on column quantumflow.state_problem.rule is 'The rule that is broken: see check_state().';
comment on column quantumflow.state_problem.run_id is 'The run, where there is one.';
comment on column quantumflow.state_problem.step_slug is 'The step, where there is one.';
comment on column quantumflow.state_problem.task_index is 'The task, where there is one.';
comment on column quantumflow.state_problem.queue is 'The queue, where a message is concerned.';
comment on column quantumflow.state_problem.message_id is 'The msg_id of the message.';
comment on column quantumflow.state_problem.problem is 'What is wrong.';
comment on column quantumflow.state_problem.remedy is 'What repair() does about it; null where a person has to decide.';

create function quantumflow.check_state(run_id uuid default null)
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

create function quantumflow._check_definitions(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_definitions$
begin
  return query
  select 0, null::uuid, p.step_slug, null::int, null::text, null::bigint, p.problem, null::text
  from (
    select null::text, format('the current version %s of workflow "%s" does not exist', w.current_version, w.workflow_slug)
    from quantumflow.workflows w
    where not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (w.workflow_slug, w.current_version)
    )
    union all
    select null, format('version %s of workflow "%s" belongs to no workflow', v.version, v.workflow_slug)
    from quantumflow.workflow_versions v
    where not exists (select from quantumflow.workflows w where w.workflow_slug = v.workflow_slug)
    union all
    select s.step_slug, format('the step belongs to no version, not to %s of workflow "%s"', s.version, s.workflow_slug)
    from quantumflow.workflow_steps s
    where not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (s.workflow_slug, s.version)
    )
    union all
    select
      coalesce(s.step_slug, e.step_slug),
      format(
        'its dependencies in version %s of workflow "%s" are one thing in workflow_steps and another in workflow_step_edges',
        coalesce(s.version, e.version), coalesce(s.workflow_slug, e.workflow_slug))
    from quantumflow.workflow_steps s
    full join (
      select l.workflow_slug, l.version, l.step_slug, array_agg(l.depends_on_step order by l.depends_on_step) as dependencies
      from quantumflow.workflow_step_edges l
      group by l.workflow_slug, l.version, l.step_slug
    ) e
      on (e.workflow_slug, e.version, e.step_slug) = (s.workflow_slug, s.version, s.step_slug)
    where array(select u.slug from unnest(s.dependencies) u (slug) order by u.slug)
      is distinct from coalesce(e.dependencies, case when s.step_slug is not null then '{}'::text[] end)
  ) p (step_slug, problem)
  where p_run_id is null;
end
$_check_definitions$;

comment on function quantumflow._check_definitions(uuid) is 'Rule 0 of check_state: the definitions, unless it looks at one run only.';

create function quantumflow._check_references(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_references$
begin
  return query
  select 0, r.id, null::text, null::int, null::text, null::bigint,
    format('its workflow "%s" has no version %s', r.workflow_slug, r.version), null::text
  from quantumflow.workflow_runs r
  where (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_versions v
      where (v.workflow_slug, v.version) = (r.workflow_slug, r.version)
    )
  union all
  select 0, r.id, w.step_slug, null, null, null, 'the run has no row for this step of its version', null
  from quantumflow.workflow_runs r
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
    and w.step_type <> 'callback'
  where (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.step_states s
      where (s.run_id, s.step_slug) = (r.id, w.step_slug)
    )
  union all
  select 0, k.run_id, k.step_slug, k.task_index, k.queue, k.message_id, k.problem, null
  from (
    select
      s.run_id, s.step_slug, null::int as task_index, null::text as queue, null::bigint as message_id,
      'the step belongs to no run, or not to its version' as problem
    from quantumflow.step_states s
    union all
    select t.run_id, t.step_slug, t.task_index, t.queue, t.message_id, 'the task belongs to no step and is no callback'
    from quantumflow.step_tasks t
    union all
    select f.run_id, f.step_slug, f.task_index, null, null, format('the failure of attempt %s belongs to no step', f.attempt)
    from quantumflow.task_failures f
  ) k
  where (p_run_id is null or k.run_id = p_run_id)
    and not exists (
      select
      from quantumflow.workflow_runs r
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
      where r.id = k.run_id
        and w.step_slug = k.step_slug
    )
  union all
  select 0, e.run_id, null, null, null, null, 'the unfinished end belongs to no run', 'forget it'
  from quantumflow._unfinished_ends e
  where (p_run_id is null or e.run_id = p_run_id)
    and not exists (select from quantumflow.workflow_runs r where r.id = e.run_id);
end
$_check_references$;

comment on function quantumflow._check_references(uuid) is 'Rule 0 of check_state: what belongs to runs.';

create function quantumflow._check_ends(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_ends$
begin
  return query
  select
    case when t.status in ('queued', 'started') then 1 else 9 end,
    t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format('the task is %s although its run is %s', t.status, r.status),
    case when t.status in ('queued', 'started') and r.status in ('failed', 'cancelled') then 'cancel it' end
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  where (p_run_id is null or t.run_id = p_run_id)
    and t.status <> 'completed'
    and t.step_slug not in ('_on_complete', '_on_failure')
    and case
      when t.status in ('queued', 'started')
      then r.status in ('completed', 'failed', 'cancelled')
        and not exists (select from quantumflow._unfinished_ends e where e.run_id = t.run_id)
      when t.status in ('failed', 'cancelled')
      then r.status in ('started', 'paused', 'completed')
    end
  union all
  select 1, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format('the callback is %s although its run is %s and was retried %s times', t.status, r.status, r.retries), null
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  where (p_run_id is null or t.run_id = p_run_id)
    and t.status in ('queued', 'started')
    and t.step_slug in ('_on_complete', '_on_failure')
    and (
      r.status <> case t.step_slug when '_on_complete' then 'completed' else 'failed' end
      or r.retries <> t.task_index
    )
  union all
  select 9, s.run_id, s.step_slug, null, null, null,
    format('the step is %s although its run is %s', s.status, r.status),
    case when r.status in ('failed', 'cancelled') then 'cancel it' end
  from quantumflow.step_states s
  join quantumflow.workflow_runs r
    on r.id = s.run_id
  where (p_run_id is null or s.run_id = p_run_id)
    and (
      (r.status = 'completed' and s.status not in ('completed', 'skipped'))
      or (
        r.status in ('failed', 'cancelled')
        and s.status in ('created', 'started')
        and not exists (select from quantumflow._unfinished_ends e where e.run_id = s.run_id)
      )
      or (r.status in ('started', 'paused') and s.status in ('failed', 'cancelled'))
    );
end
$_check_ends$;

comment on function quantumflow._check_ends(uuid) is 'Rules 1 and 9 of check_state.';

create function quantumflow._check_messages(p_run_id uuid)
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

comment on function quantumflow._check_messages(uuid) is 'Rule 2 of check_state.';

create view quantumflow._step_facts as
select
  s.run_id,
  s.step_slug,
  s.status,
  s.remaining_deps,
  s.remaining_tasks,
  s.initial_tasks,
  r.status as run_status,
  w.step_type,
  w.workflow_slug,
  w.version,
  coalesce(d.open_deps, 0) as open_deps,
  coalesce(k.tasks, 0) as tasks,
  coalesce(k.completed, 0) as completed,
  coalesce(k.last_index, -1) as last_index,
  coalesce(d.open_deps, 0) = 0 or s.status in ('created', 'skipped', 'cancelled') as deps_can_be_set,
  coalesce(k.completed, 0) <= s.initial_tasks and s.status <> 'completed' as tasks_can_be_set
from quantumflow.step_states s
join quantumflow.workflow_runs r
  on r.id = s.run_id
join quantumflow.workflow_steps w
  on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
left join (
  select
    t.run_id, t.step_slug, count(*)::int as tasks, max(t.task_index) as last_index,
    (count(*) filter (where t.status = 'completed'))::int as completed
  from quantumflow.step_tasks t
  group by t.run_id, t.step_slug
) k
  on (k.run_id, k.step_slug) = (s.run_id, s.step_slug)
left join (
  select o.run_id, e.step_slug, count(*)::int as open_deps
  from quantumflow.step_states o
  join quantumflow.workflow_runs p
    on p.id = o.run_id
  join quantumflow.workflow_step_edges e
    on (e.workflow_slug, e.version, e.depends_on_step) = (p.workflow_slug, p.version, o.step_slug)
  where o.status not in ('completed', 'skipped')
  group by o.run_id, e.step_slug
) d
  on (d.run_id, d.step_slug) = (s.run_id, s.step_slug);

comment on view quantumflow._step_facts is
'Each step of each run with its counters and what they should be: a recount of its tasks and of the dependencies that are not done.';
comment on column quantumflow._step_facts.run_id is 'The run.';
comment on column quantumflow._step_facts.step_slug is 'The step.';
comment on column quantumflow._step_facts.status is 'Its status.';
comment on column quantumflow._step_facts.remaining_deps is 'What its row says.';
comment on column quantumflow._step_facts.remaining_tasks is 'What its row says.';
comment on column quantumflow._step_facts.initial_tasks is 'What its row says.';
comment on column quantumflow._step_facts.run_status is 'The status of its run.';
comment on column quantumflow._step_facts.step_type is 'single or map.';
comment on column quantumflow._step_facts.workflow_slug is 'The workflow.';
comment on column quantumflow._step_facts.version is 'The version the run is pinned to.';
comment on column quantumflow._step_facts.open_deps is 'How many of its dependencies are not done.';
comment on column quantumflow._step_facts.tasks is 'How many tasks it has.';
comment on column quantumflow._step_facts.completed is 'How many of them are completed.';
comment on column quantumflow._step_facts.last_index is 'The last one''s task_index; -1 when it has none.';
comment on column quantumflow._step_facts.deps_can_be_set is 'Whether a step of this status may have that many open dependencies.';
comment on column quantumflow._step_facts.tasks_can_be_set is 'Whether a step of this status may have that many completed tasks.';

create function quantumflow._check_steps(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_steps$
begin
  return query
  with facts as materialized (
    select *
    from quantumflow._step_facts s
    where p_run_id is null or s.run_id = p_run_id
  )
  select 3, f.run_id, f.step_slug::text, null::int, null::text, null::bigint,
    format('remaining_deps is %s but %s dependencies are not done', f.remaining_deps, f.open_deps),
    case when f.deps_can_be_set then 'recount' end
  from facts f
  where f.remaining_deps <> f.open_deps
  union all
  select 3, f.run_id, f.step_slug, null, null, null,
    format('remaining_tasks is %s of %s but %s tasks are completed', f.remaining_tasks, f.initial_tasks, f.completed),
    case when f.tasks_can_be_set then 'recount' end
  from facts f
  where f.remaining_tasks <> f.initial_tasks - f.completed
  union all
  select 6, f.run_id, f.step_slug, null, null, null, 'all dependencies are done but the step has not started', 'start it'
  from facts f
  where f.open_deps = 0
    and f.status = 'created'
    and f.run_status = 'started'
  union all
  select 6, f.run_id, f.step_slug, null, null, null,
    format('the step is %s although %s dependencies are not done', f.status, f.open_deps), null
  from facts f
  where f.open_deps > 0
    and f.status in ('started', 'completed', 'failed')
  union all
  select 7, f.run_id, f.step_slug, null, null, null,
    format('the step has %s of its %s tasks', f.tasks, f.initial_tasks), null
  from facts f
  where f.status in ('started', 'completed')
    and (f.tasks <> f.initial_tasks or f.last_index <> f.initial_tasks - 1)
  union all
  select 8, f.run_id, f.step_slug, null, null, null, 'all tasks of the step are completed but it has not ended', 'complete it'
  from facts f
  where f.status = 'started'
    and f.run_status in ('started', 'paused')
    and f.completed = f.initial_tasks
    and f.tasks = f.initial_tasks
    and f.last_index = f.initial_tasks - 1;
end
$_check_steps$;

comment on function quantumflow._check_steps(uuid) is 'Rules 3, 6, 7 and 8 of check_state: steps and their tasks.';

create function quantumflow._check_outputs(p_run_id uuid)
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

comment on function quantumflow._check_outputs(uuid) is 'Rule 7 of check_state: what maps have gathered.';

create function quantumflow._check_chunks(p_run_id uuid)
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

create function quantumflow._check_runs(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_runs$
begin
  return query
  with facts as materialized (
    select r.id, r.status, r.remaining_steps, r.workflow_slug, r.version, r.retries, coalesce(k.open_steps, 0) as open_steps
    from quantumflow.workflow_runs r
    left join (
      select s.run_id, count(*) filter (where s.status not in ('completed', 'skipped')) as open_steps
      from quantumflow.step_states s
      group by s.run_id
    ) k
      on k.run_id = r.id
    where p_run_id is null or r.id = p_run_id
  )
  select 3, f.id, null::text, null::int, null::text, null::bigint,
    format('remaining_steps is %s but %s steps are not done', f.remaining_steps, f.open_steps), 'recount'
  from facts f
  where f.remaining_steps <> f.open_steps
  union all
  select 8, f.id, null, null, null, null, 'the run has no step left but has not ended', 'end it'
  from facts f
  where f.open_steps = 0
    and f.status in ('started', 'paused')
  union all
  select 8, f.id, w.step_slug, f.retries, null, null, format('the run is %s but this callback was not made', f.status), 'make it'
  from facts f
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug)
      = (f.workflow_slug, f.version, case f.status when 'completed' then '_on_complete' when 'failed' then '_on_failure' end)
  where not exists (
    select
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug, t.task_index) = (f.id, w.step_slug, f.retries)
  );
end
$_check_runs$;

comment on function quantumflow._check_runs(uuid) is 'Rules 3 and 8 of check_state: runs, their steps and their callbacks.';

create function quantumflow._check_limits(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_limits$
begin
  return query
  select 8, t.run_id, t.step_slug, t.task_index, t.queue, t.message_id,
    format(
      '%s failures of %s and %s losses of %s',
      t.attempts - t.losses, w.max_attempts, t.losses, w.max_lost),
    null::text
  from quantumflow.step_tasks t
  join quantumflow.workflow_runs r
    on r.id = t.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
  where (p_run_id is null or t.run_id = p_run_id)
    and t.attempts > 1
    and (t.losses > w.max_lost or t.attempts - t.losses > w.max_attempts);
end
$_check_limits$;

comment on function quantumflow._check_limits(uuid) is 'Rule 8 of check_state: attempts.';

-- Source: sql/inspect/doctor.sql
create type quantumflow.finding as (
  subject text,
  state   text,
  fact    text,
  advice  text
);

comment on type quantumflow.finding is
'One thing that doctor() looked at: state is ok, warning or error; advice says what to do about the latter two.';
comment on column quantumflow.finding.subject is 'What was looked at.';
comment on column quantumflow.finding.state is 'ok, warning or error.';
comment on column quantumflow.finding.fact is 'What was found.';
comment on column quantumflow.finding.advice is 'What to do about it; null when all is well.';

create function quantumflow.doctor()
returns setof quantumflow.finding
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $doctor$
begin
  return query
  select * from quantumflow._examine_server()
  union all
  select * from quantumflow._examine_install()
  union all
  select * from quantumflow._examine_rights()
  union all
  select * from quantumflow._examine_queues(quantumflow._now())
  union all
  select * from quantumflow._examine_work(quantumflow._now());
end
$doctor$;

comment on function quantumflow.doctor() is
'Looks at the server, the installation, the caller''s rights, the queues and the workers, and says what to do about what is not well.

Rights are those of session_user. For the rules that must hold of runs and tasks see check_state().

Errors: none.';

create function quantumflow._examine_server()
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

comment on function quantumflow._examine_server() is 'doctor(): the server and its settings.';

create function quantumflow._examine_install()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_install$
declare
  v_pgmq text := (select e.extversion from pg_extension e where e.extname = 'pgmq');
  v_ours text := (select e.extversion from pg_extension e where e.extname = 'quantumflow');
  v_fits boolean := to_regprocedure('pgmq.send_batch(text, jsonb[], jsonb[], timestamptz)') is not null;
begin
  return query
  select
    'pgmq',
    case when v_fits then 'ok' else 'error' end,
    case
      when v_pgmq is not null then format('pgmq %s, as an extension', v_pgmq)
      when to_regnamespace('pgmq') is not null then 'pgmq, installed as plain SQL'
      else 'pgmq is not installed'
    end,
    case when not v_fits then 'Install pgmq 1.5.1 or newer: create extension pgmq.' end
  union all
  select
    'quantumflow',
    case when v_ours <> quantumflow.version() then 'error' else 'ok' end,
    case
      when v_ours is null then format('quantumflow %s, installed as plain SQL', quantumflow.version())
      else format('quantumflow %s, as an extension', quantumflow.version())
    end,
    case
      when v_ours <> quantumflow.version()
      then format('The catalog says version %s. Run: alter extension quantumflow update.', v_ours)
    end
  union all
  select
    'identity',
    case when i.is_copy then 'error' else 'ok' end,
    case when i.is_copy then 'the database is a copy: its runs were started in another' else 'runs were started in this database' end,
    case when i.is_copy then 'Workers refuse it. If the original is not used any more: select quantumflow.adopt().' end
  from (
    select s.value <> quantumflow._identity() as is_copy
    from quantumflow.settings s
    where s.name = 'identity'
  ) i;
end
$_examine_install$;

comment on function quantumflow._examine_install() is 'doctor(): which versions are installed, and how, and whether the database is a copy.';

create function quantumflow._examine_rights()
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_rights$
begin
  return query
  select
    'rights',
    case when l.complete is null then 'warning' else 'ok' end,
    case
      when l.missing is null then format('%s may call every public function', session_user)
      when l.complete is not null then format('%s has access as %s', session_user, l.complete)
      else format('%s may not call %s', session_user, l.missing)
    end,
    case
      when l.complete is null
      then format(
        'Whoever installed quantumflow can change that: select quantumflow.grant_access(%L, ''viewer''), or worker, operator, author.',
        session_user)
    end
  from (
    select
      string_agg(a.level, ', ' order by a.level) filter (where a.missing is null and a.level <> 'all') as complete,
      max(a.missing) filter (where a.level = 'all') as missing
    from (
      select
        g.level,
        string_agg(g.proname, ', ' order by g.proname) filter (where not g.is_granted) as missing
      from (
        select
          v.level,
          f.proname::text,
          has_schema_privilege(session_user, 'quantumflow', 'usage')
            and has_function_privilege(session_user, f.oid, 'execute') as is_granted
        from pg_proc f
        join quantumflow._levels() l
          on l.function_name = f.proname
        cross join unnest(l.levels || 'all'::text) v (level)
        where f.pronamespace = 'quantumflow'::regnamespace
      ) g
      group by g.level
    ) a
  ) l;
end
$_examine_rights$;

comment on function quantumflow._examine_rights() is 'doctor(): what the caller may call.';

create function quantumflow._examine_queues(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_examine_queues$
declare
  v_queue   text;
  v_visible bigint;
  v_hidden  bigint;
  v_oldest  timestamptz;
begin
  for v_queue in
    select *
    from quantumflow._named_queues()
  loop
    if quantumflow._queue_table(v_queue) is null then
      return query
      select 'queue ' || v_queue, 'error', 'the queue does not exist', 'Run: select quantumflow.setup().';
      continue;
    end if;

    begin
      execute format(
        'select count(*) filter (where q.vt <= $1), count(*) filter (where q.vt > $1), '
        'min(q.vt) filter (where q.vt <= $1) from pgmq.%I q where q.read_ct >= 0 and q.headers is distinct from q.message',
        'q_' || v_queue)
      using p_now
      into v_visible, v_hidden, v_oldest;
    exception
      when undefined_column then
        return query
        select
          'queue ' || v_queue, 'error', 'its table is not that of pgmq: ' || sqlerrm,
          'A dump of an old pgmq was restored. Stop the workers and run: select * from quantumflow.rebuild_queues().';
        continue;
    end;

    return query
    select
      'queue ' || v_queue,
      case when v_oldest < p_now - interval '5 min' then 'warning' else 'ok' end,
      format('%s messages visible, %s hidden', v_visible, v_hidden)
        || coalesce(', the oldest visible for ' || date_trunc('second', p_now - v_oldest), ''),
      case when v_oldest < p_now - interval '5 min' then 'Nobody takes its tasks: start a worker that serves this queue.' end;
  end loop;
end
$_examine_queues$;

comment on function quantumflow._examine_queues(timestamptz) is 'doctor(): the queues, and how long tasks wait in them.';

create function quantumflow._examine_work(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_work$
begin
  return query
  select
    'workers',
    case when w.live = 0 and t.waiting then 'warning' else 'ok' end,
    format('%s seen in the last minute', w.live),
    case when w.live = 0 and t.waiting then 'Tasks wait but no registered worker is alive: quantumflow worker MODULE:OBJECT.' end
  from (
    select count(*) as live
    from quantumflow.workers k
    where k.stopped_at is null
      and k.last_seen_at > p_now - interval '1 min'
  ) w
  cross join (
    select exists (select from quantumflow.workflow_runs r where r.status = 'started') as waiting
  ) t
  union all
  select
    'ends',
    case when count(*) = 0 then 'ok' else 'warning' end,
    format('%s ends of runs unfinished for a minute', count(*)),
    case when count(*) > 0 then 'Run: select * from quantumflow.sweep(). Some transaction may hold their tasks for long.' end
  from quantumflow._unfinished_ends e
  where e.recorded_at < p_now - interval '1 min';
end
$_examine_work$;

comment on function quantumflow._examine_work(timestamptz) is 'doctor(): the workers, and ends of runs that nobody finished.';

-- Source: sql/mend/adopt.sql
create function quantumflow.adopt()
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $adopt$
declare
  v_identity text := quantumflow._identity();
begin
  insert into quantumflow.settings (name, value)
  values ('identity', v_identity)
  on conflict (name) do update
  set value = excluded.value;

  return v_identity;
end
$adopt$;

comment on function quantumflow.adopt() is
'Declares that this database is the one whose runs go on, so that workers may claim from it. Returns its identity.

The first start of a run records which database it is: the server''s system identifier and the database''s oid. A dump that is
restored, or a copy made with CREATE DATABASE ... TEMPLATE, is another database, and claims refuse it (QF404), lest it does the
work of its original once more. Call this in the one that is to go on, after the other has stopped; also after pg_upgrade, which
gives the server a new identifier. A physical copy, a promoted replica for example, has the same identity and needs nothing.

Errors: none.';

create function quantumflow._identity()
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

comment on function quantumflow._identity() is
'Which database this is: the server''s system identifier, "unknown" where we may not ask for it, and the database''s oid.';

create function quantumflow._record_identity()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_identity$
begin
  if not exists (select from quantumflow.settings s where s.name = 'identity') then
    insert into quantumflow.settings (name, value)
    values ('identity', quantumflow._identity())
    on conflict do nothing;
  end if;
end
$_record_identity$;

comment on function quantumflow._record_identity() is
'Remembers which database this is, the first time a run starts.';

create function quantumflow._refuse_copy()
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_copy$
declare
  v_recorded text := (select s.value from quantumflow.settings s where s.name = 'identity');
begin
  if v_recorded <> quantumflow._identity() then
    raise exception 'this database is a copy of another'
    using
      errcode = 'QF404',
      detail = format(
        'Its runs were started in %s; it is %s (system identifier/database oid).', v_recorded, quantumflow._identity()),
      hint = 'If the other one is not used any more: select quantumflow.adopt(); and, after a restore, '
        'select * from quantumflow.rebuild_queues().';
  end if;
end
$_refuse_copy$;

comment on function quantumflow._refuse_copy() is
'Refuses to hand out tasks in a database that was copied from the one where their runs were started.

Errors: QF404 when it is a copy.';

-- Source: sql/mend/send_again.sql
create function quantumflow._send_again(p_tids tid[], p_now timestamptz)
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

comment on function quantumflow._send_again(tid[], timestamptz) is
'Gives queued and started tasks a new message each. The caller holds them.

A queued task gets its place in the queue back; in a paused run its message sleeps. A started task has lost its lease with its
message: the next claim or sweep finds that it was lost, though a report that comes before still counts.';

-- Source: sql/mend/repair.sql
create type quantumflow.state_repair as (
  rule       int,
  run_id     uuid,
  step_slug  text,
  task_index int,
  queue      text,
  message_id bigint,
  problem    text,
  action     text
);

comment on type quantumflow.state_repair is 'Something that breaks a rule, as check_state() found it, and what repair() did about it or would do.';
comment on column quantumflow.state_repair.rule is 'The rule that is broken: see check_state().';
comment on column quantumflow.state_repair.run_id is 'The run, where there is one.';
comment on column quantumflow.state_repair.step_slug is 'The step, where there is one.';
comment on column quantumflow.state_repair.task_index is 'The task, where there is one.';
comment on column quantumflow.state_repair.queue is 'The queue, where a message is concerned.';
comment on column quantumflow.state_repair.message_id is 'The msg_id of the message.';
comment on column quantumflow.state_repair.problem is 'What was wrong.';
comment on column quantumflow.state_repair.action is
'In a dry run the remedy, or "none" where a person has to decide; else "done: ...", "none", or "not done: ..." with the reason.';

create function quantumflow.repair(dry_run boolean default true)
returns setof quantumflow.state_repair
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan
as $repair$
declare
  v_problems quantumflow.state_problem[] := quantumflow._find_problems();
  v_errors   jsonb;
  v_left     text[];
begin
  if repair.dry_run then
    return query
    select p.rule, p.run_id, p.step_slug, p.task_index, p.queue, p.message_id, p.problem, coalesce(p.remedy, 'none')
    from unnest(v_problems) p;

    return;
  end if;

  perform quantumflow._require_read_committed('repair');
  perform quantumflow._repair_queues(v_problems);
  v_errors := quantumflow._repair_runs(v_problems, quantumflow._now());

  select array_agg(quantumflow._key_of(p))
  into v_left
  from quantumflow.check_state() p;

  return query
  select
    p.rule, p.run_id, p.step_slug, p.task_index, p.queue, p.message_id, p.problem,
    case
      when l.key is null then 'done: ' || coalesce(p.remedy, 'it went with the others')
      when p.remedy is null then 'none'
      else 'not done: ' || coalesce(v_errors ->> p.run_id::text, 'it is still so')
    end
  from unnest(v_problems) with ordinality p (rule, run_id, step_slug, task_index, queue, message_id, problem, remedy, n)
  left join unnest(v_left) l (key)
    on l.key = quantumflow._key_of(v_problems[p.n])
  order by p.n;
end
$repair$;

comment on function quantumflow.repair(boolean) is
'Mends what check_state() finds, as far as that takes no decision, and returns a row per problem that says what it did.

dry_run: true, the default, changes nothing and says what would be done.

It sends queued and started tasks whose message is gone a new one, removes or archives messages that are not a task''s, wakes those
that sleep though their run goes on, counts remaining_tasks, remaining_deps and remaining_steps anew, completes steps whose tasks are
all completed, starts steps that are ready, ends runs with nothing left to do, makes callbacks that are missing, and cancels what
goes on of a run that has failed or was cancelled. A task loses its lease with its message. Nothing completed is touched.
A run with a row that belongs to nothing (rule 0) is left as it is: whoever knows what happened has to decide.

Safe while workers work: each run is locked with its tasks and steps, waiting for whoever holds them, and looked at again. A
transaction that holds a task for long, makes it wait, and with it those who wait for runs it has mended already.
After a restore, and whenever a queue has lost all it had, rebuild_queues() does it for all tasks at once.

Errors: QF402 pgmq is missing; QF110 a queue''s name is not valid; QF403 a queue holds messages of somebody else; 0A000 unless the
transaction is read committed.';

create function quantumflow._find_problems()
returns quantumflow.state_problem[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_find_problems$
begin
  return array(
    select row(
      p.rule, p.run_id, p.step_slug, p.task_index, p.queue, p.message_id, p.problem,
      case
        when p.run_id is null or not bool_or(p.rule = 0 and p.remedy is null) over (partition by p.run_id)
        then p.remedy
      end
    )::quantumflow.state_problem
    from quantumflow.check_state() with ordinality p (
      rule, run_id, step_slug, task_index, queue, message_id, problem, remedy, n)
    order by p.n);
end
$_find_problems$;

comment on function quantumflow._find_problems() is
'What check_state() finds, without a remedy for runs with a row that belongs to nothing.';

create function quantumflow._key_of(p_problem quantumflow.state_problem)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_key_of$
begin
  p_problem.problem := null;
  p_problem.remedy := null;

  -- A task whose message was sent again is the same task.
  if p_problem.rule <> 2 then
    p_problem.queue := null;
    p_problem.message_id := null;
  end if;

  return p_problem::text;
end
$_key_of$;

comment on function quantumflow._key_of(quantumflow.state_problem) is
'Which rule a problem breaks, with what: to find it again.';

create function quantumflow._repair_queues(p_problems quantumflow.state_problem[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_repair_queues$
declare
  v_batch record;
begin
  perform quantumflow._ensure_queue(p.queue)
  from (
    select distinct u.queue
    from unnest(p_problems) u
    where u.remedy is not null
      and u.queue is not null
  ) p
  where quantumflow._queue_table(p.queue) is null;

  -- A message that is nobody's stays so, whatever happens meanwhile: no run has to be locked for it.
  for v_batch in
    select p.queue, p.remedy, array_agg(p.message_id order by p.message_id) as msg_ids
    from unnest(p_problems) p
    where p.remedy in ('archive the message', 'remove the message')
    group by p.queue, p.remedy
    order by p.queue, p.remedy
  loop
    if v_batch.remedy = 'archive the message' then
      perform quantumflow._archive_foreign(v_batch.queue, v_batch.msg_ids);
    else
      perform quantumflow._remove_free_messages(v_batch.queue, v_batch.msg_ids);
    end if;
  end loop;

  delete from quantumflow._unfinished_ends e
  using unnest(p_problems) p
  where p.remedy = 'forget it'
    and e.run_id = p.run_id;
end
$_repair_queues$;

comment on function quantumflow._repair_queues(quantumflow.state_problem[]) is
'Makes queues that are missing, and takes out of queues what does not belong there.';

create function quantumflow._repair_runs(p_problems quantumflow.state_problem[], p_now timestamptz)
returns jsonb
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_repair_runs$
declare
  v_run    record;
  v_errors jsonb := jsonb '{}';
begin
  -- One after the other, in order of their ids: a batch of reports holds the tasks of its runs in that order too.
  for v_run in
    select p.run_id, bool_or(coalesce(p.remedy = 'wake it', false)) as has_sleepers
    from unnest(p_problems) p
    where p.run_id is not null
    group by p.run_id
    having bool_or(p.remedy is not null)
    order by p.run_id
  loop
    begin
      perform quantumflow._repair_run(v_run.run_id, v_run.has_sleepers, p_now);
    exception
      when others then
        -- What keeps one run from being mended shall not keep the others.
        v_errors := v_errors || jsonb_build_object(v_run.run_id, sqlerrm);
    end;
  end loop;

  return v_errors;
end
$_repair_runs$;

comment on function quantumflow._repair_runs(quantumflow.state_problem[], timestamptz) is
'Mends the runs that problems name. Returns the error of each that could not be mended, by run.';

create function quantumflow._repair_run(p_run_id uuid, p_has_sleepers boolean, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_repair_run$
declare
  v_run quantumflow.workflow_runs := quantumflow._hold_every_row(p_run_id);
begin
  -- What was found before the run was held may be otherwise now, so everything below looks for itself.
  if v_run.status in ('failed', 'cancelled') and quantumflow._has_live_rows(p_run_id) then
    perform quantumflow._stop_runs(array[p_run_id], p_now);
  end if;

  perform quantumflow._send_again(
    quantumflow._tasks_without_message(p_run_id, v_run.status not in ('started', 'paused')), p_now);

  if p_has_sleepers then
    perform quantumflow._wake_messages(v_run, p_now);
  end if;

  perform quantumflow._complete_steps(p_run_id, p_now);
  perform quantumflow._recount(p_run_id);

  -- A map that could not be gathered has failed the run.
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = p_run_id;

  if v_run.status = 'started' then
    perform quantumflow._start_ready(v_run, p_now);
  end if;

  if exists (select from quantumflow._check_runs(p_run_id) p where p.remedy = 'end it') then
    perform quantumflow._finish_runs(
      quantumflow._gather_outputs(array[row(v_run.id, null, v_run.workflow_slug, v_run.version)::quantumflow._ended_run]),
      p_now);
  end if;

  perform quantumflow._fire_callbacks(array[p.run_id], p.step_slug, p_now)
  from quantumflow._check_runs(p_run_id) p
  where p.remedy = 'make it';
end
$_repair_run$;

comment on function quantumflow._repair_run(uuid, boolean, timestamptz) is
'Mends one run: locks all of it, waiting, and then brings its messages, steps and counters in line with its tasks.';

create function quantumflow._hold_every_row(p_run_id uuid)
returns quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_every_row$
declare
  v_run quantumflow.workflow_runs;
begin
  loop
    v_run := null;

    begin
      select *
      into v_run
      from quantumflow._hold_whole_runs(array[p_run_id]);

      -- Tasks made while this waited are not held yet, and whoever reports one of them would wait for this to end, while holding
      -- tasks of other runs that this may want next.
      perform
      from quantumflow.step_tasks t
      where t.run_id = p_run_id
      order by t.step_slug, t.task_index
      for update nowait;

      exit;
    exception
      when lock_not_available then
        -- All that was locked is free again; unless it was a lock_timeout, wait once more, for those tasks too.
        if v_run.id is null then
          raise;
        end if;
    end;
  end loop;

  return v_run;
end
$_hold_every_row$;

comment on function quantumflow._hold_every_row(uuid) is
'Locks a run with all its steps and tasks, those too that are made meanwhile, waiting for each.';

create function quantumflow._complete_steps(p_run_id uuid, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_complete_steps$
declare
  v_step record;
begin
  for v_step in
    select s.step_slug, s.remaining_tasks, w.step_type
    from quantumflow._check_steps(p_run_id) p
    join quantumflow.step_states s
      on (s.run_id, s.step_slug) = (p.run_id, p.step_slug)
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
    where p.remedy = 'complete it'
    order by s.step_slug
  loop
    if v_step.step_type = 'map' then
      perform quantumflow._end_map(p_run_id, v_step.step_slug, v_step.remaining_tasks, p_now);
    else
      update quantumflow.step_states s
      set
        remaining_tasks = 0,
        status = 'completed',
        completed_at = p_now
      where (s.run_id, s.step_slug) = (p_run_id, v_step.step_slug)
        and s.status = 'started';
    end if;
  end loop;
end
$_complete_steps$;

comment on function quantumflow._complete_steps(uuid, timestamptz) is
'Completes the steps of a run whose tasks are all completed. What waits for them is counted and started after that.';

create function quantumflow._recount(p_run_id uuid)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_recount$
begin
  update quantumflow.step_states s
  set
    remaining_deps = case when f.deps_can_be_set then f.open_deps else s.remaining_deps end,
    remaining_tasks = case when f.tasks_can_be_set then f.initial_tasks - f.completed else s.remaining_tasks end
  from quantumflow._step_facts f
  where f.run_id = p_run_id
    and (s.run_id, s.step_slug) = (f.run_id, f.step_slug)
    and (f.remaining_deps <> f.open_deps or f.remaining_tasks <> f.initial_tasks - f.completed);

  update quantumflow.workflow_runs r
  set remaining_steps = k.open_steps
  from (
    select count(*) filter (where s.status not in ('completed', 'skipped')) as open_steps
    from quantumflow.step_states s
    where s.run_id = p_run_id
  ) k
  where r.id = p_run_id
    and r.remaining_steps <> k.open_steps;
end
$_recount$;

comment on function quantumflow._recount(uuid) is
'Counts the tasks, dependencies and steps of a run that are not done, and corrects what says otherwise.';

-- Source: sql/mend/rebuild_queues.sql
create function quantumflow.rebuild_queues()
returns table (queue text, messages bigint)
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set lock_timeout = '3 s'
set client_min_messages = 'warning'
as $rebuild_queues$
declare
  v_now   timestamptz := quantumflow._now();
  v_model text := 'quantumflow_' || replace(gen_random_uuid()::text, '-', '');
  v_queue text;
  v_tids  tid[];
begin
  perform quantumflow._require_read_committed('rebuild queues');
  perform quantumflow._require_pgmq();
  perform quantumflow._lock_all_work();

  -- What a queue of the installed pgmq looks like, only pgmq knows.
  perform pgmq.create(queue_name => v_model);

  for v_queue in
    select *
    from quantumflow._named_queues()
  loop
    perform quantumflow._renew_queue(v_queue, v_model);
  end loop;

  perform pgmq.drop_queue(queue_name => v_model);

  v_tids := array(
    select t.ctid
    from quantumflow.step_tasks t
    where t.status in ('queued', 'started')
    order by t.queue, t.queued_at, t.run_id, t.step_slug, t.task_index);

  for n in 0 .. cardinality(v_tids) / 10000 loop
    perform quantumflow._send_again(v_tids[n * 10000 + 1 : (n + 1) * 10000], v_now);
  end loop;

  return query
  select n.queue, count(t.queue)
  from quantumflow._named_queues() n (queue)
  left join quantumflow.step_tasks t
    on t.queue = n.queue
    and t.status in ('queued', 'started')
  group by n.queue
  order by n.queue;
end
$rebuild_queues$;

comment on function quantumflow.rebuild_queues() is
'Makes the queues anew from the tasks, and returns how many messages each has then: after a restore, whatever the dump carried of
pgmq, and whenever a queue was lost, emptied or filled with somebody else''s messages.

Every queue that definitions or settings name exists afterwards, with the columns that the installed pgmq wants, and holds one message
per queued or started task and nothing else. Queued tasks get their places back, their delays kept; messages of paused runs
sleep. What was started has lost its lease: the next claim hands it out again, though a report that comes before still counts.
Messages that name no task of ours go to pgmq''s archive; the archives are kept. It can be repeated.

Stop the workers first. Everything else waits meanwhile: 220,000 messages took 4 s of processor time.

Errors: QF405 others hold tasks, runs or queues; nothing has changed then; QF402 when pgmq is missing or older than 1.5.1; 0A000
unless the transaction is read committed.';

create function quantumflow._lock_all_work()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_lock_all_work$
declare
  v_queue regclass;
begin
  -- In the order of reports. Waits for a moment, since autovacuum gives way only to those who wait.
  lock table quantumflow.step_tasks, quantumflow.step_states, quantumflow.workflow_runs, quantumflow._unfinished_ends
    in exclusive mode;

  for v_queue in
    select quantumflow._queue_table(k.queue)
    from quantumflow._known_queues() k (queue)
    order by k.queue
  loop
    execute format('lock table %s in access exclusive mode', v_queue);
  end loop;
exception
  when lock_not_available or deadlock_detected then
    raise exception 'queues cannot be rebuilt while others work'
    using
      errcode = 'QF405',
      detail = format('PostgreSQL says: %s.', sqlerrm),
      hint = 'Stop the workers, end transactions that are open, and call it again.';
end
$_lock_all_work$;

comment on function quantumflow._lock_all_work() is
'Takes the tables of runs, steps and tasks and the queues, so that nobody else changes or holds a row of them.

Errors: QF405 others have them.';

-- Source: sql/access/configure.sql
create function quantumflow.configure(setting text, value text)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $configure$
declare
  v_limit record;
begin
  select *
  into v_limit
  from quantumflow._limits() l
  where l.name = configure.setting;

  if not found then
    raise exception 'setting "%" cannot be configured', coalesce(left(configure.setting, 80), 'null')
    using
      errcode = 'QF503',
      detail = (select 'These can: ' || string_agg(l.name, ', ') || '.' from quantumflow._limits() l),
      hint = 'Whoever owns quantumflow can change other rows of quantumflow.settings with SQL.';
  end if;

  if configure.value !~ '^[0-9]{1,18}$' or configure.value::numeric not between v_limit.low and v_limit.high then
    raise exception '% must be a whole number from % to %', v_limit.name, v_limit.low, v_limit.high
    using
      errcode = 'QF504',
      detail = format('The value is "%s".', left(configure.value, 80)),
      hint = format('Null sets it back to %s.', v_limit.usual);
  end if;

  if configure.value is null then
    delete from quantumflow.settings s
    where s.name = v_limit.name;
  else
    insert into quantumflow.settings as s (name, value)
    values (v_limit.name, configure.value::bigint::text)
    on conflict on constraint settings_pkey do update
    set value = excluded.value;
  end if;

  return quantumflow._limit(v_limit.name)::text;
end
$configure$;

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

-- Source: sql/access/levels.sql
-- Who may call what, all of it: a public function that is not listed here fails a test.

create function quantumflow._levels()
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

comment on function quantumflow._levels() is
'The public functions, each with the levels of access that may call it. Operators and authors are viewers too.';

create function quantumflow._callable_functions(p_role text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_callable_functions$
begin
  return (
    select string_agg(distinct f.proname::text, ', ' order by f.proname::text)
    from pg_proc f
    where f.pronamespace = 'quantumflow'::regnamespace
      and not starts_with(f.proname, '_')
      and has_schema_privilege(p_role, 'quantumflow', 'usage')
      and has_function_privilege(p_role, f.oid, 'execute')
  );
end
$_callable_functions$;

comment on function quantumflow._callable_functions(text) is
'The public functions that a role may call, whatever it owes that to; null when there is none.';

create function quantumflow._lock_rights(p_role text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_lock_rights$
begin
  if not exists (select from pg_roles r where r.rolname = p_role) then
    raise exception 'role "%" does not exist', coalesce(p_role, 'null')
    using
      errcode = 'QF501',
      detail = 'Names of roles are case-sensitive here.',
      hint = 'Make it first, for example: create role order_worker login.';
  end if;

  -- One at a time: PostgreSQL fails on two GRANTs of the same object at once.
  perform pg_advisory_xact_lock(hashtext('quantumflow'), hashtext('grant_access'));
end
$_lock_rights$;

comment on function quantumflow._lock_rights(text) is
'Refuses a role that does not exist, and waits until nobody else changes rights.

Errors: QF501 unknown role.';

-- Source: sql/access/grant.sql
create function quantumflow.grant_access(role text, access text)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $grant_access$
declare
  v_levels   text[] := case
    when grant_access.access in ('operator', 'author') then array['viewer', grant_access.access]
    else array[grant_access.access]
  end;
  v_function regprocedure;
begin
  if grant_access.access is null or not exists (select from quantumflow._levels() l where grant_access.access = any (l.levels)) then
    raise exception 'there is no access "%"', coalesce(grant_access.access, 'null')
    using
      errcode = 'QF502',
      detail = 'A role can be viewer, worker, operator or author.',
      hint = 'Call it once for each that the role is to have.';
  end if;

  perform quantumflow._lock_rights(grant_access.role);

  execute format('grant usage on schema quantumflow to %I', grant_access.role);
  for v_function in
    select f.oid::regprocedure
    from quantumflow._levels() l
    join pg_proc f
      on f.proname = l.function_name
    where l.levels && v_levels
      and f.pronamespace = 'quantumflow'::regnamespace
  loop
    execute format('grant execute on function %s to %I', v_function, grant_access.role);
  end loop;

  if 'viewer' = any (v_levels) then
    execute format('grant select on all tables in schema quantumflow to %I', grant_access.role);
  end if;

  return format('%s may call %s', grant_access.role, quantumflow._callable_functions(grant_access.role));
end
$grant_access$;

comment on function quantumflow.grant_access(text, text) is
'Lets a role use quantumflow, and returns what it may call then. Call it once for each access that the role is to have.

viewer: look at everything, by functions and by reading the tables and views of schema quantumflow, and change nothing.
worker: claim tasks, extend their leases, read what they need, report them, and nothing else: no right on any table.
operator: a viewer who also starts, cancels, pauses, resumes, retries, deletes and mends runs, and sets limits.
author: a viewer who also defines workflows, and starts runs of them.

Nobody gets a right on a queue, or to change a table. Only the owner of quantumflow and superusers may call it. Call it again after
an update: new functions are not granted by themselves.

Errors: QF501 unknown role; QF502 unknown access.';

-- Source: sql/access/revoke.sql
create function quantumflow.revoke_access(role text)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $revoke_access$
begin
  perform quantumflow._lock_rights(revoke_access.role);

  -- The functions run with the rights of their owner, who must keep them.
  if revoke_access.role = current_user then
    raise exception 'role "%" owns quantumflow', revoke_access.role
    using
      errcode = 'QF501',
      detail = 'Without the rights of its owner no function would work.',
      hint = 'Revoke the access of another role.';
  end if;

  execute format('revoke all on all functions in schema quantumflow from %I', revoke_access.role);
  execute format('revoke all on all tables in schema quantumflow from %I', revoke_access.role);
  execute format('revoke all on schema quantumflow from %I', revoke_access.role);

  return format(
    '%s may call %s', revoke_access.role, coalesce(quantumflow._callable_functions(revoke_access.role), 'nothing'));
end
$revoke_access$;

comment on function quantumflow.revoke_access(text) is
'Takes every access to quantumflow from a role, whatever it was granted, and returns what it may call still: what it may by being
a member of another role, or a superuser, stays.

Only the owner of quantumflow and superusers may call it. A role can be dropped only after this, in each database.

Errors: QF501 unknown role, or the owner of quantumflow.';

-- Source: sql/access/rights.sql
-- PostgreSQL lets everybody execute a new function. Here nobody may, until access is granted.
revoke all on all functions in schema quantumflow from public;

-- Source: sql/access/backup.sql
-- Without this pg_dump leaves out the rows of an extension's tables. Nothing to do for a plain install.
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
