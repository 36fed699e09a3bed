-- One result whose step has one dependent: the usual case of a worker that does one thing after the other, and so of a chain that nobody
-- else waits for. complete_and_claim comes here first. A look says whether all is as it usually is, and then six rows are written, in the
-- order of all locks:
--
--     the task is done              step_tasks        or somebody has changed it meanwhile: nothing was written
--     its run has a step less       workflow_runs     or it has ended, or was paused or retried: the task is put back
--     its step is done, and the     step_states
--     next one is started
--     the next task, started        step_tasks
--     the message names it now      pgmq.q_<queue>    or it is gone: another one is sent
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
'A started task whose result makes one other ready, which its worker could have, and what it is: from next_step on, of that other.';

create function quantumflow._find_passable(p_results jsonb, p_offer quantumflow._offer, p_now timestamptz)
returns quantumflow._passable
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_find_passable$
declare
  v_found quantumflow._passable;
begin
  select
    p.run_id, r.workflow_slug, r.version, r.input, r.headers, r.priority,
    p.step_slug, t.tid, t.queue, t.message_id, t.attempts, t.lease_token, t.started_at, greatest(t.started_at, p_now - p.seconds), p.usage,
    n.step_slug, n.step_type, n.command, n.args, n.timeout, n.max_attempts
  into v_found
  from quantumflow._parse_reports(p_results) p
  cross join lateral (
    select
      l.ctid as tid, l.queue, l.message_id, l.status, l.attempts, l.lease_token, l.started_at
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (p.run_id, p.step_slug, p.task_index)
    limit 1
  ) t
  cross join lateral (
    select l.workflow_slug, l.version, l.status, l.retries, l.priority, l.headers, l.input
    from quantumflow.workflow_runs l
    where l.id = p.run_id
    limit 1
  ) r
  cross join lateral (
    select l.known_tasks, l.dependents
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, p.step_slug)
    limit 1
  ) w
  cross join lateral (
    select
      l.step_slug, l.step_type, l.plain, l.known_tasks, l.dependencies, l.start_delay, l.queue, l.command, l.args, l.timeout, l.max_attempts
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, w.dependents[1])
    limit 1
  ) n
  where not p.is_odd
    -- The attempt is live, of a single step.
    and t.status = 'started'
    and t.lease_token::text = p.token
    and w.known_tasks = 1
    -- The run goes on as it began.
    and r.status = 'started'
    and r.retries = 0
    and pg_column_size(r.input) <= 100000
    -- What waits for this step is one step, which waits for nothing else, has one task (so that nothing maps over the output), and is to be
    -- had at once in the same queue.
    and cardinality(w.dependents) = 1
    and cardinality(n.dependencies) = 1
    and n.plain
    and n.known_tasks = 1
    and n.start_delay = '0 s'
    and n.queue = t.queue
    -- The worker could claim it.
    and n.queue = any (p_offer.queues)
    and coalesce(n.command = any (p_offer.commands), p_offer.commands is null)
    -- Messages that have done their work are not to be kept, and nothing else is to be done by a claim.
    and not exists (select from quantumflow.queues l where l.queue = t.queue and l.archive)
    and not exists (select from quantumflow._unfinished_ends)
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
  v_token  bigint := quantumflow._token_of(gen_random_uuid(), 0);
  v_msg_id bigint;
begin
  -- The sizes: what the next task is given must be one jsonb value. _may_exceed knows the limits of an output.
  if jsonb_array_length(p_results) <> 1
    or pg_column_size(p_results) > 100000
    or quantumflow._may_exceed(p_results)
  then
    return null;
  end if;

  v_this := quantumflow._find_passable(p_results, p_offer, p_now);

  if v_this.run_id is null or quantumflow._comes_later(v_this, p_offer, p_now) then
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
  set remaining_steps = r.remaining_steps - 1
  where r.id = v_this.run_id
    and r.status = 'started'
    and r.retries = 0
    and r.remaining_steps > 1;

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

  insert into quantumflow.step_tasks
    (run_id, step_slug, task_index, queue, message_id, queued_at, attempts, worker_id, lease_token, started_at, status)
  values
    (v_this.run_id, v_this.next_step, 0, v_this.queue, v_this.message_id, p_now, 1, p_offer.worker_id, v_token, p_now, 'started');

  v_msg_id := quantumflow._pass_message_on(v_this, p_now + least(p_offer.lease, v_this.timeout), p_now);

  return row(
    v_this.run_id, v_this.workflow_slug, v_this.next_step, 0, v_this.command, v_this.args,
    jsonb_build_object('run', v_this.input, v_this.step_slug, v_output), 1, v_this.max_attempts, v_token,
    p_now + least(p_offer.lease, v_this.timeout), p_now + v_this.timeout, v_this.queue, v_msg_id, v_this.headers, 0, v_this.step_type, 0, 0,
    v_this.version
  )::quantumflow.claimed_task;
end
$_pass_on$;

comment on function quantumflow._pass_on(jsonb, quantumflow._offer, timestamptz) is
'Does what complete_and_claim is to do, if that is to record one result and to hand over the one task that it makes ready, and returns that task.
Null: it is to do something else, and nothing has changed. The caller holds the queues of the offer.';

create function quantumflow._comes_later(p_this quantumflow._passable, p_offer quantumflow._offer, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_comes_later$
begin
  -- Room for more is filled by a claim, unless there is nothing to claim.
  if p_offer.free > 1 then
    return cardinality(p_offer.queues) > 1
      or quantumflow._is_ahead(p_this.queue, p_offer.commands, p_now, p_now);
  end if;

  return quantumflow._is_ahead(
    p_this.queue, p_offer.commands, p_now - make_interval(secs => p_this.priority) - interval '1 s', p_now);
end
$_comes_later$;

comment on function quantumflow._comes_later(quantumflow._passable, quantumflow._offer, timestamptz) is
'Whether something that the worker could claim goes before the next task, by more than a second, as _take_up has it; or is to be claimed
beside it.';

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

create function quantumflow._pass_message_on(p_this quantumflow._passable, p_vt timestamptz, p_now timestamptz)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_pass_message_on$
declare
  v_message jsonb := quantumflow._message_of(p_this.run_id, p_this.next_step, 0, false, p_this.command);
  v_msg_id  bigint;
begin
  if quantumflow._pass_on_message(p_this.queue, p_this.message_id, v_message, p_vt, p_now) then
    return p_this.message_id;
  end if;

  -- Somebody has taken it away.
  v_msg_id := (quantumflow._send_messages(p_this.queue, array[v_message], array[p_this.headers], p_vt))[1];

  update quantumflow.step_tasks t
  set message_id = v_msg_id
  where (t.run_id, t.step_slug, t.task_index) = (p_this.run_id, p_this.next_step, 0);

  return v_msg_id;
end
$_pass_message_on$;

comment on function quantumflow._pass_message_on(quantumflow._passable, timestamptz, timestamptz) is
'Passes the message of the task that is done on to the next one, or sends it another one where that is gone; returns the id of its message.';
