-- What becomes of an attempt that does not complete, whoever finds that out: a report, a claim, or a sweep.

create type quantumflow._failed_attempt as (
  held          quantumflow._held_task,
  kind          text,
  error_message text,
  error_details jsonb,
  reported      boolean
);

comment on type quantumflow._failed_attempt is
'An attempt that has not completed: its task as it was, and what is to be recorded. kind: error, timeout, lost, condition or child. reported:
it was, and not found by its lease, or by settle().';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._began_at(p_claimed_at timestamptz, p_seconds interval, p_now timestamptz)
returns timestamptz
language sql
stable
return greatest(p_claimed_at, p_now - p_seconds);

comment on function quantumflow._began_at(timestamptz, interval, timestamptz) is
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
    case h.status when 'started' then quantumflow._began_at(h.started_at, h.seconds, p_now) end,
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
    started_at = quantumflow._began_at(h.started_at, h.seconds, p_now),
    failed_at = p_now,
    error_message = f.error_message
  from unnest(p_attempts) f
  cross join lateral (select (f.held).*) h
  where t.run_id is not distinct from h.run_id
    and t.ctid = h.tid;

  if exists (select from unnest(p_attempts) f where (f.held).if_failed is not null) then
    perform quantumflow._go_on(p_attempts, p_now);
  end if;

  perform quantumflow._remove_messages(h.queue, array_agg(h.message_id order by h.message_id))
  from unnest(p_attempts) f
  cross join lateral (select (f.held).*) h
  group by h.queue
  order by h.queue;

  perform quantumflow._fail_step(h.run_id, h.step_slug, h.task_index, h.known_tasks, quantumflow._error_of_step(f), p_now)
  from unnest(p_attempts) f
  cross join lateral (select (f.held).*) h
  where h.counts
    and h.if_failed is null;
end
$_fail_for_good$;

comment on function quantumflow._fail_for_good(quantumflow._failed_attempt[], timestamptz) is
'The one way in which tasks fail for good: history, row, message, then step and run, which a callback does not concern. A run that goes on
without the task, or without the step, does so here (if_failed). The caller holds tasks, steps and runs.

A task that was reported with an output that offends has failed by the update that recorded it; its row has moved, and is left as it is.
A lease that ran out is void, so its token goes; that of a reported failure stays, to tell a duplicate.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._error_of_step(p_attempt quantumflow._failed_attempt)
returns text
language sql
stable
return case
  when p_attempt.reported or p_attempt.kind not in ('lost', 'timeout') or (p_attempt.held).status = 'queued' then p_attempt.error_message
  else format(
    '%s (attempt %s, lost %s times)',
    p_attempt.error_message, (p_attempt.held).attempts, (p_attempt.held).losses + (p_attempt.kind = 'lost')::int)
end;

comment on function quantumflow._error_of_step(quantumflow._failed_attempt) is
'What a step says of the attempt of its task that failed it.';

create function quantumflow._go_on(p_attempts quantumflow._failed_attempt[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_go_on$
declare
  -- Of several tasks that fail one step the first says why.
  v_failed quantumflow._failed_step[] := array(
    select distinct on (h.run_id, h.step_slug)
      row(h.run_id, h.step_slug, h.workflow_slug, h.version, h.if_failed, quantumflow._error_of_step(f))::quantumflow._failed_step
    from unnest(p_attempts) f
    cross join lateral (select (f.held).*) h
    where h.if_failed in ('fallback', 'step_continues')
    order by h.run_id, h.step_slug, h.task_index);
begin
  perform quantumflow._advance(
    quantumflow._tolerate(array(select f.held from unnest(p_attempts) f where (f.held).if_failed = 'tolerated'), p_now)
      || quantumflow._go_on_without(v_failed, p_now),
    '{}', p_now);
end
$_go_on$;

comment on function quantumflow._go_on(quantumflow._failed_attempt[], timestamptz) is
'Lets runs go on without the tasks, or the steps, of attempts that were the last, where if_failed says so. The caller holds these.';

create function quantumflow._hold_for_failure(p_task quantumflow._held_task)
returns quantumflow._held_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_for_failure$
begin
  -- What is over, because its run has gone on without it, is left to _finish_ends.
  perform
  from quantumflow.step_states s
  where (s.run_id, s.step_slug) = (p_task.run_id, p_task.step_slug)
    and s.status = 'started'
  for no key update skip locked;

  if not found then
    return null;
  end if;

  perform
  from quantumflow.workflow_runs r
  where r.id = p_task.run_id
    and r.status in ('started', 'paused')
  for update skip locked;

  if not found then
    return null;
  end if;

  p_task.outcome := 'fails';
  p_task := (quantumflow._judge_failures(array[p_task], '{}'))[1];

  if p_task.if_failed is not null and not quantumflow._hold_what_waits(p_task.run_id) then
    return null;
  end if;

  return p_task;
end
$_hold_for_failure$;

comment on function quantumflow._hold_for_failure(quantumflow._held_task) is
'Tries to lock what it takes to fail a task for good, without waiting: its step and its live run and, where the run goes on without it, what
waits for others. Returns the task with what its failure means, and null when somebody holds one of these.';

create function quantumflow._hold_what_waits(p_run_id uuid)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_what_waits$
declare
  v_held int;
begin
  select count(*)
  into v_held
  from (
    select
    from quantumflow.step_states s
    where s.run_id = p_run_id
      and s.status = 'created'
    for no key update skip locked
  ) h;

  return v_held = (
    select count(*)
    from quantumflow.step_states s
    where s.run_id = p_run_id
      and s.status = 'created');
end
$_hold_what_waits$;

comment on function quantumflow._hold_what_waits(uuid) is
'Tries to lock the steps of a run that have not started, without waiting: what may start, or be skipped, when another ends. False when
somebody holds one of them. The caller holds the run.';

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
