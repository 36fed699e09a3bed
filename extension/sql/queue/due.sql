create function quantumflow._count_due(p_queue text, p_commands text[], p_now timestamptz)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_count_due$
declare
  v_due bigint;
begin
  execute format(
    $$
    select coalesce(sum(k.due), 0)
    from unnest($1) l (lane)
    cross join lateral (
      select count(*) as due
      from pgmq.%I q
      where %s = hashtext(l.lane)
        and quantumflow._command_of(q.message) = l.lane
        and q.vt <= $2
    ) k
    $$,
    'q_' || p_queue, quantumflow._lane())
  using p_commands, p_now
  into v_due;

  return v_due;
end
$_count_due$;

comment on function quantumflow._count_due(text, text[], timestamptz) is
'How many messages of these commands are visible. The caller holds the queue.';
