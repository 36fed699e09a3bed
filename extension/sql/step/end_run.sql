create function quantumflow._finish_runs(p_ended quantumflow._ended_run[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_finish_runs$
declare
  v_completed uuid[];
  v_children  uuid[];
  v_turns     uuid[];
  v_announced uuid[];
  v_timed     uuid[];
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
      and r.id is not distinct from k.run_id
      and r.ctid = c.tid
    returning r.id, r.parent_run_id, r.turn_key, r.announced
  )
  select
    array_agg(c.id), array_agg(c.id) filter (where c.parent_run_id is not null), array_agg(c.id) filter (where c.turn_key is not null),
    array_agg(c.id) filter (where c.announced)
  into v_completed, v_children, v_turns, v_announced
  from completed c;

  if v_announced is not null then
    perform quantumflow._tell_of_runs('run_ended', v_announced);
  end if;

  if v_turns is not null then
    perform quantumflow._end_turns(v_turns, p_now);
  end if;

  if v_completed is not null then
    v_timed := quantumflow._fire_callbacks(v_completed, p_now);
  end if;

  if v_timed is not null then
    perform quantumflow._stop_runs(v_timed, p_now);
  end if;

  if v_children is not null then
    perform quantumflow._wake_parents(v_children, p_now);
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
'Where runs complete, but for those that one step concludes, see _count_finished. Runs whose output is too large for one jsonb value fail instead, with QF209 in error_message.';

create function quantumflow._fail_run(p_run_id uuid, p_error_message text, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_run$
declare
  v_parent_id uuid;
  v_turn_key  text;
  v_announced boolean;
begin
  update quantumflow.workflow_runs r
  set
    status = 'failed',
    failed_at = p_now,
    error_message = p_error_message
  where r.id = p_run_id
    and r.status in ('started', 'paused')
  returning r.parent_run_id, r.turn_key, r.announced
  into v_parent_id, v_turn_key, v_announced;

  if not found then
    return;
  end if;

  if v_announced then
    perform quantumflow._tell_of_runs('run_ended', array[p_run_id]);
  end if;

  if v_turn_key is not null then
    perform quantumflow._end_turns(array[p_run_id], p_now);
  end if;

  perform quantumflow._stop_runs(array[p_run_id], p_now);

  -- A child may be tried again: who waits for it says when its failure is final.
  if v_parent_id is null then
    perform quantumflow._fire_callbacks(array[p_run_id], p_now);
  else
    perform quantumflow._wake_parents(array[p_run_id], p_now);
  end if;
end
$_fail_run$;

comment on function quantumflow._fail_run(uuid, text, timestamptz) is
'Fails a run: what is left of it is cancelled, its messages go, its on_failure task is made, or, of a child, its parent is told. The first failure
is the one recorded.';

create function quantumflow._stop_runs(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_stop_runs$
declare
  v_batch   record;
  v_waits boolean := false;
begin
  -- Rows that others hold are skipped, never waited for: their holders may be waiting for the run.
  for v_batch in
    select
      t.queue, array_agg(t.run_id) as run_ids, array_agg(t.tid) as tids, array_agg(t.message_id) as msg_ids,
      bool_or(t.has_child) as have_children
    from (
      select l.run_id, l.ctid as tid, l.queue, l.message_id, w.has_child
      from quantumflow.step_tasks l
      cross join lateral (
        select k.child_flow is not null as has_child
        from quantumflow.workflow_runs r
        join quantumflow.workflow_steps k
          on (k.workflow_slug, k.version, k.step_slug) = (r.workflow_slug, r.version, l.step_slug)
        where r.id = l.run_id
          and (k.counts or k.settled)
        limit 1
      ) w
      where l.run_id = any (p_run_ids)
        and l.status in ('queued', 'started')
      for update of l skip locked
    ) t
    group by t.queue
    order by t.queue
  loop
    perform quantumflow._cancel_tasks(v_batch.queue, v_batch.run_ids, v_batch.tids, v_batch.msg_ids);
    v_waits := v_waits or v_batch.have_children;
  end loop;

  with held as (
    select s.run_id, s.ctid as tid
    from quantumflow.step_states s
    where s.run_id = any (p_run_ids)
      and s.status in ('created', 'started')
    for no key update skip locked
  )
  update quantumflow.step_states s
  set status = 'cancelled'
  from held h
  where s.run_id is not distinct from h.run_id
    and s.ctid = h.tid;

  insert into quantumflow._unfinished_ends (run_id, recorded_at)
  select u.run_id, p_now
  from unnest(p_run_ids) u (run_id)
  where quantumflow._has_live_rows(u.run_id)
  on conflict do nothing;

  if v_waits then
    perform quantumflow._end_children(p_run_ids, p_now);
  end if;
end
$_stop_runs$;

comment on function quantumflow._stop_runs(uuid[], timestamptz) is
'Cancels what is left of runs that have just ended and removes its messages. The caller holds the runs: FOR UPDATE, or, where an output
proved too large or a step failed at the gate, FOR NO KEY UPDATE, beside claims and reports whose leftovers the next claim or sweep finishes.

Rows that another transaction holds are left to it, and the run is recorded in _unfinished_ends for the next claim or sweep.';

create function quantumflow._cancel_runs(p_run_ids uuid[], p_reason text, p_now timestamptz)
returns setof quantumflow.workflow_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_cancel_runs$
begin
  return query
  update quantumflow.workflow_runs r
  set
    status = 'cancelled',
    cancelled_at = p_now,
    error_message = quantumflow._cut(p_reason)
  where r.id = any (p_run_ids)
  returning *;

  perform quantumflow._stop_runs(p_run_ids, p_now);
  perform quantumflow._tell_of_runs('run_ended', array(select r.id from quantumflow.workflow_runs r where r.id = any (p_run_ids) and r.announced));

  if exists (select from quantumflow._run_turns t where t.run_id = any (p_run_ids)) then
    perform quantumflow._end_turns(p_run_ids, p_now);
  end if;
end
$_cancel_runs$;

comment on function quantumflow._cancel_runs(uuid[], text, timestamptz) is
'Cancels runs that go on, which the caller holds FOR UPDATE; the runs then. Who waits for one as for its child is not told.';

create function quantumflow._end_children(p_run_ids uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_children$
declare
  v_held uuid[] := array(
    select r.id
    from quantumflow.workflow_runs r
    where r.parent_run_id = any (p_run_ids)
      and r.status in ('started', 'paused')
    order by r.id
    for update skip locked);
begin
  perform quantumflow._end_unwanted(v_held, p_now);

  insert into quantumflow._tree_work (run_id, recorded_at)
  select r.id, p_now
  from quantumflow.workflow_runs r
  where r.parent_run_id = any (p_run_ids)
    and r.status in ('started', 'paused')
    and r.id <> all (v_held);
end
$_end_children$;

comment on function quantumflow._end_children(uuid[], timestamptz) is
'Cancels the children of these runs that are not wanted any more, with all below them; waits for nobody, and notes those that somebody holds. The
caller holds the runs.';

create function quantumflow._end_unwanted(p_children uuid[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_end_unwanted$
declare
  v_wanted uuid[];
begin
  if p_children = '{}' then
    return;
  end if;

  -- Asked when they are held: who starts, or retries, one without holding its parent leaves a note.
  v_wanted := quantumflow._wanted_children(p_children);

  if cardinality(v_wanted) < cardinality(p_children) then
    perform quantumflow._cancel_runs(
      array(select c from unnest(p_children) c where c <> all (v_wanted)), 'the run that started it does not wait for it any more', p_now);
  end if;
end
$_end_unwanted$;

comment on function quantumflow._end_unwanted(uuid[], timestamptz) is
'Cancels those of these children that are not wanted any more. The caller holds them FOR UPDATE, and they go on.';

create function quantumflow._cancel_tasks(p_queue text, p_run_ids uuid[], p_tids tid[], p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_cancel_tasks$
declare
  -- A claim may still hold the message of a task that it could not lock.
  v_busy    bigint[] := quantumflow._remove_free_messages(p_queue, p_msg_ids);
  v_run_ids uuid[];
  v_steps   text[];
  v_indexes int[];
  v_at_work uuid[];
begin
  with cancelled as (
    update quantumflow.step_tasks t
    set status = 'cancelled'
    from unnest(p_run_ids, p_tids, p_msg_ids) h (run_id, tid, message_id)
    where h.message_id <> all (v_busy)
      and t.run_id is not distinct from h.run_id
      and t.ctid = h.tid
    returning t.run_id, t.step_slug, t.task_index, t.limit_key, t.lease_token
  )
  select
    array_agg(c.run_id) filter (where c.limit_key is not null), array_agg(c.step_slug) filter (where c.limit_key is not null),
    array_agg(c.task_index) filter (where c.limit_key is not null), array_agg(distinct c.run_id) filter (where c.lease_token is not null)
  into v_run_ids, v_steps, v_indexes, v_at_work
  from cancelled c;

  -- What claims had met while its flow was paused; what a resume holds now goes with that.
  if exists (select from quantumflow._parked) then
    delete from quantumflow._parked k
    where k.ctid = any (array(
      select l.ctid
      from quantumflow._parked l
      where l.queue = p_queue
        and l.message_id = any (p_msg_ids)
        and l.message_id <> all (v_busy)
      for update skip locked));
  end if;

  if v_at_work is not null then
    perform quantumflow._tell_of_runs('tasks_cancelled', v_at_work);
  end if;

  if v_run_ids is not null then
    perform quantumflow._leave_limits(v_run_ids, v_steps, v_indexes, quantumflow._now(), false);
  end if;
end
$_cancel_tasks$;

comment on function quantumflow._cancel_tasks(text, uuid[], tid[], bigint[]) is
'Cancels tasks of a queue, which the caller holds, and removes their messages, but for those whose message somebody else holds.';

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
        and exists (
          select
          from quantumflow.workflow_runs r
          join quantumflow.workflow_steps w
            on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, t.step_slug)
          where r.id = t.run_id
            and (w.counts or w.settled)
          offset 0
        )
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
'Whether a run has a task or step, callbacks aside, that has not ended; its deadline is one of them.';

create function quantumflow._stop_steps(p_steps quantumflow._step_ref[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_stop_steps$
declare
  v_batch   record;
  v_settled boolean := false;
begin
  -- Rows that others hold are skipped, never waited for: their holders may be waiting for the step.
  for v_batch in
    select t.queue, array_agg(t.run_id) as run_ids, array_agg(t.tid) as tids, array_agg(t.message_id) as msg_ids
    from unnest(p_steps) k
    cross join lateral (
      select l.run_id, l.ctid as tid, l.queue, l.message_id
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug) = (k.run_id, k.step_slug)
        and l.status in ('queued', 'started')
      for update skip locked
    ) t
    group by t.queue
    order by t.queue
  loop
    perform quantumflow._cancel_tasks(v_batch.queue, v_batch.run_ids, v_batch.tids, v_batch.msg_ids);
    v_settled := v_settled or v_batch.queue = quantumflow._system_queue();
  end loop;

  insert into quantumflow._unfinished_ends (run_id, recorded_at)
  select distinct k.run_id, p_now
  from unnest(p_steps) k
  where exists (
    select
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (k.run_id, k.step_slug)
      and t.status in ('queued', 'started')
  )
  on conflict do nothing;

  if v_settled then
    perform quantumflow._end_children(array(select distinct k.run_id from unnest(p_steps) k), p_now);
  end if;
end
$_stop_steps$;

comment on function quantumflow._stop_steps(quantumflow._step_ref[], timestamptz) is
'Cancels what is left of the tasks of steps that have ended while their runs go on, and removes its messages. Tasks that another transaction
holds are left to it, and the run is recorded in _unfinished_ends for the next claim or sweep.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._has_ended(p_status text, p_goes_on boolean)
returns boolean
language sql
immutable
return p_status in ('completed', 'skipped') or (p_status = 'failed' and p_goes_on);

comment on function quantumflow._has_ended(text, boolean) is
'Whether a step of this status has ended as its run goes on, so that what waits for it need not wait any longer; p_goes_on: what its row in
workflow_steps says.';

create function quantumflow._stopped_steps(p_run_ids uuid[])
returns quantumflow._step_ref[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_stopped_steps$
begin
  return array(
    select row(s.run_id, s.step_slug, null, null, true, null, true, null)::quantumflow._step_ref
    from quantumflow.step_states s
    join quantumflow.workflow_runs r
      on r.id = s.run_id
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, s.step_slug)
    where s.run_id = any (p_run_ids)
      and quantumflow._has_ended(s.status, w.goes_on)
      and exists (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug) = (s.run_id, s.step_slug)
          and t.status in ('queued', 'started')
        offset 0
      )
    order by s.run_id, s.step_slug);
end
$_stopped_steps$;

comment on function quantumflow._stopped_steps(uuid[]) is
'The steps of runs that have ended and have a task that has not.';

create function quantumflow._finish_ends(p_runs int, p_now timestamptz)
returns int
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_finish_ends$
declare
  v_recorded uuid[];
  v_held     uuid[];
  v_going_on uuid[];
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

  select array_agg(u.id) filter (where u.has_ended), coalesce(array_agg(u.id) filter (where not u.has_ended), '{}')
  into v_held, v_going_on
  from (
    select r.id, r.status in ('completed', 'failed', 'cancelled') as has_ended
    from quantumflow.workflow_runs r
    where r.id = any (v_recorded)
    for update skip locked
  ) u;

  perform quantumflow._stop_runs(v_held, p_now);
  perform quantumflow._stop_steps(quantumflow._stopped_steps(v_going_on), p_now);

  delete from quantumflow._unfinished_ends e
  where e.run_id = any (v_recorded)
    and not case
      when e.run_id = any (v_going_on) then quantumflow._stopped_steps(array[e.run_id]) <> '{}'
      else quantumflow._has_live_rows(e.run_id)
    end;

  return coalesce(cardinality(v_held || v_going_on), 0);
end
$_finish_ends$;

comment on function quantumflow._finish_ends(int, timestamptz) is
'Finishes the ends recorded in _unfinished_ends, of runs and of steps without which theirs go on, at most p_runs of them, waiting for nothing.
Returns how many runs it looked at.';
