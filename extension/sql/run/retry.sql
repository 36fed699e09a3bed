create function quantumflow.retry_run(
  run_id         uuid,
  from_step      text default null,
  from_iteration int default null,
  given_up       boolean default false,
  reason         text default null)
returns quantumflow.workflow_runs
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $retry_run$
declare
  v_now    timestamptz := quantumflow._now();
  v_run    quantumflow.workflow_runs;
  v_before jsonb;
  v_plan   quantumflow._retried_step[];
begin
  perform quantumflow._require_read_committed('retry a run');

  v_run := quantumflow._hold_resting_run(retry_run.run_id, 'retried');
  v_before := quantumflow._end_of(v_run);
  perform quantumflow._refuse_unwanted(v_run, 'retried');
  v_plan := array(
    select p from quantumflow._plan_retry(v_run, retry_run.from_step, retry_run.from_iteration, retry_run.given_up) p);

  v_run := quantumflow._retry(v_run, v_plan, v_now);

  if v_run.parent_run_id is not null then
    perform quantumflow._note_children(array[v_run.id], v_now);
  end if;

  perform quantumflow._record_act(
    'retry_run', v_now, v_run.workflow_slug, v_run.id, p_reason => retry_run.reason,
    p_detail => v_before || jsonb_strip_nulls(jsonb_build_object('from_iteration', retry_run.from_iteration))
      || jsonb_build_object('from_step', retry_run.from_step, 'given_up', nullif(retry_run.given_up, false)));

  return v_run;
end
$retry_run$;

comment on function quantumflow.retry_run(uuid, text, int, boolean, text) is
'Runs again what an ended run did not finish, and, with from_step, that step and all that depends on it too. With given_up also what the run
went on without, steps and tasks of maps, and all that depends on that, even if the run is completed.

Finished steps keep their outputs, and so do the finished tasks of a map that did not finish; its failed ones run again,
also those that were tolerated. The tasks that run again have all their
attempts again. task_failures keeps the history, under the run''s retries at that time, and undone_tasks what was completed and runs again;
that has another idempotency key then (fresh_since of claimed_task). A callback of the ended run that is still to
be done is cancelled, and its run_timeout counts anew. A wait that runs again waits for another signal than it had taken. retry_preview shows what would run again.

A loop keeps its iterations, and goes on after the last that has ended: what its condition says of that is asked once more, so one that had as
many iterations as it may (max_iterations) may have as many again. from_iteration, of the loop that from_step names, begins at that one, from 0,
and keeps those before; it must be one whose predecessor is still kept.

A step that was skipped stays so, unless it depends on what runs again. A step that had started, and now runs again without anything that it
depends on, does not pass the gate again, and nor does a loop with from_iteration; one that its condition has failed does. reason is kept in audit_log,
with how the run had ended.

Errors: QF201 unknown run; QF213 the run has not ended; QF214 nothing to run again, as the run is completed and no from_step is given;
QF215 the run has no such step; QF221 no such iteration; QF225 another run of its key goes on; QF227 it is a child that its parent does not wait for any more; QF401 the queue of a step that would start is gone; 0A000 unless the transaction is read committed.';

create function quantumflow.retry_preview(
  run_id         uuid,
  from_step      text default null,
  from_iteration int default null,
  given_up       boolean default false)
returns table (step_slug text, status text, tasks_again int, tasks_kept int)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $retry_preview$
declare
  v_run  quantumflow.workflow_runs;
  v_plan quantumflow._retried_step[];
begin
  select *
  into v_run
  from quantumflow.workflow_runs r
  where r.id = retry_preview.run_id;

  if not found then
    perform quantumflow._raise_unknown_run(retry_preview.run_id);
  end if;
  perform quantumflow._refuse_moving_run(v_run, 'retried');

  v_plan := array(
    select p
    from quantumflow._plan_retry(v_run, retry_preview.from_step, retry_preview.from_iteration, retry_preview.given_up) p);

  return query
  select
    p.step_slug,
    s.status,
    case
      when w.known_tasks is not null then w.known_tasks
      when w.repeats then null
      when w.map_over in (select o.step_slug from unnest(v_plan) o) then null
      else s.initial_tasks - k.kept
    end,
    k.kept
  from unnest(v_plan) p
  join quantumflow.step_states s
    on (s.run_id, s.step_slug) = (v_run.id, p.step_slug)
  join quantumflow.workflow_steps w
    on (w.workflow_slug, w.version, w.step_slug) = (v_run.workflow_slug, v_run.version, p.step_slug)
  cross join lateral (
    select (count(*) filter (where quantumflow._is_kept(p, t)))::int as kept
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (v_run.id, p.step_slug)
  ) k
  order by w.step_index;
end
$retry_preview$;

comment on function quantumflow.retry_preview(uuid, text, int, boolean) is
'What retry_run with the same arguments would run again, a row per step in the order of the definition; changes nothing. What its condition
or its dependencies will say is not foretold: a step listed here may be skipped then.

status: what the step is now. tasks_again: how many of its tasks would run, null for a loop, and for a map whose size is not known before.
tasks_kept: how many finished ones would keep their outputs.

Errors: QF201, QF213, QF214, QF215, QF221 as retry_run.';
