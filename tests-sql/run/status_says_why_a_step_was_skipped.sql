begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "if": "$.run.n > 5"}, {"name": "c", "depends_on": ["a"], "after": ["b"],
    "if": "$.a.kind == \"x\" || exists($.run.tags[*] ? (@ == \"t\")) || $status.b == \"completed\""},
  {"name": "d", "depends_on": ["c"]}]}');
select quantumflow.start_flow('w', '{"n": 5, "tags": ["s"]}', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '{"kind": "y"}');

create temporary view steps as
select s ->> 'step_slug' as step, s ->> 'skip_reason' as reason, s ->> 'condition' as condition, nullif(s -> 'saw', 'null') as saw
from jsonb_array_elements(quantumflow.status('10000000-0000-0000-0000-000000000001') -> 'steps') s;

select results_eq(
  'select step, reason, condition, saw from steps',
  $$values
    ('a', null, null, null::jsonb),
    ('b', 'condition', 'strict $.run.n > 5', '{"$.run.n": [5]}'),
    ('c', 'condition', 'strict $.a.kind == "x" || exists($.run.tags[*] ? (@ == "t")) || $status.b == "completed"',
      '{"$.a.kind": ["y"], "$.run.tags[*]?(@ == \"t\")": [], "$status.b": ["skipped"]}'),
    ('d', 'dependency', null, null)$$,
  'its condition, and what that saw; or its dependencies');
select is(
  (select answer.saw from quantumflow.test_condition(
    'w', 'c', '{"run": {"n": 5, "tags": ["s"]}, "a": {"kind": "y"}}', '{"b": "skipped"}') as answer),
  (select saw from steps where step = 'c'),
  'as test_condition() tells');

-- Of many that were skipped nobody reads what each saw, and to find out takes time.
select quantumflow.define_flow(jsonb_build_object('slug', 'many', 'steps', (
  select jsonb_agg(jsonb_build_object('name', 's' || n, 'if', '$.run.n > 5')) from generate_series(1, 101) n)));
select quantumflow.start_flow('many', '{"n": 5}', run_id => '10000000-0000-0000-0000-000000000002');
select is_empty(
  $$select s from jsonb_array_elements(quantumflow.status('10000000-0000-0000-0000-000000000002') -> 'steps') s
    where s -> 'saw' <> 'null' or s ->> 'skip_reason' <> 'condition'$$,
  'of more than a hundred only why');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
