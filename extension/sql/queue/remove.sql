-- How messages leave a queue: by the statements of pgmq.delete() and pgmq.archive(), not by calls of them, for the reason given in
-- send.sql.

create function quantumflow._remove_messages(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remove_messages$
begin
  if cardinality(p_msg_ids) = 0 or quantumflow._hold_queue(p_queue) is null then
    return;
  end if;

  if exists (select from quantumflow.queues q where q.queue = p_queue and q.archive)
    and quantumflow._hold_queue(p_queue, 'a_') is not null
  then
    perform quantumflow._archive_messages(p_queue, p_msg_ids);
  else
    perform quantumflow._delete_messages(p_queue, p_msg_ids);
  end if;
end
$_remove_messages$;

comment on function quantumflow._remove_messages(text, bigint[]) is
'Takes messages out of a queue: deleted, or archived where the queue''s settings say so and there is an archive. A dropped queue has
none.';

create function quantumflow._delete_messages(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_delete_messages$
begin
  if p_queue = 'quantum_flow_queue' then
    delete from pgmq.q_quantum_flow_queue q
    where q.msg_id = any (p_msg_ids);
  elsif p_queue = 'quantum_flow_system' then
    delete from pgmq.q_quantum_flow_system q
    where q.msg_id = any (p_msg_ids);
  else
    execute format('delete from pgmq.%I where msg_id = any ($1)', 'q_' || p_queue)
    using p_msg_ids;
  end if;
end
$_delete_messages$;

comment on function quantumflow._delete_messages(text, bigint[]) is
'Deletes messages of a queue, which the caller holds and which keeps no archive.';

create function quantumflow._archive_messages(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_archive_messages$
declare
  -- A column that archives have since pgmq 1.10.
  v_more text := (
    select string_agg(', ' || quote_ident(a.attname), '')
    from pg_attribute a
    where a.attrelid = to_regclass(format('pgmq.%I', 'a_' || p_queue))
      and a.attname = 'last_read_at');
begin
  execute format(
    $$
    with archived as (
      delete from pgmq.%1$I
      where msg_id = any ($1)
      returning msg_id, vt, read_ct, enqueued_at, message, headers%3$s
    )
    insert into pgmq.%2$I (msg_id, vt, read_ct, enqueued_at, message, headers%3$s)
    select msg_id, vt, read_ct, enqueued_at, message, headers%3$s
    from archived
    $$,
    'q_' || p_queue, 'a_' || p_queue, v_more)
  using p_msg_ids;
end
$_archive_messages$;

comment on function quantumflow._archive_messages(text, bigint[]) is
'Moves messages to a queue''s archive, as pgmq.archive does. The caller holds both.';

create function quantumflow._remove_free_messages(p_queue text, p_msg_ids bigint[])
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_remove_free_messages$
declare
  v_free bigint[];
  v_busy bigint[];
begin
  if quantumflow._hold_queue(p_queue) is null then
    return array[]::bigint[];
  end if;

  execute format(
    $$
    select coalesce(array_agg(m.msg_id order by m.msg_id), '{}')
    from (
      select q.msg_id
      from pgmq.%I q
      where q.msg_id = any ($1)
      for update skip locked
    ) m
    $$,
    'q_' || p_queue)
  using p_msg_ids
  into v_free;

  perform quantumflow._remove_messages(p_queue, v_free);

  execute format(
    $$
    select coalesce(array_agg(q.msg_id), '{}')
    from pgmq.%I q
    where q.msg_id = any ($1)
    $$,
    'q_' || p_queue)
  using p_msg_ids
  into v_busy;

  return v_busy;
end
$_remove_free_messages$;

comment on function quantumflow._remove_free_messages(text, bigint[]) is
'Takes messages out of a queue without waiting, and returns those that stayed because others hold them.';

create function quantumflow._archive_foreign(p_queue text, p_msg_ids bigint[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_archive_foreign$
begin
  -- Where the queue has no archive they stay in it, hidden for ever.
  if quantumflow._hold_queue(p_queue, 'a_') is null then
    perform quantumflow._set_vt(p_queue, p_msg_ids, array_fill('infinity'::timestamptz, array[cardinality(p_msg_ids)]));
  else
    perform quantumflow._archive_messages(p_queue, p_msg_ids);
  end if;

  raise warning '% % of queue "%" that name no task of quantumflow',
    case when quantumflow._queue_table(p_queue, 'a_') is null then 'hid' else 'archived' end,
    case cardinality(p_msg_ids) when 1 then 'a message' else cardinality(p_msg_ids) || ' messages' end, p_queue
  using
    detail = format('Their msg_id: %s.', array_to_string(p_msg_ids[1:20], ', ')),
    hint = format('They are in pgmq.%s_%s. Send other messages to another queue.',
      case when quantumflow._queue_table(p_queue, 'a_') is null then 'q' else 'a' end, p_queue);
end
$_archive_foreign$;

comment on function quantumflow._archive_foreign(text, bigint[]) is
'Moves messages that are not ours, cannot be read or are not the one their task names to pgmq''s archive, with a warning.';
