create function quantumflow._ensure_queue(p_queue text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_ensure_queue$
begin
  if p_queue is null or p_queue !~ '^[a-z][a-z0-9_]{0,46}$' then
    raise exception 'queue name "%" is not valid', p_queue
    using
      errcode = 'QF110',
      detail = 'A queue name is a lower-case letter, then lower-case letters, digits and underscores, at most 47.',
      hint = 'Choose another name.';
  end if;

  perform quantumflow._require_pgmq();

  if quantumflow._queue_table(p_queue) is not null then
    perform quantumflow._refuse_foreign_queue(p_queue);
    return;
  end if;

  -- Two definitions may need the same new queue at once: the second finds it made.
  perform pg_advisory_xact_lock(hashtext('quantumflow.queue'), hashtext(p_queue));

  -- In the catalog itself: what the session remembers of it may be from before the wait.
  perform
  from pg_class c
  where (c.relnamespace, c.relname) = ('pgmq'::regnamespace, 'q_' || p_queue);

  if found then
    return;
  end if;

  perform quantumflow._create_queue(p_queue);
end
$_ensure_queue$;

comment on function quantumflow._ensure_queue(text) is
'Makes the pgmq queue when it is not there, with storage settings for a busy queue.

Errors: QF110 when the name breaks pgmq''s rules or ours; QF402 when pgmq is missing or older than 1.5.1; QF403 when it holds
messages of somebody else.';

create function quantumflow._require_pgmq()
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_require_pgmq$
begin
  if to_regprocedure('pgmq.send_batch(text, jsonb[], jsonb[], timestamptz)') is null then
    raise exception 'pgmq is missing or too old'
    using
      errcode = 'QF402',
      detail = 'quantumflow needs pgmq 1.5.1 or newer in schema pgmq.',
      hint = 'Run "create extension pgmq", or update it.';
  end if;
end
$_require_pgmq$;

comment on function quantumflow._require_pgmq() is
'Refuses to work without pgmq.

Errors: QF402 when it is missing or older than 1.5.1.';

create function quantumflow._create_queue(p_queue text)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_create_queue$
begin
  perform pgmq.create(queue_name => p_queue);

  -- A claim updates whole pages of messages at once and leaves as many dead ones behind.
  execute format(
    'alter table pgmq.%I set (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.0, '
    'autovacuum_vacuum_threshold = 2000, autovacuum_vacuum_cost_delay = 0)',
    'q_' || p_queue);
end
$_create_queue$;

comment on function quantumflow._create_queue(text) is
'Makes what is missing of a pgmq queue, with storage settings for a busy one.';

create function quantumflow._refuse_foreign_queue(p_queue text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_foreign_queue$
declare
  v_msg_id bigint;
  v_run_id text;
begin
  execute format('select m.msg_id, m.message ->> ''workflow_run_id'' from pgmq.%I m order by m.msg_id limit 1', 'q_' || p_queue)
  into v_msg_id, v_run_id;

  if v_msg_id is not null
    and not exists (
      select
      from quantumflow.step_tasks t
      where t.run_id = quantumflow._as_uuid(v_run_id)
        and t.message_id = v_msg_id
    )
  then
    raise exception 'queue "%" holds messages of somebody else', p_queue
    using
      errcode = 'QF403',
      detail = format('Its message %s names no task of quantumflow.', v_msg_id),
      hint = 'Name another queue. If the messages are left over from an earlier installation: select pgmq.purge_queue(...).';
  end if;
end
$_refuse_foreign_queue$;

comment on function quantumflow._refuse_foreign_queue(text) is
'Refuses a queue whose first message is not ours: claiming from it would archive what somebody else waits for.

Errors: QF403 when it holds messages of somebody else.';

create function quantumflow._queue_table(p_queue text)
returns regclass
language sql
stable
return case when p_queue is not null then to_regclass(format('pgmq.%I', 'q_' || p_queue)) end;

comment on function quantumflow._queue_table(text) is
'The table of a pgmq queue; null when there is no such queue.';

create function quantumflow._named_queues()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_named_queues$
begin
  return query
  select w.queue from quantumflow.workflow_steps w
  union
  select q.queue from quantumflow.queues q
  union
  select 'quantum_flow_queue'
  order by 1;
end
$_named_queues$;

comment on function quantumflow._named_queues() is
'The queues that definitions or settings name, and the default one, whether they exist or not.';

create function quantumflow._known_queues()
returns setof text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_known_queues$
begin
  return query
  select n.queue
  from quantumflow._named_queues() n (queue)
  where quantumflow._queue_table(n.queue) is not null
  order by n.queue;
end
$_known_queues$;

comment on function quantumflow._known_queues() is
'The queues that definitions or settings name and that exist.';
