create function quantumflow.unschedule_flow(schedule_slug text)
returns quantumflow.schedules
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $unschedule_flow$
declare
  v_schedule quantumflow.schedules := quantumflow._hold_schedule(unschedule_flow.schedule_slug);
begin
  delete from quantumflow.schedules s
  where s.schedule_slug = v_schedule.schedule_slug;

  perform quantumflow._record_act(
    'unschedule_flow', quantumflow._now(), v_schedule.workflow_slug,
    p_detail => jsonb_build_object(
      'schedule', v_schedule.schedule_slug, 'cron', v_schedule.cron, 'time_zone', v_schedule.time_zone, 'input', v_schedule.input));

  return v_schedule;
end
$unschedule_flow$;

comment on function quantumflow.unschedule_flow(text) is
'Removes a schedule, and returns its row as it was. Runs that it has started go on.

Errors: QF223 unknown schedule.';
