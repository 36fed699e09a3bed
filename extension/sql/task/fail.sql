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
  v_held quantumflow._held_task[];
begin
  v_held := quantumflow._fail(
    jsonb_build_array(jsonb_build_object(
      'run_id', fail_task.run_id,
      'step_slug', fail_task.step_slug,
      'task_index', fail_task.task_index,
      'lease_token', fail_task.lease_token,
      'error_message', fail_task.error_message,
      'retryable', fail_task.retryable,
      'retry_after', extract(epoch from fail_task.retry_after),
      'error_details', fail_task.error_details)),
    quantumflow._now(), p_by_hand => true);

  if v_held[1].queue = quantumflow._system_queue() then
    perform quantumflow._settled_by_hand(v_held[1], v_held[1].outcome = 'fails', quantumflow._now());
  end if;

  return quantumflow._answer_by_hand(v_held, 'fail_task', 'retrying', fail_task.lease_token);
end
$fail_task$;

comment on function quantumflow.fail_task(uuid, text, int, text, bigint, boolean, interval, jsonb) is
'Fails a task by hand: fail_tasks with one result. Returns its outcome.

retryable false fails the task for good; retry_after replaces the step''s own delay before the next attempt.
Without a lease_token it acts on whatever attempt is live, a queued task too, and audit_log and the server''s log say who did it.

Errors: none of its own; a task that does not exist is "stale".';

create function quantumflow.fail_tasks(results jsonb)
returns setof quantumflow.task_outcome
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $fail_tasks$
declare
  v_held quantumflow._held_task[];
begin
  v_held := quantumflow._fail(quantumflow._checked_array(fail_tasks.results, 'results'), quantumflow._now());

  return query
  select *
  from quantumflow._answers(v_held, 'retrying', fail_tasks.results);
end
$fail_tasks$;

comment on function quantumflow.fail_tasks(jsonb) is
'Reports tasks as failed, any number of them, of any runs.

results: an array of {"run_id", "step_slug", "task_index", "lease_token", "error_message", "retryable", "retry_after",
"error_details", "seconds", "usage"}; retry_after is in seconds, and seconds and usage are as for complete_tasks. One bad result never
spoils the others, and one with a key that nobody knows is stale. An error_message over max_error_bytes is cut,
and such error_details are left out, with a note in their place. What is reported when the deadline of its attempt has passed is a failure
of kind timeout, and says so before its message.

Returns a row per result, in order, with its outcome, and why it is no other (reason and detail, see task_outcome):
retrying: the task is queued again, after retry_after or retry_delay * 2^(failures - 1), capped and jittered. failed: attempts are
used up or retryable is false; the task and its run failed. duplicate, stale, run_ended: as complete_tasks.

Errors: QF301 results is no array. A report never raises for a race it lost.';

create function quantumflow._fail(p_results jsonb, p_now timestamptz, p_by_hand boolean default false)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail$
declare
  v_held     quantumflow._held_task[];
  v_progress quantumflow._progress;
  v_runs     quantumflow._held_runs;
begin
  -- Lock: the tasks, the steps that fail, the runs.
  v_held := quantumflow._hold_reported(p_results, 'fail', p_by_hand);
  v_progress := quantumflow._hold_steps(array(select h from unnest(v_held) h where h.outcome = 'fails'));

  if v_progress.steps is null then
    v_runs := quantumflow._hold_runs(quantumflow._runs_of(v_held), 'key share');
  else
    v_held := quantumflow._judge_failures(v_held, v_progress.steps);
    v_runs := quantumflow._hold_runs(quantumflow._runs_of(v_held), quantumflow._mode_to_fail(v_held));
  end if;

  if v_runs.changed is not null then
    v_held := quantumflow._as_their_runs_are(v_held);
  end if;

  if v_progress.steps is not null then
    v_held := quantumflow._end_with_others(v_held);
  end if;

  -- Change: tasks and their history, messages, runs.
  if exists (select from unnest(v_held) h where h.outcome = 'run_ended') then
    perform quantumflow._cancel_late(v_held);
  end if;

  perform quantumflow._fail_reported(p_results, v_held, p_now);

  if v_runs.children is not null and v_progress.steps is not null then
    perform quantumflow._settle_parents(v_runs.children, p_now);
  end if;

  return v_held;
end
$_fail$;

comment on function quantumflow._fail(jsonb, timestamptz, boolean) is
'What fail_tasks does: records failures, and fails the runs in which no attempt is left. Returns what became of each result.';

create function quantumflow._end_with_others(p_held quantumflow._held_task[])
returns quantumflow._held_task[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_end_with_others$
declare
  v_held  quantumflow._held_task[] := p_held;
  v_task  quantumflow._held_task;
  v_runs  jsonb;
  v_steps jsonb;
begin
  select
    coalesce(jsonb_object_agg(h.run_id, true) filter (where h.if_failed is null), '{}'),
    coalesce(jsonb_object_agg(h.run_id || '/' || h.step_slug, true), '{}')
  into v_runs, v_steps
  from unnest(p_held) h
  where h.outcome = 'fails'
    and h.counts
    and h.if_failed is distinct from 'tolerated';

  for n in 1 .. cardinality(v_held) loop
    v_task := v_held[n];

    if v_task.outcome = 'acts'
      and v_task.counts
      and (v_runs ? v_task.run_id::text or v_steps ? (v_task.run_id || '/' || v_task.step_slug))
    then
      v_held[n].outcome := 'run_ended';
    end if;
  end loop;

  return v_held;
end
$_end_with_others$;

comment on function quantumflow._end_with_others(quantumflow._held_task[]) is
'A run that fails here ends for the other tasks of the batch too, and so does a step: none of these will be tried again, and their outcome is
run_ended.';

create function quantumflow._fail_reported(p_results jsonb, p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_reported$
declare
  v_again quantumflow._failed_attempt[];
  v_last  quantumflow._failed_attempt[];
begin
  select
    array_agg(k.attempt) filter (where (k.attempt).held.outcome = 'acts'),
    array_agg(k.attempt) filter (where (k.attempt).held.outcome = 'fails')
  into v_again, v_last
  from (
    select
      row(
        h,
        case when t.is_late then 'timeout' else 'error' end,
        quantumflow._error_of(p_results -> h.ord, case when t.is_late then h.timeout end),
        quantumflow._details_of(p_results -> h.ord),
        true
      )::quantumflow._failed_attempt as attempt
    from unnest(p_held) h
    cross join lateral (select h.status = 'started' and p_now >= h.started_at + h.timeout as is_late) t
    where h.outcome in ('acts', 'fails')
    offset 0
  ) k;

  if v_again is not null then
    perform quantumflow._try_again(p_results, v_again, p_now);
  end if;

  if v_last is not null then
    perform quantumflow._fail_for_good(v_last, p_now);
  end if;

  perform quantumflow._leave_limits_of(array(select h from unnest(p_held) h where h.limit_key is not null), p_now);
end
$_fail_reported$;

comment on function quantumflow._fail_reported(jsonb, quantumflow._held_task[], timestamptz) is
'Writes reported failures: the tasks are queued again, or fail for good where no attempt is left.';

create function quantumflow._try_again(p_results jsonb, p_attempts quantumflow._failed_attempt[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_try_again$
declare
  v_batch record;
begin
  perform quantumflow._record_failures(p_attempts, p_now);

  for v_batch in
    with failed as (
      update quantumflow.step_tasks t
      set
        status = 'queued',
        attempts = h.attempts + (h.status = 'queued')::int,
        started_at = quantumflow._began_at(h.started_at, h.seconds, p_now),
        -- A map's child that has to wait for others goes on waiting.
        queued_at = case when t.queue = quantumflow._system_queue() and t.queued_at = 'infinity' then 'infinity' else p_now + d.delay end,
        error_message = f.error_message
      from unnest(p_attempts) f
      cross join lateral (select (f.held).*) h
      cross join lateral (
        select coalesce(
          quantumflow._retry_after(p_results -> h.ord -> 'retry_after'),
          quantumflow._retry_delay(w.retry_delay, h.attempts + (h.status = 'queued')::int - h.losses)) as delay
        from quantumflow.workflow_steps w
        where (w.workflow_slug, w.version, w.step_slug) = (h.workflow_slug, h.version, h.step_slug)
        limit 1
      ) d
      where t.run_id is not distinct from h.run_id
        and t.ctid = h.tid
      returning t.queue, t.message_id, case h.run_status when 'paused' then 'infinity' else t.queued_at end as vt
    )
    select f.queue, array_agg(f.message_id) as msg_ids, array_agg(f.vt) as vts
    from failed f
    group by f.queue
    order by f.queue
  loop
    perform quantumflow._redelay(v_batch.queue, v_batch.msg_ids, v_batch.vts);
  end loop;
end
$_try_again$;

comment on function quantumflow._try_again(jsonb, quantumflow._failed_attempt[], timestamptz) is
'Lets tasks whose attempt was reported as failed be claimed again: after their delay, and not while their run is paused.';

create function quantumflow._error_of(p_result jsonb, p_timeout interval)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_error_of$
begin
  return coalesce(
    quantumflow._cut(
      case when p_timeout is not null then format('timed out after %s: ', p_timeout) else '' end || (p_result ->> 'error_message')),
    'timed out after ' || p_timeout::text,
    'failed without a message');
end
$_error_of$;

comment on function quantumflow._error_of(jsonb, interval) is
'The error message of a reported failure; p_timeout: of one that was reported when the deadline had passed.';

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

  -- Rounded, since what is next to nothing is out of range of a double.
  if jsonb_typeof(p_seconds) = 'number' or p_seconds #>> '{}' ~ '^-?[0-9]{1,30}([.][0-9]{1,30})?$' then
    return make_interval(secs => round(least(greatest((p_seconds #>> '{}')::numeric, 0), 31536000), 6)::double precision);
  end if;

  return null;
end
$_retry_after$;

comment on function quantumflow._retry_after(jsonb) is
'The delay a failure asked for, 0 s to 365 days; null when it asked for none.';
