-- What becomes of an attempt that does not complete, whoever finds that out: a report, a claim, or a sweep.

create type quantumflow._failed_attempt as (
  held          quantumflow._held_task,
  kind          text,
  error_message text,
  error_details jsonb,
  reported      boolean
);

comment on type quantumflow._failed_attempt is
'An attempt that has not completed: its task as it was, and what is to be recorded. kind: error, timeout or lost. reported:
it was, and not found by its lease.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._began_at(p_held quantumflow._held_task, p_now timestamptz)
returns timestamptz
language sql
stable
return greatest(p_held.started_at, p_now - p_held.seconds);

comment on function quantumflow._began_at(quantumflow._held_task, timestamptz) is
'When the handler of an attempt that ends now began: as its report says, but not before the claim; else the claim.';

create function quantumflow._record_failures(p_attempts quantumflow._failed_attempt[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_failures$
begin
  insert into quantumflow.task_failures
    (run_id, step_slug, task_index, retries, attempt, kind, worker_id, lease_token, started_at, ended_at,
     error_message, error_details, due_at, reported, usage)
  select
    h.run_id, h.step_slug, h.task_index, h.retries,
    h.attempts + (h.status = 'queued')::int,
    f.kind,
    case h.status when 'started' then h.worker_id end,
    case h.status when 'started' then h.lease_token end,
    case h.status when 'started' then quantumflow._began_at(f.held, p_now) end,
    p_now, f.error_message, f.error_details, h.queued_at, f.reported, h.usage
  from unnest(p_attempts) f
  cross join lateral (select (f.held).*) h;
end
$_record_failures$;

comment on function quantumflow._record_failures(quantumflow._failed_attempt[], timestamptz) is
'Writes attempts that did not complete to the history. What is failed by hand while queued counts as an attempt of nobody.';

create function quantumflow._fail_for_good(p_attempts quantumflow._failed_attempt[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_for_good$
begin
  perform quantumflow._record_failures(p_attempts, p_now);

  update quantumflow.step_tasks t
  set
    status = 'failed',
    attempts = h.attempts + (h.status = 'queued')::int,
    losses = h.losses + (f.kind = 'lost')::int,
    lease_token = case when f.reported then t.lease_token end,
    started_at = quantumflow._began_at(f.held, p_now),
    failed_at = p_now,
    error_message = f.error_message
  from unnest(p_attempts) f
  cross join lateral (select (f.held).*) h
  where t.run_id is not distinct from h.run_id
    and t.ctid = h.tid;

  perform quantumflow._remove_messages(h.queue, array_agg(h.message_id order by h.message_id))
  from unnest(p_attempts) f
  cross join lateral (select (f.held).*) h
  group by h.queue
  order by h.queue;

  perform quantumflow._fail_step(
    h.run_id, h.step_slug, h.task_index, h.known_tasks,
    case
      when f.reported then f.error_message
      else format('%s (attempt %s, lost %s times)', f.error_message, h.attempts, h.losses + (f.kind = 'lost')::int)
    end,
    p_now)
  from unnest(p_attempts) f
  cross join lateral (select (f.held).*) h
  where h.counts;
end
$_fail_for_good$;

comment on function quantumflow._fail_for_good(quantumflow._failed_attempt[], timestamptz) is
'The one way in which tasks fail for good: history, row, message, then step and run, which a callback does not concern. The caller holds
tasks, steps and runs.

A task that was reported with an output that offends has failed by the update that recorded it; its row has moved, and is left as it is.
A lease that ran out is void, so its token goes; that of a reported failure stays, to tell a duplicate.';

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
