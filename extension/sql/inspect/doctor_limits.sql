create function quantumflow._examine_limits(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_limits$
begin
  return query
  select
    format('limit %s', l.limit_name),
    'warning',
    format('it lets nothing go, and %s tasks wait for it', sum(l.waiting)),
    format('To let them go: select quantumflow.set_limit(%L, 5), or remove_limit.', l.limit_name)
  from quantumflow.list_limits() l
  where l.at_once = 0
    and l.waiting > 0
  group by l.limit_name

  union all
  select
    format('limit %s', k.limit_name),
    'warning',
    format('tasks wait for it although slots are free, of %s keys, and nobody has let them go for a minute', count(*)),
    'Let a worker run, or call quantumflow.sweep() every few seconds.'
  from (
    select w.limit_name, w.limit_key
    from quantumflow._limit_waits w
    group by w.limit_name, w.limit_key
    having count(*) filter (where w.let_go_at is not null) = 0
      and min(w.place) < p_now - interval '1 min'
  ) k
  join quantumflow.limits l
    on l.limit_name = k.limit_name
    and l.at_once > (
      select count(*)
      from quantumflow._limit_slots s
      where (s.limit_name, s.limit_key) = (k.limit_name, k.limit_key)
        and s.lease_token is not null
        and quantumflow._has_slot_live(s)
    )
  group by k.limit_name
  order by 1;
end
$_examine_limits$;

comment on function quantumflow._examine_limits(timestamptz) is
'doctor(): limits that let nothing go while tasks wait, and tasks that wait although they could go, which a sweep would have seen.';
