create type quantumflow.worker_summary as (
  worker_id    uuid,
  name         text,
  host         text,
  pid          int,
  version      text,
  queues       text[],
  commands     text[],
  slots        int,
  running      int,
  since        timestamptz,
  last_seen_at timestamptz,
  state        text
);

comment on type quantumflow.worker_summary is 'A worker, as it says of itself.';
comment on column quantumflow.worker_summary.worker_id is 'The id it claims with.';
comment on column quantumflow.worker_summary.name is 'Its name.';
comment on column quantumflow.worker_summary.host is 'The machine it is on; null where it does not say.';
comment on column quantumflow.worker_summary.pid is 'Its process there.';
comment on column quantumflow.worker_summary.version is 'The version of its client.';
comment on column quantumflow.worker_summary.queues is 'The queues it serves.';
comment on column quantumflow.worker_summary.commands is 'The commands it has handlers for; null: any.';
comment on column quantumflow.worker_summary.slots is 'How many tasks it may have at once.';
comment on column quantumflow.worker_summary.running is 'How many it had when it was last heard of, 15 s ago at most if it is well.';
comment on column quantumflow.worker_summary.since is 'When it registered.';
comment on column quantumflow.worker_summary.last_seen_at is 'When it last claimed, extended a lease or registered, to a few seconds.';
comment on column quantumflow.worker_summary.state is
'busy: no slot is free. working: some tasks. idle: none. alive: it does not say how many it has. silent: not seen for a minute. stopped: it said so.';

create function quantumflow.list_workers(alive_only boolean default true)
returns setof quantumflow.worker_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_workers$
declare
  v_now timestamptz := quantumflow._now();
begin
  return query
  select
    w.worker_id, w.name, w.host, w.pid, w.version, w.queues, w.commands, w.slots, w.running, w.started_at, w.last_seen_at,
    k.state
  from quantumflow.workers w
  cross join lateral (
    select case
      when w.stopped_at is not null then 'stopped'
      when quantumflow._is_silent(w.last_seen_at, v_now) then 'silent'
      when w.running is null then 'alive'
      when w.running = 0 then 'idle'
      when w.running >= w.slots then 'busy'
      else 'working'
    end as state
  ) k
  where not list_workers.alive_only
    or k.state not in ('stopped', 'silent')
  order by w.started_at, w.name, w.worker_id;
end
$list_workers$;

comment on function quantumflow.list_workers(boolean) is
'The workers that are alive, or, with alive_only => false, also those that have stopped or are silent and not yet pruned, the oldest first.';
