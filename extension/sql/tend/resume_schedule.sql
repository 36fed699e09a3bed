create function quantumflow.resume_schedule(schedule_slug text, reason text default null)
returns quantumflow.schedules
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $resume_schedule$
declare
  v_now      timestamptz := quantumflow._now();
  v_coming   quantumflow._coming;
  v_schedule quantumflow.schedules := quantumflow._hold_schedule(resume_schedule.schedule_slug);
begin
  if v_schedule.paused_at is null then
    return v_schedule;
  end if;

  v_coming := quantumflow._coming(quantumflow._timing_of(v_schedule), v_now);

  update quantumflow.schedules s
  set
    paused_at = null,
    due_at = v_coming.due_at,
    next_at = v_coming.next_at,
    problem = null
  where s.schedule_slug = v_schedule.schedule_slug
  returning *
  into v_schedule;

  perform quantumflow._record_act(
    'resume_schedule', v_now, v_schedule.workflow_slug, p_reason => resume_schedule.reason,
    p_detail => jsonb_build_object('schedule', v_schedule.schedule_slug));

  return v_schedule;
end
$resume_schedule$;

comment on function quantumflow.resume_schedule(text, text) is
'Lets a paused schedule go on with its next time. What came while it was paused is not made up for, and does not count as missed. One that
is not paused is left as it is. reason is kept in audit_log.

Errors: QF223 unknown schedule.';
