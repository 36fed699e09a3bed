create function quantumflow.complete_and_claim(
  worker_id uuid,
  results   jsonb,
  quantity  int default 1,
  queues    text[] default '{quantum_flow_queue}',
  lease     interval default '300 s',
  commands  text[] default null,
  held      int default 0)
returns setof quantumflow.task_exchange
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $complete_and_claim$
declare
  v_now     timestamptz := quantumflow._now();
  v_results jsonb;
  v_offer   quantumflow._offer;
  v_next    quantumflow.claimed_task;
  v_answer  quantumflow.task_exchange;
  v_done    quantumflow._completion;
begin
  v_results := quantumflow._checked_array(complete_and_claim.results, 'results');
  v_offer := quantumflow._checked_offer(
    complete_and_claim.worker_id, complete_and_claim.quantity, complete_and_claim.queues, complete_and_claim.lease,
    complete_and_claim.commands, complete_and_claim.held);
  v_next := quantumflow._pass_on(v_results, v_offer, v_now);

  if v_next.run_id is not null then
    v_answer := row(
      'completed', v_next.run_id, null, v_results -> 0 ->> 'step_slug', 0, null, null, null, null, null,
      null, null, null, null, null, null, null, null, null, null, null, null, null
    )::quantumflow.task_exchange;
    return next v_answer;

    if v_next.step_slug is not null then
      v_answer := row(
        null, v_next.run_id, v_next.workflow_slug, v_next.step_slug, v_next.task_index, v_next.command, v_next.args, v_next.input,
        v_next.attempt, v_next.max_attempts, v_next.lease_token, v_next.lease_expires_at, v_next.deadline, v_next.queue, v_next.message_id,
        v_next.headers, v_next.losses, v_next.step_type, null, null, v_next.retries, v_next.fresh_since, v_next.version
      )::quantumflow.task_exchange;
      return next v_answer;

      return;
    end if;

    if quantumflow._is_quiet(v_offer, v_now) then
      return;
    end if;
  else
    v_offer := quantumflow._open_offer(v_offer);
    v_done := quantumflow._complete(v_results, v_now, v_offer);
    v_offer := v_done.offer;

    return query
    select
      o.outcome, o.run_id, null::text, o.step_slug, o.task_index, null::text, null::jsonb, null::jsonb, null::int, null::int,
      null::bigint, null::timestamptz, null::timestamptz, null::text, null::bigint, null::jsonb, null::int, null::text,
      o.reason, o.detail, null::int, null::int, null::int
    from quantumflow._answers(v_done.held, 'completed', complete_and_claim.results, v_done.recorded) o;
  end if;

  return query
  select
    null::text, c.run_id, c.workflow_slug, c.step_slug, c.task_index, c.command, c.args, c.input, c.attempt, c.max_attempts,
    c.lease_token, c.lease_expires_at, c.deadline, c.queue, c.message_id, c.headers, c.losses, c.step_type,
    null::text, null::text, c.retries, c.fresh_since, c.version
  from quantumflow._claim_and_hand_out(v_offer, v_now) c;
end
$complete_and_claim$;

comment on function quantumflow.complete_and_claim(uuid, jsonb, int, text[], interval, text[], int) is
'Reports tasks as done and hands out the next ones: complete_tasks and claim_tasks in one call and one commit.

results: as for complete_tasks; may be empty. The other arguments are those of claim_tasks; quantity is how many tasks the caller can
start at once, held how many it has besides those that it reports here. First come rows with the outcome of each result, in order, then rows without one: the tasks.

Steps that the results make ready are handed over as they start, without a claim of their own, if the caller could have claimed
them and nothing in their queue is ahead of them by more than a second. What room is left is filled by a claim, from the queues in
which anything was visible then.

Errors: as complete_tasks and claim_tasks: QF301, QF302, QF303, QF304, QF401, QF403, QF404, QF407; then no result is recorded.';
