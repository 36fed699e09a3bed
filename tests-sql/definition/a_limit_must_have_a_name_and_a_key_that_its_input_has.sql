begin;
select plan(10);

create function pg_temp.says(step jsonb) returns setof text language sql as $$
  select code || ' ' || path || ': ' || message
  from quantumflow.validate_flow(jsonb_build_object('slug', 'w', 'steps', jsonb_build_array('{"name": "b"}'::jsonb, '{"name": "a"}' || step)))
$$;

select is_empty(
  $$select pg_temp.says(s) from unnest(array[
    '{"limit": "open-ai.v1"}', '{"limit": {"name": "x"}}', '{"limit": {"name": "x", "key": "$.run.a"}}',
    '{"limit": {"name": "x", "key": "$.b ? (@.c == 1).d"}, "dependencies": ["b"]}',
    '{"limit": {"name": "x", "key": "$.item.a"}, "type": "map"}']::jsonb[]) s$$,
  'these may be');
select results_eq(
  $$select pg_temp.says('{"limit": "1"}')$$,
  $$values ('QF101 steps[1].limit: limit must be the name of a limit, or {"name", "key"}, not "1"')$$, 'a name');
select results_eq(
  $$select pg_temp.says('{"limit": {"key": "$.run"}}')$$,
  $$values ('QF101 steps[1].limit.name: the limit of step "a" must have a name: a letter, then letters, digits, _, . and -, at most 128, not null')$$,
  'none');
select results_eq(
  $$select pg_temp.says('{"limit": {"name": "x", "at_once": 1}}')$$,
  $$values ('QF102 steps[1].limit: the limit of step "a" has the unknown key "at_once"')$$, 'another key');
select results_eq(
  $$select pg_temp.says('{"limit": {"name": "x", "key": 1}}')$$,
  $$values ('QF117 steps[1].limit.key: the key of the limit of step "a" must be a jsonpath of 1 to 2000 characters, not 1')$$, 'no text');
select results_eq(
  $$select pg_temp.says('{"limit": {"name": "x", "key": "$.item"}}')$$,
  $$values ('QF117 steps[1].limit.key: the key of the limit of step "a" asks for $.item, and item is neither run nor a dependency')$$,
  'only a map has items');
select results_eq(
  $$select left(pg_temp.says('{"limit": {"name": "x", "key": "$.run."}}'), 80)$$,
  $$values ('QF117 steps[1].limit.key: the key of the limit of step "a" is no jsonpath: synta')$$, 'no path');
select results_eq(
  $$select pg_temp.says('{"type": "sleep", "seconds": 1, "limit": "x"}')$$,
  $$values ('QF118 steps[1].limit: sleep step "a" has limit, which is of what workers do')$$, 'what no worker is given is not limited');

select is(
  (select string_agg(s, '; ') from pg_temp.says('{"type": "map", "flow": "v", "limit": "x"}') s where s like '%limit%'),
  'QF118 steps[1].limit: map step "a" starts runs, and has limit, which is of what workers do', 'nor is what starts runs');

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "limit": {"name": "x"}}, {"name": "b", "limit": {"name": "x", "key": " $.run.a "}}]}');
select results_eq(
  $$select limit_name, limit_path, s.value -> 'limit' from quantumflow.workflow_steps w
    join jsonb_array_elements(quantumflow.get_flow('w') -> 'steps') s on s.value ->> 'name' = w.step_slug order by w.step_slug$$,
  $$values ('x' collate "C", null, '"x"'::jsonb), ('x', 'strict $.run.a', '{"name": "x", "key": "$.run.a"}')$$, 'it is kept in its one form');

select * from finish();
rollback;
