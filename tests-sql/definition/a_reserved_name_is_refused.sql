begin;
select plan(6);

create temporary table reserved as
select unnest(array['run', 'item', 'items', 'index', 'input', 'args', 'ctx', 'Items', 'RUN']) as name;

select results_eq(
  $$
  select v.code, v.path, v.message
  from reserved r
  cross join lateral quantumflow.validate_flow(jsonb_build_object('slug', 'order', 'steps', jsonb_build_array(
    jsonb_build_object('name', 'a'), jsonb_build_object('name', r.name)))) v
  order by r.name collate "C"
  $$,
  $$
  select 'QF103', 'steps[1].name', format('name must not be "%s", which is reserved', r.name)
  from reserved r
  order by r.name collate "C"
  $$,
  'for a step, whether or not another depends on it: a map''s handler asks for any');

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "order", "steps": [{"slug": "input"}]}')$$,
  $$values ('QF103', 'steps[0].slug', 'slug must not be "input", which is reserved')$$,
  'under the other name of the key too');

select set_eq(
  $$
  select r.name, v.code, v.path
  from reserved r
  cross join lateral quantumflow.validate_flow(jsonb_build_object('slug', r.name, 'steps', '[{"name": "a"}]'::jsonb)) v
  $$,
  $$select r.name, 'QF103' as code, 'slug' as path from reserved r$$,
  'for a workflow');

select is_empty(
  $$
  select v.*
  from unnest(array['runs', 'inputs', 'arg', 'context', 'output', 'error']) n (name)
  cross join lateral quantumflow.validate_flow(
    jsonb_build_object('slug', 'order', 'steps', jsonb_build_array(jsonb_build_object('name', n.name)))) v
  $$,
  'what only looks like it is not');

create function pg_temp.hint_of(p_statement text)
returns text
language plpgsql
as $hint_of$
declare
  v_hint text;
begin
  execute p_statement;
  return null;
exception
  when sqlstate 'QF103' then
    get stacked diagnostics v_hint = pg_exception_hint;
    return v_hint;
end
$hint_of$;

select is(
  pg_temp.hint_of($$select quantumflow.define_flow('{"slug": "order", "steps": [{"name": "items"}]}')$$),
  'Choose another name. Reserved are run, item, items, index, input, args, ctx: a handler that asks for one of them is given '
    || 'something else than a step''s output.',
  'the hint names them all');

select results_eq(
  $$
  select p.proname
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and (p.prosrc ~ '\mctx\M' or pg_get_functiondef(p.oid) ~ '\mctx\M')
  $$,
  $$values ('_reserved_names'::name)$$,
  'there is one list of them');

select * from finish();
rollback;
