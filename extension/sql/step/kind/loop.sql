-- A loop: its tasks are iterations, one after the other. Iteration i is task i, and initial_tasks says how many were made. Whoever ends one
-- holds the task, the step and the run, asks the condition, and makes the next: so none is made twice, and none is forgotten.

create type quantumflow._turn as (
  step          quantumflow._step_ref,
  iteration     int,
  verdict       text,
  output        jsonb,
  kind          text,
  error_message text,
  keep          int
);

comment on type quantumflow._turn is
'What the end of an iteration comes to. verdict: again, ends with an output, or fails, of a kind, with an error_message. keep: how many of the
iterations that have ended are kept.';

create function quantumflow._turn_loops(p_loops quantumflow._step_ref[], p_now timestamptz)
returns quantumflow._counted
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_turn_loops$
declare
  v_turns quantumflow._turn[] := quantumflow._ask_loops(p_loops);
  v_done  quantumflow._step_ref[] := array(select t.step from unnest(v_turns) t where t.verdict = 'ends');
  v_again quantumflow._step_ref[] := array(select t.step from unnest(v_turns) t where t.verdict = 'again');
begin
  update quantumflow.step_states s
  set
    initial_tasks = s.initial_tasks + (t.verdict = 'again')::int,
    remaining_tasks = (t.verdict = 'again')::int,
    status = case t.verdict when 'ends' then 'completed' else s.status end,
    completed_at = case t.verdict when 'ends' then p_now end,
    output = case t.verdict when 'ends' then t.output end
  from unnest(v_turns) t
  cross join lateral (
    select l.ctid as tid
    from quantumflow.step_states l
    where (l.run_id, l.step_slug) = ((t.step).run_id, (t.step).step_slug)
    limit 1
  ) c
  where s.run_id is not distinct from (t.step).run_id
    and s.ctid = c.tid;

  if exists (select from unnest(v_turns) t where t.iteration >= t.keep) then
    perform quantumflow._drop_iterations(v_turns);
  end if;

  if cardinality(v_done) + cardinality(v_again) < cardinality(v_turns) then
    v_done := v_done || quantumflow._fail_loops(array(select t from unnest(v_turns) t where t.verdict = 'fails'), p_now);
    v_again := quantumflow._of_live_runs(v_again);
  end if;

  return row(v_done, v_again)::quantumflow._counted;
end
$_turn_loops$;

comment on function quantumflow._turn_loops(quantumflow._step_ref[], timestamptz) is
'What becomes of loops whose last iteration has ended: each ends, fails, or gets another iteration. Returns those that are done, and those of which
the next is to be made, one version of a row each. The caller holds the steps and the runs, these FOR NO KEY UPDATE or stronger.';

create function quantumflow._ask_loops(p_loops quantumflow._step_ref[])
returns quantumflow._turn[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_ask_loops$
declare
  v_turns quantumflow._turn[];
begin
  -- Each offset 0 keeps what is below it from being computed twice.
  select array_agg(
    row(
      a.loop,
      a.iteration,
      a.verdict,
      a.output,
      case when a.verdict = 'fails' then case when a.misfit is not null then 'error' when a.holds is null then 'condition' else 'loop' end end,
      case when a.verdict = 'fails' then coalesce(
        a.misfit,
        quantumflow._why_not_ended(a.condition, a.holds, a.input, a.variables, a.iteration, a.most)) end,
      a.keep
    )::quantumflow._turn
    order by (a.loop).run_id, (a.loop).step_slug)
  into v_turns
  from (
    select
      h.*,
      case
        when h.holds is null or h.misfit is not null then 'fails'
        when h.is_over then 'ends'
        when h.iteration + 1 >= h.most then 'fails'
        else 'again'
      end as verdict
    from (
      select q.*, m.is_over, case when m.is_over then quantumflow._misfit_of_loop(q.loop, q.output) end as misfit
      from (
        select
          k as loop, w.condition, w.is_until, w.keep, s.iteration, coalesce(s.most, w.max_iterations) as most, t.output, i.input, i.variables,
          quantumflow._holds(w.condition, i.input, i.variables) as holds
        from unnest(p_loops) k
        cross join lateral (
          select
            coalesce(l.loop_until, l.loop_while) as condition, l.loop_until is not null as is_until, l.max_iterations, l.keep,
            l.dependencies, l.after
          from quantumflow.workflow_steps l
          where (l.workflow_slug, l.version, l.step_slug) = (k.workflow_slug, k.version, k.step_slug)
          limit 1
        ) w
        cross join lateral (
          select l.initial_tasks - 1 as iteration, l.max_iterations as most
          from quantumflow.step_states l
          where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
          limit 1
        ) s
        cross join lateral (
          select l.output
          from quantumflow.step_tasks l
          where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, s.iteration)
          limit 1
        ) t
        cross join lateral (
          select
            n.input || case when quantumflow._names(w.condition, 'last') then jsonb_build_object('last', t.output) else '{}' end as input,
            jsonb_build_object('iteration', s.iteration, 'status', o.statuses) as variables
          from quantumflow._named_input(k.run_id, w.condition, w.dependencies) n
          cross join quantumflow._statuses_of(k.run_id, w.dependencies || w.after) o
        ) i
        offset 0
      ) q
      cross join lateral (select q.holds = q.is_until as is_over) m
      offset 0
    ) h
    offset 0
  ) a;

  return v_turns;
end
$_ask_loops$;

comment on function quantumflow._ask_loops(quantumflow._step_ref[]) is
'What their conditions say of loops whose last iteration has ended, in order of their keys. Neither true nor false is a failure, and so is an output
over which a map could not map. Of the input only what the condition names is gathered.';

create function quantumflow._misfit_of_loop(p_loop quantumflow._step_ref, p_output jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_misfit_of_loop$
begin
  if not exists (
    select
    from unnest(p_loop.dependents) u (slug)
    cross join lateral (
      select
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (p_loop.workflow_slug, p_loop.version, u.slug)
        and l.map_over = p_loop.step_slug
      limit 1
    ) m)
  then
    return null;
  end if;

  return case
    when jsonb_typeof(p_output) <> 'array' then quantumflow._violation(p_output, null)
    else quantumflow._excess(p_output, true)
  end;
end
$_misfit_of_loop$;

comment on function quantumflow._misfit_of_loop(quantumflow._step_ref, jsonb) is
'Why the output of a loop''s last iteration cannot be that of the loop, which a map maps over; null: it can. What the iterations before put out
is of any shape.';

create function quantumflow._why_not_ended(
  p_condition text,
  p_holds     boolean,
  p_input     jsonb,
  p_variables jsonb,
  p_iteration int,
  p_most      int)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_why_not_ended$
begin
  return quantumflow._cut(
    case
      when p_holds is null
      then format(
        'after iteration %s its condition is neither true nor false, %s: %s',
        p_iteration, quantumflow._why_unknown(p_condition, p_input, p_variables), p_condition)
      else format('it has had %s iterations, and may have %s (max_iterations); it does not end by: %s', p_iteration + 1, p_most, p_condition)
    end);
end
$_why_not_ended$;

comment on function quantumflow._why_not_ended(text, boolean, jsonb, jsonb, int, int) is
'The error message of a loop whose condition is unknown, or which has had as many iterations as it may.';

create function quantumflow._drop_iterations(p_turns quantumflow._turn[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_drop_iterations$
begin
  -- A loop that goes on has one to drop. At its end it looks for such as somebody held then: who holds one may be waiting for the run.
  with dropped as (
    delete from quantumflow.step_tasks t
    using unnest(p_turns) u
    cross join lateral (
      select l.ctid as tid
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug) = ((u.step).run_id, (u.step).step_slug)
        and l.task_index between case u.verdict when 'again' then u.iteration - u.keep else 0 end and u.iteration - u.keep
      for update skip locked
    ) k
    where t.run_id is not distinct from (u.step).run_id
      and t.ctid = k.tid
    returning t.run_id, t.step_slug, t.task_index, t.gave_up
  ),
  noted as (
    insert into quantumflow._unkept_runs (run_id)
    select c.id
    from dropped d
    cross join lateral (
      select l.id
      from quantumflow.workflow_runs l
      where (l.parent_run_id, l.parent_step_slug, l.parent_task_index) = (d.run_id, d.step_slug, d.task_index)
      offset 0
    ) c
    on conflict on constraint _unkept_runs_pkey do nothing
  ),
  remembered as (
    update quantumflow.step_states s
    set unkept_gave_up = coalesce(s.unkept_gave_up, 0) + k.more
    from (
      select d.run_id, d.step_slug, l.tid, sum(d.gave_up)::int as more
      from dropped d
      cross join lateral (
        select o.ctid as tid
        from quantumflow.step_states o
        where (o.run_id, o.step_slug) = (d.run_id, d.step_slug)
        limit 1
      ) l
      where d.gave_up > 0
      group by 1, 2, 3
    ) k
    where s.run_id is not distinct from k.run_id
      and s.ctid = k.tid
  ),
  progress as (
    delete from quantumflow.task_progress p
    using dropped d
    cross join lateral (
      select l.ctid as tid
      from quantumflow.task_progress l
      where (l.run_id, l.step_slug, l.task_index) = (d.run_id, d.step_slug, d.task_index)
      limit 1
    ) k
    where p.run_id is not distinct from d.run_id
      and p.ctid = k.tid
  ),
  failures as (
    delete from quantumflow.task_failures f
    using dropped d
    cross join lateral (
      select l.ctid as tid
      from quantumflow.task_failures l
      where (l.run_id, l.step_slug, l.task_index) = (d.run_id, d.step_slug, d.task_index)
      offset 0
    ) k
    where f.run_id is not distinct from d.run_id
      and f.ctid = k.tid
  )
  delete from quantumflow.undone_tasks x
  using dropped d
  cross join lateral (
    select l.ctid as tid
    from quantumflow.undone_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (d.run_id, d.step_slug, d.task_index)
    offset 0
  ) k
  where x.run_id is not distinct from d.run_id
    and x.ctid = k.tid;
end
$_drop_iterations$;

comment on function quantumflow._drop_iterations(quantumflow._turn[]) is
'Forgets the iterations that are not kept any more, with their failures and what they said of their progress, notes the runs that they had
started, and remembers what these gave up. The caller holds the steps.';

create function quantumflow._fail_loops(p_turns quantumflow._turn[], p_now timestamptz)
returns quantumflow._step_ref[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_loops$
begin
  perform quantumflow._record_step_failures(
    array(
      select row((t.step).run_id, (t.step).step_slug, t.iteration, t.kind, t.error_message)::quantumflow._step_failure
      from unnest(p_turns) t),
    p_now);

  return quantumflow._fail_steps(
    array(
      select row(
        (t.step).run_id, (t.step).step_slug, (t.step).workflow_slug, (t.step).version, null, t.error_message
      )::quantumflow._failed_step
      from unnest(p_turns) t),
    p_now);
end
$_fail_loops$;

comment on function quantumflow._fail_loops(quantumflow._turn[], timestamptz) is
'Fails loops whose iterations have not failed, and their runs; returns those without which these go on.';

create function quantumflow._of_live_runs(p_steps quantumflow._step_ref[])
returns quantumflow._step_ref[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_of_live_runs$
begin
  return array(
    select k
    from unnest(p_steps) k
    where exists (
      select
      from quantumflow.workflow_runs r
      where r.id = k.run_id
        and r.status in ('started', 'paused')
      offset 0
    ));
end
$_of_live_runs$;

comment on function quantumflow._of_live_runs(quantumflow._step_ref[]) is
'The steps whose runs have not ended.';

create function quantumflow._iterations_made(p_run_id uuid, p_step_slug text)
returns int
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_iterations_made$
begin
  return coalesce(
    (
      select t.task_index + 1
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug) = (p_run_id, p_step_slug)
      order by t.task_index desc
      limit 1
    ),
    0);
end
$_iterations_made$;

comment on function quantumflow._iterations_made(uuid, text) is
'How many iterations of a loop a retry has left when it starts again: these have all ended, and those before them that are not kept.';
