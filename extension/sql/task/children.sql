-- Tasks that wait for runs which they start, their children. settle() comes here with tasks whose messages are due, which it holds with their
-- steps and runs. A task is queued until it has a child, then started, with a token that nobody knows and no worker, until its child's end
-- makes its message due again:
--
--     queued    no child yet                 starts one
--               one that goes on             adopts it: its own run was retried
--               one that failed              retries it in place
--     started   its child has completed      completes, with what becomes of the child's output
--               it has failed                is queued again, while it has attempts left; else fails
--               it was cancelled             fails
--               it goes on                   waits, until its timeout

create function quantumflow._judge_children(p_due quantumflow._due_task[], p_now timestamptz)
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_judge_children$
declare
  v_due   quantumflow._due_task[] := p_due;
  v_found record;
begin
  for v_found in
    select
      d.ordinality as n, r.status = 'paused' as is_paused, (d.held).attempts < w.max_attempts as may_again, w.child_output, w.feeds_map,
      c.id, c.status, c.error_message, c.output, c.gave_up
    from unnest(p_due) with ordinality d
    cross join lateral (
      select l.max_attempts, l.child_output, l.feeds_map
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = ((d.held).workflow_slug, (d.held).version, (d.held).step_slug)
      limit 1
    ) w
    cross join lateral (
      select l.status
      from quantumflow.workflow_runs l
      where l.id = (d.held).run_id
      limit 1
    ) r
    left join lateral (
      select l.id, l.status, l.error_message, l.output, l.gave_up
      from quantumflow.workflow_runs l
      where (l.parent_run_id, l.parent_step_slug, l.parent_task_index) = ((d.held).run_id, (d.held).step_slug, (d.held).task_index)
        and l.parent_retries >= coalesce(d.fresh_since, 0)
      order by l.parent_retries desc
      limit 1
    ) c on true
    where d.verdict = 'asks'
  loop
    v_due[v_found.n].child_id := v_found.id;
    v_due[v_found.n].child_status := v_found.status;
    v_due[v_found.n].child_gave_up := v_found.gave_up;
    v_due[v_found.n] := case
      when v_found.status = 'completed' and v_due[v_found.n].plan is not null and quantumflow._steps_to_run(v_due[v_found.n].held) is null
        then quantumflow._take_plan(v_due[v_found.n], v_found.output)
      when v_found.status = 'completed' then quantumflow._take_output(v_due[v_found.n], v_found.output, v_found.child_output, v_found.feeds_map)
      when (v_due[v_found.n].held).status = 'started'
        then quantumflow._judge_wait(v_due[v_found.n], v_found.error_message, v_found.may_again, v_found.is_paused, p_now)
      else v_due[v_found.n]
    end;

    if v_due[v_found.n].verdict = 'asks' then
      v_due[v_found.n] := quantumflow._judge_begin(v_due[v_found.n], p_now);
    end if;
  end loop;

  return v_due;
end
$_judge_children$;

comment on function quantumflow._judge_children(quantumflow._due_task[], timestamptz) is
'What tasks that wait for runs come to, by what became of these. The caller holds the tasks, their steps and their runs, and no child: whose end
comes after this look finds the message held, and leaves a note.';

create function quantumflow._judge_begin(p_due quantumflow._due_task, p_now timestamptz)
returns quantumflow._due_task
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_judge_begin$
begin
  if p_due.begins_at > p_now then
    p_due.verdict := 'later';
    p_due.later_at := p_due.begins_at;
  else
    p_due.verdict := case
      when p_due.child_id is null then 'starts'
      when p_due.child_status in ('started', 'paused') then 'adopts'
      else 'retries'
    end;
  end if;

  return p_due;
end
$_judge_begin$;

comment on function quantumflow._judge_begin(quantumflow._due_task, timestamptz) is
'What a task comes to that has not begun to wait for a run, and whose run has not completed.';

create function quantumflow._judge_wait(
  p_due       quantumflow._due_task,
  p_error     text,
  p_may_again boolean,
  p_is_paused boolean,
  p_now       timestamptz)
returns quantumflow._due_task
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_judge_wait$
declare
  v_deadline timestamptz := (p_due.held).started_at + (p_due.held).timeout;
begin
  p_due.verdict := case when p_may_again then 'again' else 'fails' end;
  p_due.kind := 'child';

  case
    when p_due.child_id is null then
      p_due.verdict := 'fails';
      p_due.error_message := format('its run of workflow "%s" was deleted', p_due.child_flow);
    when p_due.child_status = 'failed' then
      p_due.error_message := quantumflow._cut(format('run %s of workflow "%s" failed: %s', p_due.child_id, p_due.child_flow, p_error));
    when p_due.child_status = 'cancelled' then
      p_due.verdict := 'fails';
      p_due.error_message := quantumflow._cut(
        format('run %s of workflow "%s" was cancelled', p_due.child_id, p_due.child_flow) || coalesce(': ' || p_error, ''));
    when v_deadline <= p_now and not p_is_paused then
      p_due.kind := 'timeout';
      p_due.error_message := format(
        'run %s of workflow "%s" took longer than %s', p_due.child_id, p_due.child_flow, (p_due.held).timeout);
    else
      p_due.verdict := 'later';
      p_due.later_at := case when v_deadline > p_now then v_deadline else 'infinity' end;
  end case;

  return p_due;
end
$_judge_wait$;

comment on function quantumflow._judge_wait(quantumflow._due_task, text, boolean, boolean, timestamptz) is
'What a task comes to that waits for a run, which has not completed. In a paused run its timeout is looked at when that is resumed.';

create function quantumflow._take_output(
  p_due       quantumflow._due_task,
  p_output    jsonb,
  p_template  jsonb,
  p_feeds_map boolean)
returns quantumflow._due_task
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_take_output$
declare
  v_filled quantumflow._filled := quantumflow._fill(p_template, p_output);
begin
  p_due.output := v_filled.value;
  p_due.verdict := 'fails';
  p_due.kind := 'condition';

  if v_filled.error is not null then
    p_due.error_message := quantumflow._cut(format('the output of run %s cannot be taken: %s', p_due.child_id, v_filled.error));
    return p_due;
  end if;

  p_due.kind := 'error';
  p_due.error_message := coalesce(
    case
      when not quantumflow._fits(p_feeds_map, null, (p_due.held).run_id, (p_due.held).step_slug, 0, p_due.output)
      then quantumflow._violation(p_due.output, null)
    end,
    -- No limit can be lower.
    case when quantumflow._bytes(p_due.output) > 1000 then quantumflow._excess(p_due.output, p_feeds_map) end);

  if p_due.error_message is null then
    p_due.verdict := 'completes';
  end if;

  return p_due;
end
$_take_output$;

comment on function quantumflow._take_output(quantumflow._due_task, jsonb, jsonb, boolean) is
'What a task comes to whose run has completed: its output, as the step''s template makes it.';

create function quantumflow._move_children(p_due quantumflow._due_task[], p_now timestamptz)
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_move_children$
declare
  v_due quantumflow._due_task[] := p_due;
begin
  if exists (select from unnest(v_due) d where d.verdict = 'starts') then
    v_due := quantumflow._start_children(
      quantumflow._within_plans(quantumflow._within_trees(quantumflow._with_plans(quantumflow._with_inputs(v_due)), p_now)), p_now);
  end if;

  if exists (select from unnest(v_due) d where d.verdict in ('retries', 'again') or (d.verdict = 'fails' and d.child_status = 'failed')) then
    v_due := quantumflow._hold_ended_children(v_due, p_now);
  end if;

  -- What a child lost its parent has lost.
  if exists (select from unnest(v_due) d where d.verdict = 'completes' and d.child_gave_up > 0) then
    update quantumflow.workflow_runs r
    set gave_up = coalesce(r.gave_up, 0) + k.more
    from (
      select (d.held).run_id, sum(d.child_gave_up)::int as more
      from unnest(v_due) d
      where d.verdict = 'completes'
        and d.child_gave_up > 0
      group by 1
    ) k
    where r.id = k.run_id;
  end if;

  perform quantumflow._begin_to_wait(array(select d from unnest(v_due) d where d.verdict in ('adopts', 'retries')), p_now);
  perform quantumflow._try_children_again(array(select d from unnest(v_due) d where d.verdict = 'again'), p_now);

  return v_due;
end
$_move_children$;

comment on function quantumflow._move_children(quantumflow._due_task[], timestamptz) is
'Starts, adopts and retries the children of tasks, as they were judged. Returns them: what could not start fails, and what somebody holds comes
back in 100 ms.';

create function quantumflow._hold_ended_children(p_due quantumflow._due_task[], p_now timestamptz)
returns quantumflow._due_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_ended_children$
declare
  v_due  quantumflow._due_task[] := p_due;
  v_task quantumflow._due_task;
  v_run  quantumflow.workflow_runs;
begin
  -- One by one: failures are rare.
  for n in 1 .. cardinality(v_due) loop
    v_task := v_due[n];
    continue when v_task.verdict not in ('retries', 'again') and (v_task.verdict, v_task.child_status) is distinct from ('fails', 'failed');

    select *
    into v_run
    from quantumflow.workflow_runs r
    where r.id = v_task.child_id
      and r.status = v_task.child_status
    for update skip locked;

    if not found or (v_task.verdict = 'retries' and not quantumflow._retry_in_place(v_run, p_now)) then
      v_due[n].verdict := 'later';
      v_due[n].later_at := p_now + interval '100 ms';
    elsif v_run.status in ('started', 'paused') then
      -- What it has not done by now is to begin again.
      perform quantumflow._cancel_runs(array[v_run.id], v_task.error_message, p_now);
    end if;
  end loop;

  return v_due;
end
$_hold_ended_children$;

comment on function quantumflow._hold_ended_children(quantumflow._due_task[], timestamptz) is
'Locks the children that are to be retried, or whose failure is to be taken as final, without waiting; retries them in place, and cancels those that
have run out of time and are to be tried again. What somebody holds, or is not as it was, is judged again in 100 ms.';

create function quantumflow._retry_in_place(p_child quantumflow.workflow_runs, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_retry_in_place$
declare
  v_free bigint;
begin
  -- Its end may still be worked off.
  if exists (select from quantumflow._unfinished_ends e where e.run_id = p_child.id) then
    return false;
  end if;

  select
    (select count(*) from (select from quantumflow.step_tasks t where t.run_id = p_child.id for update skip locked) t)
    + (select count(*) from (select from quantumflow.step_states s where s.run_id = p_child.id for update skip locked) s)
  into v_free;

  if v_free < (
    (select count(*) from quantumflow.step_tasks t where t.run_id = p_child.id)
    + (select count(*) from quantumflow.step_states s where s.run_id = p_child.id))
  then
    return false;
  end if;

  perform quantumflow._retry(p_child, array(select p from quantumflow._plan_retry(p_child, null, null, false) p), p_now);

  return true;
end
$_retry_in_place$;

comment on function quantumflow._retry_in_place(quantumflow.workflow_runs, timestamptz) is
'Runs again what a child, which the caller holds, did not finish, unless somebody holds a row of it; whether it does.';

create function quantumflow._try_children_again(p_due quantumflow._due_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_try_children_again$
begin
  if p_due = '{}' then
    return;
  end if;

  perform quantumflow._record_failures(
    array(select row(d.held, d.kind, d.error_message, null, false)::quantumflow._failed_attempt from unnest(p_due) d), p_now);

  update quantumflow.step_tasks t
  set
    status = 'queued',
    lease_token = null,
    queued_at = p_now,
    error_message = d.error_message
  from unnest(p_due) d
  where t.run_id is not distinct from (d.held).run_id
    and t.ctid = (d.held).tid;

  perform quantumflow._set_vt(
    quantumflow._system_queue(),
    array_agg((d.held).message_id),
    array_agg(case (d.held).run_status when 'paused' then 'infinity' else p_now end))
  from unnest(p_due) d;
end
$_try_children_again$;

comment on function quantumflow._try_children_again(quantumflow._due_task[], timestamptz) is
'Writes to the history that the children of tasks have failed, and lets the tasks begin once more: settling them again retries these in place.';

create function quantumflow._settled_by_hand(p_held quantumflow._held_task, p_ends boolean, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settled_by_hand$
begin
  perform quantumflow._end_children(array[p_held.run_id], p_now);

  if p_held.known_tasks is not null then
    return;
  end if;

  if p_ends and p_held.queued_at < 'infinity' then
    perform quantumflow._let_children_go(p_held.run_id, p_held.step_slug, 1, p_now);
  elsif not p_ends and p_held.queued_at = 'infinity' then
    -- Who let another go meanwhile passed over this one, which was held: with the step in hand that is known.
    perform
    from quantumflow.step_states s
    where (s.run_id, s.step_slug) = (p_held.run_id, p_held.step_slug)
    for no key update;

    perform quantumflow._let_children_go(
      p_held.run_id, p_held.step_slug, quantumflow._children_that_may_go(p_held.run_id, p_held.step_slug), p_now);
  end if;
end
$_settled_by_hand$;

comment on function quantumflow._settled_by_hand(quantumflow._held_task, boolean, timestamptz) is
'What a report by hand of a task that is settled leads to: its child is not wanted any more, and of a map of children the next one goes, if this one
had been let go.';
