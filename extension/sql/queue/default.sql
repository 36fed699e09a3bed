-- Of statements that each claim runs on a queue's table there are functions for the default queue, and of what settles for that of what
-- waits, whose names are known here: they are planned once a session. For another queue a statement is put together and planned anew by each
-- call, which takes 0.1 ms or more.
do $default$
declare
  v_statement record;
begin
  for v_statement in
    select *
    from (
      values
        ('_hide', 'default', 'p_parts oid[], p_tids tid[], p_vts timestamptz[]', null, null, quantumflow._hide_statement('quantum_flow_queue')),
        (
          '_look', 'default', 'p_lanes text[], p_front timestamptz, p_now timestamptz, p_hashes int[]', 'out o_vt timestamptz', 'o_vt',
          quantumflow._look_statement('quantum_flow_queue')
        ),
        (
          '_read_first', 'default', 'p_lanes text[], p_quantity int, p_front timestamptz, p_now timestamptz, p_hashes int[]',
          'out o_reading quantumflow._reading', 'o_reading',
          quantumflow._read_first_statement('quantum_flow_queue')
        ),
        (
          '_read_lane', 'default', 'p_lane text, p_quantity int, p_except bigint[], p_front timestamptz, p_now timestamptz',
          'out o_messages quantumflow._message[]', 'o_messages',
          quantumflow._read_lane_statement('quantum_flow_queue')
        ),
        (
          '_lock_messages', 'system', 'p_msg_ids bigint[], p_now timestamptz', 'out o_messages quantumflow._message[]', 'o_messages',
          quantumflow._lock_messages_statement(quantumflow._system_queue())
        )
    ) s (name, queue, takes, gives, into_what, text)
  loop
    execute format(
      'create function quantumflow.%I(%s) %s language plpgsql volatile set search_path = pg_catalog, pg_temp as %L',
      concat_ws('_', v_statement.name, v_statement.queue),
      concat_ws(', ', v_statement.takes, v_statement.gives),
      case when v_statement.gives is null then 'returns void' end,
      concat('begin ', v_statement.text, ' into ' || v_statement.into_what, '; end'));
    execute format(
      'comment on function quantumflow.%I(%s) is %L',
      concat_ws('_', v_statement.name, v_statement.queue),
      v_statement.takes,
      format(
        'The statement of %s_statement, for the %s.', v_statement.name,
        case v_statement.queue when 'default' then 'default queue' else 'queue of what waits' end));
  end loop;
end
$default$;
