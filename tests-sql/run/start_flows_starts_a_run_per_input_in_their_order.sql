begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "two", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');

create temporary table ids on commit drop as
select u.id, u.n
from quantumflow.start_flows('two', array['"x"', null, '"z"', '"x"']::jsonb[], priority => 7)
  with ordinality u (id, n);

select results_eq(
  'select r.input, r.priority, r.status, r.remaining_steps
   from ids join quantumflow.workflow_runs r using (id) order by ids.n',
  $$values
    ('"x"'::jsonb, 7, 'started', 2), ('{}', 7, 'started', 2), ('"z"', 7, 'started', 2), ('"x"', 7, 'started', 2)$$,
  'the ids come in the order of the inputs');
select results_eq(
  'select step_slug, status, count(*)::int from quantumflow.step_states group by 1, 2 order by 1',
  $$values ('a' collate "C", 'started', 4), ('b', 'created', 4)$$,
  'each run has its steps');
select results_eq(
  'select count(*)::int, count(distinct message ->> ''workflow_run_id'')::int, min(vt), max(vt)
   from pgmq.q_quantum_flow_queue',
  $$values (4, 4, '2029-12-31 23:59:53+00'::timestamptz, '2029-12-31 23:59:53+00'::timestamptz)$$,
  'and its message');
select is_empty($$select quantumflow.start_flows('two', '{}')$$, 'no inputs, no runs');
select is_empty($$select quantumflow.start_flows('two', null)$$, 'nor with null');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
