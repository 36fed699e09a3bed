begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "timeout": 5, "steps": [
  {"name": "a", "args": {"x": 1}}, {"name": "b", "dependencies": ["a"], "timeout": 7}]}');
select quantumflow.start_flow('w');
select quantumflow.define_flow('{"slug": "w", "title": "W", "steps": [
  {"name": "c"}, {"name": "a", "args": {"x": 2}, "max_attempts": 1}]}');

select results_eq(
  $$select path, change, before, after from quantumflow.diff_flow('w', 1, 2)$$,
  $$values
    ('steps.a.args', 'changed', '{"x": 1}'::jsonb, '{"x": 2}'::jsonb),
    ('steps.a.max_attempts', 'added', null, '1'),
    ('steps.b', 'removed', '{"type": "single", "timeout": 7, "dependencies": ["a"]}', null),
    ('steps.c', 'added', null, '{"type": "single"}'),
    ('timeout', 'removed', '5', null),
    ('title', 'added', null, '"W"')$$,
  'a row a setting, a step as a whole where only one has it');
select is_empty($$select quantumflow.diff_flow('w', 1, 1)$$, 'nothing between a version and itself');
select throws_ok($$select quantumflow.diff_flow('w', 1, 9)$$, 'QF112', null, 'no such version');
select throws_ok($$select quantumflow.diff_flow('w', null, 2)$$, 'QF101', null, 'no version');

select * from finish();
rollback;
