create function quantumflow.report_progress(
  run_id      uuid,
  step_slug   text,
  task_index  int,
  lease_token bigint,
  done        numeric,
  total       numeric default null,
  note        text default null)
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $report_progress$
declare
  v_now   timestamptz := quantumflow._now();
  v_state text;
begin
  if report_progress.done is null or report_progress.done not between 0 and 1e18
    or report_progress.total not between 0 and 1e18
  then
    raise exception 'done and total must be numbers from 0 to 10^18'
    using
      errcode = 'QF308',
      detail = format('They are %s and %s.', coalesce(report_progress.done::text, 'null'), coalesce(report_progress.total::text, 'null')),
      hint = 'done: how much has been done; leave total out where nobody knows how much there is.';
  end if;

  select l.state
  into v_state
  from quantumflow._leases(jsonb_build_array(jsonb_build_object(
    'run_id', report_progress.run_id,
    'step_slug', report_progress.step_slug,
    'task_index', report_progress.task_index,
    'lease_token', report_progress.lease_token))) l;

  -- Once a second is enough for people who look.
  if v_state <> 'held' or exists (
    select
    from quantumflow.task_progress p
    where (p.run_id, p.step_slug, p.task_index) = (report_progress.run_id, report_progress.step_slug, report_progress.task_index)
      and p.lease_token = report_progress.lease_token
      and p.reported_at between v_now - interval '0.9 s' and v_now
  )
  then
    return v_state;
  end if;

  insert into quantumflow.task_progress as p (run_id, step_slug, task_index, lease_token, reported_at, done, total, note)
  values (
    report_progress.run_id, report_progress.step_slug, report_progress.task_index, report_progress.lease_token, v_now,
    report_progress.done, report_progress.total,
    quantumflow._cut_to(report_progress.note, quantumflow._limit('max_progress_bytes'))
  )
  on conflict on constraint task_progress_pkey do update
  set
    lease_token = excluded.lease_token,
    reported_at = excluded.reported_at,
    done = excluded.done,
    total = excluded.total,
    note = excluded.note;

  return v_state;
end
$report_progress$;

comment on function quantumflow.report_progress(uuid, text, int, bigint, numeric, numeric, text) is
'Says how far the work at a task has come, for people who look: why() and status() show it while the attempt goes on. To be called by the holder of
the lease, as often as it likes: it is written down once a second at most, in a table of its own that a crash of the server empties.

done, of total: numbers from 0 to 10^18, of whatever is counted; total null: nobody knows. note: a text, cut to max_progress_bytes.

Returns the state of the lease, as extend_leases: held; lost, it is somebody else''s or done, and nothing was written; cancelled, its run has ended.

Errors: QF308 done or total is no such number.';

create function quantumflow._told_progress(p_run_id uuid, p_step_slug text, p_task_index int default 0)
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_told_progress$
begin
  -- A standby has no such table.
  if pg_is_in_recovery() then
    return null;
  end if;

  return (
    select jsonb_strip_nulls(jsonb_build_object('done', p.done, 'total', p.total, 'note', p.note, 'at', p.reported_at))
    from quantumflow.task_progress p
    join quantumflow.step_tasks t
      on (t.run_id, t.step_slug, t.task_index) = (p.run_id, p.step_slug, p.task_index)
      and t.lease_token = p.lease_token
      and t.status = 'started'
    where (p.run_id, p.step_slug, p.task_index) = (p_run_id, p_step_slug, p_task_index)
  );
end
$_told_progress$;

comment on function quantumflow._told_progress(uuid, text, int) is
'How far the attempt that goes on at a task has come, {"done", "total", "note", "at"}, as it said last; null where it said nothing.';

create function quantumflow._progress_text(p_progress jsonb)
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_progress_text$
declare
  v_done  numeric := p_progress -> 'done';
  v_total numeric := p_progress -> 'total';
begin
  return nullif(
    concat_ws(
      ', ',
      v_done || case
        when v_total > 0 then format(' of %s (%s %%)', v_total, floor(100 * v_done / v_total))
        else coalesce(' of ' || v_total, '')
      end,
      p_progress ->> 'note'),
    '');
end
$_progress_text$;

comment on function quantumflow._progress_text(jsonb) is 'How far an attempt has come, for people; null where it said nothing.';
