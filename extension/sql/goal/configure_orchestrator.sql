create function quantumflow.configure_orchestrator(settings jsonb default '{}')
returns jsonb
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $configure_orchestrator$
declare
  -- The block may stand below the key that it has in a configuration.
  v_given  jsonb := case
    when configure_orchestrator.settings ? 'orchestrator' and (select count(*) = 1 from jsonb_object_keys(configure_orchestrator.settings))
      then configure_orchestrator.settings -> 'orchestrator'
    else configure_orchestrator.settings
  end;
  v_before jsonb := quantumflow._orchestrator_settings();
  v_after  jsonb;
  v_key    record;
begin
  perform quantumflow._refuse_unknown_settings(v_given);

  for v_key in
    select k.*, v_given #> k.path as value
    from quantumflow._orchestrator_keys() k
    where v_given #> k.path is not null
  loop
    perform quantumflow._refuse_bad_setting(v_key.path, v_key.setting, v_key.kind, v_key.value);

    if v_key.value = 'null' then
      delete from quantumflow.settings s
      where s.name = v_key.setting;
    else
      insert into quantumflow.settings as s (name, value)
      values (v_key.setting, ltrim(v_key.value #>> '{}', ':'))
      on conflict on constraint settings_pkey do update
      set value = excluded.value;
    end if;
  end loop;

  v_after := quantumflow._orchestrator_settings();

  if v_after <> v_before then
    perform quantumflow._record_act(
      'configure_orchestrator', quantumflow._now(), p_detail => jsonb_build_object('before', v_before, 'value', v_after));
  end if;

  return v_after;
end
$configure_orchestrator$;

comment on function quantumflow.configure_orchestrator(jsonb) is
'Sets how goals are decomposed and told of, for everybody and from the next call on, and returns all of it as it is then. What is absent stays; null sets
a key back. It may stand below the key "orchestrator".

max_depth: how deep goals may be nested in tasks; 10. timeout: how many milliseconds a decomposer may take; 60000.
optimization: enabled, false; level, "basic", "advanced" or "aggressive"; preserve_structure, true: what optimize_flow goes by when it is not told.
enabled: sweep() optimizes each workflow once a day.
notifications: enabled, whether recent_events() tells anything; true. real_time, whether channel quantumflow_events is told, ids only, how goals fare, and that their runs ended; false.
Try: select jsonb_pretty(quantumflow.configure_orchestrator()).

Errors: QF503 unknown setting; QF504 bad value of a setting.';

create function quantumflow._refuse_unknown_settings(p_given jsonb)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_unknown_settings$
declare
  v_unknown text;
begin
  if jsonb_typeof(p_given) is distinct from 'object' then
    v_unknown := quantumflow._shown(p_given);
  else
    select g.name
    into v_unknown
    from (
      select e.key as name, e.value, k.is_group
      from jsonb_each(p_given) e
      left join lateral (
        select cardinality(l.path) > 1 as is_group
        from quantumflow._orchestrator_keys() l
        where l.path[1] = e.key
        limit 1
      ) k on true
    ) g
    where g.is_group is null
      or (g.is_group and jsonb_typeof(g.value) <> 'object')
    union all
    select e.key || '.' || i.key
    from jsonb_each(p_given) e
    cross join lateral jsonb_object_keys(case when jsonb_typeof(e.value) = 'object' then e.value else '{}' end) as i(key)
    where not exists (
      select
      from quantumflow._orchestrator_keys() k
      where k.path = array[e.key, i.key]
    )
    limit 1;
  end if;

  if v_unknown is not null then
    raise exception 'setting "%" cannot be configured', left(v_unknown, 80)
    using
      errcode = 'QF503',
      detail = (
        select 'These can: ' || string_agg(array_to_string(k.path, '.'), ', ') || '.' from quantumflow._orchestrator_keys() k),
      hint = 'Each is a key of its own, in an object of its group where it has one: {"notifications": {"real_time": true}}.';
  end if;
end
$_refuse_unknown_settings$;

comment on function quantumflow._refuse_unknown_settings(jsonb) is
'Refuses what is no object of settings of goals.

Errors: QF503.';

create function quantumflow._refuse_bad_setting(p_path text[], p_setting text, p_kind text, p_value jsonb)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_setting$
declare
  v_limit record;
begin
  select *
  into v_limit
  from quantumflow._limits() l
  where l.name = p_setting;

  if p_value <> 'null' and (case p_kind
    when 'flag' then jsonb_typeof(p_value) <> 'boolean'
    when 'level' then ltrim(p_value #>> '{}', ':') not in ('basic', 'advanced', 'aggressive')
    else jsonb_typeof(p_value) <> 'number'
      or p_value::numeric not between v_limit.low and v_limit.high
      or p_value::numeric <> trunc(p_value::numeric)
  end) then
    raise exception '% must be %', array_to_string(p_path, '.'), case p_kind
      when 'flag' then 'true or false'
      when 'level' then '"basic", "advanced" or "aggressive"'
      else format('a whole number from %s to %s', v_limit.low, v_limit.high)
    end
    using
      errcode = 'QF504',
      detail = format('It is %s.', quantumflow._shown(p_value)),
      hint = 'Null sets it back to the usual value.';
  end if;
end
$_refuse_bad_setting$;

comment on function quantumflow._refuse_bad_setting(text[], text, text, jsonb) is
'Refuses a value that a setting of goals cannot have.

Errors: QF504.';
