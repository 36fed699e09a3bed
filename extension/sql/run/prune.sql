create function quantumflow.prune(
  older_than    interval,
  max_runs      int default 1000,
  workflow_slug text default null,
  reason        text default null)
returns bigint
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $prune$
declare
  v_now     timestamptz := quantumflow._now();
  v_before  timestamptz;
  v_run_ids uuid[];
begin
  perform quantumflow._require_read_committed('prune');
  perform quantumflow._refuse_bad_prune(prune.older_than, prune.max_runs);
  v_before := v_now - quantumflow._as_seconds(prune.older_than);

  -- An id of version 7 tells when its run was created, which was before it ended. For other ids there is an index.
  select array_agg(p.id order by p.id)
  into v_run_ids
  from (
    (
      select r.id
      from quantumflow.workflow_runs r
      where r.id < quantumflow._first_uuid_v7(v_before + interval '1 ms')
        and coalesce(r.completed_at, r.failed_at, r.cancelled_at) < v_before
        and (prune.workflow_slug is null or r.workflow_slug = prune.workflow_slug)
        and quantumflow._open_callback(r.id) is null
        and r.parent_run_id is null
        and quantumflow._tree_rests(r.id)
      order by r.id
      limit prune.max_runs
    )
    union
    (
      select r.id
      from quantumflow.workflow_runs r
      where substr(r.id::text, 15, 1) <> '7'
        and coalesce(r.completed_at, r.failed_at, r.cancelled_at) < v_before
        and (prune.workflow_slug is null or r.workflow_slug = prune.workflow_slug)
        and quantumflow._open_callback(r.id) is null
        and r.parent_run_id is null
        and quantumflow._tree_rests(r.id)
      order by r.id
      limit prune.max_runs
    )
    order by 1
    limit prune.max_runs
  ) p;

  if exists (select from quantumflow._trees t where t.root_run_id = any (v_run_ids)) then
    v_run_ids := quantumflow._trees_of(v_run_ids);
  end if;

  -- Somebody may have retried or deleted a run before it was locked.
  select array_agg(r.id)
  into v_run_ids
  from quantumflow._hold_whole_runs(v_run_ids) r
  where coalesce(r.completed_at, r.failed_at, r.cancelled_at) < v_before
    and quantumflow._open_callback(r.id) is null;

  -- A tree goes whole, or not at all.
  if exists (select from quantumflow._trees t where t.root_run_id = any (v_run_ids)) then
    v_run_ids := quantumflow._whole_trees(v_run_ids);
  end if;

  perform quantumflow._delete_runs(v_run_ids);

  -- One that has not said that it stops may only be out of sight, for the time that the network or the server is.
  delete from quantumflow.workers w
  where case
    when w.stopped_at is null then w.last_seen_at < least(v_before, v_now - interval '1 hour')
    else w.stopped_at < v_before
  end;

  -- What came to no run, of whatever workflow that would have been.
  if prune.workflow_slug is null then
    delete from quantumflow.goals g
    where g.goal_id < quantumflow._first_uuid_v7(v_before)
      and num_nonnulls(g.run_id, g.plan_run_id) = 0;

    delete from quantumflow._goal_cache c
    where c.made_at < v_before;
  end if;

  perform quantumflow._forget_past(quantumflow._as_seconds(prune.older_than), v_now);
  if v_run_ids is not null then
    perform quantumflow._record_act(
      'prune', v_now, prune.workflow_slug, p_reason => prune.reason,
      p_detail => jsonb_build_object('older_than', prune.older_than, 'runs', cardinality(v_run_ids)));
  end if;

  return coalesce(cardinality(v_run_ids), 0)::bigint;
end
$prune$;

comment on function quantumflow.prune(interval, int, text, text) is
'Deletes runs that ended longer ago than older_than, those of the lowest ids first, with all that is theirs and all below them, and forgets workers
that stopped longer ago, or were not seen since, for an hour at the least. Returns how many runs it deleted; as many as max_runs means that there may be more.

older_than: 0 s to 1,000 years; a day has 24 hours, a month 30 days, a year 365.25. max_runs: 1 to 100,000, what is below them not counted, so that each call is a short transaction; call it again until it returns less.
workflow_slug: only runs of this workflow; one that is unknown has none. prune_preview tells how many there are. reason is kept in audit_log. Acts
and single hours of step_hours go four times as long after they were as runs do, and after 30 days at the least. Runs that go on, and ended ones whose callback is still to be done, stay.

Errors: QF216 an argument that is null or out of range; 0A000 unless the transaction is read committed.';

create function quantumflow._forget_past(p_older_than interval, p_now timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_forget_past$
declare
  v_before timestamptz := p_now - greatest(4 * p_older_than, interval '30 days');
begin
  delete from quantumflow.audit_log a
  where a.at < v_before;

  -- Not what stands for all hours: totals never fall.
  delete from quantumflow.step_hours h
  where h.hour > '-infinity'
    and h.hour < v_before;
end
$_forget_past$;

comment on function quantumflow._forget_past(interval, timestamptz) is
'Forgets what people did, and what is known of single hours, four times as long after it as runs are kept, and after 30 days at the least.';

create function quantumflow._tree_rests(p_run_id uuid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_tree_rests$
begin
  return not exists (select from quantumflow._trees t where t.root_run_id = p_run_id) or quantumflow._goes_on_below(p_run_id) is null;
end
$_tree_rests$;

comment on function quantumflow._tree_rests(uuid) is 'Whether nothing goes on below a run.';

create function quantumflow._whole_trees(p_run_ids uuid[])
returns uuid[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_whole_trees$
begin
  return array(
    select m.id
    from (
      select distinct coalesce(l.root_run_id, l.id) as root_run_id
      from unnest(p_run_ids) u (run_id)
      cross join lateral (
        select k.id, k.root_run_id
        from quantumflow.workflow_runs k
        where k.id = u.run_id
        limit 1
      ) l
    ) r
    cross join lateral (select quantumflow._trees_of(array[r.root_run_id]) as ids offset 0) t
    cross join lateral unnest(t.ids) m (id)
    where not exists (select from unnest(t.ids) i (id) where i.id not in (select unnest(p_run_ids)))
    order by m.id);
end
$_whole_trees$;

comment on function quantumflow._whole_trees(uuid[]) is 'Those of these runs all of whose tree is among them.';

create type quantumflow.pruned_runs as (
  workflow_slug text,
  status        text,
  runs          bigint,
  tasks         bigint,
  oldest        timestamptz
);

comment on type quantumflow.pruned_runs is 'Runs of a workflow and a status that prune would delete.';
comment on column quantumflow.pruned_runs.workflow_slug is 'The workflow.';
comment on column quantumflow.pruned_runs.status is 'completed, failed or cancelled.';
comment on column quantumflow.pruned_runs.runs is 'How many there are.';
comment on column quantumflow.pruned_runs.tasks is 'How many tasks they have together.';
comment on column quantumflow.pruned_runs.oldest is 'When the first of them ended.';

create function quantumflow.prune_preview(older_than interval, workflow_slug text default null)
returns setof quantumflow.pruned_runs
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $prune_preview$
declare
  v_before timestamptz;
begin
  perform quantumflow._refuse_bad_prune(prune_preview.older_than, 1);
  v_before := quantumflow._now() - quantumflow._as_seconds(prune_preview.older_than);

  return query
  select r.workflow_slug::text, r.status, count(*), sum(k.tasks)::bigint, min(r.ended_at)
  from (
    select m.id, m.workflow_slug, m.status, coalesce(m.completed_at, m.failed_at, m.cancelled_at) as ended_at
    from quantumflow.workflow_runs o
    cross join lateral (
      select case
        when exists (select from quantumflow._trees t where t.root_run_id = o.id) then quantumflow._trees_of(array[o.id])
        else array[o.id]
      end as ids
    ) k
    cross join lateral unnest(k.ids) u (run_id)
    cross join lateral (
      select l.*
      from quantumflow.workflow_runs l
      where l.id = u.run_id
      limit 1
    ) m
    where (o.id < quantumflow._first_uuid_v7(v_before + interval '1 ms') or substr(o.id::text, 15, 1) <> '7')
      and coalesce(o.completed_at, o.failed_at, o.cancelled_at) < v_before
      and (prune_preview.workflow_slug is null or o.workflow_slug = prune_preview.workflow_slug)
      and quantumflow._open_callback(o.id) is null
      and o.parent_run_id is null
      and quantumflow._tree_rests(o.id)
  ) r
  cross join lateral (
    select count(*) as tasks
    from quantumflow.step_tasks t
    where t.run_id = r.id
  ) k
  group by r.workflow_slug, r.status
  order by 3 desc, 1, 2;
end
$prune_preview$;

comment on function quantumflow.prune_preview(interval, text) is
'What prune with the same arguments would delete in the end, a row for each workflow and status: how many runs and tasks, and when the oldest of
them ended. Changes nothing; it counts them all, which takes its time where they are many.

Errors: QF216 as prune.';

create function quantumflow._refuse_bad_prune(p_older_than interval, p_max_runs int)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_prune$
begin
  if p_older_than is null or extract(epoch from p_older_than) not between 0 and 1000 * 31557600::bigint then
    raise exception 'older_than must be between 0 s and 1000 years'
    using
      errcode = 'QF216',
      detail = format('It is %s.', coalesce(p_older_than::text, 'null')),
      hint = 'For example: select quantumflow.prune(interval ''30 days'').';
  end if;

  if p_max_runs is null or p_max_runs not between 1 and 100000 then
    raise exception 'max_runs must be between 1 and 100000'
    using
      errcode = 'QF216',
      detail = format('It is %s.', coalesce(p_max_runs::text, 'null')),
      hint = 'Leave it out for 1000, and call again until the answer is less.';
  end if;
end
$_refuse_bad_prune$;

comment on function quantumflow._refuse_bad_prune(interval, int) is
'Refuses arguments that prune cannot work with.

Errors: QF216 an argument that is null or out of range.';
