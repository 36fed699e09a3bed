-- What the caller is told of its reports: the outcome of each, why, and what there is to say about it.

create function quantumflow._reason_of(p_held quantumflow._held_task)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_reason_of$
begin
  return case p_held.outcome
    when 'violates' then coalesce(p_held.if_failed, 'run_failed')
    when 'fails' then case when p_held.counts then coalesce(p_held.if_failed, 'run_failed') else 'callback_failed' end
    when 'duplicate' then 'reported_before'
    when 'odd' then 'unknown_key'
    when 'stale' then case when p_held.status is null then 'unknown_task' else 'lease_lost' end
    when 'run_ended' then (
      select
        case r.status
          when 'completed' then 'run_completed'
          when 'failed' then 'run_failed'
          when 'cancelled' then 'run_cancelled'
          else 'task_cancelled'
        end
      from quantumflow.workflow_runs r
      where r.id = p_held.run_id)
  end;
end
$_reason_of$;

comment on function quantumflow._reason_of(quantumflow._held_task) is
'Why a report has not done what it was to do, in one of the words that task_outcome lists.';

create function quantumflow._explained(p_held quantumflow._held_task)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_explained$
begin
  if p_held.outcome in ('violates', 'fails') then
    return (
      select t.error_message
      from quantumflow.step_tasks t
      where (t.run_id, t.step_slug, t.task_index) = (p_held.run_id, p_held.step_slug, p_held.task_index)
    );
  end if;

  return case quantumflow._reason_of(p_held)
    when 'reported_before' then 'this attempt was reported before'
    when 'unknown_task' then 'there is no such task'
    when 'lease_lost' then 'the lease is not the caller''s: another attempt has the task, or its time was over'
    when 'run_completed' then 'its run was completed first'
    when 'run_failed' then 'its run has failed'
    when 'run_cancelled' then 'its run was cancelled'
    when 'task_cancelled' then 'the task was cancelled'
  end;
end
$_explained$;

comment on function quantumflow._explained(quantumflow._held_task) is
'The reason of an outcome in words for people; of a task that has failed, its error_message.';

create function quantumflow._oddness_of(p_report jsonb)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_oddness_of$
begin
  return format(
    'nobody knows its key %s; there are %s',
    quantumflow._unknown_keys(p_report), array_to_string(quantumflow._report_keys(), ', '));
end
$_oddness_of$;

comment on function quantumflow._oddness_of(jsonb) is
'What is said of a report, or of what names a task, that has a key which nobody knows.';

create function quantumflow._next_attempt(p_held quantumflow._held_task)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_next_attempt$
declare
  v_now timestamptz := quantumflow._now();
begin
  if p_held.run_status = 'paused' then
    return 'the next attempt waits until its run is resumed';
  end if;

  -- Before PostgreSQL 17 nothing can be taken from infinity.
  if p_held.queued_at = 'infinity' then
    return 'the next attempt comes when others of its map are done';
  end if;

  return (
    select format('the next attempt comes in %s s', round(greatest(extract(epoch from t.queued_at - v_now), 0)::numeric, 1))
    from quantumflow.step_tasks t
    where (t.run_id, t.step_slug, t.task_index) = (p_held.run_id, p_held.step_slug, p_held.task_index)
  );
end
$_next_attempt$;

comment on function quantumflow._next_attempt(quantumflow._held_task) is
'When a task that has failed is tried again, in words for people.';

create function quantumflow._answers(
  p_held     quantumflow._held_task[],
  p_acts     text,
  p_reports  jsonb default null,
  p_recorded quantumflow._recorded default null)
returns setof quantumflow.task_outcome
language sql
stable
begin atomic
  select
    a.run_id,
    a.step_slug,
    a.task_index,
    case a.outcome
      when 'acts' then p_acts
      when 'violates' then 'type_violation'
      when 'fails' then 'failed'
      when 'odd' then 'stale'
      else a.outcome
    end,
    case when a.outcome <> 'acts' then quantumflow._reason_of(a.held) end,
    case
      when a.outcome = 'odd' then quantumflow._oddness_of(p_reports -> a.ord)
      when a.outcome <> 'acts' then quantumflow._explained(a.held)
      when p_acts = 'retrying' then quantumflow._next_attempt(a.held)
    end
  from (
    select r.ord, r.run_id, r.step_slug, r.task_index, 'acts' as outcome, null::quantumflow._held_task as held
    from unnest((p_recorded).ords, (p_recorded).run_ids, (p_recorded).step_slugs, (p_recorded).task_indexes)
      r (ord, run_id, step_slug, task_index)
    union all
    select h.ord, h.run_id, h.step_slug, h.task_index, h.outcome, h
    from unnest(p_held) h
  ) a
  order by a.ord;
end;

comment on function quantumflow._answers(quantumflow._held_task[], text, jsonb, quantumflow._recorded) is
'The answer to a batch of reports, in its order, which is p_reports; p_acts: what one that acts has done, completed or retrying;
p_recorded: more that have acted. To be called in a statement after the one that has acted, whose changes it tells.';

create function quantumflow._answer_by_hand(
  p_held        quantumflow._held_task[],
  p_function    text,
  p_acts        text,
  p_lease_token bigint,
  p_recorded    quantumflow._recorded default null)
returns text
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_answer_by_hand$
declare
  v_answer quantumflow.task_outcome;
begin
  select *
  into v_answer
  from quantumflow._answers(p_held, p_acts, p_recorded => p_recorded);

  if p_lease_token is null and p_held[1].outcome in ('acts', 'violates', 'fails') then
    raise log 'task %/% of run % is % by hand', v_answer.step_slug, v_answer.task_index, v_answer.run_id, v_answer.outcome
    using detail = format('By session_user "%s", role "%s".', session_user, current_setting('role'));
    perform quantumflow._record_act(
      p_function, quantumflow._now(), p_held[1].workflow_slug, v_answer.run_id, v_answer.step_slug, v_answer.task_index,
      p_detail => jsonb_build_object('outcome', v_answer.outcome));
  end if;

  return v_answer.outcome;
end
$_answer_by_hand$;

comment on function quantumflow._answer_by_hand(quantumflow._held_task[], text, text, bigint, quantumflow._recorded) is
'The answer to a report of one task. One that a person made without a lease is kept in audit_log, and told to the server''s log.';
