-- Of statements that each claim runs on a queue's table there are functions for the default queue, whose name is known here: they are
-- planned once a session. For another queue a statement is put together and planned anew by each call, which takes 0.1 ms or more.
do $default$
declare
  v_statement record;
begin
  for v_statement in
    select *
    from (
      values
        ('_hide', 'p_parts oid[], p_tids tid[], p_vts timestamptz[]', null, null, quantumflow._hide_statement('quantum_flow_queue')),
        (
          '_look', 'p_lanes text[], p_front timestamptz, p_now timestamptz, p_hashes int[]', 'out o_vt timestamptz', 'o_vt',
          quantumflow._look_statement('quantum_flow_queue')
        ),
        (
          '_read_first', 'p_lanes text[], p_quantity int, p_front timestamptz, p_now timestamptz, p_hashes int[]',
          'out o_reading quantumflow._reading', 'o_reading',
          quantumflow._read_first_statement('quantum_flow_queue')
        ),
        (
          '_read_lane', 'p_lane text, p_quantity int, p_except bigint[], p_front timestamptz, p_now timestamptz',
          'out o_messages quantumflow._message[]', 'o_messages',
          quantumflow._read_lane_statement('quantum_flow_queue')
        )
    ) s (name, takes, gives, into_what, text)
  loop
    execute format(
      'create function quantumflow.%I(%s) %s language plpgsql volatile set search_path = pg_catalog, pg_temp as %L',
      v_statement.name || '_default',
      concat_ws(', ', v_statement.takes, v_statement.gives),
      case when v_statement.gives is null then 'returns void' end,
      concat('begin ', v_statement.text, ' into ' || v_statement.into_what, '; end'));
    execute format(
      'comment on function quantumflow.%I(%s) is %L',
      v_statement.name || '_default',
      v_statement.takes,
      format('The statement of %s_statement, for the default queue.', v_statement.name));
  end loop;
end
$default$;
