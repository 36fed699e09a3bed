create function quantumflow._orchestrator_keys()
returns table (path text[], setting text, kind text, usual text)
language sql
immutable
begin atomic
  values
    ('{max_depth}'::text[], 'orchestrator.max_depth', 'limit', null::text),
    ('{timeout}', 'orchestrator.timeout_ms', 'limit', null),
    ('{optimization,enabled}', 'optimization.enabled', 'flag', 'false'),
    ('{optimization,level}', 'optimization.level', 'level', 'basic'),
    ('{optimization,preserve_structure}', 'optimization.preserve_structure', 'flag', 'true'),
    ('{notifications,enabled}', 'notifications.enabled', 'flag', 'true'),
    ('{notifications,real_time}', 'notifications.real_time', 'flag', 'false');
end;

comment on function quantumflow._orchestrator_keys() is
'The keys of what configure_orchestrator takes, each with the row of settings that keeps it. kind: a limit of _limits(), true or false, or a
level. usual: what it is when nobody configured it.';

create function quantumflow._orchestrator_value(p_setting text)
returns text
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_orchestrator_value$
begin
  return coalesce(
    (select s.value from quantumflow.settings s where s.name = p_setting),
    (select k.usual from quantumflow._orchestrator_keys() k where k.setting = p_setting),
    quantumflow._limit(p_setting)::text);
end
$_orchestrator_value$;

comment on function quantumflow._orchestrator_value(text) is 'A setting of goals in force, as text.';

create function quantumflow._orchestrator_settings()
returns jsonb
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_orchestrator_settings$
declare
  v_settings jsonb := '{"optimization": {}, "notifications": {}}';
  v_key      record;
begin
  for v_key in
    select k.path, k.kind, quantumflow._orchestrator_value(k.setting) as value
    from quantumflow._orchestrator_keys() k
  loop
    v_settings := jsonb_set(
      v_settings, v_key.path, case when v_key.kind = 'level' then to_jsonb(v_key.value) else v_key.value::jsonb end);
  end loop;

  return v_settings;
end
$_orchestrator_settings$;

comment on function quantumflow._orchestrator_settings() is 'The settings of goals in force, as configure_orchestrator takes them.';
