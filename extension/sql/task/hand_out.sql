create function quantumflow._hand_out_all(p_found quantumflow._catch, p_lease interval, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hand_out_all$
begin
  if p_found.taken <> '{}' then
    return query
    select *
    from quantumflow._hand_out_each(p_found.taken, p_lease, p_now);
  end if;

  return query
  select *
  from unnest(p_found.plain);
end
$_hand_out_all$;

comment on function quantumflow._hand_out_all(quantumflow._catch, interval, timestamptz) is
'What a claim returns for what it has found.';

create function quantumflow._hand_out_each(p_taken quantumflow._taken_task[], p_lease interval, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_hand_out_each$
begin
  return query
  select *
  from quantumflow._hand_out(p_taken, p_lease, p_now);
exception
  when program_limit_exceeded or out_of_memory or internal_error then
    -- Some input is larger than a jsonb value may be, or than there is memory for: hand out the others, and fail that task. No row
    -- has been returned yet, since _hand_out returns all or nothing.
    for n in 1 .. cardinality(p_taken) loop
      begin
        return query
        select *
        from quantumflow._hand_out(p_taken[n:n], p_lease, p_now);
      exception
        when program_limit_exceeded or out_of_memory or internal_error then
          if quantumflow._is_oversized(sqlstate, quantumflow._input_bytes(p_taken[n])) then
            perform quantumflow._fail_unhanded(p_taken[n], 'its input exceeds what one jsonb value can hold (QF308)', false, p_now);
          else
            perform quantumflow._fail_unhanded(p_taken[n], format('the server could not hand it out: %s', sqlerrm), true, p_now);
          end if;
      end;
    end loop;
end
$_hand_out_each$;

comment on function quantumflow._hand_out_each(quantumflow._taken_task[], interval, timestamptz) is
'What a claim returns for the tasks it has taken. Those whose input is too large for one jsonb value fail instead; those for whose input
the server has no memory fail this attempt.';

create function quantumflow._hand_out(p_taken quantumflow._taken_task[], p_lease interval, p_now timestamptz)
returns setof quantumflow.claimed_task
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_hand_out$
begin
  return query
  select
    k.run_id,
    r.workflow_slug,
    k.step_slug,
    k.task_index,
    w.command,
    w.args,
    i.input,
    k.attempt,
    w.max_attempts,
    k.lease_token,
    p_now + least(p_lease, w.timeout),
    p_now + w.timeout,
    k.queue,
    t.message_id,
    r.headers,
    k.losses,
    w.step_type,
    r.retries,
    i.fresh_since,
    r.version
  from unnest(p_taken) k
  -- A lease found lost in a later round, or another result of the same call, may have ended the run of a task taken before.
  cross join lateral (
    select l.item_value, l.message_id
    from quantumflow.step_tasks l
    where (l.run_id, l.step_slug, l.task_index) = (k.run_id, k.step_slug, k.task_index)
      and l.status = 'started'
    limit 1
  ) t
  cross join lateral (
    select l.workflow_slug, l.input, l.headers, l.retries, l.version
    from quantumflow.workflow_runs l
    where l.id = k.run_id
    limit 1
  ) r
  cross join lateral (
    select l.command, l.args, l.max_attempts, l.timeout, l.step_type, l.dependencies, l.counts, l.gathers, l.repeats,
      l.chunk_size
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, k.step_slug)
    limit 1
  ) w
  cross join lateral quantumflow._task_input(
    k.run_id, k.step_slug, k.task_index, t.item_value, r.input, r.retries, w.dependencies, w.counts, w.gathers, w.repeats,
    w.chunk_size, 2147483647) i;
end
$_hand_out$;

comment on function quantumflow._hand_out(quantumflow._taken_task[], interval, timestamptz) is
'What a claim returns for the tasks it has taken.';

create function quantumflow._input_bytes(p_task quantumflow._taken_task)
returns bigint
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_input_bytes$
begin
  return (
    select
      sum(quantumflow._bytes(case when s.gathers then t.item_value else quantumflow._step_output(p_task.run_id, d.slug) end))
      + max(quantumflow._bytes(r.input)) + max(coalesce(quantumflow._bytes(r.output), 0)) + max(coalesce(quantumflow._bytes(b.output), 0))
    from quantumflow.workflow_runs r
    join quantumflow.workflow_steps s
      on (s.workflow_slug, s.version, s.step_slug) = (r.workflow_slug, r.version, p_task.step_slug)
    join quantumflow.step_tasks t
      on (t.run_id, t.step_slug, t.task_index) = (r.id, p_task.step_slug, p_task.task_index)
    left join unnest(s.dependencies) d (slug)
      on true
    left join quantumflow.step_tasks b
      on (b.run_id, b.step_slug, b.task_index) = (r.id, p_task.step_slug, p_task.task_index - 1)
      and s.repeats
    where r.id = p_task.run_id
  );
end
$_input_bytes$;

comment on function quantumflow._input_bytes(quantumflow._taken_task) is
'At least how large the parts of a task''s input are together, without putting them together.';

create function quantumflow._fail_unhanded(
  p_task      quantumflow._taken_task,
  p_error     text,
  p_retryable boolean,
  p_now       timestamptz)
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_fail_unhanded$
declare
  v_report jsonb := jsonb_build_array(jsonb_build_object(
    'run_id', p_task.run_id,
    'step_slug', p_task.step_slug,
    'task_index', p_task.task_index,
    'lease_token', p_task.lease_token,
    'error_message', p_error,
    'retryable', p_retryable));
  v_held   quantumflow._held_task := (quantumflow._read_reported(v_report, 'fail'))[1];
begin
  -- Of its run only what never changes was read.
  v_held := (
    select quantumflow._as_its_run_is(v_held, r.status, r.retries)
    from quantumflow.workflow_runs r
    where r.id = p_task.run_id
  );

  -- While somebody holds the step or the run, the task waits for its lease to run out.
  if v_held.outcome = 'fails' and v_held.counts then
    v_held := quantumflow._hold_for_failure(v_held);

    if v_held.run_id is null then
      return;
    end if;
  end if;

  perform quantumflow._fail_reported(v_report, array[v_held], p_now);
end
$_fail_unhanded$;

comment on function quantumflow._fail_unhanded(quantumflow._taken_task, text, boolean, timestamptz) is
'Fails an attempt that was claimed and cannot be handed out, without waiting; for good, and its run with it, where no attempt is left,
or p_retryable is false, because whoever claims it would fail for ever.';
