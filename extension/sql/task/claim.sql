create function quantumflow.claim_tasks(
  worker_id uuid,
  quantity  int default 1,
  queues    text[] default '{quantum_flow_queue}',
  lease     interval default '300 s',
  commands  text[] default null)
returns setof quantumflow.claimed_task
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
set enable_seqscan = off
set enable_hashjoin = off
set enable_mergejoin = off
set enable_bitmapscan = off
set jit = off
as $claim_tasks$
declare
  v_now      timestamptz := quantumflow._now();
  v_queue    text;
  v_read     int;
  v_looked   int;
  v_messages quantumflow._message[];
  v_taken    quantumflow._held_task[] := '{}';
begin
  perform quantumflow._refuse_bad_claim(
    claim_tasks.worker_id, claim_tasks.quantity, claim_tasks.queues, claim_tasks.lease);

  perform quantumflow._finish_ends(10, v_now);
  perform quantumflow._worker_seen(claim_tasks.worker_id, v_now);

  -- Rounds, because a message that was read may turn out not to be claimable; nearly always there is one.
  foreach v_queue in array claim_tasks.queues loop
    v_looked := 0;

    while cardinality(v_taken) < claim_tasks.quantity and v_looked < 10 * claim_tasks.quantity::bigint loop
      v_read := claim_tasks.quantity - cardinality(v_taken);
      v_messages := quantumflow._read_messages(v_queue, v_read, v_now);
      exit when v_messages is null;

      v_looked := v_looked + cardinality(v_messages);
      v_taken := v_taken || quantumflow._claim_messages(
        v_queue, v_messages, cardinality(v_taken) > 0,
        claim_tasks.worker_id, claim_tasks.lease, claim_tasks.commands, v_now);

      -- A task lost before goes out alone.
      exit when v_taken[1].losses > 0;
      exit when cardinality(v_messages) < v_read;
    end loop;

    exit when v_taken[1].losses > 0 or cardinality(v_taken) = claim_tasks.quantity;
  end loop;

  return query
  select
    k.run_id,
    k.workflow_slug,
    k.step_slug,
    k.task_index,
    w.command,
    w.args,
    quantumflow._task_input(k.run_id, k.step_slug, k.task_index, k.step_type, w.dependencies),
    k.attempts,
    w.max_attempts,
    k.lease_token,
    v_now + least(claim_tasks.lease, w.timeout),
    v_now + w.timeout,
    k.queue,
    k.message_id,
    r.headers
  from unnest(v_taken) with ordinality k (
    ord, run_id, step_slug, task_index, msg_id, queue, message_id, status, attempts, losses, worker_id, lease_token,
    started_at, queued_at, workflow_slug, version, run_status, retries, step_type, outcome, n)
  join quantumflow.workflow_runs r
    on r.id = k.run_id
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (k.workflow_slug, k.version, k.step_slug)
  order by k.n;
end
$claim_tasks$;

comment on function quantumflow.claim_tasks(uuid, int, text[], interval, text[]) is
'Hands out up to quantity tasks, each to one claimer, and nothing when there is none. Never waits.

worker_id: any uuid of the worker''s own; it need not be registered.
quantity: 1 to 10,000 tasks.
queues: served in the order given; within one, what has been visible longest first.
lease: how long the tasks are the worker''s, 0.001 s to 1 day; the step''s timeout caps it. See extend_leases.
commands: only tasks of these commands; others are put back for 1 to 60 s without spending an attempt. Null: all.

Each row holds the task''s input ({"run", <dependency>: output} for a single step, {"item", "index"} for a map task,
{"run", "output"} or {"run", "error"} for a callback), the deadline (timeout after now) and the lease_token that a report must show.
A task that was lost before comes alone. Leases that have run out are found here: they count as lost, or, past the deadline, as a
failure of kind timeout.

Errors: QF302 bad quantity; QF303 bad lease; QF304 no worker_id; QF401 unknown queue.';

create function quantumflow._refuse_bad_claim(p_worker_id uuid, p_quantity int, p_queues text[], p_lease interval)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_claim$
declare
  v_queue text;
begin
  if p_worker_id is null then
    raise exception 'worker_id must not be null'
    using
      errcode = 'QF304',
      detail = 'The worker_id is null.',
      hint = 'Any uuid does: gen_random_uuid() for example.';
  end if;

  if p_quantity is null or p_quantity not between 1 and 10000 then
    raise exception 'quantity must be between 1 and 10000'
    using
      errcode = 'QF302',
      detail = format('The quantity is %s.', coalesce(p_quantity::text, 'null')),
      hint = 'Claim as many tasks as can be started at once.';
  end if;

  perform quantumflow._refuse_bad_lease(p_lease);

  if p_queues is null or cardinality(p_queues) = 0 then
    raise exception 'queues must name at least one queue'
    using
      errcode = 'QF401',
      detail = format('The queues are %s.', coalesce(p_queues::text, 'null')),
      hint = 'Leave queues out for the default one, quantum_flow_queue.';
  end if;

  foreach v_queue in array p_queues loop
    perform quantumflow._require_queue(v_queue);
  end loop;
end
$_refuse_bad_claim$;

comment on function quantumflow._refuse_bad_claim(uuid, int, text[], interval) is
'Refuses arguments with which nothing can be claimed.

Errors: QF302 bad quantity; QF303 bad lease; QF304 no worker_id; QF401 unknown queue.';

create function quantumflow._refuse_bad_lease(p_lease interval)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_lease$
begin
  if p_lease is null or p_lease not between '1 ms' and '1 day' then
    raise exception 'lease must be between 1 ms and 1 day'
    using
      errcode = 'QF303',
      detail = format('The lease is %s.', coalesce(p_lease::text, 'null')),
      hint = 'Take a short one, 30 s for example, and extend it while the work goes on.';
  end if;
end
$_refuse_bad_lease$;

comment on function quantumflow._refuse_bad_lease(interval) is
'Refuses a lease that is no length of time to work in.

Errors: QF303 when it is outside 1 ms to 1 day.';

create function quantumflow._claim_messages(
  p_queue       text,
  p_messages    quantumflow._message[],
  p_has_others  boolean,
  p_worker_id   uuid,
  p_lease       interval,
  p_commands    text[],
  p_now         timestamptz)
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim_messages$
declare
  v_held  quantumflow._held_task[] := quantumflow._hold_messages(p_messages);
  v_taken quantumflow._held_task[];
begin
  if cardinality(v_held) < cardinality(p_messages) then
    perform quantumflow._put_aside(p_queue, p_messages, v_held, p_now);
  end if;

  v_held := quantumflow._judge_messages(p_queue, v_held, p_has_others, p_commands);

  if exists (select from unnest(v_held) h where h.outcome not in ('claim', 'leave')) then
    perform quantumflow._settle_messages(p_queue, v_held, p_now);
  end if;

  select array_agg(
    row(
      h.ord, h.run_id, h.step_slug, h.task_index, h.msg_id, h.queue, h.message_id, 'started', h.attempts + 1, h.losses,
      p_worker_id, floor(random() * 9007199254740991)::bigint, p_now, h.queued_at,
      h.workflow_slug, h.version, h.run_status, h.retries, h.step_type, h.outcome
    )::quantumflow._held_task
    order by h.ord)
  into v_taken
  from unnest(v_held) h
  where h.outcome = 'claim';

  if v_taken is null then
    return '{}';
  end if;

  update quantumflow.step_tasks t
  set
    status = 'started',
    attempts = k.attempts,
    worker_id = k.worker_id,
    lease_token = k.lease_token,
    started_at = k.started_at
  from unnest(v_taken) k
  where (t.run_id, t.step_slug, t.task_index) = (k.run_id, k.step_slug, k.task_index);

  perform quantumflow._set_vt(
    p_queue,
    array_agg(k.msg_id),
    array_agg(p_now + least(p_lease, w.timeout)),
    1)
  from unnest(v_taken) k
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (k.workflow_slug, k.version, k.step_slug);

  return v_taken;
end
$_claim_messages$;

comment on function quantumflow._claim_messages(text, quantumflow._message[], boolean, uuid, interval, text[], timestamptz) is
'Claims those of the tasks named by messages that may be claimed, and puts the other messages where they belong.';

create function quantumflow._hold_messages(p_messages quantumflow._message[])
returns quantumflow._held_task[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hold_messages$
declare
  v_held quantumflow._held_task[];
begin
  -- The runs first, shared, so that whatever stops a run waits for this claim or is seen by it; then the tasks.
  select array_agg(
    row(
      k.n, k.run_id, k.step_slug, k.task_index, k.msg_id, null, null, null, null, null,
      null, null, null, null, k.workflow_slug, k.version, k.status, k.retries, null, null
    )::quantumflow._held_task
    order by k.n)
  into v_held
  from (
    select m.n, m.msg_id, m.run_id, m.step_slug, m.task_index, r.workflow_slug, r.version, r.status, r.retries
    from unnest(p_messages) with ordinality m (msg_id, run_id, step_slug, task_index, n)
    join quantumflow.workflow_runs r
      on r.id = m.run_id
    for key share of r skip locked
  ) k;

  select array_agg(
    row(
      k.ord, k.run_id, k.step_slug, k.task_index, k.msg_id, k.queue, k.message_id, k.status, k.attempts, k.losses,
      k.worker_id, k.lease_token, k.started_at, k.queued_at, k.workflow_slug, k.version, k.run_status, k.retries, null, null
    )::quantumflow._held_task
    order by k.ord)
  into v_held
  from (
    select
      h.ord, h.run_id, h.step_slug, h.task_index, h.msg_id, t.queue, t.message_id, t.status, t.attempts, t.losses,
      t.worker_id, t.lease_token, t.started_at, t.queued_at, h.workflow_slug, h.version, h.run_status, h.retries
    from unnest(v_held) h
    join quantumflow.step_tasks t
      on (t.run_id, t.step_slug, t.task_index) = (h.run_id, h.step_slug, h.task_index)
    for update of t skip locked
  ) k;

  return coalesce(v_held, '{}');
end
$_hold_messages$;

comment on function quantumflow._hold_messages(quantumflow._message[]) is
'Locks the runs (FOR KEY SHARE) and tasks (FOR UPDATE) that messages name, without waiting, and returns those it got, as they are.';

create function quantumflow._put_aside(
  p_queue    text,
  p_messages quantumflow._message[],
  p_held     quantumflow._held_task[],
  p_now      timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_put_aside$
declare
  v_busy    bigint[];
  v_foreign bigint[];
begin
  select
    coalesce(array_agg(m.msg_id) filter (where m.is_ours), '{}'),
    coalesce(array_agg(m.msg_id) filter (where not m.is_ours), '{}')
  into v_busy, v_foreign
  from (
    select
      a.msg_id,
      exists (
        select
        from quantumflow.step_tasks t
        where (t.run_id, t.step_slug, t.task_index) = (a.run_id, a.step_slug, a.task_index)
      ) as is_ours
    from unnest(p_messages) a
    where a.msg_id <> all (array(select h.msg_id from unnest(p_held) h))
  ) m;

  perform quantumflow._set_vt(p_queue, v_busy, array_fill(p_now + interval '100 ms', array[cardinality(v_busy)]));

  if v_foreign <> '{}' then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;
end
$_put_aside$;

comment on function quantumflow._put_aside(text, quantumflow._message[], quantumflow._held_task[], timestamptz) is
'Deals with messages whose task could not be held: busy ones come back after 100 ms, those that name no task are archived.';

create function quantumflow._judge_messages(
  p_queue      text,
  p_held       quantumflow._held_task[],
  p_has_others boolean,
  p_commands   text[])
returns quantumflow._held_task[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_judge_messages$
declare
  v_held quantumflow._held_task[];
begin
  select array_agg(
    row(
      j.ord, j.run_id, j.step_slug, j.task_index, j.msg_id, j.queue, j.message_id, j.status, j.attempts, j.losses,
      j.worker_id, j.lease_token, j.started_at, j.queued_at, j.workflow_slug, j.version, j.run_status, j.retries, j.step_type,
      case
        when j.verdict <> 'claim' then j.verdict
        -- A task lost before goes out only as the first and only one of a claim.
        when j.losses > 0 and (p_has_others or j.place > 1) then 'leave'
        when j.losses = 0 and j.first_losses > 0 and not p_has_others then 'leave'
        else 'claim'
      end
    )::quantumflow._held_task
    order by j.ord)
  into v_held
  from (
    select
      v.*,
      row_number() over by_verdict as place,
      first_value(v.losses) over by_verdict as first_losses
    from (
      select
        h.ord, h.run_id, h.step_slug, h.task_index, h.msg_id, h.queue, h.message_id, h.status, h.attempts, h.losses,
        h.worker_id, h.lease_token, h.started_at, h.queued_at, h.workflow_slug, h.version, h.run_status, h.retries, w.step_type,
        case
          when h.message_id <> h.msg_id or h.queue <> p_queue then 'foreign'
          when h.status not in ('queued', 'started') then 'drop'
          when w.step_type <> 'callback' and h.run_status not in ('started', 'paused') then 'drop'
          when h.status = 'started' then 'lapsed'
          when w.step_type <> 'callback' and h.run_status = 'paused' then 'park'
          when p_commands is not null and w.command <> all (p_commands) then 'later'
          else 'claim'
        end as verdict
      from unnest(p_held) h
      join quantumflow.workflow_steps w
        on (w.workflow_slug, w.version, w.step_slug) = (h.workflow_slug, h.version, h.step_slug)
    ) v
    window by_verdict as (partition by v.verdict order by v.ord)
  ) j;

  return coalesce(v_held, '{}');
end
$_judge_messages$;

comment on function quantumflow._judge_messages(text, quantumflow._held_task[], boolean, text[]) is
'Decides for each held task what is to become of its message.

claim: hand it out. leave: untouched, for the next claim. later: its command is not asked for. lapsed: its lease has run out.
park: its run is paused. drop: nothing is left to do. foreign: it is not the message its task names.';

create function quantumflow._settle_messages(p_queue text, p_held quantumflow._held_task[], p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_settle_messages$
declare
  v_foreign bigint[];
  v_dropped bigint[];
begin
  select
    array_agg(h.msg_id) filter (where h.outcome = 'foreign'),
    array_agg(h.msg_id) filter (where h.outcome = 'drop')
  into v_foreign, v_dropped
  from unnest(p_held) h;

  if v_foreign is not null then
    perform quantumflow._archive_foreign(p_queue, v_foreign);
  end if;

  if v_dropped is not null then
    -- The task may be one that the end of its run had to leave.
    update quantumflow.step_tasks t
    set status = 'cancelled'
    from unnest(p_held) h
    where h.outcome = 'drop'
      and h.status in ('queued', 'started')
      and (t.run_id, t.step_slug, t.task_index) = (h.run_id, h.step_slug, h.task_index);

    perform quantumflow._remove_messages(p_queue, v_dropped);
  end if;

  perform quantumflow._set_vt(
    p_queue,
    array_agg(h.msg_id),
    array_agg(
      case h.outcome
        when 'park' then 'infinity'
        else p_now + greatest(interval '1 s', least(interval '60 s', p_now - h.queued_at))
      end))
  from unnest(p_held) h
  where h.outcome in ('park', 'later');

  perform quantumflow._settle_lapsed(
    p_queue,
    array(select h from unnest(p_held) h where h.outcome = 'lapsed'),
    p_now);
end
$_settle_messages$;

comment on function quantumflow._settle_messages(text, quantumflow._held_task[], timestamptz) is
'Puts the messages of a claim that are not handed out where _judge_messages said.';

create function quantumflow._task_input(
  p_run_id       uuid,
  p_step_slug    text,
  p_task_index   int,
  p_step_type    text,
  p_dependencies text[])
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_task_input$
declare
  v_input jsonb;
begin
  if p_step_type = 'map' then
    select jsonb_build_object('item', t.item_value, 'index', t.task_index)
    into v_input
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug, t.task_index) = (p_run_id, p_step_slug, p_task_index);
  elsif p_step_slug = '_on_complete' then
    select jsonb_build_object('run', r.input, 'output', r.output)
    into v_input
    from quantumflow.workflow_runs r
    where r.id = p_run_id;
  elsif p_step_slug = '_on_failure' then
    select jsonb_build_object('run', r.input, 'error', r.error_message)
    into v_input
    from quantumflow.workflow_runs r
    where r.id = p_run_id;
  elsif p_dependencies = '{}' then
    select jsonb_build_object('run', r.input)
    into v_input
    from quantumflow.workflow_runs r
    where r.id = p_run_id;
  else
    select jsonb_object_agg(k.key, k.value)
    into v_input
    from (
      select 'run' as key, r.input as value
      from quantumflow.workflow_runs r
      where r.id = p_run_id
      union all
      select s.step_slug, coalesce(s.output, t.output)
      from unnest(p_dependencies) d (step_slug)
      join quantumflow.step_states s
        on (s.run_id, s.step_slug) = (p_run_id, d.step_slug)
        and s.status = 'completed'
      left join quantumflow.step_tasks t
        on (t.run_id, t.step_slug, t.task_index) = (s.run_id, s.step_slug, 0)
    ) k;
  end if;

  return v_input;
end
$_task_input$;

comment on function quantumflow._task_input(uuid, text, int, text, text[]) is
'What a handler is given: {"run", <dependency>: output, ...}, or {"item", "index"} for a map task, which fetches the rest on demand.

A dependency that was skipped is absent; one whose output is null is null.';
