create table quantumflow._limit_makers (
  limit_name text collate "C" not null,
  part       int not null,
  constraint _limit_makers_pkey primary key (limit_name, part)
);

comment on table quantumflow._limit_makers is
'Who makes rows for a key of a limit locks the one here to which the key belongs: so two never make the same, and nobody has to wait. Sixteen for each
limit that a definition names, or that was ever set.';
comment on column quantumflow._limit_makers.limit_name is 'The limit.';
comment on column quantumflow._limit_makers.part is 'For which keys, by their hash: 0 to 15.';

create function quantumflow._know_limits(p_names text[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_know_limits$
begin
  insert into quantumflow._limit_makers (limit_name, part)
  select k.name, n.n
  from unnest(p_names) k (name)
  cross join generate_series(0, 15) n (n)
  where not exists (
    select
    from quantumflow._limit_makers m
    where (m.limit_name, m.part) = (k.name, n.n)
  )
  order by k.name, n.n
  on conflict do nothing;
end
$_know_limits$;

comment on function quantumflow._know_limits(text[]) is
'Makes what limits of these names need, where it is not there.';
