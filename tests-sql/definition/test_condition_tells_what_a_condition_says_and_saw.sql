begin;
select plan(9);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "z"},
  {"name": "b", "depends_on": ["a"], "after": ["z"],
    "if": "$.a.n > 5 && exists($.run.items[*] ? (@.price > 10)) || $status.a == \"skipped\" || $status.z == \"failed\""},
  {"name": "c", "depends_on": ["b"]}]}');

select results_eq(
  $$select result, reason, saw from quantumflow.test_condition('w', 'b', '{"run": {"items": [{"price": 5}, {"price": 20}]}, "a": {"n": 6}}')$$,
  $$values (true, null, '{"$.a.n": [6], "$.run.items[*]?(@.price > 10)": [{"price": 20}], "$status.a": ["completed"], "$status.z": ["completed"]}'::jsonb)$$,
  'true');
select results_eq(
  $$select result, reason, saw -> '$.a.n' from quantumflow.test_condition('w', 'b', '{"run": {"items": []}, "a": {"n": 6}}')$$,
  $$values (false, null, '[6]'::jsonb)$$,
  'false');
select results_eq(
  $$select result, reason, saw -> '$.a.n' from quantumflow.test_condition('w', 'b', '{"run": {}, "a": {"m": 6}}')$$,
  $$values (
    null::boolean,
    '$.a.n is not there: JSON object does not contain key "n"; $.run.items[*]?(@.price > 10) is not there: JSON object does not contain key "items"; '
      '$status.a is "completed"; $status.z is "completed"',
    '"JSON object does not contain key \"n\""'::jsonb)$$,
  'unknown');
select is(
  (quantumflow.test_condition('w', 'b', '{"run": {}}')).result, true, 'a dependency that the input has not is skipped');
select is(
  (quantumflow.test_condition('w', 'b', '{"run": {"items": []}, "a": {"n": 0}}', '{"z": "failed"}')).result, true, 'unless one says otherwise');
select results_eq(
  $$select result, reason, saw from quantumflow.test_condition('w', 'c', '{"run": {}}')$$,
  $$values (true, 'the step has no condition', '{}'::jsonb)$$, 'without a condition it runs');
select is(
  (quantumflow.test_condition('w', 'b', jsonb_build_object('run', jsonb_build_object('items',
    (select jsonb_agg(jsonb_build_object('price', 11, 'text', repeat('x', 1000))) from generate_series(1, 30))), 'a', '{"n": 6}'::jsonb))).saw
    -> '$.run.items[*]?(@.price > 10)',
  (select jsonb_agg('an object'::text) from generate_series(1, 10)), 'of much it shows a little');

select throws_ok($$select quantumflow.test_condition('w', 'q', '{}')$$, 'QF120', 'workflow "w" has no step "q"', 'a step that is not there');
select throws_ok(
  $$select quantumflow.test_condition('w', 'b', '{}', '{"a": "done"}')$$,
  'QF101', 'status has what no dependency of step "b" can have', 'a status that is none');

select * from finish();
rollback;
