create type quantumflow._completion as (
  recorded quantumflow._recorded,
  held     quantumflow._held_task[],
  offer    quantumflow._offer
);

comment on type quantumflow._completion is
'What became of reported results: those that are recorded, and the others; and the offer of the worker that reported them with the tasks
that it was given.';

create function quantumflow.complete_task(
  run_id      uuid,
  step_slug   text,
  task_index  int default 0,
  output      jsonb default null,
  lease_token bigint default null)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $complete_task$
declare
  v_done quantumflow._completion;
begin
  v_done := quantumflow._complete(
    jsonb_build_array(jsonb_build_object(
      'run_id', complete_task.run_id,
      'step_slug', complete_task.step_slug,
      'task_index', complete_task.task_index,
      'lease_token', complete_task.lease_token,
      'output', complete_task.output)),
    quantumflow._now(), null, p_by_hand => true);

  if v_done.held[1].queue = quantumflow._system_queue() then
    perform quantumflow._settled_by_hand(v_done.held[1], v_done.held[1].outcome in ('acts', 'fails'), quantumflow._now());
  end if;

  return quantumflow._answer_by_hand(v_done.held, 'complete_task', 'completed', complete_task.lease_token, v_done.recorded);
end
$complete_task$;

comment on function quantumflow.complete_task(uuid, text, int, jsonb, bigint) is
'Completes a task by hand: complete_tasks with one result. Returns its outcome.

Without a lease_token it acts on whatever attempt is live, a queued task too, and audit_log and the server''s log say who did it.

Errors: none of its own; a task that does not exist is "stale".';

create function quantumflow.complete_tasks(results jsonb)
returns setof quantumflow.task_outcome
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $complete_tasks$
declare
  v_done quantumflow._completion;
begin
  v_done := quantumflow._complete(
    quantumflow._checked_array(complete_tasks.results, 'results'), quantumflow._now(), null);

  return query
  select *
  from quantumflow._answers(v_done.held, 'completed', complete_tasks.results, v_done.recorded);
end
$complete_tasks$;

comment on function quantumflow.complete_tasks(jsonb) is
'Reports tasks as done, any number of them, of any runs, in one set of statements.

results: an array of {"run_id", "step_slug", "task_index", "lease_token", "output", "seconds", "usage"}. One bad result never spoils the
others. A result without a lease_token is stale: by hand there is complete_task. So is one with a key that nobody knows, which detail
names; the columns of a claimed task and of step_tasks are known.
seconds: for how long the handler ran, so that started_at is when it began; usage: what it used, {"tokens": 120}. Either may be left out,
and what makes no sense is ignored: a negative number, a text, a usage of more than 4 kB or that is no object of numbers from 0 to 10^18.

Returns a row per result, in order, with its outcome, and why it is no other (reason and detail, see task_outcome):
completed: recorded, and whatever waited for it has started. type_violation: a map maps over this output and it is no array, or a
chunk''s has not an entry for each item; the task and its run failed. failed: the output is too large, see configure(); the task failed without another attempt, and its run, with
QF309 in error_message. duplicate: this attempt has reported before; nothing changed. stale: the lease is somebody else''s by now,
there is no such task, or the result has a key that nobody knows; nothing changed. run_ended: the run was over first, and the result is not kept.

A step that would start and whose queue is gone fails with that reason, and its run with it.

Errors: QF301 results is no array. A report never raises for a race it lost.';

create function quantumflow._complete(
  p_results jsonb,
  p_now     timestamptz,
  p_offer   quantumflow._offer,
  p_by_hand boolean default false)
returns quantumflow._completion
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_complete$
declare
  v_reported quantumflow._reported;
  v_progress quantumflow._progress;
  v_run_ids  uuid[];
  v_runs     quantumflow._held_runs;
  v_mode     text;
  v_fails    boolean;
  v_offer    quantumflow._offer;
begin
  -- Lock: the tasks, which are written at once, their steps, their runs.
  v_reported := quantumflow._record_results(p_results, p_now, p_by_hand);
  v_progress := v_reported.progress;

  if v_progress.has_maps then
    v_progress := quantumflow._hold_maps(v_progress);
  end if;

  if v_progress.some_over then
    v_reported := quantumflow._held_again(p_results, v_reported, quantumflow._results_of(v_reported.recorded, v_progress.steps));
  end if;

  v_fails := cardinality(v_reported.held) > 0 and (
    v_progress.some_over or exists (select from unnest(v_reported.held) h where h.outcome in ('violates', 'fails')));
  v_mode := case when v_progress.some_end then 'no key update' else 'key share' end;

  if v_fails then
    v_reported := quantumflow._judge_reported(v_reported, v_progress.steps);
    v_mode := quantumflow._mode_to_fail(v_reported.held);
  end if;

  v_run_ids := (v_reported.recorded).run_ids;
  if cardinality(v_reported.held) > 0 then
    v_run_ids := v_run_ids || quantumflow._runs_of(v_reported.held);
  end if;
  v_runs := quantumflow._hold_runs(v_run_ids, v_mode);

  -- Change: what came too late, then steps, what they lead to, messages.
  if v_runs.changed is not null then
    v_reported := quantumflow._without_late(p_results, v_reported, v_runs.changed);
  end if;

  if cardinality(v_reported.held) > 0 and exists (select from unnest(v_reported.held) h where h.outcome = 'run_ended') then
    perform quantumflow._cancel_late(v_reported.held);
    v_progress := quantumflow._without_ended_runs(v_progress);
  end if;

  v_offer := quantumflow._move_on(v_progress, p_now, p_offer);
  perform quantumflow._remove_reported(v_reported.recorded, v_reported.held);

  if v_progress.has_limits then
    perform quantumflow._leave_limits(
      (v_reported.recorded).run_ids || array(select h.run_id from unnest(v_reported.held) h),
      (v_reported.recorded).step_slugs || array(select h.step_slug from unnest(v_reported.held) h),
      (v_reported.recorded).task_indexes || array(select h.task_index from unnest(v_reported.held) h),
      p_now);
  end if;

  if v_fails then
    perform quantumflow._fail_for_good(quantumflow._offending(v_reported.held), p_now);
  end if;

  if v_runs.children is not null and v_mode <> 'key share' then
    perform quantumflow._settle_parents(v_runs.children, p_now);

    -- What they go on with may be in queues that were quiet before.
    if v_offer.worker_id is not null then
      v_offer := quantumflow._stirred(v_offer);
    end if;
  end if;

  return row(v_reported.recorded, v_reported.held, v_offer)::quantumflow._completion;
end
$_complete$;

comment on function quantumflow._complete(jsonb, timestamptz, quantumflow._offer, boolean) is
'What complete_tasks does: records results, moves their runs on, and hands what becomes ready over to the worker that has made an
offer, if any. Returns that offer with what was taken, and what became of each result.';

create function quantumflow._judge_reported(p_reported quantumflow._reported, p_steps quantumflow._step_progress[])
returns quantumflow._reported
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_judge_reported$
begin
  p_reported.held := quantumflow._judge_failures(p_reported.held, p_steps);

  return p_reported;
end
$_judge_reported$;

comment on function quantumflow._judge_reported(quantumflow._reported, quantumflow._step_progress[]) is
'What became of results, with what the failures among them mean for their runs.';

create function quantumflow._results_of(p_recorded quantumflow._recorded, p_steps quantumflow._step_progress[])
returns int[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_results_of$
begin
  return array(
    select k.ord
    from unnest(p_recorded.ords, p_recorded.run_ids, p_recorded.step_slugs) k (ord, run_id, step_slug)
    where exists (
      select
      from unnest(p_steps) s
      where s.is_over
        and (s.run_id, s.step_slug) = (k.run_id, k.step_slug)
    ));
end
$_results_of$;

comment on function quantumflow._results_of(quantumflow._recorded, quantumflow._step_progress[]) is
'Which of the recorded results are of steps that are over.';

create function quantumflow._held_again(p_results jsonb, p_reported quantumflow._reported, p_ords int[])
returns quantumflow._reported
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_held_again$
declare
  v_recorded quantumflow._recorded := p_reported.recorded;
  v_held     quantumflow._held_task[];
begin
  if p_ords = '{}' then
    return p_reported;
  end if;

  v_held := quantumflow._read_reported(p_results, 'complete', false, p_ords);

  for n in 1 .. cardinality(v_held) loop
    v_held[n].outcome := 'acts';
    v_held[n].status := 'started';
    v_held[n].started_at := v_recorded.claimed_at[array_position(v_recorded.ords, v_held[n].ord)];
  end loop;

  p_reported.held := p_reported.held || v_held;
  p_reported.recorded := quantumflow._without(v_recorded, p_ords);

  return p_reported;
end
$_held_again$;

comment on function quantumflow._held_again(jsonb, quantumflow._reported, int[]) is
'Holds these of the recorded tasks as one that is looked at closer, as they were before.';

create function quantumflow._without_late(p_results jsonb, p_reported quantumflow._reported, p_changed uuid[])
returns quantumflow._reported
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_without_late$
declare
  v_recorded quantumflow._recorded := p_reported.recorded;
begin
  -- What was recorded for a run that had ended by then, and is part of it.
  p_reported := quantumflow._held_again(
    p_results,
    p_reported,
    array(
      select k.ord
      from unnest(v_recorded.ords, v_recorded.run_ids, v_recorded.step_slugs) k (ord, run_id, step_slug)
      where k.run_id = any (p_changed)
        and exists (
          select
          from quantumflow.workflow_runs r
          join quantumflow.workflow_steps w
            on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, k.step_slug)
          where r.id = k.run_id
            and r.status not in ('started', 'paused')
            and w.counts
          offset 0
        )));
  p_reported.held := quantumflow._as_their_runs_are(p_reported.held);

  return p_reported;
end
$_without_late$;

comment on function quantumflow._without_late(jsonb, quantumflow._reported, uuid[]) is
'What became of results, as their runs are now: what was recorded for a run that had ended when this call got hold of it is held with the
outcome run_ended, and is to be taken back. p_changed: the runs that are not as was assumed.';

create function quantumflow._offending(p_held quantumflow._held_task[])
returns quantumflow._failed_attempt[]
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_offending$
begin
  return array(
    select row(h, 'error', t.error_message, null, true)::quantumflow._failed_attempt
    from unnest(p_held) h
    cross join lateral (
      select l.error_message
      from quantumflow.step_tasks l
      where (l.run_id, l.step_slug, l.task_index) = (h.run_id, h.step_slug, h.task_index)
      limit 1
    ) t
    where h.outcome in ('violates', 'fails')
    order by h.run_id, h.step_slug);
end
$_offending$;

comment on function quantumflow._offending(quantumflow._held_task[]) is
'The attempts whose output offends a map or is too large. They were the last, attempts left or not: the same handler would return the same.';
