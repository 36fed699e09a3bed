create type quantumflow.size as (
  what          text,
  kind          text,
  rows_estimate bigint,
  bytes         bigint,
  dead_share    numeric
);

comment on type quantumflow.size is 'How large a table is.';
comment on column quantumflow.size.what is 'The table, or the queue.';
comment on column quantumflow.size.kind is 'table, queue or archive.';
comment on column quantumflow.size.rows_estimate is 'How many rows it has, as PostgreSQL''s statistics say.';
comment on column quantumflow.size.bytes is 'What it takes on disk, its indexes and what is stored apart included.';
comment on column quantumflow.size.dead_share is
'The part of its rows that is dead and waits for autovacuum, from 0 to 1, as the statistics say; null where it has none.';

create function quantumflow.list_sizes()
returns setof quantumflow.size
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_sizes$
begin
  return query
  select
    k.what,
    k.kind,
    s.live,
    s.bytes,
    round(s.dead::numeric / nullif(s.live + s.dead, 0), 3)
  from (
    select c.oid, c.relname::text as what, 'table' as kind
    from pg_class c
    where c.relnamespace = 'quantumflow'::regnamespace
      and c.relkind in ('r', 'p')
    union all
    select to_regclass(format('pgmq.%I', a.prefix || q.queue))::oid, q.queue, a.kind
    from quantumflow._named_queues() q (queue)
    cross join (values ('q_', 'queue'), ('a_', 'archive')) a (prefix, kind)
  ) k
  cross join lateral (
    select
      sum(pg_total_relation_size(p.oid))::bigint as bytes,
      coalesce(sum(pg_stat_get_live_tuples(p.oid)), 0)::bigint as live,
      coalesce(sum(pg_stat_get_dead_tuples(p.oid)), 0)::bigint as dead
    from (
      select k.oid as oid
      union
      select t.relid::oid
      from pg_partition_tree(k.oid) t
    ) p
  ) s
  where k.oid is not null
  order by s.bytes desc, k.what, k.kind;
end
$list_sizes$;

comment on function quantumflow.list_sizes() is
'How large quantumflow''s tables and queues are, the largest first; the sum of bytes is all of it.

A table keeps the size of its fullest time: what is freed is used again.';
