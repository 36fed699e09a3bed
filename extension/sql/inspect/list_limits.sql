create type quantumflow.limit_summary as (
  limit_name text,
  key        text,
  at_once    int,
  per_second numeric,
  running    bigint,
  waiting    bigint
);

comment on type quantumflow.limit_summary is 'How a limit stands, for one of its keys.';
comment on column quantumflow.limit_summary.limit_name is 'The limit.';
comment on column quantumflow.limit_summary.key is 'The key, as JSON, a long one cut; null for a limit without keys, and for one of which nothing runs or waits.';
comment on column quantumflow.limit_summary.at_once is 'How many may be with workers at once; null: any number.';
comment on column quantumflow.limit_summary.per_second is 'How many may begin in a second; null: any number.';
comment on column quantumflow.limit_summary.running is 'How many are with workers.';
comment on column quantumflow.limit_summary.waiting is 'How many wait, those that a worker may have at once with them; of a limit that is not set only those that it held back.';

create function quantumflow.list_limits()
returns setof quantumflow.limit_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_limits$
begin
  return query
  with key as (
    select s.limit_name, s.limit_key, count(*) filter (where quantumflow._has_slot_live(s)) as running, 0::bigint as waiting
    from quantumflow._limit_slots s
    where s.lease_token is not null
    group by s.limit_name, s.limit_key
    union all
    select w.limit_name, w.limit_key, 0, count(*)
    from quantumflow._limit_waits w
    group by w.limit_name, w.limit_key
  ),
  total as (
    select k.limit_name, k.limit_key, sum(k.running)::bigint as running, sum(k.waiting)::bigint as waiting
    from key k
    group by k.limit_name, k.limit_key
    having sum(k.running) + sum(k.waiting) > 0
  )
  select
    coalesce(l.limit_name, t.limit_name), nullif(t.limit_key, ''), l.at_once, l.per_second, coalesce(t.running, 0), coalesce(t.waiting, 0)
  from quantumflow.limits l
  full join total t
    on t.limit_name = l.limit_name
  order by 1, 6 desc, 2;
end
$list_limits$;

comment on function quantumflow.list_limits() is
'The limits, a row for each key of which anything runs or waits, that of which most wait first; a limit that is set and has none has one row too, and
so has one that is not set and of which tasks run or wait.

Errors: none.';
