create function quantumflow._live_leases(p_now timestamptz)
returns quantumflow._live_lease[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_live_leases$
declare
  v_leases quantumflow._live_lease[];
begin
  -- A lease lasts for a day at most: what is hidden for longer is delayed, or sleeps.
  execute format(
    $$
    select array(
      select distinct row(q.queue, quantumflow._command_of(q.message), t.worker_id)::quantumflow._live_lease
      from (%s) q
      cross join lateral quantumflow._task_of(q.message, q.msg_id) t
      where t.status = 'started'
        and q.vt > $1
        and q.vt <= $1 + interval '1 day')
    $$,
    quantumflow._all_messages())
  using p_now
  into v_leases;

  return v_leases;
end
$_live_leases$;

comment on function quantumflow._live_leases(timestamptz) is
'What is being worked on, and by whom. It reads all messages, so doctor() asks once.';

create function quantumflow._live_workers(p_leases quantumflow._live_lease[], p_now timestamptz)
returns setof quantumflow.workers
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_live_workers$
begin
  return query
  select w.*
  from quantumflow.workers w
  where w.stopped_at is null
    and (
      not quantumflow._is_silent(w.last_seen_at, p_now)
      or w.worker_id in (select l.worker_id from unnest(p_leases) l)
    );
end
$_live_workers$;

comment on function quantumflow._live_workers(quantumflow._live_lease[], timestamptz) is
'The registered workers that are alive: seen in the last minute, or with tasks whose leases have not run out. Those before 0.4.0 are not
seen while they have all the tasks that they can have, but for renewing the leases.';

create function quantumflow._examine_commands(p_leases quantumflow._live_lease[], p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_examine_commands$
declare
  v_live quantumflow.workers[] := array(select w from quantumflow._live_workers(p_leases, p_now) w);
begin
  return query execute format(
    $$
    select
      coalesce(format('command %%s', w.command), 'messages'),
      case when k.workers = 0 and w.command is not null then 'error' else 'warning' end,
      case
        when w.command is null
        then format('%%s messages of queue %%s name no command: no claim of commands finds them', w.due, w.queue)
        when k.workers = 0
        then format('%%s tasks wait in queue %%s, since %%s, and no live worker has the command and serves the queue', w.due, w.queue, w.since)
        else format('%%s tasks wait in queue %%s, since %%s, and none is worked on, though %%s live %%s could', w.due, w.queue, w.since, k.workers, case k.workers when 1 then 'worker' else 'workers' end)
      end,
      case
        when w.command is null then 'Run: select * from quantumflow.sweep().'
        when k.workers = 0 then format('Start a worker that has a handler for it: quantumflow worker MODULE:OBJECT --queue %%s.', w.queue)
        else 'Look at what these workers log.'
      end
    from (
      select q.queue, quantumflow._command_of(q.message) as command, count(*) as due, date_trunc('second', min(q.vt)) as since
      from (%s) q
      where q.vt <= $1
        and q.queue <> $4
        -- Not what waits because its workflow is paused.
        and not (
          exists (select from quantumflow.pauses p where p.kind = 'workflow')
          and exists (
            select
            from quantumflow.workflow_runs r
            join quantumflow.pauses p
              on (p.kind, p.name) = ('workflow', r.workflow_slug)
            where r.id = quantumflow._as_uuid(q.message ->> 'workflow_run_id')
            offset 0
          )
        )
      group by 1, 2
    ) w
    cross join lateral (
      select count(*) as workers
      from unnest($2) l
      where w.queue = any (l.queues)
        and coalesce(w.command = any (l.commands), l.commands is null)
    ) k
    where w.since < $1 - case when k.workers = 0 then interval '10 s' else interval '5 min' end
      and not exists (
        select
        from quantumflow.pauses p
        where p.name = case p.kind when 'queue' then w.queue when 'command' then w.command end
      )
      and not exists (
        select
        from unnest($3) l
        where (l.queue, l.command) = (w.queue, w.command)
      )
    order by w.since, w.queue, w.command
    $$,
    quantumflow._all_messages())
  using p_now, v_live, p_leases, quantumflow._system_queue();
end
$_examine_commands$;

comment on function quantumflow._examine_commands(quantumflow._live_lease[], timestamptz) is
'doctor(): commands of which tasks wait and nobody works on any: for 10 s if there is no live worker that has the command and serves the
queue, else for 5 minutes. Where somebody works on one, the others wait for their turns.';

create function quantumflow._examine_left(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_left$
begin
  return query execute format(
    $$
    select
      format('workflow %%s, version %%s', r.workflow_slug, r.version),
      'warning',
      format(
        '%%s tasks of step %%s wait for code that can do them, since %%s; %%s',
        count(*), t.step_slug, date_trunc('second', min(t.queued_at)), min(t.error_message)),
      'Run workers of the code that this version was made for until its runs have ended, or cancel them.'
    from (%s) q
    cross join lateral quantumflow._task_of(q.message, q.msg_id) t
    join quantumflow.workflow_runs r
      on r.id = t.run_id
    where q.vt > $1
      and q.vt <= $1 + interval '60 s'
      and t.status = 'queued'
      and t.queued_at < $1 - interval '10 s'
      and starts_with(t.error_message, 'left to other code')
    group by r.workflow_slug, r.version, t.step_slug
    order by r.workflow_slug, r.version, t.step_slug
    $$,
    quantumflow._all_messages())
  using p_now;
end
$_examine_left$;

comment on function quantumflow._examine_left(timestamptz) is
'doctor(): steps whose tasks have waited for 10 s because the code of the workers that had them could not do them, and why. Between two
tries, a minute apart at most, their messages are hidden: so they are found.';

create function quantumflow._examine_settling(p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_examine_settling$
declare
  v_queue text := quantumflow._system_queue();
begin
  if quantumflow._hold_queue(v_queue) is null then
    return;
  end if;

  return query execute format(
    $$
    select
      'timers and signals',
      case when k.due > 0 or k.refused > 0 then 'warning' else 'ok' end,
      format('%%s are waited for', k.waiting)
        || case when k.due > 0 then format(', %%s have been due for more than 10 s, since %%s', k.due, date_trunc('second', k.since)) else '' end
        || case when k.refused > 0 then format(', %%s could not be settled, for example: %%s', k.refused, k.why) else '' end,
      case
        when k.refused > 0 then 'Each is tried again once a minute. select * from quantumflow.why() tells which these are.'
        when k.due > 0 then 'Start a worker, or let pg_cron call quantumflow.sweep(): see the operators'' guide.'
      end
    from (
      select
        count(*) as waiting,
        count(*) filter (where q.vt < $1 - interval '10 s') as due,
        min(q.vt) as since,
        count(*) filter (where starts_with(t.error_message, 'could not be settled')) as refused,
        min(t.error_message) filter (where starts_with(t.error_message, 'could not be settled')) as why
      from pgmq.%I q
      left join lateral quantumflow._task_of(q.message, q.msg_id) t
        on q.vt <= $1 + interval '61 s'
        and t.status = 'queued'
    ) k
    $$,
    'q_' || v_queue)
  using p_now;
end
$_examine_settling$;

comment on function quantumflow._examine_settling(timestamptz) is
'doctor(): what no worker is given, whether its time is over and nobody settles it, and what could not be settled.';

create function quantumflow._examine_work(p_leases quantumflow._live_lease[], p_now timestamptz)
returns setof quantumflow.finding
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_examine_work$
begin
  return query
  select
    'workers',
    case when w.live = 0 and t.waiting then 'warning' else 'ok' end,
    format('%s alive', w.live),
    case when w.live = 0 and t.waiting then 'Tasks wait but no registered worker is alive: quantumflow worker MODULE:OBJECT.' end
  from (
    select count(*) as live
    from quantumflow._live_workers(p_leases, p_now)
  ) w
  cross join (
    select exists (
      select
      from quantumflow._open_runs() o (run_id)
      cross join lateral (
        select
        from quantumflow.workflow_runs l
        where l.id = o.run_id
          and l.status = 'started'
        limit 1
      ) r
    ) as waiting
    offset 0
  ) t
  union all
  select
    'ends',
    case when count(*) = 0 then 'ok' else 'warning' end,
    format('%s ends of runs unfinished for a minute', count(*)),
    case when count(*) > 0 then 'Run: select * from quantumflow.sweep(). Some transaction may hold their tasks for long.' end
  from quantumflow._unfinished_ends e
  where e.recorded_at < p_now - interval '1 min';
end
$_examine_work$;

comment on function quantumflow._examine_work(quantumflow._live_lease[], timestamptz) is 'doctor(): the workers, and ends of runs that nobody finished.';
