create function quantumflow.delete_run(run_id uuid, reason text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $delete_run$
declare
  v_run  quantumflow.workflow_runs;
  v_tree uuid[];
begin
  perform quantumflow._require_read_committed('delete a run');

  if exists (select from quantumflow._trees t where t.root_run_id = delete_run.run_id) then
    v_tree := quantumflow._hold_resting_tree(delete_run.run_id);
  end if;

  v_run := quantumflow._hold_resting_run(delete_run.run_id, 'deleted');
  perform quantumflow._refuse_child(v_run);
  perform quantumflow._delete_runs(coalesce(v_tree, array[v_run.id]));
  perform quantumflow._record_act(
    'delete_run', quantumflow._now(), v_run.workflow_slug, v_run.id, p_reason => delete_run.reason,
    p_detail => quantumflow._end_of(v_run));

  return v_run;
end
$delete_run$;

comment on function quantumflow.delete_run(uuid, text) is
'Deletes a run that has ended, with its steps, tasks and history, and all below it, and returns what it was. Its idempotency key may be used again.
reason is kept in audit_log, with how the run had ended.

Errors: QF201 unknown run; QF213 the run has not ended, or one below it, or its callback has not; QF228 a step of another run started it, with which
it goes; 0A000 unless the transaction is read committed.';

create function quantumflow._end_of(p_run quantumflow.workflow_runs)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_end_of$
begin
  return jsonb_build_object(
    'status', p_run.status,
    'version', p_run.version,
    'created_at', p_run.created_at,
    'ended_at', coalesce(p_run.completed_at, p_run.failed_at, p_run.cancelled_at),
    'retries', p_run.retries,
    'idempotency_key', p_run.idempotency_key,
    'error_message', p_run.error_message);
end
$_end_of$;

comment on function quantumflow._end_of(quantumflow.workflow_runs) is
'How a run had ended, for audit_log: what a retry or a deletion overwrites.';

create function quantumflow._delete_runs(p_run_ids uuid[])
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_delete_runs$
declare
  v_batch record;
begin
  perform quantumflow._count_deleted(p_run_ids);

  delete from quantumflow.task_failures f
  where f.run_id = any (p_run_ids);

  delete from quantumflow.undone_tasks u
  where u.run_id = any (p_run_ids);

  delete from quantumflow._unfinished_ends e
  where e.run_id = any (p_run_ids);

  delete from quantumflow._map_counters c
  where c.run_id = any (p_run_ids);

  delete from quantumflow._tree_work w
  where w.run_id = any (p_run_ids);

  delete from quantumflow._unkept_runs k
  where k.run_id = any (p_run_ids);

  delete from quantumflow._trees t
  where t.root_run_id = any (p_run_ids);

  delete from quantumflow.task_progress p
  where p.run_id = any (p_run_ids);

  delete from quantumflow.signals s
  where s.run_id = any (p_run_ids);

  delete from quantumflow.step_states s
  where s.run_id = any (p_run_ids);

  delete from quantumflow.goals g
  where g.run_id = any (p_run_ids)
    or (g.plan_run_id = any (p_run_ids) and g.run_id is null and not g.is_planning);

  delete from quantumflow.workflow_runs r
  where r.id = any (p_run_ids);

  perform quantumflow._forget_hidden(p_run_ids);

  -- A task that its run's end had to leave still has a message.
  for v_batch in
    with deleted as (
      delete from quantumflow.step_tasks t
      where t.run_id = any (p_run_ids)
      returning t.queue, t.message_id, t.status
    )
    select d.queue, array_agg(d.message_id order by d.message_id) as msg_ids
    from deleted d
    where d.status in ('queued', 'started')
    group by d.queue
    order by d.queue
  loop
    perform quantumflow._remove_messages(v_batch.queue, v_batch.msg_ids);
  end loop;
end
$_delete_runs$;

comment on function quantumflow._delete_runs(uuid[]) is
'Deletes everything of these runs. The caller holds them with their tasks and steps.';
