-- What complete and fail share: which reports count, and the locks they take, in the order tasks, steps, runs.

create function quantumflow._refuse_no_array(p_value jsonb, p_name text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_no_array$
begin
  raise exception '% must be a JSON array', p_name
  using
    errcode = 'QF301',
    detail = format('It is %s.', coalesce('JSON of type ' || jsonb_typeof(p_value), 'null')),
    hint = 'For example [{"run_id": "...", "step_slug": "...", "task_index": 0, "lease_token": 1}].';
end
$_refuse_no_array$;

comment on function quantumflow._refuse_no_array(jsonb, text) is
'Refuses what should be an array of reports.

Errors: QF301 always.';

-- Without paths of their own, so that they are inlined where they are called.

create function quantumflow._checked_array(p_value jsonb, p_name text)
returns jsonb
language sql
stable
return case
  when jsonb_typeof(p_value) = 'array' then p_value
  else quantumflow._refuse_no_array(p_value, p_name)
end;

comment on function quantumflow._checked_array(jsonb, text) is
'The array of reports that it is given, and nothing else.

Errors: QF301 when it is no JSON array.';

create function quantumflow._report_keys()
returns text[]
language sql
immutable
return '{run_id,step_slug,task_index,lease_token,output,error_message,retryable,retry_after,error_details,reason,seconds,usage}'::text[];

comment on function quantumflow._report_keys() is
'The keys of reports, and of what names a task. Not all of them say something to each call, so that one object serves them all.';

create function quantumflow._reported_seconds(p_seconds jsonb)
returns interval
language sql
immutable
return case
  when jsonb_typeof(p_seconds) = 'number' and p_seconds::numeric between 0 and 315360000
  then make_interval(secs => round(p_seconds::numeric, 6)::double precision)
end;

comment on function quantumflow._reported_seconds(jsonb) is
'For how long a handler says that it ran; null where it does not say so, or says what cannot be: no number, negative, over ten years.';

create function quantumflow._reported_usage(p_usage jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_reported_usage$
begin
  if jsonb_typeof(p_usage) <> 'object' or p_usage = '{}' or quantumflow._bytes(p_usage) > 4096 then
    return null;
  end if;

  if exists (
    select
    from jsonb_each(p_usage) k
    where case jsonb_typeof(k.value) when 'number' then k.value::numeric not between 0 and 1e18 else true end
  )
  then
    return null;
  end if;

  return p_usage;
end
$_reported_usage$;

comment on function quantumflow._reported_usage(jsonb) is
'What a handler says that it used, {"tokens": 120}; null where that is no object of numbers from 0 to 10^18, or has more than 4 kB.';

create function quantumflow._unknown_keys(p_report jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_unknown_keys$
begin
  if jsonb_typeof(p_report) <> 'object' then
    return null;
  end if;

  -- What a claim has handed out can be handed back whole, and so can a row of step_tasks.
  return (
    select left(string_agg(format('"%s"', k.key), ', ' order by k.key), 1000)
    from jsonb_each(p_report - quantumflow._report_keys()) k
    where k.value <> 'null'
      and not to_jsonb(jsonb_populate_record(null::quantumflow.claimed_task, '{}')) ? k.key
      and not to_jsonb(jsonb_populate_record(null::quantumflow.step_tasks, '{}')) ? k.key
  );
end
$_unknown_keys$;

comment on function quantumflow._unknown_keys(jsonb) is
'The keys of a report, or of what names a task, that say something and that nobody knows, as a text; null when there is none.

The columns of a claimed task and of step_tasks are known, and mean nothing, so that such a row is a report as soon as it has an output.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._is_odd(p_report jsonb)
returns boolean
language sql
stable
return case
  when jsonb_typeof(p_report) <> 'object' then false
  when p_report - quantumflow._report_keys() = '{}' then false
  else quantumflow._unknown_keys(p_report) is not null
end;

comment on function quantumflow._is_odd(jsonb) is
'Whether a report, or what names a task, has a key that nobody knows.';

create function quantumflow._parse_reports(p_reports jsonb, p_by_hand boolean default false)
returns table (
  ord         int,
  run_id      uuid,
  step_slug   text,
  task_index  int,
  token       text,
  is_by_hand  boolean,
  is_final    boolean,
  seconds     interval,
  usage       jsonb,
  is_odd      boolean)
language sql
stable
begin atomic
  select
    (e.n - 1)::int,
    quantumflow._as_uuid(e.report ->> 'run_id'),
    e.report ->> 'step_slug',
    quantumflow._as_number(e.report ->> 'task_index', 9)::int,
    e.report ->> 'lease_token',
    p_by_hand and coalesce(jsonb_typeof(e.report -> 'lease_token') = 'null', false),
    coalesce(e.report ->> 'retryable' = 'false', false),
    quantumflow._reported_seconds(e.report -> 'seconds'),
    case when e.report -> 'usage' is not null then quantumflow._reported_usage(e.report -> 'usage') end,
    quantumflow._is_odd(e.report)
  from jsonb_array_elements(p_reports) with ordinality e (report, n);
end;

comment on function quantumflow._parse_reports(jsonb, boolean) is
'Reads an array of reports or of tasks, whatever it holds: what cannot be read is null, and names no task.

ord counts from 0. token: to be compared with a lease_token as a text. is_by_hand: a person
reports, which p_by_hand says, and the lease_token is null. is_final: retryable is false. is_odd: it has a key that nobody knows.';

create function quantumflow._hold_reported(p_reports jsonb, p_verb text, p_by_hand boolean default false)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_reported$
declare
  v_are_theirs boolean[];
  v_held       quantumflow._held_task[];
  v_last       quantumflow._held_task;
begin
  -- What a report with another token names is not locked: who has the lease is not to wait for it.
  select array_agg(t.is_theirs is true)
  into v_are_theirs
  from (
    select p.run_id, p.step_slug, p.task_index, p.token, p.is_by_hand
    from quantumflow._parse_reports(p_reports, p_by_hand) p
    order by p.run_id, p.step_slug, p.task_index, p.ord
    offset 0
  ) k
  left join lateral (
    select true as is_theirs
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      and (l.lease_token::text = k.token or k.is_by_hand)
    for update
  ) t on true;

  -- Read in a statement after the one that may have waited, in the same order.
  v_held := quantumflow._read_reported(p_reports, p_verb, p_by_hand);

  for n in 1 .. cardinality(v_held) loop
    if v_held[n].outcome in ('acts', 'violates', 'fails') and not v_are_theirs[n] then
      v_held[n].outcome := 'stale';
    end if;

    if v_held[n].outcome in ('acts', 'fails') then
      if (v_held[n].run_id, v_held[n].tid) = (v_last.run_id, v_last.tid) then
        v_held[n].outcome := 'duplicate';
      end if;

      v_last := v_held[n];
    end if;
  end loop;

  return v_held;
end
$_hold_reported$;

comment on function quantumflow._hold_reported(jsonb, text, boolean) is
'Locks the tasks that reports with their tokens name, in order of their keys, waiting for each, and says what each report comes to. Of
several reports of one attempt the first acts.';

create function quantumflow._read_reported(p_reports jsonb, p_verb text, p_by_hand boolean default false, p_ords int[] default null)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_reported$
declare
  v_may_exceed boolean := p_verb = 'complete' and quantumflow._may_exceed(p_reports);
  v_held       quantumflow._held_task[];
begin
  -- Laterals, so that the reports drive the plan, whatever the statistics say of the tables.
  select array_agg(
    quantumflow._held_task_of(
      p_ord => v.ord,
      p_run_id => v.run_id,
      p_step_slug => v.step_slug,
      p_task_index => v.task_index,
      p_tid => v.tid,
      p_queue => v.queue,
      p_message_id => v.message_id,
      p_status => v.status,
      p_attempts => v.attempts,
      p_losses => v.losses,
      p_worker_id => v.worker_id,
      p_lease_token => v.lease_token,
      p_started_at => v.started_at,
      p_queued_at => v.queued_at,
      p_workflow_slug => v.workflow_slug,
      p_version => v.version,
      p_counts => v.counts,
      p_known_tasks => v.known_tasks,
      p_timeout => v.timeout,
      p_run_status => 'started',
      p_retries => 0,
      p_seconds => v.seconds,
      p_usage => v.usage,
      p_limit_key => v.limit_key,
      p_outcome => case
        when v.is_odd then 'odd'
        when v.status is null then 'stale'
        when v.is_live and v_may_exceed and quantumflow._excess(p_reports -> v.ord -> 'output', v.feeds_map) is not null then 'fails'
        when v.is_live and p_verb = 'complete' and not quantumflow._fits(
          v.feeds_map, v.chunk_size, v.run_id, v.step_slug, v.task_index, p_reports -> v.ord -> 'output')
        then 'violates'
        when v.is_live and p_verb = 'fail' and (v.is_final or v.failures >= v.max_attempts) then 'fails'
        when v.is_live then 'acts'
        when v.is_known and v.status in ('cancelled', 'skipped') then 'run_ended'
        when v.is_known then 'duplicate'
        when v.token is not null and quantumflow._has_failed_with(v.run_id, v.step_slug, v.task_index, v.token)
        then 'duplicate'
        else 'stale'
      end))
  into v_held
  from (
    select
      k.*, t.*, r.*, w.*,
      coalesce(t.is_leased, k.is_by_hand) as is_known,
      case
        when k.is_by_hand then coalesce(t.status in ('started', 'queued'), false)
        else coalesce(t.is_leased and t.status = 'started', false)
      end as is_live,
      -- Failing a queued task by hand counts as an attempt.
      t.attempts + (t.status = 'queued')::int - t.losses as failures
    from (
      select *
      from quantumflow._parse_reports(p_reports, p_by_hand) p
      where p_ords is null
        or p.ord = any (p_ords)
      order by p.run_id, p.step_slug, p.task_index, p.ord
      offset 0
    ) k
    left join lateral (
      select
        l.ctid as tid, l.queue, l.message_id, l.status, l.attempts, l.losses,
        l.worker_id, l.lease_token, l.started_at, l.queued_at, l.limit_key, l.lease_token::text = k.token as is_leased
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      limit 1
    ) t on true
    left join lateral (
      select l.workflow_slug, l.version
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      limit 1
    ) r on true
    left join lateral (
      select l.counts, l.known_tasks, l.timeout, l.feeds_map, l.max_attempts, l.chunk_size
      from quantumflow.workflow_steps l
      where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, k.step_slug)
      limit 1
    ) w on true
  ) v;

  return coalesce(v_held, '{}');
end
$_read_reported$;

comment on function quantumflow._read_reported(jsonb, text, boolean, int[]) is
'The tasks that reports name, in order of their keys, and what each report comes to as they are now; p_ords: only these reports.

p_verb: complete, fail or release. p_by_hand: a result without a lease_token acts on whatever attempt is live. outcome is
"odd" of a report with a key that nobody knows, which changes nothing; for a live attempt, "violates" where an output offends a map or does not fit its
chunk, "fails" where it is too large or no attempt is left, else "acts"; for others duplicate, stale or run_ended, by the precedence
of the manual. Of the run only what never changes is read here; it is assumed to be started, and never retried.';

create function quantumflow._has_failed_with(p_run_id uuid, p_step_slug text, p_task_index int, p_token text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_has_failed_with$
begin
  return exists (
    select
    from quantumflow.task_failures f
    where (f.run_id, f.step_slug, f.task_index) = (p_run_id, p_step_slug, p_task_index)
      and f.lease_token::text = p_token
      and f.reported
  );
end
$_has_failed_with$;

comment on function quantumflow._has_failed_with(uuid, text, int, text) is
'Whether the holder of this lease has reported its failure already.';

create function quantumflow._runs_of(p_held quantumflow._held_task[])
returns uuid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_runs_of$
begin
  return array(
    select h.run_id
    from unnest(p_held) h
    where h.outcome in ('acts', 'violates', 'fails'));
end
$_runs_of$;

comment on function quantumflow._runs_of(quantumflow._held_task[]) is
'The runs of the reports that change something, one for each report.';

create type quantumflow._held_runs as (
  changed  uuid[],
  children uuid[]
);

comment on type quantumflow._held_runs is
'Of runs that were locked those that are not as was assumed, and those that others wait for; null where there is none, as nearly always.';

create function quantumflow._hold_runs(p_run_ids uuid[], p_mode text)
returns quantumflow._held_runs
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_runs$
declare
  v_held quantumflow._held_runs;
begin
  -- One mode for the whole call, the strongest that any of its reports needs: to take a stronger one later could deadlock.
  if p_mode = 'key share' then
    select array_agg(r.id) filter (where r.status <> 'started' or r.retries > 0), array_agg(r.id) filter (where r.parent_run_id is not null)
    into v_held
    from (
      select distinct u.run_id
      from unnest(p_run_ids) u (run_id)
      order by u.run_id
      offset 0
    ) k
    cross join lateral (
      select l.id, l.status, l.retries, l.parent_run_id
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      for key share
    ) r;
  elsif p_mode = 'no key update' then
    select array_agg(r.id) filter (where r.status <> 'started' or r.retries > 0), array_agg(r.id) filter (where r.parent_run_id is not null)
    into v_held
    from (
      select distinct u.run_id
      from unnest(p_run_ids) u (run_id)
      order by u.run_id
      offset 0
    ) k
    cross join lateral (
      select l.id, l.status, l.retries, l.parent_run_id
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      for no key update
    ) r;
  else
    select array_agg(r.id) filter (where r.status <> 'started' or r.retries > 0), array_agg(r.id) filter (where r.parent_run_id is not null)
    into v_held
    from (
      select distinct u.run_id
      from unnest(p_run_ids) u (run_id)
      order by u.run_id
      offset 0
    ) k
    cross join lateral (
      select l.id, l.status, l.retries, l.parent_run_id
      from quantumflow.workflow_runs l
      where l.id = k.run_id
      for update
    ) r;
  end if;

  return v_held;
end
$_hold_runs$;

comment on function quantumflow._hold_runs(uuid[], text) is
'Locks runs, in order of their ids, waiting for each, and returns those that are not as was assumed, started and never retried, and those that
are children.

p_mode: "key share" when no step ends, "no key update" when one does, "update" when a run fails.';

create function quantumflow._as_their_runs_are(p_held quantumflow._held_task[])
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_as_their_runs_are$
begin
  return array(
    select quantumflow._as_its_run_is(h, r.status, r.retries)
    from unnest(p_held) h
    left join lateral (
      select l.status, l.retries
      from quantumflow.workflow_runs l
      where l.id = h.run_id
      limit 1
    ) r on true);
end
$_as_their_runs_are$;

comment on function quantumflow._as_their_runs_are(quantumflow._held_task[]) is
'Held tasks with what their runs say now; a report whose run has ended meanwhile gets the outcome run_ended.';

create function quantumflow._as_its_run_is(p_held quantumflow._held_task, p_status text, p_retries int)
returns quantumflow._held_task
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_as_its_run_is$
begin
  p_held.run_status := p_status;
  p_held.retries := p_retries;

  if p_held.outcome in ('acts', 'violates', 'fails')
    and p_held.counts
    and p_status not in ('started', 'paused')
  then
    p_held.outcome := 'run_ended';
  end if;

  return p_held;
end
$_as_its_run_is$;

comment on function quantumflow._as_its_run_is(quantumflow._held_task, text, int) is
'A held task with what its run says now; one whose report would act gets the outcome run_ended if the run has ended.';

create function quantumflow._cancel_late(p_held quantumflow._held_task[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_cancel_late$
declare
  v_batch record;
begin
  -- The run ended while this call held the task, so whoever ended it had to leave the task to us.
  for v_batch in
    with cancelled as (
      update quantumflow.step_tasks t
      set
        status = 'cancelled',
        attempts = h.attempts,
        started_at = h.started_at,
        output = null,
        usage = null,
        completed_at = null,
        failed_at = null,
        error_message = (
          select f.error_message
          from quantumflow.task_failures f
          where (f.run_id, f.step_slug, f.task_index, f.retries) = (h.run_id, h.step_slug, h.task_index, h.retries)
          order by f.attempt desc
          limit 1
        )
      from unnest(p_held) h
      cross join lateral (
        select l.ctid as tid
        from quantumflow.step_tasks l
        where (l.run_id, l.step_slug, l.task_index) = (h.run_id, h.step_slug, h.task_index)
        limit 1
      ) c
      where h.outcome = 'run_ended'
        and h.status in ('queued', 'started')
        and t.run_id is not distinct from h.run_id
        and t.ctid = c.tid
      returning t.queue, t.message_id
    )
    select c.queue, array_agg(c.message_id order by c.message_id) as msg_ids
    from cancelled c
    group by c.queue
    order by c.queue
  loop
    perform quantumflow._remove_messages(v_batch.queue, v_batch.msg_ids);
  end loop;
end
$_cancel_late$;

comment on function quantumflow._cancel_late(quantumflow._held_task[]) is
'Cancels the held tasks of runs that have ended, whatever this call has written to them, and removes their messages.';

create function quantumflow._remove_reported(p_recorded quantumflow._recorded, p_held quantumflow._held_task[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remove_reported$
begin
  -- Nearly always all are of one queue.
  if p_held = '{}' and p_recorded.queues[1] = all (p_recorded.queues) then
    perform quantumflow._remove_messages(p_recorded.queues[1], p_recorded.message_ids);
    return;
  end if;

  perform quantumflow._remove_messages(m.queue, array_agg(m.message_id order by m.message_id))
  from (
    select *
    from unnest(p_recorded.queues, p_recorded.message_ids) r (queue, message_id)
    union all
    select h.queue, h.message_id
    from unnest(p_held) h
    where h.outcome = 'acts'
  ) m
  group by m.queue
  order by m.queue;
end
$_remove_reported$;

comment on function quantumflow._remove_reported(quantumflow._recorded, quantumflow._held_task[]) is
'Removes the messages of the tasks that their reports have ended, last of all locks.';
