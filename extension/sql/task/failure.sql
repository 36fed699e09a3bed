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
