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
  v_done quantumflow._completion;
begin
  v_done := quantumflow._complete(
    jsonb_build_array(jsonb_build_object(
      'run_id', complete_task.run_id,
      'step_slug', complete_task.step_slug,
      'task_index', complete_task.task_index,
      'lease_token', complete_task.lease_token,
      'output', complete_task.output)),
    quantumflow._now(), null, p_by_hand => true);

  return quantumflow._answer_by_hand(v_done.held, 'complete_task', 'completed', complete_task.lease_token);
end
$complete_task$;

comment on function quantumflow.complete_task(uuid, text, int, jsonb, bigint) is
'Completes a task by hand: complete_tasks with one result. Returns its outcome.

Without a lease_token it acts on whatever attempt is live, a queued task too, and audit_log and the server''s log say who did it.

Errors: none of its own; a task that does not exist is "stale".';

create function quantumflow.complete_tasks(results jsonb)
returns setof quantumflow.task_outcome
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $complete_tasks$
declare
  v_done quantumflow._completion;
begin
  v_done := quantumflow._complete(
    quantumflow._checked_array(complete_tasks.results, 'results'), quantumflow._now(), null);

  return query
  select *
  from quantumflow._answers(v_done.held, 'completed', complete_tasks.results);
end
$complete_tasks$;

comment on function quantumflow.complete_tasks(jsonb) is
'Reports tasks as done, any number of them, of any runs, in one set of statements.

results: an array of {"run_id", "step_slug", "task_index", "lease_token", "output", "seconds", "usage"}. One bad result never spoils the
others. A result without a lease_token is stale: by hand there is complete_task. So is one with a key that nobody knows, which detail
names; the columns of a claimed task and of step_tasks are known.
seconds: for how long the handler ran, so that started_at is when it began; usage: what it used, {"tokens": 120}. Either may be left out,
and what makes no sense is ignored: a negative number, a text, a usage of more than 4 kB or that is no object of numbers from 0 to 10^18.

Returns a row per result, in order, with its outcome, and why it is no other (reason and detail, see task_outcome):
completed: recorded, and whatever waited for it has started. type_violation: a map maps over this output and it is no array, or a
chunk''s has not an entry for each item; the task and its run failed. failed: the output is too large, see configure(); the task failed without another attempt, and its run, with
QF309 in error_message. duplicate: this attempt has reported before; nothing changed. stale: the lease is somebody else''s by now,
there is no such task, or the result has a key that nobody knows; nothing changed. run_ended: the run was over first, and the result is not kept.

A step that would start and whose queue is gone fails with that reason, and its run with it.

Errors: QF301 results is no array. A report never raises for a race it lost.';

create function quantumflow._complete(
  p_results jsonb,
  p_now     timestamptz,
  p_offer   quantumflow._offer,
  p_by_hand boolean default false)
returns quantumflow._completion
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_complete$
declare
  v_held  quantumflow._held_task[];
  v_steps quantumflow._step_progress[];
  v_mode  text;
  v_fails boolean;
  v_offer quantumflow._offer;
begin
  -- Lock: the tasks, which are written at once, their steps, their runs.
  v_held := quantumflow._record_results(p_results, p_now, p_by_hand);
  v_steps := quantumflow._hold_steps(v_held);

  select case
    when bool_or(h.outcome in ('violates', 'fails')) or exists (select from unnest(v_steps) s where s.is_over) then 'update'
    when exists (select from unnest(v_steps) s where s.ends) then 'no key update'
    else 'key share'
  end
  into v_mode
  from unnest(v_held) h;

  v_fails := v_mode = 'update';
  if v_fails then
    v_held := quantumflow._judge_failures(v_held, v_steps);
    v_mode := quantumflow._mode_to_fail(v_held);
  end if;

  v_held := quantumflow._hold_runs(v_held, v_mode);

  -- Change: what came too late, then steps, what they lead to, messages.
  if exists (select from unnest(v_held) h where h.outcome = 'run_ended') then
    perform quantumflow._cancel_late(v_held);
    v_steps := quantumflow._without_ended_runs(v_steps);
  end if;

  v_offer := quantumflow._advance(quantumflow._count_done_tasks(v_steps, p_now), '{}', p_now, p_offer);
  perform quantumflow._remove_reported(v_held);

  if v_fails then
    perform quantumflow._fail_for_good(quantumflow._offending(v_held), p_now);
  end if;

  return row(v_held, v_offer)::quantumflow._completion;
end
$_complete$;

comment on function quantumflow._complete(jsonb, timestamptz, quantumflow._offer, boolean) is
'What complete_tasks does: records results, moves their runs on, and hands what becomes ready over to the worker that has made an
offer, if any. Returns that offer with what was taken, and what became of each result.';

create function quantumflow._record_results(p_results jsonb, p_now timestamptz, p_by_hand boolean)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_results$
declare
  v_held   quantumflow._held_task[] := array[]::quantumflow._held_task[];
  v_read   quantumflow._held_task[] := quantumflow._read_reported(p_results, 'complete', p_by_hand);
  v_missed int[];
begin
  -- Nearly always one turn; another for tasks that somebody changed while this call waited for them, or that were named twice.
  loop
    v_missed := quantumflow._record_outputs(p_results, v_read, p_now);

    exit when v_missed is null;

    v_held := v_held || array(select r from unnest(v_read) r where r.ord <> all (v_missed));
    v_read := quantumflow._read_reported(p_results, 'complete', p_by_hand, v_missed);
  end loop;

  return v_held || v_read;
end
$_record_results$;

comment on function quantumflow._record_results(jsonb, timestamptz, boolean) is
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
      usage = case h.outcome when 'acts' then h.usage end,
      started_at = coalesce(quantumflow._began_at(h, p_now), p_now),
      completed_at = case h.outcome when 'acts' then p_now end,
      failed_at = case when h.outcome <> 'acts' then p_now end,
      error_message = case h.outcome
        when 'violates' then quantumflow._violation(p_results -> h.ord -> 'output', t.item_value)
        when 'fails' then quantumflow._excess(p_results -> h.ord -> 'output', true)
      end
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails')
      and t.run_id is not distinct from h.run_id
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

create function quantumflow._offending(p_held quantumflow._held_task[])
returns quantumflow._failed_attempt[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_offending$
begin
  return array(
    select row(h, 'error', t.error_message, null, true)::quantumflow._failed_attempt
    from unnest(p_held) h
    cross join lateral (
      select l.error_message
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (h.run_id, h.step_slug, h.task_index)
      limit 1
    ) t
    where h.outcome in ('violates', 'fails')
    order by h.run_id, h.step_slug);
end
$_offending$;

comment on function quantumflow._offending(quantumflow._held_task[]) is
'The attempts whose output offends a map or is too large. They were the last, attempts left or not: the same handler would return the same.';
