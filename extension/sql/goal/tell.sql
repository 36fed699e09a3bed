create function quantumflow._tells_at_once()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_tells_at_once$
begin
  return quantumflow._orchestrator_value('notifications.real_time') = 'true' and quantumflow._orchestrator_value('notifications.enabled') = 'true';
end
$_tells_at_once$;

comment on function quantumflow._tells_at_once() is 'Whether channel quantumflow_events is told how goals fare, as configure_orchestrator says.';

create function quantumflow._tell_of_goal(p_kind text, p_goal quantumflow.goals)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_tell_of_goal$
begin
  if quantumflow._tells_at_once() then
    perform quantumflow._tell_event(
      jsonb_strip_nulls(jsonb_build_object('kind', p_kind, 'goal_id', p_goal.goal_id, 'run_id', p_goal.run_id)));
  end if;
end
$_tell_of_goal$;

comment on function quantumflow._tell_of_goal(text, quantumflow.goals) is
'Tells channel quantumflow_events what became of a goal, ids only, where notifications.real_time says so. recent_events tells the rest.';
