-- One result whose step has one dependent, or ends its run: the usual case of a worker that does one thing after the other, and so of a
-- chain that nobody else waits for. complete_and_claim comes here first. A look says whether all is as it usually is, and then six rows are
-- written, or four at a run's end, in the order of all locks:
--
--     the task is done              step_tasks        or somebody has changed it meanwhile: nothing was written
--     its run has a step less,      workflow_runs     or it has ended, or was paused or retried: the task is put back
--     or is completed
--     its step is done, and the     step_states
--     next one is started
--     the next task, started        step_tasks
--     the message names it now,     pgmq.q_<queue>    or it is gone: another one is sent
--     or goes
--
-- Whatever is not so, the ordinary way does, as if nobody had looked.

create type quantumflow._passable as (
  run_id        uuid,
  workflow_slug text,
  version       int,
  input         jsonb,
  headers       jsonb,
  priority      int,
  step_slug     text,
  tid           tid,
  queue         text,
  message_id    bigint,
  attempts      int,
  lease_token   bigint,
  started_at    timestamptz,
  began_at      timestamptz,
  usage         jsonb,
  next_step     text,
  step_type     text,
  command       text,
  args          jsonb,
  timeout       interval,
  max_attempts  int
);

comment on type quantumflow._passable is
'A started task whose result makes one other ready, which its worker could have, and what it is: from next_step on, of that other. Or whose
result ends its run: then next_step is null.';

create function quantumflow._find_passable(p_report jsonb, p_offer quantumflow._offer, p_now timestamptz)
returns quantumflow._passable
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_find_passable$
declare
  v_run_id uuid := quantumflow._as_uuid(p_report ->> 'run_id');
  v_found  quantumflow._passable;
begin
  select
    v_run_id, r.workflow_slug, r.version, r.input, r.headers, r.priority,
    t.step_slug, t.tid, t.queue, t.message_id, t.attempts, t.lease_token, t.started_at,
    greatest(t.started_at, p_now - quantumflow._reported_seconds(p_report -> 'seconds')),
    case when p_report -> 'usage' is not null then quantumflow._reported_usage(p_report -> 'usage') end,
    n.step_slug, n.step_type, n.command, n.args, n.timeout, n.max_attempts
  into v_found
  from (
    select
      l.ctid as tid, l.step_slug, l.queue, l.message_id, l.status, l.attempts, l.lease_token, l.started_at
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index)
      = (v_run_id, p_report ->> 'step_slug', quantumflow._as_number(p_report ->> 'task_index', 9)::int)
    limit 1
  ) t
  cross join lateral (
    select l.workflow_slug, l.version, l.status, l.retries, l.priority, l.headers, l.input, l.parent_run_id,
      l.announced
    from quantumflow.workflow_runs l
    where l.id = v_run_id
    limit 1
  ) r
  cross join lateral (
    select l.known_tasks, l.dependents, l.concludes, l.limit_name
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, t.step_slug)
    limit 1
  ) w
  left join lateral (
    select
      l.step_slug, l.step_type, l.plain, l.known_tasks, l.dependencies, l.start_delay, l.queue, l.command, l.args, l.timeout, l.max_attempts,
      l.limit_name
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, w.dependents[1])
    limit 1
  ) n on true
  where not quantumflow._is_odd(p_report)
    -- The attempt is live, of a single step, and nothing of it is limited.
    and t.status = 'started'
    and t.lease_token::text = p_report ->> 'lease_token'
    and w.known_tasks = 1
    and w.limit_name is null
    and n.limit_name is null
    -- The run goes on as it began.
    and r.status = 'started'
    and r.retries = 0
    and pg_column_size(r.input) <= 100000
    and case
      -- Nothing waits for this step, it is the last, and nobody waits for the run.
      when n.step_slug is null then w.concludes and r.parent_run_id is null and r.announced is null
      -- What waits for it is one step, which waits for nothing else, has one task (so that nothing maps over the output), and is to be had
      -- at once in the same queue; and the worker could claim it.
      else cardinality(w.dependents) = 1
        and cardinality(n.dependencies) = 1
        and n.plain
        and n.known_tasks = 1
        and n.start_delay = '0 s'
        and n.queue = t.queue
        and n.queue = any (p_offer.queues)
        and coalesce(n.command = any (p_offer.commands), p_offer.commands is null)
    end
    -- Messages that have done their work are not to be kept, and nothing else is to be done by a claim, which a copy would refuse.
    and not exists (select from quantumflow.queues l where l.queue = t.queue and l.archive)
    and not exists (select from quantumflow._unfinished_ends)
    -- Nor is what it leads to paused; and after a run's end the worker claims, which is to be without what is.
    and not exists (
      select
      from quantumflow.pauses l
      where n.step_slug is null
        or l.name = case l.kind when 'queue' then t.queue when 'workflow' then r.workflow_slug else n.command end
    )
    and not exists (select from quantumflow.settings l where l.name = 'identity' and l.value <> quantumflow._identity())
    and not exists (
      select
      from quantumflow.workers l
      where l.worker_id = p_offer.worker_id
        and l.last_seen_at < p_now - interval '5 s'
    );

  return v_found;
end
$_find_passable$;

comment on function quantumflow._find_passable(jsonb, quantumflow._offer, timestamptz) is
'Looks, without a lock, whether the one result is such as _pass_on can do; null when it is not.

What it finds of definitions never changes. Of the rest, the task and the run are looked at again as they are written; with these held,
nobody else writes to their steps.';

create function quantumflow._pass_on(p_results jsonb, p_offer quantumflow._offer, p_now timestamptz)
returns quantumflow.claimed_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_pass_on$
declare
  v_this   quantumflow._passable;
  v_output jsonb := coalesce(p_results -> 0 -> 'output', 'null');
begin
  -- The sizes: what the next task is given must be one jsonb value. _may_exceed knows the limits of an output.
  if jsonb_array_length(p_results) <> 1
    or pg_column_size(p_results) > 100000
    or quantumflow._may_exceed(p_results)
  then
    return null;
  end if;

  v_this := quantumflow._find_passable(p_results -> 0, p_offer, p_now);

  -- Something that the worker could claim goes before the next task, by more than a second, as _may_take has it. Room for more is filled by a
  -- claim, unless there is nothing to claim. A run that ends keeps nobody from what else there is, but its output may be too large to be put
  -- into another value unseen.
  if v_this.run_id is null
    or (case
      when v_this.next_step is null then quantumflow._concluding(v_output) is null
      when p_offer.free > 1 then not quantumflow._is_quiet(p_offer, p_now)
      else quantumflow._is_ahead(
        v_this.queue, p_offer.commands, p_now - make_interval(secs => v_this.priority) - interval '1 s', p_now)
    end)
  then
    return null;
  end if;

  update quantumflow.step_tasks t
  set
    status = 'completed',
    output = v_output,
    usage = v_this.usage,
    started_at = v_this.began_at,
    completed_at = p_now,
    error_message = null
  where t.run_id is not distinct from v_this.run_id
    and t.ctid = v_this.tid
    and t.status = 'started'
    and t.message_id = v_this.message_id
    and t.attempts = v_this.attempts
    and t.lease_token = v_this.lease_token;

  if not found then
    return null;
  end if;

  update quantumflow.workflow_runs r
  set
    remaining_steps = r.remaining_steps - 1,
    status = case when v_this.next_step is null then 'completed' else r.status end,
    output = case when v_this.next_step is null then jsonb_build_object(v_this.step_slug, v_output) end,
    completed_at = case when v_this.next_step is null then p_now end
  where r.id = v_this.run_id
    and r.status = 'started'
    and r.retries = 0
    and case when v_this.next_step is null then r.remaining_steps = 1 and r.announced is null else r.remaining_steps > 1 end;

  if not found then
    perform quantumflow._put_back(v_this);
    return null;
  end if;

  update quantumflow.step_states s
  set
    status = case s.step_slug when v_this.step_slug then 'completed' else 'started' end,
    remaining_tasks = case s.step_slug when v_this.step_slug then 0 else s.remaining_tasks end,
    remaining_deps = 0,
    started_at = case s.step_slug when v_this.step_slug then s.started_at else p_now end,
    completed_at = case s.step_slug when v_this.step_slug then p_now end
  where s.run_id = v_this.run_id
    and s.step_slug in (v_this.step_slug, v_this.next_step);

  if v_this.next_step is null then
    perform quantumflow._delete_messages(v_this.queue, array[v_this.message_id]);

    return row(
      v_this.run_id, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null
    )::quantumflow.claimed_task;
  end if;

  return quantumflow._start_next(v_this, v_output, p_offer, p_now);
end
$_pass_on$;

comment on function quantumflow._pass_on(jsonb, quantumflow._offer, timestamptz) is
'Does what complete_and_claim is to do, if that is to record one result and to hand over the one task that it makes ready, and returns that task.
If it is to record one that ends its run, it does that, and returns a row with that run''s id alone. Null: it is to do something else, and
nothing has changed. The caller holds the queues of the offer.';

create function quantumflow._start_next(
  p_this   quantumflow._passable,
  p_output jsonb,
  p_offer  quantumflow._offer,
  p_now    timestamptz)
returns quantumflow.claimed_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_next$
declare
  v_token   bigint := quantumflow._token_of(gen_random_uuid(), 0);
  v_expires timestamptz := p_now + least(p_offer.lease, p_this.timeout);
  v_message jsonb := quantumflow._message_of(p_this.run_id, p_this.next_step, 0, false, p_this.command);
  v_msg_id  bigint := p_this.message_id;
begin
  insert into quantumflow.step_tasks
    (run_id, step_slug, task_index, queue, message_id, queued_at, attempts, worker_id, lease_token, started_at, status)
  values
    (p_this.run_id, p_this.next_step, 0, p_this.queue, v_msg_id, p_now, 1, p_offer.worker_id, v_token, p_now, 'started');

  if not quantumflow._pass_on_message(p_this.queue, v_msg_id, v_message, v_expires, p_now) then
    -- Somebody has taken it away.
    v_msg_id := quantumflow._send_message(p_this.queue, v_message, p_this.headers, v_expires);

    update quantumflow.step_tasks t
    set message_id = v_msg_id
    where (t.run_id, t.step_slug, t.task_index) = (p_this.run_id, p_this.next_step, 0);
  end if;

  return row(
    p_this.run_id, p_this.workflow_slug, p_this.next_step, 0, p_this.command, p_this.args,
    jsonb_build_object('run', p_this.input, p_this.step_slug, p_output), 1, p_this.max_attempts, v_token,
    v_expires, p_now + p_this.timeout, p_this.queue, v_msg_id, p_this.headers, 0, p_this.step_type, 0, 0,
    p_this.version
  )::quantumflow.claimed_task;
end
$_start_next$;

comment on function quantumflow._start_next(quantumflow._passable, jsonb, quantumflow._offer, timestamptz) is
'Makes the task that the result of another, p_output, has made ready, as one that is started, and returns it. It gets the message of that other
one, or a new one where that is gone.';

create function quantumflow._is_quiet(p_offer quantumflow._offer, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_quiet$
begin
  return cardinality(p_offer.queues) = 1
    and not quantumflow._is_ahead(p_offer.queues[1], p_offer.commands, p_now, p_now);
end
$_is_quiet$;

comment on function quantumflow._is_quiet(quantumflow._offer, timestamptz) is
'Whether there is certainly nothing to claim. Of several queues it does not know.';

create function quantumflow._put_back(p_this quantumflow._passable)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_back$
begin
  update quantumflow.step_tasks t
  set
    status = 'started',
    output = null,
    usage = null,
    started_at = p_this.started_at,
    completed_at = null
  where (t.run_id, t.step_slug, t.task_index) = (p_this.run_id, p_this.step_slug, 0);
end
$_put_back$;

comment on function quantumflow._put_back(quantumflow._passable) is
'Makes a task that this transaction has completed what it was, since its run is not what it was. Its error_message is written by what comes next.';
