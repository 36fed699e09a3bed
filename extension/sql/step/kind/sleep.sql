create function quantumflow._sleeps_until(p_run_id uuid, p_step_slug text)
returns timestamptz
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_sleeps_until$
declare
  v_path      text;
  v_input     jsonb;
  v_variables jsonb;
  v_found     jsonb;
begin
  select w.sleep_until, i.input, jsonb_build_object('status', o.statuses)
  into v_path, v_input, v_variables
  from quantumflow.workflow_runs r
  cross join lateral (
    select l.sleep_until, l.dependencies, l.after
    from quantumflow.workflow_steps l
    where (l.workflow_slug, l.version, l.step_slug) = (r.workflow_slug, r.version, p_step_slug)
    limit 1
  ) w
  cross join lateral quantumflow._task_input(
    r.id, p_step_slug, 0, null, r.input, 0, w.dependencies, true, false, false, null, 2147483647) i
  cross join lateral quantumflow._statuses_of(r.id, w.dependencies || w.after) o
  where r.id = p_run_id;

  if pg_column_size(v_input #> '{}') > 65536 and quantumflow._bytes(v_input) > quantumflow._limit('max_condition_bytes') then
    return null;
  end if;

  v_found := jsonb_path_query_array(v_input, v_path::jsonpath, v_variables, silent => true);

  return case when jsonb_array_length(v_found) = 1 then quantumflow._as_moment(v_found -> 0) end;
exception
  when others then
    -- A deadlock, a lack of memory or a shutdown says nothing of the path.
    if quantumflow._is_of_the_call(sqlstate) then
      raise;
    end if;

    return null;
end
$_sleeps_until$;

comment on function quantumflow._sleeps_until(uuid, text) is
'Until when a step sleeps whose definition says where its input tells; null when that is no one moment.

Raises what says nothing of the path or the input: errors of class 40, 53 and 57.';

create function quantumflow._as_moment(p_value jsonb)
returns timestamptz
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
set timezone = 'UTC'
set datestyle = 'ISO'
as $_as_moment$
declare
  v_text text := p_value #>> '{}';
begin
  -- Nothing that depends on the clock or on the session, as tomorrow does.
  if jsonb_typeof(p_value) is distinct from 'string'
    or v_text !~ E'^[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,9})?)? ?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?)?$'
  then
    return null;
  end if;

  return v_text::timestamptz;
end
$_as_moment$;

comment on function quantumflow._as_moment(jsonb) is
'The moment that a JSON text says in ISO 8601, as 2031-05-04T09:30:00+02:00; without an offset it is in UTC, without a time it is midnight. Null
when it says none. Raises class 22 where there is no such day or time.';
