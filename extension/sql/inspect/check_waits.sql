create function quantumflow._check_waits(p_run_id uuid)
returns setof quantumflow.state_problem
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_check_waits$
begin
  -- What could not be settled is put back for a minute. Only runs to which a signal lies are looked at.
  return query execute format(
    $$
    select 14, t.run_id, t.step_slug::text, t.task_index, t.queue, t.message_id,
      format('the step waits for a signal, and %%L lies there', g.signal), 'wake it'
    from (
      select l.run_id, l.signal
      from quantumflow.signals l
      where l.taken_at is null
        and ($1 is null or l.run_id = $1)
      group by l.run_id, l.signal
    ) g
    join quantumflow.workflow_runs r
      on r.id = g.run_id
      and ($1 is null or r.id = $1)
      and r.status = 'started'
      and r.started_at <= $2
    join quantumflow.workflow_steps w
      on (w.workflow_slug, w.version) = (r.workflow_slug, r.version)
      and g.signal = any (w.signals)
    join quantumflow.step_tasks t
      on (t.run_id, t.step_slug) = (r.id, w.step_slug)
      and t.status = 'queued'
    join (%s) q
      on (q.queue, q.msg_id) = (t.queue, t.message_id)
    where q.vt > $2 + case when starts_with(t.error_message, 'could not be settled') then interval '61 s' else interval '1 s' end
    $$,
    quantumflow._all_messages())
  using p_run_id, quantumflow._now();

  return query
  select 8, r.id, w.step_slug::text, r.retries, null::text, null::bigint, 'the run goes on without its deadline', 'set its deadline'
  from quantumflow.workflow_steps w
  join quantumflow.workflow_runs r
    on (r.workflow_slug, r.version) = (w.workflow_slug, w.version)
    and r.status in ('started', 'paused')
  where w.settled
    and not w.counts
    and (p_run_id is null or r.id = p_run_id)
    and not exists (
      select
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (r.id, w.step_slug, r.retries)
    );
end
$_check_waits$;

comment on function quantumflow._check_waits(uuid) is 'Rules 8 and 14 of check_state: what waits for a signal, and deadlines of runs.';
