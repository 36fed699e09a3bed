create type quantumflow._start as (
  version      int,
  content_hash text,
  is_frozen    boolean,
  is_recorded  boolean,
  steps        int,
  maps_input   boolean,
  queues       text[],
  first_steps  text[],
  commands     text[],
  is_simple    boolean,
  can_give_up  boolean,
  run_timeout  interval,
  turns        jsonb,
  announces    boolean,
  policy       int
);

comment on type quantumflow._start is
'What a start must know: of the database whether it is recorded which one it is; of a version how many steps count, and whether some map
over the run''s input; of the steps that wait for nothing the queues, the names and the commands, in the same order.

is_simple: these are plain and have one task each, at once, not limited, and all in one queue. can_give_up: some of the version''s steps, or of their
tasks, can fail without ending the run. run_timeout: how long a run may take; null: for ever. turns: what it says under
one_at_a_time. announces: whether the ends of its runs are told; null: they are not. policy: what decides which version each run gets, where the call names none; null: this one.';

create function quantumflow._start_runs(
  p_workflow_slug   text,
  p_version         int,
  p_run_ids         uuid[],
  p_inputs          jsonb[],
  p_priority        int,
  p_start_at        timestamptz,
  p_idempotency_key text,
  p_headers         jsonb,
  p_are_new         boolean,
  p_parents         quantumflow._parent_ref[] default null,
  p_now             timestamptz default null,
  p_origin          text default null)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_runs$
declare
  v_now     timestamptz := coalesce(p_now, quantumflow._now());
  v_is_held boolean := false;
  v_flaw    text := quantumflow._start_flaw(p_priority, p_start_at, p_headers);
  v_start   quantumflow._start;
begin
  if v_flaw is not null then
    perform quantumflow._refuse_bad_start(v_flaw, p_priority, p_start_at, p_headers);
  end if;

  v_start := quantumflow._read_start(p_workflow_slug, p_version);

  if v_start.policy is not null and cardinality(p_run_ids) > 0 then
    return quantumflow._start_by_policy(
      p_workflow_slug, v_start.policy, p_run_ids, p_inputs, p_priority, p_start_at, p_idempotency_key, p_headers, p_are_new, p_parents, v_now, p_origin);
  end if;

  if not v_start.is_recorded then
    perform quantumflow._record_identity();
  end if;

  if not v_start.is_frozen and cardinality(p_run_ids) > 0 then
    v_is_held := quantumflow._freeze_version(p_workflow_slug, v_start.version, p_run_ids[1], v_now);
    v_start := quantumflow._read_start(p_workflow_slug, v_start.version);
  end if;

  if not (v_start.is_simple and not v_start.maps_input and quantumflow._are_small(p_inputs, p_headers)) then
    perform quantumflow._refuse_unfit(p_workflow_slug, v_start, p_inputs, p_headers);
  end if;

  -- A run that is not new may be there already.
  if cardinality(p_run_ids) = 0 or not quantumflow._insert_runs(
    p_workflow_slug, v_start, p_run_ids, p_inputs, p_priority, p_start_at, p_idempotency_key, p_headers, p_are_new, v_now, p_parents,
    p_origin)
  then
    return array[]::uuid[];
  end if;

  if not quantumflow._insert_steps(p_workflow_slug, v_start, p_run_ids, v_is_held, v_now) then
    perform quantumflow._refuse_deleted(p_workflow_slug, v_start.version, v_start.content_hash);

    v_is_held := quantumflow._insert_steps(p_workflow_slug, v_start, p_run_ids, true, v_now);
  end if;

  if v_start.turns is not null then
    perform quantumflow._start_in_turn(p_workflow_slug, v_start.turns, p_run_ids, p_inputs, v_now);
  elsif v_start.is_simple then
    if not quantumflow._queue_first_tasks(v_start, p_run_ids, p_priority, p_start_at, p_headers, v_now) then
      perform quantumflow._raise_unusable_queue(v_start.queues[1]);
    end if;
  else
    perform quantumflow._advance('{}', quantumflow._first_steps(p_workflow_slug, v_start.version, p_run_ids), v_now);
  end if;

  if v_start.run_timeout is not null then
    perform quantumflow._make_deadlines(p_run_ids, v_now);
  end if;

  return p_run_ids;
end
$_start_runs$;

comment on function quantumflow._start_runs(
  text, int, uuid[], jsonb[], int, timestamptz, text, jsonb, boolean, quantumflow._parent_ref[], timestamptz, text) is
'Starts one run per id and input, and returns the ids. Unless they are new, there is one, and it may exist already, or its
idempotency key: then it returns none. p_origin: what workflow_runs says of that; children are of the origin "child".

Errors: QF111, QF112, QF203, QF204, QF205, QF208, QF210, QF217, QF225, QF226, QF401 as start_flow.';

create function quantumflow._start_by_policy(
  p_workflow_slug   text,
  p_policy          int,
  p_run_ids         uuid[],
  p_inputs          jsonb[],
  p_priority        int,
  p_start_at        timestamptz,
  p_idempotency_key text,
  p_headers         jsonb,
  p_are_new         boolean,
  p_parents         quantumflow._parent_ref[],
  p_now             timestamptz,
  p_origin          text)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_start_by_policy$
declare
  v_policy   quantumflow.policies;
  v_tickets  quantumflow._ticket[];
  v_versions int[];
  v_version  int;
  v_places   int[];
  v_started  uuid[] := '{}';
begin
  select *
  into v_policy
  from quantumflow.policies p
  where (p.workflow_slug, p.number) = (p_workflow_slug, p_policy);

  v_tickets := quantumflow._take_tickets(v_policy, cardinality(p_run_ids));

  v_versions := array(
    select case
      when v_policy.state = 'observing' and t.roll is not null then v_policy.probes[t.ticket % cardinality(v_policy.probes) + 1]
      when t.is_tuned then v_policy.tuned_version
      else v_policy.base_version
    end
    from unnest(v_tickets) with ordinality t (roll, ticket, is_tuned, is_paired, n)
    order by t.n);

  for v_version in
    select distinct v.version
    from unnest(v_versions) v (version)
    order by 1
  loop
    v_places := array_positions(v_versions, v_version);
    v_started := v_started || quantumflow._start_runs(
      p_workflow_slug, v_version,
      array(select p_run_ids[p.n] from unnest(v_places) with ordinality p (n, place) order by p.place),
      array(select p_inputs[p.n] from unnest(v_places) with ordinality p (n, place) order by p.place),
      p_priority, p_start_at, p_idempotency_key, p_headers, p_are_new,
      case when p_parents is not null then array(select p_parents[p.n] from unnest(v_places) with ordinality p (n, place) order by p.place) end,
      p_now, p_origin);
  end loop;

  if v_started = '{}' then
    return v_started;
  end if;

  insert into quantumflow._policy_runs (run_id, workflow_slug, number, roll, ticket, is_tuned, is_paired)
  select u.run_id, p_workflow_slug, p_policy, u.roll, u.ticket, u.is_tuned, u.is_paired
  from unnest(p_run_ids, v_tickets) u (run_id, roll, ticket, is_tuned, is_paired)
  where u.roll is not null;

  return p_run_ids;
end
$_start_by_policy$;

comment on function quantumflow._start_by_policy(
  text, int, uuid[], jsonb[], int, timestamptz, text, jsonb, boolean, quantumflow._parent_ref[], timestamptz, text) is
'As _start_runs, of the current version, while a policy is tried or adopted: each run gets the version that its ticket says.';

create function quantumflow._freeze_version(p_workflow_slug text, p_version int, p_run_id uuid, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_freeze_version$
declare
  -- Under the other levels 40001 has to be raised if the version was changed since, and so the update has to be tried.
  v_can_wait boolean := not quantumflow._is_read_committed();
begin
  perform
  from quantumflow.workflow_versions v
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
    and v.frozen_at is null;

  if not found then
    return false;
  end if;

  -- Waits for whoever changes the version in place or deletes the workflow, and is waited for by whoever deletes it.
  perform
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
  for key share;

  if not found then
    return false;
  end if;

  -- The row of the first step stands for the version's, which is to be updated without having been locked: that would leave a mark on the
  -- new row, as of somebody who deletes it (see _refuse_deleted).
  if v_can_wait then
    perform
    from quantumflow.workflow_steps s
    where (s.workflow_slug, s.version) = (p_workflow_slug, p_version)
      and s.step_index = 0
    for no key update;
  else
    perform
    from quantumflow.workflow_steps s
    where (s.workflow_slug, s.version) = (p_workflow_slug, p_version)
      and s.step_index = 0
    for no key update skip locked;
  end if;

  if found then
    update quantumflow.workflow_versions v
    set frozen_at = p_now
    where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
      and v.frozen_at is null;
  elsif quantumflow._is_unused(p_workflow_slug, p_version) then
    -- Somebody else is about to freeze it, and this is not to wait for what becomes of that.
    insert into quantumflow._first_runs (workflow_slug, version, run_id)
    values (p_workflow_slug, p_version, p_run_id);
  end if;

  return not v_can_wait;
end
$_freeze_version$;

comment on function quantumflow._freeze_version(text, int, uuid, timestamptz) is
'What the first run of a version does to it: nobody changes it in place any more. It waits for a definition that does so and, when
read committed, for no other start. True: until this transaction ends nobody deletes it either.';

create function quantumflow._read_start(p_workflow_slug text, p_version int)
returns quantumflow._start
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_read_start$
declare
  v_start quantumflow._start;
begin
  -- One statement, which sees the version and its steps as of one moment.
  select
    v.version, v.content_hash, v.frozen_at is not null,
    exists (select from quantumflow.settings l where l.name = 'identity'),
    s.steps, s.maps_input, s.queues, s.first_steps, s.commands,
    coalesce(s.are_simple and s.queues[1] = all (s.queues) and v.turns is null, false),
    s.can_give_up,
    s.run_timeout,
    v.turns,
    v.announces,
    case when p_version is null then w.policy end
  into v_start
  from quantumflow.workflows w
  cross join lateral (
    select l.version, l.content_hash, l.frozen_at, l.turns, l.announces
    from quantumflow.workflow_versions l
    where (l.workflow_slug, l.version) = (w.workflow_slug, coalesce(p_version, w.current_version))
    limit 1
  ) v
  cross join lateral (
    select
      (count(*) filter (where l.counts))::int as steps,
      coalesce(bool_or(l.gathers and l.map_over is null), false) as maps_input,
      array_agg(l.queue) filter (where l.is_first) as queues,
      array_agg(l.step_slug) filter (where l.is_first) as first_steps,
      array_agg(l.command) filter (where l.is_first) as commands,
      bool_and(l.plain and coalesce(l.known_tasks = 1, false) and l.start_delay = '0 s' and l.limit_name is null)
        filter (where l.is_first) as are_simple,
      bool_or(l.goes_on or l.fallback is not null or coalesce(l.tolerate_tasks, l.tolerate_share) is not null) as can_give_up,
      max(l.timeout) filter (where l.settled and not l.counts) as run_timeout
    from (
      -- In order of their names, as the index has them: an order of each array's own would be a sort for each.
      select k.*, k.counts and k.dependencies = '{}' and k.after = '{}' as is_first
      from quantumflow.workflow_steps k
      where (k.workflow_slug, k.version) = (w.workflow_slug, v.version)
      order by k.step_slug
    ) l
  ) s
  where w.workflow_slug = p_workflow_slug;

  if not found then
    perform quantumflow._refuse_unknown(p_workflow_slug, p_version);

    -- It has been defined since.
    return quantumflow._read_start(p_workflow_slug, p_version);
  end if;

  return v_start;
end
$_read_start$;

comment on function quantumflow._read_start(text, int) is
'What a start must know of a version, or of the current one.

Errors: QF111 unknown workflow; QF112 unknown version.';

create function quantumflow._refuse_unfit(p_workflow_slug text, p_start quantumflow._start, p_inputs jsonb[], p_headers jsonb)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unfit$
begin
  if p_start.steps = 0 then
    raise exception 'workflow "%" has no steps', p_workflow_slug
    using
      errcode = 'QF203',
      detail = format('Its version %s is empty.', p_start.version),
      hint = 'Add steps with quantumflow.add_step() or quantumflow.define_flow().';
  end if;

  if p_start.maps_input then
    perform quantumflow._refuse_non_arrays(p_workflow_slug, p_inputs);
  end if;

  perform quantumflow._refuse_large_inputs(p_inputs, p_headers, p_start.maps_input);

  -- A single queue is looked at when it is held.
  if not p_start.is_simple then
    perform quantumflow._refuse_unusable_queues(array(select distinct u.queue from unnest(p_start.queues) u (queue) order by u.queue));
  end if;
end
$_refuse_unfit$;

comment on function quantumflow._refuse_unfit(text, quantumflow._start, jsonb[], jsonb) is
'Refuses inputs and headers with which a version cannot run, and a version that cannot run at all.

Errors: QF203 the version has no steps; QF204, QF217 an input does not fit; QF401, QF403 a queue cannot be used.';

create function quantumflow._insert_runs(
  p_workflow_slug   text,
  p_start           quantumflow._start,
  p_run_ids         uuid[],
  p_inputs          jsonb[],
  p_priority        int,
  p_start_at        timestamptz,
  p_idempotency_key text,
  p_headers         jsonb,
  p_are_new         boolean,
  p_now             timestamptz,
  p_parents         quantumflow._parent_ref[],
  p_origin          text)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_insert_runs$
begin
  -- Apart, because "on conflict" costs a record of the log for each run, and few are children.
  if p_parents is not null then
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, created_at, started_at, gave_up,
       parent_run_id, parent_step_slug, parent_task_index, parent_retries, root_run_id, depth, announced, started_by, origin)
    select
      u.run_id, p_workflow_slug, p_start.version, 'started', u.input, p_start.steps, p_priority, p_headers,
      p_now, greatest(p_now, p_start_at), case when p_start.can_give_up then 0 end,
      (u.parent).run_id, (u.parent).step_slug, (u.parent).task_index, (u.parent).retries, (u.parent).root_run_id, (u.parent).depth, p_start.announces,
      (select l.started_by from quantumflow.workflow_runs l where l.id = (u.parent).run_id), 'child'
    from (
      select i.run_id, i.input, p_parents[i.n] as parent
      from unnest(p_run_ids, p_inputs) with ordinality i (run_id, input, n)
    ) u;
  elsif p_are_new then
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, created_at, started_at, gave_up, announced, started_by, origin)
    select
      u.run_id, p_workflow_slug, p_start.version, 'started', u.input, p_start.steps, p_priority, p_headers,
      p_now, greatest(p_now, p_start_at), case when p_start.can_give_up then 0 end, p_start.announces, quantumflow._actor(), p_origin
    from unnest(p_run_ids, p_inputs) u (run_id, input);
  else
    insert into quantumflow.workflow_runs
      (id, workflow_slug, version, status, input, remaining_steps, priority, headers, created_at, started_at, idempotency_key, gave_up,
        announced, started_by, origin)
    select
      u.run_id, p_workflow_slug, p_start.version, 'started', u.input, p_start.steps, p_priority, p_headers,
      p_now, greatest(p_now, p_start_at), p_idempotency_key, case when p_start.can_give_up then 0 end, p_start.announces, quantumflow._actor(), p_origin
    from unnest(p_run_ids, p_inputs) u (run_id, input)
    on conflict do nothing;
  end if;

  return found;
end
$_insert_runs$;

comment on function quantumflow._insert_runs(
  text, quantumflow._start, uuid[], jsonb[], int, timestamptz, text, jsonb, boolean, timestamptz, quantumflow._parent_ref[], text) is
'Writes the rows of runs that start. False: there is one of that id or idempotency key.';

create function quantumflow._insert_steps(
  p_workflow_slug text,
  p_start         quantumflow._start,
  p_run_ids       uuid[],
  p_is_held       boolean,
  p_now           timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_insert_steps$
begin
  -- The version is not locked, since every start would write that to the log. Whoever deletes it marks its row first, and then looks for
  -- runs, and for transactions that have written to their table. This one has by now, and looks for the mark: one sees the other. Nothing
  -- takes the mark away when the deletion is rolled back, so it is asked what became of that.
  --
  -- A plain step that waits for nothing, and is known to have tasks, is started as it is written.
  insert into quantumflow.step_states
    (run_id, step_slug, status, remaining_deps, remaining_tasks, initial_tasks, created_at, started_at)
  select
    u.run_id,
    w.step_slug,
    case when w.starts then 'started' else 'created' end,
    cardinality(w.dependencies) + cardinality(w.after),
    w.known_tasks,
    w.known_tasks,
    p_now,
    case when w.starts then p_now end
  from unnest(p_run_ids) u (run_id)
  cross join (
    select
      l.step_slug, l.dependencies, l.after, l.known_tasks,
      l.plain and l.dependencies = '{}' and coalesce(l.known_tasks > 0, false) and p_start.turns is null as starts
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version) = (p_workflow_slug, p_start.version)
      and l.counts
  ) w
  where p_is_held
    or (
      quantumflow._is_read_committed()
      and exists (
        select
        from quantumflow.workflow_versions v
        where (v.workflow_slug, v.version) = (p_workflow_slug, p_start.version)
          and v.content_hash = p_start.content_hash
          and v.frozen_at is not null
          and (v.xmax = 0 or quantumflow._has_aborted(v.xmax))
      )
    );

  return found;
end
$_insert_steps$;

comment on function quantumflow._insert_steps(text, quantumflow._start, uuid[], boolean, timestamptz) is
'Writes the steps of runs that start, and have been inserted. False: it has not, since the version may have been deleted since its content was
read, or may be about to be; unless p_is_held says that the caller knows better.';

create function quantumflow._has_aborted(p_mark xid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_has_aborted$
declare
  v_next bigint := pg_snapshot_xmax(pg_current_snapshot())::text;
  v_id   bigint := (v_next >> 32 << 32) + p_mark::text::bigint;
begin
  -- The mark has half of the transaction's number. One of after this statement's snapshot is taken for one of long ago, of which nothing is known.
  if v_id >= v_next then
    v_id := v_id - (1::bigint << 32);
  end if;

  return v_id > 0 and coalesce(pg_xact_status(v_id::text::xid8) = 'aborted', false);
end
$_has_aborted$;

comment on function quantumflow._has_aborted(xid) is
'Whether the transaction that locked or deleted a row, of which this is the xmax, was rolled back for certain. Not for rows that several may lock at once.';

create function quantumflow._first_steps(p_workflow_slug text, p_version int, p_run_ids uuid[])
returns quantumflow._step_ref[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_first_steps$
begin
  return array(
    select row(
      u.run_id, w.step_slug, w.workflow_slug, w.version, w.plain and coalesce(w.known_tasks > 0, false), w.dependents, w.plain, null
    )::quantumflow._step_ref
    from unnest(p_run_ids) u (run_id)
    cross join quantumflow.workflow_steps w
    where (w.workflow_slug, w.version) = (p_workflow_slug, p_version)
      and w.counts
      and w.dependencies = '{}'
      and w.after = '{}');
end
$_first_steps$;

comment on function quantumflow._first_steps(text, int, uuid[]) is
'The steps of runs that have just started which wait for nothing, as _insert_steps has written them.';

create function quantumflow._queue_first_tasks(
  p_start    quantumflow._start,
  p_run_ids  uuid[],
  p_priority int,
  p_start_at timestamptz,
  p_headers  jsonb,
  p_now      timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_queue_first_tasks$
declare
  v_queue    text := p_start.queues[1];
  v_ready_at timestamptz := greatest(p_now, p_start_at);
  v_steps    int := cardinality(p_start.first_steps);
  v_messages jsonb[];
  v_headers  jsonb[];
  v_msg_ids  bigint[];
begin
  if cardinality(p_run_ids) * v_steps = 1 then
    return quantumflow._queue_first_task(p_start, p_run_ids[1], p_priority, p_start_at, p_headers, p_now);
  end if;

  v_messages := array(
    select quantumflow._message_of(u.run_id, k.step_slug, 0, false, k.command)
    from unnest(p_run_ids) with ordinality u (run_id, n)
    cross join unnest(p_start.first_steps, p_start.commands) with ordinality k (step_slug, command, n)
    order by u.n, k.n);

  if p_headers is not null then
    v_headers := array_fill(p_headers, array[cardinality(v_messages)]);
  end if;

  v_msg_ids := quantumflow._send_tasks(
    v_queue, p_start.commands, v_messages, v_headers, quantumflow._visible_at(v_ready_at, p_priority, p_now));

  if v_msg_ids is null then
    return false;
  end if;

  insert into quantumflow.step_tasks (run_id, step_slug, task_index, queue, message_id, queued_at, status)
  select u.run_id, k.step_slug, 0, v_queue, v_msg_ids[(u.n - 1) * v_steps + k.n], v_ready_at, 'queued'
  from unnest(p_run_ids) with ordinality u (run_id, n)
  cross join unnest(p_start.first_steps) with ordinality k (step_slug, n);

  return true;
end
$_queue_first_tasks$;

comment on function quantumflow._queue_first_tasks(quantumflow._start, uuid[], int, timestamptz, jsonb, timestamptz) is
'Makes the first tasks of runs that have just started, where p_start is simple: what _make_tasks does, of what is known already. False: the
queue is gone, or somebody else''s.';

create function quantumflow._queue_first_task(
  p_start    quantumflow._start,
  p_run_id   uuid,
  p_priority int,
  p_start_at timestamptz,
  p_headers  jsonb,
  p_now      timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_queue_first_task$
declare
  v_queue    text := p_start.queues[1];
  v_step     text := p_start.first_steps[1];
  v_ready_at timestamptz := greatest(p_now, p_start_at);
  v_vt       timestamptz := quantumflow._visible_at(v_ready_at, p_priority, p_now);
  v_msg_id   bigint;
begin
  if quantumflow._hold_to_send(v_queue, p_start.commands, v_vt) is null then
    return false;
  end if;

  v_msg_id := quantumflow._send_message(
    v_queue, quantumflow._message_of(p_run_id, v_step, 0, false, p_start.commands[1]), p_headers, v_vt);

  insert into quantumflow.step_tasks (run_id, step_slug, task_index, queue, message_id, queued_at, status)
  values (p_run_id, v_step, 0, v_queue, v_msg_id, v_ready_at, 'queued');

  return true;
end
$_queue_first_task$;

comment on function quantumflow._queue_first_task(quantumflow._start, uuid, int, timestamptz, jsonb, timestamptz) is
'As _queue_first_tasks, of one run with one first step.';

create function quantumflow._refuse_deleted(p_workflow_slug text, p_version int, p_content text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_refuse_deleted$
begin
  -- Somebody is deleting the version, or has; or the snapshot is older, and shows rows that are deleted: then this raises 40001.
  perform
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug
  for key share;

  -- The row of the first step stands for the version's, as in _freeze_version.
  perform
  from quantumflow.workflow_versions v
  join quantumflow.workflow_steps s
    on (s.workflow_slug, s.version) = (v.workflow_slug, v.version)
    and s.step_index = 0
  where (v.workflow_slug, v.version) = (p_workflow_slug, p_version)
    and v.content_hash = p_content
    and v.frozen_at is not null
  for key share of s;

  if not found then
    perform quantumflow._refuse_unknown(p_workflow_slug, p_version);

    raise exception 'workflow "%" was deleted and defined anew', p_workflow_slug
    using
      errcode = 'serialization_failure',
      detail = 'That was while this call started a run of it.',
      hint = 'Nothing was changed. Call it again.';
  end if;
end
$_refuse_deleted$;

comment on function quantumflow._refuse_deleted(text, int, text) is
'Refuses a version that was deleted since its content was read, after waiting for whoever deletes it; else nobody deletes it until this
transaction ends. To be called after runs were inserted.

Errors: QF111 unknown workflow; QF112 unknown version; 40001 it was defined anew.';

create function quantumflow._refuse_unknown(p_workflow_slug text, p_version int)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unknown$
declare
  v_current int;
begin
  select w.current_version
  into v_current
  from quantumflow.workflows w
  where w.workflow_slug = p_workflow_slug;

  if not found then
    raise exception 'workflow "%" does not exist', p_workflow_slug
    using
      errcode = 'QF111',
      detail = 'No workflow of that name is defined; names are case-sensitive.',
      hint = 'select * from quantumflow.list_flows() shows what is defined.';
  end if;

  if not exists (
    select
    from quantumflow.workflow_versions v
    where (v.workflow_slug, v.version) = (p_workflow_slug, coalesce(p_version, v_current))
  )
  then
    raise exception 'workflow "%" has no version %', p_workflow_slug, p_version
    using
      errcode = 'QF112',
      detail = case
        when v_current = 0 then 'None of its versions is current: they are what goals and plans came to.'
        else format('Its current version is %s.', v_current)
      end,
      hint = 'Leave the version out to use the current one.';
  end if;
end
$_refuse_unknown$;

comment on function quantumflow._refuse_unknown(text, int) is
'Refuses a workflow or a version that is not there.

Errors: QF111 unknown workflow; QF112 unknown version.';
