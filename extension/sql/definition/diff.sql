create function quantumflow.diff_flow(workflow_slug text, from_version int, to_version int)
returns table (path text, change text, before jsonb, after jsonb)
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $diff_flow$
declare
  v_from jsonb;
  v_to   jsonb;
begin
  perform quantumflow._refuse_nulls(
    jsonb_build_object('from_version', diff_flow.from_version, 'to_version', diff_flow.to_version));

  v_from := quantumflow.get_flow(diff_flow.workflow_slug, diff_flow.from_version);
  v_to := quantumflow.get_flow(diff_flow.workflow_slug, diff_flow.to_version);

  return query
  select
    k.path,
    case when f.value is null then 'added' when t.value is null then 'removed' else 'changed' end,
    f.value,
    t.value
  from (
    select o.path
    from quantumflow._settings_of(v_from, v_to) o
    union
    select o.path
    from quantumflow._settings_of(v_to, v_from) o
  ) k
  left join quantumflow._settings_of(v_from, v_to) f
    on f.path = k.path
  left join quantumflow._settings_of(v_to, v_from) t
    on t.path = k.path
  where f.value is distinct from t.value
  order by k.path collate "C";
end
$diff_flow$;

comment on function quantumflow.diff_flow(text, int, int) is
'What differs between two versions of a workflow, a row a setting, by path: "timeout" of the workflow, "steps.charge.timeout" of a step,
"steps.charge" for a step that only one of them has.

change: added, removed or changed. before, after: the value in from_version and in to_version; SQL null where there is none. A setting that was not
given has no value, though its default may have one. The order of steps makes no difference.

Errors: QF101 an argument is null; QF111 unknown workflow; QF112 unknown version.';

create function quantumflow._settings_of(p_definition jsonb, p_other jsonb)
returns table (path text, value jsonb)
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_settings_of$
begin
  return query
  with steps as (
    select s.step ->> 'name' as name, s.step - 'name' as step, o.step is not null as in_both
    from jsonb_array_elements(p_definition -> 'steps') s (step)
    left join jsonb_array_elements(p_other -> 'steps') o (step)
      on o.step ->> 'name' = s.step ->> 'name'
  )
  select d.key, d.value
  from jsonb_each(p_definition - 'steps') d
  union all
  select format('steps.%s', s.name), s.step
  from steps s
  where not s.in_both
  union all
  select format('steps.%s.%s', s.name, k.key), k.value
  from steps s
  cross join jsonb_each(s.step) k
  where s.in_both;
end
$_settings_of$;

comment on function quantumflow._settings_of(jsonb, jsonb) is
'The settings of a definition by path; a step that the other definition does not have is one.';
