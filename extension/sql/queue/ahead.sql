create function quantumflow._is_ahead(p_queue text, p_commands text[], p_vt timestamptz, p_now timestamptz)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_ahead$
declare
  v_lanes    text[] := coalesce(p_commands, quantumflow._lanes_of(p_queue));
  v_front    timestamptz := quantumflow._front(p_queue, p_commands, p_now);
  v_passed   bigint := quantumflow._entries_read(p_queue);
  v_is_ahead boolean;
begin
  if p_queue <> 'quantum_flow_queue' then
    return coalesce(quantumflow._oldest_vt(p_queue, p_commands, p_now) <= p_vt, false);
  end if;

  v_is_ahead := exists (
    select
    from pgmq.q_quantum_flow_queue q
    where quantumflow._lane_of(q.message) = any (array(select hashtext(l) from unnest(v_lanes) l))
      and q.vt >= v_front
      and q.vt <= p_vt
  );

  -- Where there is nothing up to that moment, the visible ones begin after it. Else _oldest_vt will note where.
  v_passed := quantumflow._entries_read(p_queue) - v_passed;
  if not v_is_ahead and (v_passed > 2000 or v_front > '-infinity') then
    perform quantumflow._remember_front(p_queue, p_commands, v_front, p_vt, v_passed, p_now);
  end if;

  return v_is_ahead;
end
$_is_ahead$;

comment on function quantumflow._is_ahead(text, text[], timestamptz, timestamptz) is
'Whether any message of these commands, or of all, has been visible since p_vt, or for longer; p_vt is not after p_now. The caller holds the queue.

Of messages of other commands that have the same hash it may say so too.';
