create function quantumflow._fail_step(
  p_run_id        uuid,
  p_step_slug     text,
  p_task_index    int,
  p_known_tasks   int,
  p_error_message text,
  p_now           timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_step$
declare
  v_error text := format(
    'step %s%s: %s',
    p_step_slug,
    case when p_known_tasks is null and p_task_index is not null then format(', task %s', p_task_index) end,
    p_error_message);
begin
  update quantumflow.step_states s
  set
    status = 'failed',
    failed_at = p_now,
    error_message = p_error_message
  where (s.run_id, s.step_slug) = (p_run_id, p_step_slug)
    and s.status = 'started';

  perform quantumflow._fail_run(p_run_id, v_error, p_now);
end
$_fail_step$;

comment on function quantumflow._fail_step(uuid, text, int, int, text, timestamptz) is
'Fails a step because one of its tasks failed for good, and its run. The caller holds both.';
