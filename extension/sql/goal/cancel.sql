create function quantumflow.cancel_goal(goal_id uuid, reason text default null)
returns quantumflow.goals
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $cancel_goal$
declare
  v_goal quantumflow.goals := quantumflow._goal(cancel_goal.goal_id);
  v_now  timestamptz := quantumflow._now();
begin
  if v_goal.is_planning then
    select *
    into v_goal
    from quantumflow.goals g
    where g.goal_id = cancel_goal.goal_id
    for update;
  end if;

  if v_goal.is_planning then
    update quantumflow.goals g
    set
      is_planning = false,
      cancelled_at = v_now,
      error_message = quantumflow._cut(cancel_goal.reason)
    where g.goal_id = cancel_goal.goal_id
    returning *
    into v_goal;

    perform quantumflow.cancel_run(v_goal.plan_run_id, cancel_goal.reason)
    where quantumflow._ended_at(v_goal.plan_run_id) is null;

    return v_goal;
  elsif v_goal.cancelled_at is not null then
    return v_goal;
  end if;

  if v_goal.run_id is null then
    raise exception 'goal % is not running', v_goal.goal_id
    using
      errcode = 'QF615',
      detail = format('It is %s, and has no run.', quantumflow._status_of_goal(v_goal, null)),
      hint = 'Only a goal that is decomposed or executed can be cancelled.';
  end if;

  perform quantumflow.cancel_run(v_goal.run_id, cancel_goal.reason);

  return v_goal;
end
$cancel_goal$;

comment on function quantumflow.cancel_goal(uuid, text) is
'Cancels a goal, in whatever phase it is: its run is cancelled, as cancel_run has it. Cancelling it again changes nothing.

Errors: QF207 it has completed or failed; QF609 unknown goal; QF615 it has no run.';
