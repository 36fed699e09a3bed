-- What acts on many runs at once: they are found as list_runs finds them, each is got hold of without waiting, and steered by the call for
-- one run.

create type quantumflow.run_act as (
  run_id        uuid,
  workflow_slug text,
  status        text,
  what          text,
  error_message text
);

comment on type quantumflow.run_act is 'What a call on many runs has done with one of them, or would do.';
comment on column quantumflow.run_act.run_id is 'The run.';
comment on column quantumflow.run_act.workflow_slug is 'Its workflow.';
comment on column quantumflow.run_act.status is 'Its status; of one that is deleted the last.';
comment on column quantumflow.run_act.what is
'cancelled, retried, paused, resumed or deleted; in a dry run that with "to be" before it; or, where that was refused, with "not" before it, and the reason.';
comment on column quantumflow.run_act.error_message is 'Why it had failed or been cancelled before.';

create function quantumflow._read_filter(p_filter jsonb)
returns quantumflow._run_filter
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_read_filter$
declare
  -- What list_runs finds by; where a page begins is for the call to know.
  v_keys    text[] := array(
    select a.attname::text
    from pg_type t
    join pg_attribute a
      on a.attrelid = t.typrelid
    where t.oid = 'quantumflow._run_filter'::regtype
      and a.attname <> 'before'
    order by a.attnum);
  v_unknown text;
begin
  if jsonb_typeof(p_filter) is distinct from 'object' or p_filter = '{}' then
    perform quantumflow._raise_bad_filter('the filter does not say which runs', v_keys);
  end if;

  if p_filter = '{"all": true}' then
    return jsonb_populate_record(null::quantumflow._run_filter, '{"with_children": false}');
  end if;

  select k.key
  into v_unknown
  from jsonb_object_keys(p_filter) k (key)
  where k.key <> all (v_keys)
  order by k.key
  limit 1;

  if found then
    perform quantumflow._raise_bad_filter(format('a filter has no key "%s"', v_unknown), v_keys);
  end if;

  return jsonb_populate_record(
    null::quantumflow._run_filter,
    p_filter || jsonb_build_object('with_children', coalesce((p_filter ->> 'with_children')::boolean, false)));
exception
  when data_exception then
    perform quantumflow._raise_bad_filter(format('the filter has a value that is none: %s', sqlerrm), v_keys);
end
$_read_filter$;

comment on function quantumflow._read_filter(jsonb) is
'Which runs are meant by a filter.

Errors: QF219 it is empty, or has a key or a value that is none.';

create function quantumflow._raise_bad_filter(p_flaw text, p_keys text[])
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_raise_bad_filter$
begin
  raise exception '%', p_flaw
  using
    errcode = 'QF219',
    detail = format('Its keys are %s.', array_to_string(p_keys, ', ')),
    hint = 'For example {"workflow_slug": "order", "status": "failed", "error": "503"}; for all runs: {"all": true}.';
end
$_raise_bad_filter$;

comment on function quantumflow._raise_bad_filter(text, text[]) is
'Says what is wrong with a filter.

Errors: QF219 always.';

create function quantumflow._act_on_runs(
  p_done text, p_statuses text[], p_filter jsonb, p_max_runs int, p_dry_run boolean, p_reason text)
returns setof quantumflow.run_act
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_act_on_runs$
declare
  v_filter quantumflow._run_filter := quantumflow._read_filter(p_filter);
  v_left   int := p_max_runs;
  v_wanted text := v_filter.status;
  v_status text;
  v_found  uuid[];
  v_later  uuid[];
  v_run_id uuid;
  v_act    quantumflow.run_act;
begin
  perform quantumflow._require_read_committed('act on many runs');
  perform quantumflow._refuse_bad_bulk(p_max_runs, v_wanted);

  foreach v_status in array p_statuses loop
    continue when v_status <> coalesce(v_wanted, v_status);

    v_filter := jsonb_populate_record(v_filter, jsonb_build_object('status', v_status, 'before', null));

    -- A page more than is asked for, since some may be in others' hands.
    while v_left > 0 loop
      v_found := quantumflow._find_runs(v_filter, least(10000, v_left + 100));
      exit when v_found = '{}';

      v_filter := jsonb_populate_record(v_filter, jsonb_build_object('before', v_found[cardinality(v_found)]));

      -- Whoever reports a task of a run that is held waits for the end of this: of many, those of which workers have something come last.
      v_later := case when p_max_runs > 100 and p_dry_run is false then '{}'::uuid[] end;

      while v_found <> '{}' loop
        foreach v_run_id in array v_found loop
          exit when v_left = 0;

          if v_later is not null and quantumflow._is_at_work(v_run_id) then
            v_later := v_later || v_run_id;
            continue;
          end if;

          v_act := quantumflow._act_on_run(p_done, v_run_id, v_status, p_dry_run is not false, p_reason);

          if v_act.run_id is not null then
            return next v_act;
            v_left := v_left - 1;
          end if;
        end loop;

        v_found := v_later;
        v_later := null;
      end loop;
    end loop;
  end loop;
end
$_act_on_runs$;

comment on function quantumflow._act_on_runs(text, text[], jsonb, int, boolean, text) is
'Acts on the runs that a filter means and that are of one of these statuses, p_max_runs at most. p_done: what has been done to one then.

Errors: QF211; QF212; QF219; 0A000.';

create function quantumflow._refuse_bad_bulk(p_max_runs int, p_status text)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_bulk$
begin
  if p_max_runs is null or p_max_runs not between 1 and 10000 then
    raise exception 'max_runs must be between 1 and 10000'
    using
      errcode = 'QF211',
      detail = format('It is %s.', coalesce(p_max_runs::text, 'null')),
      hint = 'Leave it out for 1000, and call again until fewer come back.';
  end if;

  if p_status not in ('started', 'paused', 'completed', 'failed', 'cancelled') then
    raise exception 'status "%" is not one of a run', p_status
    using
      errcode = 'QF212',
      detail = 'A run is started, paused, completed, failed or cancelled.',
      hint = 'Leave status out for all of them.';
  end if;
end
$_refuse_bad_bulk$;

comment on function quantumflow._refuse_bad_bulk(int, text) is
'Refuses arguments with which nothing could be done.

Errors: QF211; QF212.';

create function quantumflow._act_on_run(p_done text, p_run_id uuid, p_status text, p_dry_run boolean, p_reason text)
returns quantumflow.run_act
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_act_on_run$
declare
  v_run quantumflow.workflow_runs;
begin
  if p_dry_run then
    select *
    into v_run
    from quantumflow.workflow_runs r
    where r.id = p_run_id;
  elsif p_done in ('retried', 'deleted') and not quantumflow._is_free(p_run_id) then
    return null;
  else
    select *
    into v_run
    from quantumflow.workflow_runs r
    where r.id = p_run_id
      and r.status = p_status
    for update skip locked;
  end if;

  if v_run.id is null or (p_done = 'deleted' and quantumflow._open_callback(v_run.id) is not null) then
    return null;
  end if;

  if p_dry_run then
    return row(v_run.id, v_run.workflow_slug, v_run.status, 'to be ' || p_done, v_run.error_message)::quantumflow.run_act;
  end if;

  if p_done = 'cancelled' then
    return row(
      v_run.id, v_run.workflow_slug, (quantumflow.cancel_run(v_run.id, p_reason)).status, p_done, v_run.error_message
    )::quantumflow.run_act;
  end if;

  return quantumflow._steer_guarded(p_done, v_run, p_reason);
end
$_act_on_run$;

comment on function quantumflow._act_on_run(text, uuid, text, boolean, text) is
'Acts on a run of this status, or says what would be done; null: somebody else has it, or it is of another status by now, or, where it is to be
deleted, a callback of it is still to be done.';

create function quantumflow._is_at_work(p_run_id uuid)
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_is_at_work$
begin
  return exists (
    select
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
      and t.status = 'started'
  );
end
$_is_at_work$;

comment on function quantumflow._is_at_work(uuid) is 'Whether somebody has a task of a run.';

create function quantumflow._steer_guarded(p_done text, p_run quantumflow.workflow_runs, p_reason text)
returns quantumflow.run_act
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_steer_guarded$
declare
  v_status text;
begin
  v_status := case p_done
    when 'paused' then (quantumflow.pause_run(p_run.id, p_reason)).status
    when 'resumed' then (quantumflow.resume_run(p_run.id, p_reason)).status
    when 'retried' then (quantumflow.retry_run(p_run.id, reason => p_reason)).status
    when 'deleted' then (quantumflow.delete_run(p_run.id, p_reason)).status
  end;

  return row(p_run.id, p_run.workflow_slug, v_status, p_done, p_run.error_message)::quantumflow.run_act;
exception
  when others then
    -- One that is refused keeps nobody from the others.
    if sqlstate not like 'QF%' then
      raise;
    end if;

    return row(
      p_run.id, p_run.workflow_slug, p_run.status, format('not %s: %s (%s)', p_done, sqlerrm, sqlstate), p_run.error_message
    )::quantumflow.run_act;
end
$_steer_guarded$;

comment on function quantumflow._steer_guarded(text, quantumflow.workflow_runs, text) is
'Pauses, resumes, retries or deletes a run, which the caller holds; says why, where that is refused.';

create function quantumflow._is_free(p_run_id uuid)
returns boolean
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_is_free$
declare
  v_tasks bigint;
  v_steps bigint;
begin
  -- In the order in which a report takes them, and without waiting: nobody can wait for this and be waited for by it.
  select count(*)
  into v_tasks
  from (
    select
    from quantumflow.step_tasks t
    where t.run_id = p_run_id
    for update skip locked
  ) l;

  select count(*)
  into v_steps
  from (
    select
    from quantumflow.step_states s
    where s.run_id = p_run_id
    for update skip locked
  ) l;

  return v_tasks = (select count(*) from quantumflow.step_tasks t where t.run_id = p_run_id)
    and v_steps = (select count(*) from quantumflow.step_states s where s.run_id = p_run_id);
end
$_is_free$;

comment on function quantumflow._is_free(uuid) is
'Locks the tasks and steps of a run, as far as nobody else has one; whether it has got all of them.';
