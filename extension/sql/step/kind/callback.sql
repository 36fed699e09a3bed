-- Without a path of its own, so that it is inlined where it is called.

create function quantumflow._callback_of(p_run_status text)
returns text
language sql
immutable
return case p_run_status when 'completed' then '_on_complete' when 'failed' then '_on_failure' end;

comment on function quantumflow._callback_of(text) is
'The name of the callback of a run that has ended so; null while it goes on, and where there is none.';

create function quantumflow._callback_input(p_run_id uuid, p_step_slug text)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_callback_input$
begin
  return (
    select case p_step_slug
      when '_on_complete' then jsonb_build_object('run', r.input, 'output', r.output)
        || case when r.gave_up is not null then jsonb_build_object('gave_up', r.gave_up) else '{}' end
      else jsonb_build_object(
        'run', r.input,
        'error', r.error_message,
        'failure', (
          select jsonb_build_object(
            'message', coalesce(f.error_message, s.error_message, r.error_message),
            'step_slug', s.step_slug,
            'task_index', case when s.step_slug is not null then f.task_index end,
            'attempt', case when s.step_slug is not null then f.attempt end,
            'kind', coalesce(f.kind, 'error'))
          from (select) one
          -- What failed the run is the step that failed first, of those without which it does not go on, by the attempt that was the last of a
          -- task then, or at the gate; there may be none of either. Without such a step its deadline may have failed it.
          left join lateral (
            select l.step_slug, l.error_message, l.failed_at
            from quantumflow.step_states l
            join quantumflow.workflow_steps w
              on (w.workflow_slug, w.version, w.step_slug) = (r.workflow_slug, r.version, l.step_slug)
            where l.run_id = r.id
              and l.status = 'failed'
              and not w.goes_on
            order by l.failed_at, l.step_slug
            limit 1
          ) s on true
          left join lateral (
            select l.task_index, l.attempt, l.kind, l.error_message
            from quantumflow.task_failures l
            where (l.run_id, l.step_slug, l.retries, l.ended_at)
              = (r.id, coalesce(s.step_slug, '_run_timeout'), r.retries, coalesce(s.failed_at, r.failed_at))
              and (
                l.attempt = 0
                or exists (
                  select
                  from quantumflow.step_tasks k
                  where (k.run_id, k.step_slug, k.task_index) = (l.run_id, l.step_slug, l.task_index)
                    and (k.status, k.attempts) = ('failed', l.attempt)
                )
              )
            order by l.task_index
            limit 1
          ) f on true
        ))
    end
    from quantumflow.workflow_runs r
    where r.id = p_run_id
  );
end
$_callback_input$;

comment on function quantumflow._callback_input(uuid, text) is
'What a callback is given: its run''s input, and the output, with gave_up where the run can give up, or the error as a text and as a failure: its message, step_slug, task_index,
attempt and kind, which are null where no task failed.';

create function quantumflow._fire_callbacks(p_run_ids uuid[], p_now timestamptz)
returns uuid[]
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fire_callbacks$
declare
  v_tasks    quantumflow._new_task[];
  v_timed    uuid[];
  v_stranded quantumflow._new_task[];
begin
  select array_agg(
    quantumflow._new_task_of(
      p_run_id => r.id,
      p_step_slug => w.step_slug,
      p_task_index => r.retries,
      p_item_value => null,
      p_workflow_slug => r.workflow_slug,
      p_version => r.version,
      p_gathers => w.gathers,
      p_command => w.command,
      p_timeout => w.timeout,
      p_queue => w.queue,
      p_ready_at => p_now,
      p_vt => p_now - make_interval(secs => r.priority),
      p_headers => r.headers)) filter (where not w.settled),
    array_agg(r.id) filter (where w.settled)
  into v_tasks, v_timed
  from unnest(p_run_ids) u (run_id)
  cross join lateral (
    select l.*
    from quantumflow.workflow_runs l
    where l.id = u.run_id
    limit 1
  ) r
  cross join lateral (
    select l.step_slug, l.gathers, l.command, l.timeout, l.queue, l.settled
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version) = (r.workflow_slug, r.version)
      and l.step_slug = any (array['_run_timeout', quantumflow._callback_of(r.status)])
    offset 0
  ) w;

  if v_tasks is not null then
    v_stranded := (quantumflow._queue_tasks(v_tasks)).stranded;
  end if;

  if v_stranded is null then
    return v_timed;
  end if;

  -- A run that has ended has ended, whether or not anybody can be told.
  insert into quantumflow.step_tasks (run_id, step_slug, task_index, queue, message_id, queued_at, attempts, failed_at, error_message, status)
  select t.run_id, t.step_slug, t.task_index, t.queue, 0, p_now, 0, p_now, quantumflow._why_stranded(t.queue), 'failed'
  from unnest(v_stranded) t;

  return v_timed;
end
$_fire_callbacks$;

comment on function quantumflow._fire_callbacks(uuid[], timestamptz) is
'Makes the on_complete or on_failure task of runs that have just ended, where their version names a command for it. One
whose queue is gone has failed. Returns those of the runs that have a deadline, which ends with them; null when there is none.';
