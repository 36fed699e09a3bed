-- The gate: what a step that is not plain passes once, when all that it waits for has ended.

create type quantumflow._verdict as (
  step          quantumflow._step_ref,
  verdict       text,
  error_message text,
  if_failed     text
);

comment on type quantumflow._verdict is
'What the gate says of a step. verdict: starts, fails, or why it is skipped, condition or dependency. Of one that fails error_message, and
how its run goes on without it: fallback or step_continues; null: not at all.';

create type quantumflow._gated as (
  starts quantumflow._step_ref[],
  ended  quantumflow._step_ref[]
);

comment on type quantumflow._gated is 'Of the steps that came to the gate those that start, and those that have ended there.';

create function quantumflow._pass_gate(p_steps quantumflow._step_ref[], p_now timestamptz)
returns quantumflow._gated
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_pass_gate$
declare
  v_verdicts quantumflow._verdict[] := quantumflow._ask_gate(p_steps);
  v_failing  uuid[] := '{}';
  v_starts   quantumflow._step_ref[];
begin
  if exists (select from unnest(v_verdicts) v where v.verdict = 'fails') then
    v_failing := quantumflow._fail_runs_at_gate(p_steps, v_verdicts, p_now);
    -- Nothing else of these runs starts, or is skipped: it is cancelled.
    v_verdicts := array(select v from unnest(v_verdicts) v where (v.step).run_id <> all (v_failing));
  end if;

  v_starts := array(
    select k
    from unnest(p_steps) k
    where k.plain
      and k.run_id <> all (v_failing)
    union all
    select v.step
    from unnest(v_verdicts) v
    where v.verdict = 'starts');

  return row(
    v_starts, quantumflow._skip_steps(v_verdicts, p_now) || quantumflow._go_on_after_gate(v_verdicts, p_now)
  )::quantumflow._gated;
end
$_pass_gate$;

comment on function quantumflow._pass_gate(quantumflow._step_ref[], timestamptz) is
'Lets steps through the gate that are ready; plain ones pass unasked. What it says is recorded, and is not asked again: a step that it skips
is skipped, one that it fails has failed, with a row of task_failures. The caller holds the runs.';

create function quantumflow._ask_gate(p_steps quantumflow._step_ref[])
returns quantumflow._verdict[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_ask_gate$
declare
  v_verdicts quantumflow._verdict[];
begin
  -- Each offset 0 keeps what is below it from being computed twice.
  select array_agg(
    row(
      a.step,
      a.verdict,
      case when a.verdict = 'fails' then quantumflow._why_not(a.condition, a.holds, a.input, a.variables) end,
      a.if_failed
    )::quantumflow._verdict
    order by (a.step).run_id, (a.step).step_slug)
  into v_verdicts
  from (
    select
      h.*,
      case
        when h.is_unmet then 'dependency'
        when h.holds or h.condition is null then 'starts'
        when h.holds is null or h.otherwise = 'fail' then 'fails'
        else 'condition'
      end as verdict
    from (
      select
        k as step, w.condition, w.otherwise, w.if_failed, d.is_unmet, i.input, d.variables,
        case when i.input is not null then quantumflow._holds(w.condition, i.input, d.variables) end as holds
      from unnest(p_steps) k
      cross join lateral (
        select
          l.joins, l.condition, l.otherwise, l.dependencies, l.after,
          quantumflow._if_failed(l.goes_on, l.fallback) as if_failed
        from quantumflow.workflow_steps l
        where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
        limit 1
      ) w
      cross join lateral (
        select
          case w.joins
            when 'all' then count(*) filter (where u.is_handed and s.status <> 'completed') > 0
            when 'any' then count(*) filter (where u.is_handed and s.status = 'completed') = 0
            else false
          end as is_unmet,
          case when w.condition is not null then jsonb_build_object(
            'status', coalesce(jsonb_object_agg(u.slug, s.status) filter (where u.slug is not null), '{}'))
          end as variables
        from (
          select unnest(w.dependencies) as slug, true as is_handed
          union all
          select unnest(w.after), false
        ) u
        cross join lateral (
          select l.status
          from quantumflow.step_states l
          where (l.run_id, l.step_slug) = (k.run_id, u.slug)
          limit 1
        ) s
      ) d
      cross join lateral (
        select case when w.condition is not null and not d.is_unmet then (
          select n.input
          from quantumflow._named_input(k.run_id, w.condition, w.dependencies) n
        ) end as input
      ) i
      where not k.plain
      offset 0
    ) h
    offset 0
  ) a;

  return v_verdicts;
end
$_ask_gate$;

comment on function quantumflow._ask_gate(quantumflow._step_ref[]) is
'What the gate says of those of the steps that are not plain, in order of their keys: first whether enough of its dependencies have
completed, then its condition. Neither true nor false is a failure, never false: a typo must not skip a branch without a word. Of the input
only what the condition names is gathered, so that what is large beside it does not matter.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._named_input(p_run_id uuid, p_condition text, p_dependencies text[])
returns table (input jsonb)
language sql
stable
begin atomic
  select coalesce(jsonb_object_agg(g.key, g.value), '{}')
  from (
    select 'run' as key, r.input as value
    from quantumflow.workflow_runs r
    where r.id = p_run_id
      and quantumflow._names(p_condition, 'run')
    union all
    select u.slug, coalesce(s.output, t.output)
    from unnest(p_dependencies) u (slug)
    cross join lateral (
      select l.output
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = (p_run_id, u.slug)
        and l.status = 'completed'
      limit 1
    ) s
    left join lateral (
      select l.output
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (p_run_id, u.slug, 0)
      limit 1
    ) t
      on s.output is null
    where quantumflow._names(p_condition, u.slug)
  ) g;
end;

comment on function quantumflow._named_input(uuid, text, text[]) is
'Of the input of a step what its condition names.';

create function quantumflow._why_not(p_condition text, p_holds boolean, p_input jsonb, p_variables jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_why_not$
begin
  return quantumflow._cut(
    case
      when p_holds is null
      then format('its condition is neither true nor false, %s: %s', quantumflow._why_unknown(p_condition, p_input, p_variables), p_condition)
      else format('its condition is false: %s', p_condition)
    end);
end
$_why_not$;

comment on function quantumflow._why_not(text, boolean, jsonb, jsonb) is
'The error message of a step that its condition has failed.';

create function quantumflow._skip_steps(p_verdicts quantumflow._verdict[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_skip_steps$
declare
  v_skipped quantumflow._step_ref[];
begin
  with skipped as (
    update quantumflow.step_states s
    set
      status = 'skipped',
      remaining_deps = 0,
      skipped_at = p_now,
      skip_reason = v.verdict
    from unnest(p_verdicts) v
    cross join lateral (
      select l.ctid as tid
      from quantumflow.step_states l
      where (l.run_id, l.step_slug) = ((v.step).run_id, (v.step).step_slug)
      limit 1
    ) c
    where v.verdict in ('condition', 'dependency')
      and s.run_id is not distinct from (v.step).run_id
      and s.ctid = c.tid
    returning v.step
  )
  select array_agg(k.step order by (k.step).run_id, (k.step).step_slug)
  into v_skipped
  from skipped k;

  return coalesce(v_skipped, '{}');
end
$_skip_steps$;

comment on function quantumflow._skip_steps(quantumflow._verdict[], timestamptz) is
'Skips the steps of which the gate says so, one version of a row each, and returns them.';

create function quantumflow._fail_runs_at_gate(
  p_steps    quantumflow._step_ref[],
  p_verdicts quantumflow._verdict[],
  p_now      timestamptz)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_runs_at_gate$
declare
  v_failing quantumflow._verdict[] := array(
    select v
    from unnest(p_verdicts) v
    where v.verdict = 'fails'
      and v.if_failed is null
    order by (v.step).run_id, (v.step).step_slug);
  v_runs    uuid[] := array(select distinct (v.step).run_id from unnest(v_failing) v);
begin
  perform quantumflow._record_gate_failures(v_failing, p_now);

  -- What came to the gate beside them waits for nothing any more, and nobody has written that yet.
  update quantumflow.step_states s
  set
    status = case when v.verdict is not null then 'failed' else s.status end,
    remaining_deps = 0,
    failed_at = case when v.verdict is not null then p_now end,
    error_message = v.error_message
  from unnest(p_steps) k
  cross join lateral (
    select l.ctid as tid
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
    limit 1
  ) c
  left join unnest(v_failing) v
    on ((v.step).run_id, (v.step).step_slug) = (k.run_id, k.step_slug)
  where k.run_id = any (v_runs)
    and not k.is_started
    and s.run_id is not distinct from k.run_id
    and s.ctid = c.tid;

  perform quantumflow._fail_run((v.step).run_id, format('step %s: %s', (v.step).step_slug, v.error_message), p_now)
  from unnest(v_failing) v;

  return v_runs;
end
$_fail_runs_at_gate$;

comment on function quantumflow._fail_runs_at_gate(quantumflow._step_ref[], quantumflow._verdict[], timestamptz) is
'Fails the steps that do not pass the gate and without which their runs do not go on, and these runs, which it returns. The caller may hold
these FOR NO KEY UPDATE: see _stop_runs.';

create function quantumflow._go_on_after_gate(p_verdicts quantumflow._verdict[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_go_on_after_gate$
declare
  v_failed quantumflow._verdict[] := array(select v from unnest(p_verdicts) v where v.verdict = 'fails');
begin
  if v_failed = '{}' then
    return '{}';
  end if;

  perform quantumflow._record_gate_failures(v_failed, p_now);

  return quantumflow._go_on_without(
    array(
      select row(
        (v.step).run_id, (v.step).step_slug, (v.step).workflow_slug, (v.step).version, v.if_failed, v.error_message
      )::quantumflow._failed_step
      from unnest(v_failed) v),
    p_now);
end
$_go_on_after_gate$;

comment on function quantumflow._go_on_after_gate(quantumflow._verdict[], timestamptz) is
'Ends the steps that have failed at the gate and without which their runs go on, and returns them.';

create function quantumflow._record_gate_failures(p_failed quantumflow._verdict[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_gate_failures$
begin
  perform quantumflow._record_step_failures(
    array(
      select row((v.step).run_id, (v.step).step_slug, 0, 'condition', v.error_message)::quantumflow._step_failure
      from unnest(p_failed) v),
    p_now);
end
$_record_gate_failures$;

comment on function quantumflow._record_gate_failures(quantumflow._verdict[], timestamptz) is
'Writes to the history what has failed at the gate: as attempt 0, since no task has been made.';
