-- Messages are sent by the statements of pgmq.send_batch(), not by a call of it. Whoever may make functions in pgmq's schema can add one
-- of the same name, with one argument more that has a default; PostgreSQL would then refuse the call as not unique.
--
-- The default queue's name is known here, so its statements are planned once a session. Those of other queues are planned for each call.

create function quantumflow._message_of(p_run_id uuid, p_step_slug text, p_task_index int, p_gathers boolean, p_command text)
returns jsonb
language sql
stable
return case
  when p_command = p_step_slug then
    jsonb_build_object(
      'workflow_run_id', p_run_id, 'step_name', p_step_slug, 'task_index', p_task_index, 'is_map_task', p_gathers)
  else
    jsonb_build_object(
      'workflow_run_id', p_run_id, 'step_name', p_step_slug, 'task_index', p_task_index, 'is_map_task', p_gathers, 'command', p_command)
end;

comment on function quantumflow._message_of(uuid, text, int, boolean, text) is
'What a task''s message says: which task it is, and the command, which is its lane, unless that is the name of the step.';

create function quantumflow._send_messages(p_queue text, p_messages jsonb[], p_headers jsonb[], p_vt timestamptz)
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_send_messages$
declare
  v_msg_ids bigint[];
begin
  if p_queue = 'quantum_flow_queue' then
    with sent as (
      insert into pgmq.q_quantum_flow_queue (vt, message, headers)
      select p_vt, k.message, p_headers[k.n]
      from unnest(p_messages) with ordinality k (message, n)
      order by k.n
      returning msg_id
    )
    select array_agg(s.msg_id)
    into v_msg_ids
    from sent s;

    return v_msg_ids;
  end if;

  execute format(
    $$
    with sent as (
      insert into pgmq.%I (vt, message, headers)
      select $3, k.message, $2[k.n]
      from unnest($1) with ordinality k (message, n)
      order by k.n
      returning msg_id
    )
    select array_agg(s.msg_id)
    from sent s
    $$,
    'q_' || p_queue)
  using p_messages, p_headers, p_vt
  into v_msg_ids;

  return v_msg_ids;
end
$_send_messages$;

comment on function quantumflow._send_messages(text, jsonb[], jsonb[], timestamptz) is
'Puts messages into a queue, as pgmq.send_batch does, and returns their ids in order. p_headers may be null. The caller holds the queue.';

create function quantumflow._send_message(p_queue text, p_message jsonb, p_headers jsonb, p_vt timestamptz)
returns bigint
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_send_message$
declare
  v_msg_id bigint;
begin
  if p_queue <> 'quantum_flow_queue' then
    return (quantumflow._send_messages(p_queue, array[p_message], array[p_headers], p_vt))[1];
  end if;

  insert into pgmq.q_quantum_flow_queue (vt, message, headers)
  values (p_vt, p_message, p_headers)
  returning msg_id
  into v_msg_id;

  return v_msg_id;
end
$_send_message$;

comment on function quantumflow._send_message(text, jsonb, jsonb, timestamptz) is
'Puts one message into a queue, as pgmq.send does, and returns its id. The caller holds the queue.';

create function quantumflow._pass_on_message(p_queue text, p_msg_id bigint, p_message jsonb, p_vt timestamptz, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_pass_on_message$
declare
  v_sent int;
begin
  -- As one that was just sent: never read, and sent with a lease (see _read_lapsed).
  if p_queue = 'quantum_flow_queue' then
    update pgmq.q_quantum_flow_queue q
    set
      message = p_message,
      vt = p_vt,
      read_ct = 0,
      enqueued_at = p_now
    where q.msg_id = p_msg_id;

    return found;
  end if;

  execute format(
    $$
    update pgmq.%I q
    set
      message = $2,
      vt = $3,
      read_ct = 0,
      enqueued_at = $4
    where q.msg_id = $1
    $$,
    'q_' || p_queue)
  using p_msg_id, p_message, p_vt, p_now;

  get diagnostics v_sent = row_count;

  return v_sent = 1;
end
$_pass_on_message$;

comment on function quantumflow._pass_on_message(text, bigint, jsonb, timestamptz, timestamptz) is
'Lets the message of a task that is done be that of the next one, of the same run, in that one''s lane: one row written where to delete and to
send are two. Its headers stay, which are the run''s. False: it is gone. The caller holds the queue and the task that it names.';
