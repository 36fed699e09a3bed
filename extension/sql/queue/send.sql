-- Messages are sent by the statements of pgmq.send_batch(), not by a call of it. Whoever may make functions in pgmq's schema can add one
-- of the same name, with one argument more that has a default; PostgreSQL would then refuse the call as not unique.

create function quantumflow._send_messages(p_queue text, p_messages jsonb[], p_headers jsonb[], p_vt timestamptz)
returns bigint[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_send_messages$
declare
  v_msg_ids bigint[];
begin
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
