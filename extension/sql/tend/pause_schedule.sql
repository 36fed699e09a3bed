create function quantumflow.pause_schedule(schedule_slug text, reason text default null)
returns quantumflow.schedules
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $pause_schedule$
declare
  v_now      timestamptz := quantumflow._now();
  v_schedule quantumflow.schedules := quantumflow._hold_schedule(pause_schedule.schedule_slug);
begin
  if v_schedule.paused_at is not null then
    return v_schedule;
  end if;

  update quantumflow.schedules s
  set
    paused_at = v_now,
    due_at = null,
    next_at = null
  where s.schedule_slug = v_schedule.schedule_slug
  returning *
  into v_schedule;

  perform quantumflow._record_act(
    'pause_schedule', v_now, v_schedule.workflow_slug, p_reason => pause_schedule.reason,
    p_detail => jsonb_build_object('schedule', v_schedule.schedule_slug));

  return v_schedule;
end
$pause_schedule$;

comment on function quantumflow.pause_schedule(text, text) is
'Pauses a schedule: it starts nothing until resume_schedule. What it has started goes on. Pausing it again changes nothing. reason is kept
in audit_log.

Errors: QF223 unknown schedule.';
