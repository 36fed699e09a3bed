-- Tasks are nearly always claimed by one statement, which finds them, locks and writes them, and returns what is handed out. Its text is put
-- together here, for messages as a worker of the default queue finds them, and for such as were read before, from any queue.

create function quantumflow._look_closer()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_look_closer$
begin
  raise exception using errcode = 'no_data_found';
end
$_look_closer$;

comment on function quantumflow._look_closer() is
'Ends the statement that claims tasks where there is something to be said against one of them.

Errors: P0002 always.';

create function quantumflow._claim_statement(p_with text, p_of_maps boolean, p_queue text, p_seen text, p_then text)
returns text
language sql
immutable
return format(
  -- First the run, shared: whatever stops a run waits for this claim, or is seen by it. Then the task, and all of them before any is
  -- written.
  $$
  with %s,
  held as materialized (
    select
      m.part, m.tid, r.id, r.workflow_slug, r.version, r.headers, r.retries, w.step_slug, w.command, w.args, w.max_attempts,
      w.timeout, w.step_type, l.tid as task, i.input, i.fresh_since
    from %s s
    cross join lateral (
      select k.id, k.workflow_slug, k.version, k.status, k.input, k.headers, k.retries
      from quantumflow.workflow_runs k
      where k.id = quantumflow._as_uuid(s.run_id)
      for key share skip locked
    ) r
    cross join lateral (
      select
        k.step_slug, k.command, k.args, k.max_attempts, k.timeout, k.step_type, k.dependencies, k.counts, k.gathers, k.repeats,
        k.chunk_size
      from quantumflow.workflow_steps k
      where (k.workflow_slug, k.version, k.step_slug) = (r.workflow_slug, r.version, s.step_slug)
      limit 1
    ) w
    cross join lateral %s m (task_index, msg_id, part, tid)
    cross join lateral (
      select k.ctid as tid, k.task_index, k.item_value
      from quantumflow.step_tasks k
      where (k.run_id, k.step_slug) = (r.id, w.step_slug)
        and k.task_index = quantumflow._as_number(m.task_index, 9)::int
        and k.message_id = m.msg_id
        and k.queue = %s
        and k.status = 'queued'
        and k.losses = 0
        and k.limit_key is null
      for update skip locked
    ) l
    cross join lateral quantumflow._task_input(
      r.id, w.step_slug, l.task_index, l.item_value, r.input, r.retries, w.dependencies, w.counts, w.gathers, w.repeats,
      w.chunk_size, 100000) i
    where i.input is not null
      and (r.status = 'started' or not w.counts)
      and (p_offer.commands is null or w.command = any (p_offer.commands))
      and (p_offer.not_flows is null or r.workflow_slug <> all (p_offer.not_flows))
  ),
  claimed as (
    update quantumflow.step_tasks t
    set
      status = 'started',
      attempts = t.attempts + 1,
      worker_id = p_offer.worker_id,
      lease_token = quantumflow._token_of(p_secret, t.message_id),
      started_at = p_now
    from held k
    where (
        select case
          when count(*) = %s and coalesce(sum(pg_column_size(h.input)), 0) <= 16777216 then true
          else quantumflow._look_closer()
        end
        from held h
      )
      and t.run_id is not distinct from k.id
      and t.ctid = k.task
    returning
      t.run_id, k.workflow_slug, t.step_slug, t.task_index, k.command, k.args, k.input, t.attempts, k.max_attempts, t.lease_token,
      p_now + least(p_offer.lease, k.timeout) as vt, p_now + k.timeout as deadline, t.queue, t.message_id, k.headers, t.losses,
      k.step_type, k.retries, k.fresh_since, k.version, k.part, k.tid
  )%s
  $$,
  p_with,
  case
    when p_of_maps
    then '(
      select
        g.run_id, g.step_slug, array_agg(g.task_index) as task_indexes, array_agg(g.msg_id) as msg_ids, array_agg(g.part) as parts,
        array_agg(g.tid) as tids
      from found g
      group by g.run_id, g.step_slug
      offset 0
    )'
    else 'found'
  end,
  case
    when p_of_maps then 'unnest(s.task_indexes, s.msg_ids, s.parts, s.tids)'
    else '(select s.task_index, s.msg_id, s.part, s.tid)'
  end,
  p_queue, p_seen, p_then);

comment on function quantumflow._claim_statement(text, boolean, text, text, text) is
'The statement that claims the tasks that the messages found name, if there is nothing to be said against any of those seen, which is nearly
always so: each can be held, waits for its first worker or for one after a failure, is not limited, and was never lost, its run goes on, its flow is not paused, and its input is not so large
that it had better be handed out by itself. Else it claims none, and says so. It may miss one that was changed since the statement began.

p_with: what gives found. p_of_maps: most of these are of the same steps, so that each run and step is looked up once. p_queue: their queue.
p_seen: how many there are, those that others hold as well. p_then: what becomes of the tasks claimed.

Errors: P0002 a task takes a closer look.';

-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._claimed_columns()
returns text
language sql
immutable
return 'c.run_id, c.workflow_slug, c.step_slug, c.task_index, c.command, c.args, c.input, c.attempts, c.max_attempts, c.lease_token, c.vt, '
  'c.deadline, c.queue, c.message_id, c.headers, c.losses, c.step_type, c.retries, c.fresh_since, c.version';

comment on function quantumflow._claimed_columns() is
'A claimed_task, of what _claim_statement has claimed.';

do $claims$
declare
  c_hidden   constant text := format(
    ', hidden as (%s) select %s from claimed c',
    quantumflow._hide_statement('quantum_flow_queue', 'claimed k'), quantumflow._claimed_columns());
  c_lane     constant text := format('found as materialized (%s)', quantumflow._lane_query('quantum_flow_queue'));
  c_lanes    constant text := format(
    '%s, found as materialized (%s)',
    quantumflow._choice_of_lanes('quantum_flow_queue'), quantumflow._lanes_query('quantum_flow_queue'));
  c_queue    constant text := quote_literal('quantum_flow_queue');
  v_function record;
begin
  for v_function in
    select *
    from (
      values
        (
          '_claim_lane',
          'p_lane text, p_quantity int, p_except bigint[], p_front timestamptz, p_now timestamptz, p_offer quantumflow._offer, p_secret uuid',
          'returns setof quantumflow.claimed_task',
          'return query ' || quantumflow._claim_statement(c_lane, false, c_queue, '(select count(*) from found)', c_hidden),
          'Claims tasks of one lane of the default queue, by the arguments of _lane_query.'
        ),
        (
          '_claim_lane_of_maps',
          'p_lane text, p_quantity int, p_except bigint[], p_front timestamptz, p_now timestamptz, p_offer quantumflow._offer, p_secret uuid',
          'returns setof quantumflow.claimed_task',
          'return query ' || quantumflow._claim_statement(c_lane, true, c_queue, '(select count(*) from found)', c_hidden),
          'Claims tasks of maps of one lane of the default queue, by the arguments of _lane_query.'
        ),
        (
          '_claim_lanes',
          'p_lanes text[], p_quantity int, p_front timestamptz, p_now timestamptz, p_hashes int[], p_offer quantumflow._offer, p_secret uuid',
          'returns setof quantumflow.claimed_task',
          'return query ' || quantumflow._claim_statement(c_lanes, false, c_queue, '(select count(*) from chosen)', c_hidden),
          'Claims tasks of several lanes of the default queue, by the arguments of _lanes_query.'
        ),
        (
          '_claim_read',
          'p_queue text, p_messages quantumflow._message[], p_offer quantumflow._offer, p_now timestamptz, p_secret uuid, '
          'out o_plain quantumflow.claimed_task[], out o_parts oid[], out o_tids tid[], out o_vts timestamptz[]',
          '',
          quantumflow._claim_statement(
            'found as (select * from unnest(p_messages))', false, 'p_queue', 'cardinality(p_messages)',
            format(
              ' select coalesce(array_agg(row(%s)::quantumflow.claimed_task), ''{}''), array_agg(c.part), array_agg(c.tid), array_agg(c.vt) '
              'into o_plain, o_parts, o_tids, o_vts from claimed c',
              quantumflow._claimed_columns())),
          'Claims tasks whose messages were read, and tells where these are, and until when they are to be hidden.'
        )
    ) f (name, takes, gives, statement, comment)
  loop
    execute format(
      'create function quantumflow.%I(%s) %s language plpgsql volatile set search_path = pg_catalog, pg_temp as %L',
      v_function.name, v_function.takes, v_function.gives, concat('begin ', v_function.statement, '; end'));
    execute format(
      'comment on function quantumflow.%I is %L', v_function.name,
      v_function.comment || e' See _claim_statement.\n\nErrors: P0002 a task takes a closer look.');
  end loop;
end
$claims$;

create function quantumflow._claim_at_once(p_offer quantumflow._offer, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_claim_at_once$
declare
  v_room    int := p_offer.free - cardinality(p_offer.taken);
  v_lanes   text[] := coalesce(p_offer.commands, quantumflow._lanes_of('quantum_flow_queue'));
  v_hashes  int[] := array(select hashtext(l) from unnest(v_lanes) l);
  v_front   timestamptz := quantumflow._front('quantum_flow_queue', p_offer.commands, p_now);
  v_of_maps boolean := false;
  v_secret  uuid := gen_random_uuid();
begin
  if cardinality(v_lanes) <> 1 or v_lanes[1] is null then
    return query
    select *
    from quantumflow._claim_lanes(v_lanes, v_room, v_front, p_now, v_hashes, p_offer, v_secret);
    return;
  end if;

  -- What is first is what most are.
  if v_room >= 10 then
    v_of_maps := (
      select coalesce(q.message ->> 'is_map_task', '') = 'true'
      from pgmq.q_quantum_flow_queue q
      where quantumflow._lane_of(q.message) = v_hashes[1]
        and q.vt >= v_front
        and q.vt <= p_now
      order by q.vt
      limit 1
    );
  end if;

  if v_of_maps then
    return query
    select *
    from quantumflow._claim_lane_of_maps(v_lanes[1], v_room, '{}', v_front, p_now, p_offer, v_secret);
  elsif v_of_maps is not null then
    return query
    select *
    from quantumflow._claim_lane(v_lanes[1], v_room, '{}', v_front, p_now, p_offer, v_secret);
  end if;
end
$_claim_at_once$;

comment on function quantumflow._claim_at_once(quantumflow._offer, timestamptz) is
'Claims from the default queue what a worker has room for that serves no other, if there is nothing to be said against any of it, and
returns all of it. There may be nothing.

Errors: P0002 a task takes a closer look.';
