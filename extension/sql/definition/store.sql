create function quantumflow._raise_problems(
  p_definition    jsonb,
  p_may_be_empty  boolean,
  p_workflow_slug text default null
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
  from quantumflow.validate_flow(p_definition, p_workflow_slug) as p
  where not (p_may_be_empty and p.code = 'QF109');

  if v_code is not null then
    raise exception '%', v_message
    using
      errcode = v_code,
      detail = v_all,
      hint = case v_code
        when 'QF117' then 'A condition is a jsonpath over $.run and the dependencies, which is true or false, and takes no longer than its input '
          'is: see docs/guide.md. quantumflow.test_condition() tells what one says of an input.'
        when 'QF119' then 'Define the workflow first; a version that it will have only later cannot be named.'
        when 'QF103' then format(
          'Choose another name. Reserved are %s: a handler that asks for one of them is given something else than a step''s output.',
          array_to_string(quantumflow._reserved_names(), ', '))
        else 'Correct the definition; quantumflow.validate_flow(definition) lists its problems as rows.'
      end;
  end if;
end
$_raise_problems$;

comment on function quantumflow._raise_problems(jsonb, boolean, text) is
'Raises a definition''s first problem; DETAIL lists them all, one a line.

p_may_be_empty allows a definition without steps. p_workflow_slug: as validate_flow has it.
Errors: QF101, QF102, QF103, QF104, QF105, QF106, QF107, QF108, QF109, QF110, QF115, QF116, QF117, QF118, QF119, as validate_flow tells.';

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
begin
  delete from quantumflow.workflow_step_edges e
  where e.workflow_slug = p_workflow_slug
    and e.version = p_version;

  delete from quantumflow.workflow_steps s
  where s.workflow_slug = p_workflow_slug
    and s.version = p_version;

  insert into quantumflow.workflow_step_edges (workflow_slug, version, step_slug, depends_on_step, order_only)
  select p_workflow_slug, p_version, s.value ->> 'name', d.name, k.key <> 'dependencies'
  from jsonb_array_elements(p_definition -> 'steps') as s(value)
  cross join unnest(array['dependencies', 'after', 'prefer_after']) as k(key)
  cross join jsonb_array_elements_text(s.value -> k.key) as d(name);

  insert into quantumflow.workflow_steps
  select c.*
  from quantumflow._compiled_steps(p_workflow_slug, p_version, p_definition) c;

  perform quantumflow._know_limits(array_agg(distinct s.limit_name))
  from quantumflow.workflow_steps s
  where (s.workflow_slug, s.version) = (p_workflow_slug, p_version)
    and s.limit_name is not null
  having count(*) > 0;
end
$_store_steps$;

comment on function quantumflow._store_steps(text, int, jsonb) is
'Writes the rows of workflow_steps and workflow_step_edges of one version, in place of those that are there.';

create function quantumflow._compiled_steps(
  p_workflow_slug text,
  p_version       int,
  p_definition    jsonb
)
returns setof quantumflow.workflow_steps
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_compiled_steps$
declare
  v_flow       jsonb := quantumflow._default_settings() || (p_definition - 'steps');
  v_dependents jsonb;
  v_handed     jsonb;
  v_mapped     jsonb;
  v_missing    jsonb := quantumflow._may_be_missing(p_definition);
begin
  -- Objects, from which each step takes what is under its key: the planner expects a hundred steps, and would join a thousand steps with
  -- a thousand one by one.
  select jsonb_object_agg(e.step_slug, e.dependents), jsonb_object_agg(e.step_slug, true) filter (where e.is_handed)
  into v_dependents, v_handed
  from (
    select d.name as step_slug, jsonb_agg(s.name order by s.number) as dependents, bool_or(k.key = 'dependencies') as is_handed
    from (
      -- Apart, or each edge would carry its whole step to where they are sorted.
      select l.number, l.value ->> 'name' as name, l.value -> 'dependencies' as dependencies, l.value -> 'after' as after,
        l.value -> 'prefer_after' as prefer_after
      from jsonb_array_elements(p_definition -> 'steps') with ordinality as l(value, number)
      offset 0
    ) as s
    cross join lateral (
      values ('dependencies', s.dependencies), ('after', s.after), ('prefer_after', s.prefer_after)
    ) as k(key, names)
    cross join jsonb_array_elements_text(k.names) as d(name)
    group by d.name
  ) as e;

  select jsonb_object_agg(s.value ->> 'map_over', true)
  into v_mapped
  from jsonb_array_elements(p_definition -> 'steps') as s(value)
  where s.value ? 'map_over';

  return query
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
    from unnest(array['on_complete', 'on_failure', 'run_timeout']) with ordinality as c(key, number)
    where v_flow ? c.key
  )
  select
    p_workflow_slug,
    p_version,
    s.step_slug,
    s.step_index::int,
    s.step_type,
    coalesce(i.waits_for, s.value ->> 'command', s.step_slug),
    s.value ->> 'map_over',
    quantumflow._texts(s.value -> 'dependencies'),
    quantumflow._texts(v_dependents -> s.step_slug),
    not k.gathers and not k.repeats and coalesce(v_mapped ? s.step_slug, false),
    coalesce((case when i.waits_for is null then s.settings when p.plan is null then s.value end ->> 'max_attempts')::int, 1),
    case when i.waits_for is null then (s.settings ->> 'max_lost')::int else 1 end,
    case when i.waits_for is null then make_interval(secs => (s.settings ->> 'retry_delay')::double precision) else '0 s' end,
    make_interval(secs => i.timeout::double precision),
    make_interval(secs => coalesce(s.value ->> 'start_delay', '0')::double precision),
    case when i.waits_for is null then s.settings ->> 'queue' else quantumflow._system_queue() end,
    s.value -> 'args',
    case s.value ->> 'chunk_size' when 'auto' then 1 else (s.value ->> 'chunk_size')::int end,
    k.counts,
    k.known_tasks,
    k.gathers,
    k.plain
      and not s.value ? 'flow'
      and not s.value ?| array['if', 'join', 'after', 'prefer_after']
      and not coalesce(v_missing ?| quantumflow._texts(s.value -> 'dependencies'), false),
    f.leaf,
    coalesce(s.value ->> 'join', 'all'),
    coalesce(s.value ->> 'otherwise', 'skip'),
    quantumflow._with_mode(s.value ->> 'if'),
    quantumflow._texts(s.value -> 'after') || quantumflow._texts(s.value -> 'prefer_after'),
    quantumflow._texts(s.value -> 'prefer_after'),
    coalesce(s.value ->> 'on_error' = 'continue', false),
    s.value -> 'fallback',
    case when jsonb_typeof(s.value -> 'tolerate') = 'number' then (s.value ->> 'tolerate')::int end,
    case when jsonb_typeof(s.value -> 'tolerate') = 'string' then trim_scale(rtrim(s.value ->> 'tolerate', '%')::numeric / 100) end,
    f.leaf and count(*) filter (where f.leaf) over () = 1 and k.known_tasks is not distinct from 1 and not k.gathers
      and not v_flow ?| array['on_complete', 'run_timeout', 'one_at_a_time'],
    i.waits_for is not null,
    make_interval(secs => (s.value ->> 'seconds')::double precision),
    quantumflow._with_mode(s.value ->> 'at'),
    case
      when s.step_type <> 'wait' then null
      when s.value ? 'signals' then quantumflow._texts(s.value -> 'signals')
      else array[coalesce(s.value ->> 'signal', s.step_slug)]
    end,
    s.value ? 'signals',
    coalesce(s.value ->> 'flow', case when p.plan is not null then quantumflow._plan_slug(p_workflow_slug, s.step_slug) end),
    (s.value ->> 'flow_version')::int,
    s.value -> 'input',
    s.value -> 'output',
    case when k.gathers and s.value ? 'flow' then coalesce((s.value ->> 'max_children')::int, 100) end,
    k.repeats,
    quantumflow._with_mode(s.value ->> 'until'),
    coalesce(quantumflow._with_mode(s.value ->> 'while'), case when p.plan is not null then quantumflow._plan_goes_on() end),
    coalesce((s.value ->> 'max_iterations')::int, (p.plan #>> '{step,max_attempts}')::int + 1),
    case when k.repeats then make_interval(secs => coalesce(s.value ->> 'delay', '0')::double precision) end,
    case when k.repeats then coalesce((s.value ->> 'keep')::int, 100) end,
    coalesce(s.value #>> '{limit,name}', s.value ->> 'limit'),
    quantumflow._with_mode(s.value #>> '{limit,key}'),
    p.plan
  from step s
  cross join lateral (
    select *
    from quantumflow._kinds() l
    where l.step_type = s.step_type
    limit 1
  ) k
  cross join lateral (select k.counts and not coalesce(v_handed ? s.step_slug, false) as leaf) f
  cross join lateral (
    select o.waits_for, case
        when o.waits_for is null then s.settings ->> 'timeout'
        when o.waits_for = 'run_timeout' then v_flow ->> 'run_timeout'
        when s.step_type <> 'plan' then s.value ->> 'timeout'
      end as timeout
    from (
      select case
        when s.value ? 'flow' or s.step_type = 'plan' then 'flow'
        when k.settled then s.step_type
        when s.step_slug = '_run_timeout' then 'run_timeout'
      end
    ) o (waits_for)
  ) i
  cross join lateral (
    select case when s.step_type = 'plan' then quantumflow._compiled_plan(s.step_slug, s.settings) end as plan
  ) p;
end
$_compiled_steps$;

comment on function quantumflow._compiled_steps(text, int, jsonb) is
'The rows of workflow_steps that a version''s definition comes to.

Every setting is resolved here: the step''s value, else the flow''s, else the default; and what its type means. What is settled has no setting but its own.';

create function quantumflow._store_definition(
  p_definition    jsonb,
  p_may_be_empty  boolean,
  p_workflow_slug text default null,
  p_rollback      boolean default true
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
  v_version    quantumflow.workflow_versions;
  v_changes    boolean;
begin
  perform quantumflow._raise_problems(p_definition, p_may_be_empty, p_workflow_slug);

  v_definition := quantumflow._canonical_definition(quantumflow._with_slug(p_definition, p_workflow_slug));
  v_slug := v_definition ->> 'slug';
  v_hash := quantumflow._content_hash(v_definition);

  -- Most definitions are what is there already, and wait for nobody.
  select v.*
  into v_version
  from quantumflow.workflow_versions v
  join quantumflow.workflows w
    on (w.workflow_slug, w.current_version) = (v.workflow_slug, v.version)
  where v.workflow_slug = v_slug
    and v.content_hash = v_hash;

  if found then
    perform quantumflow._ensure_queues(v_definition);
    return v_version;
  end if;

  perform quantumflow._hold_flow(v_slug, p_may_be_new => true);
  perform quantumflow._refuse_other_case(v_slug);

  -- Before the version is taken: who makes the same queue may be waited for, and starts are not to wait for that too.
  perform quantumflow._ensure_queues(v_definition);

  select v.*
  into v_version
  from quantumflow.workflow_versions v
  where v.workflow_slug = v_slug
    and v.content_hash = v_hash;

  v_changes := not found;
  if v_changes then
    v_version := quantumflow._store_content(v_slug, v_hash, v_definition, p_may_replace => p_rollback);
  end if;

  -- What was learned of another version is not to have the new runs of this one.
  update quantumflow.workflows w
  set
    current_version = v_version.version,
    policy = null
  where w.workflow_slug = v_slug
    and (w.current_version < v_version.version or (p_rollback and w.current_version > v_version.version));

  -- Content that stays behind a later version has changed nothing: programs define their workflows whenever they start.
  v_changes := found or v_changes;

  if v_changes then
    perform quantumflow._supersede_policies(v_slug, quantumflow._now());
    perform quantumflow._record_act(
      'define_flow', quantumflow._now(), v_slug, p_detail => jsonb_build_object('version', v_version.version));
  end if;

  return v_version;
end
$_store_definition$;

comment on function quantumflow._store_definition(jsonb, boolean, text, boolean) is
'The one way a definition gets in: create_flow, add_step and define_flow build one and call this.

Content the workflow has had before is that version again, and becomes current, unless without p_rollback a later one is. Other content
is stored as _store_content says: in place only with p_rollback, since what it replaced would be unknown, and new, when it comes again.
The queues are made here.
p_may_be_empty allows a definition without steps. p_workflow_slug: as validate_flow has it.
Errors: as _raise_problems and _ensure_queue; QF114 when another workflow''s slug differs only in case.';

create function quantumflow._ensure_queues(p_definition jsonb)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_ensure_queues$
begin
  perform quantumflow._ensure_queue(q.queue)
  from (
    select u.queue
    from quantumflow._compiled_steps(p_definition ->> 'slug', 1, p_definition) s
    cross join lateral (values (s.queue), (s.plan #>> '{step,queue}')) u (queue)
    where u.queue is not null
    union
    -- Whoever settles is told through it that the next run may go on.
    select quantumflow._system_queue()
    where p_definition ? 'one_at_a_time'
    order by 1
  ) as q;
end
$_ensure_queues$;

comment on function quantumflow._ensure_queues(jsonb) is
'Makes the queues of a canonical definition''s steps and callbacks, in order of their names.

Errors: as _ensure_queue.';

create function quantumflow._store_content(p_slug text, p_hash text, p_definition jsonb, p_may_replace boolean)
returns quantumflow.workflow_versions
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_store_content$
declare
  v_current int := (select w.current_version from quantumflow.workflows w where w.workflow_slug = p_slug);
  v_version quantumflow.workflow_versions;
begin
  if p_may_replace and quantumflow._take_unused(p_slug, v_current) then
    update quantumflow.workflow_versions v
    set content_hash = p_hash,
      definition = p_definition
    where (v.workflow_slug, v.version) = (p_slug, v_current)
    returning v.* into v_version;
  else
    -- The workflow is locked, so a conflict is only possible with a version that is too new for an older snapshot to show. Because of
    -- this clause that is 40001, which asks for another try, and no violated constraint.
    insert into quantumflow.workflow_versions as v (workflow_slug, version, content_hash, definition)
    select p_slug, coalesce(max(o.version), 0) + 1, p_hash, p_definition
    from quantumflow.workflow_versions o
    where o.workflow_slug = p_slug
    on conflict do nothing
    returning v.* into v_version;
  end if;

  perform quantumflow._store_steps(p_slug, v_version.version, p_definition);

  return v_version;
end
$_store_content$;

comment on function quantumflow._store_content(text, text, jsonb, boolean) is
'Stores content that a workflow has not had: in place of the current version, if it may and no run has used that one, else as the next
version. The caller holds the workflow.';

create function quantumflow._refuse_other_case(p_slug text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_other_case$
declare
  v_other text;
begin
  select w.workflow_slug
  into v_other
  from quantumflow.workflows w
  where lower(w.workflow_slug) = lower(p_slug collate "C")
    and w.workflow_slug <> p_slug;

  if found then
    raise exception 'workflow "%" differs from "%" only in case', p_slug, v_other
    using
      errcode = 'QF114',
      detail = format('The workflow "%s" exists, and slugs are unique whatever the case.', v_other),
      hint = format('Define it as "%s" to change that workflow, or choose another slug.', v_other);
  end if;
end
$_refuse_other_case$;

comment on function quantumflow._refuse_other_case(text) is
'Refuses a slug that another workflow has in another case. The caller holds the workflow.

Errors: QF114 there is such a workflow.';
