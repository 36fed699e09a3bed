create type quantumflow.queue_summary as (
  queue      text,
  command    text,
  due        bigint,
  later      bigint,
  retrying   bigint,
  running    bigint,
  oldest_due interval,
  workers    int,
  free_slots int,
  paused_at  timestamptz
);

comment on type quantumflow.queue_summary is 'What there is to do for a command in a queue, and who does it.';
comment on column quantumflow.queue_summary.queue is 'The queue.';
comment on column quantumflow.queue_summary.command is 'The command.';
comment on column quantumflow.queue_summary.due is 'Tasks that may be claimed now, or could be if the queue and the command were not paused.';
comment on column quantumflow.queue_summary.later is 'Tasks that wait for their time, for other code, for a limit, or for their run or flow to be resumed.';
comment on column quantumflow.queue_summary.retrying is 'Tasks that failed and wait for their next attempt.';
comment on column quantumflow.queue_summary.running is 'Tasks that are leased to a worker.';
comment on column quantumflow.queue_summary.oldest_due is 'How long the one that has been due longest has been so.';
comment on column quantumflow.queue_summary.workers is 'Workers seen in the last minute that serve the queue and have the command.';
comment on column quantumflow.queue_summary.free_slots is
'How many tasks more these could have at once, all their commands together, when they were last heard of; null where none of them says so.';
comment on column quantumflow.queue_summary.paused_at is 'Since when the queue, or the command, is paused, so that nothing of it is handed out; null where neither is.';

create function quantumflow.list_queues()
returns setof quantumflow.queue_summary
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_queues$
declare
  v_now timestamptz := quantumflow._now();
begin
  return query
  select q.queue, k.command, k.due, k.later, k.retrying, k.running, k.oldest_due, s.have_command, s.free_slots, p.paused_at
  from quantumflow._known_queues() q (queue)
  cross join lateral quantumflow._count_lanes(q.queue, v_now) k
  cross join lateral quantumflow._service(q.queue, k.command, v_now) s
  cross join lateral (
    select min(l.paused_at) as paused_at
    from quantumflow.pauses l
    where l.name = case l.kind when 'queue' then q.queue when 'command' then k.command end
  ) p
  order by k.oldest_due desc nulls last, q.queue, k.command;
end
$list_queues$;

comment on function quantumflow.list_queues() is
'What waits and runs, a row for each queue and command, what has waited longest first. Commands of which there is no task, and for which no
worker has registered by name, are left out.

due and running are what to scale workers by. Numbers are of one moment; a queue that cannot be trusted is not read: see doctor().';

create function quantumflow._count_lanes(p_queue text, p_now timestamptz)
returns table (command text, due bigint, later bigint, retrying bigint, running bigint, oldest_due interval)
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_count_lanes$
begin
  -- By the index on lanes, whatever is dead in the table. The task of a message that was never claimed need not be looked at.
  return query execute format(
    $$
    select
      l.lane,
      k.due,
      k.hidden - k.retrying - k.running,
      k.retrying,
      k.running,
      $3 - k.oldest
    from unnest($1) l (lane)
    cross join lateral (
      select
        count(*) filter (where q.vt <= $3) as due,
        count(*) filter (where q.vt > $3) as hidden,
        count(*) filter (where t.status = 'started') as running,
        count(*) filter (where t.status = 'queued') as retrying,
        min(greatest(q.vt, q.enqueued_at)) filter (where q.vt <= $3) as oldest
      from pgmq.%I q
      left join lateral quantumflow._task_of(q.message, q.msg_id) t
        on q.vt > $3
        and (q.read_ct > 0 or q.vt >= q.enqueued_at + interval '1 ms')
        and (t.status = 'started' or (t.status = 'queued' and t.attempts > t.losses and q.vt < 'infinity'))
      where %s = hashtext(l.lane)
        and quantumflow._command_of(q.message) = l.lane
    ) k
    where k.due + k.hidden > 0
      or exists (
        select
        from quantumflow.workers w
        where w.stopped_at is null
          and not quantumflow._is_silent(w.last_seen_at, $3)
          and $2 = any (w.queues)
          and l.lane = any (w.commands)
      )
    $$,
    'q_' || p_queue, quantumflow._lane())
  using quantumflow._lanes_of(p_queue), p_queue, p_now;
end
$_count_lanes$;

comment on function quantumflow._count_lanes(text, timestamptz) is
'list_queues(): the messages of a queue by command. The caller holds the queue.';
