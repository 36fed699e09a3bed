begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "before", "type": "sleep", "seconds": 1},
  {"name": "late", "type": "wait", "signal": "x", "dependencies": ["before"]},
  {"name": "c", "type": "wait", "signal": "x"}, {"name": "b", "type": "wait", "signals": ["y", "x"]}, {"name": "a", "type": "wait", "signal": "x"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
set local quantumflow.now = '2030-01-01 00:00:01+00';
select quantumflow.settle();
-- As if their rows were held by somebody while all of these came.
select quantumflow._keep_signal('10000000-0000-0000-0000-000000000001', i.signal, to_jsonb(i.n), null, quantumflow._now())
from unnest(array['x', 'x', 'y']) with ordinality i (signal, n);
update pgmq.q_quantum_flow_system set vt = quantumflow._now();
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
-- As if another session had the others.
update pgmq.q_quantum_flow_system set vt = '2029-01-01 00:00:00+00' where message ->> 'step_name' = 'late';
select results_eq('select settled from quantumflow.settle(1)', 'values (0)', 'it is not for who began to wait later');
select is(
  (select vt from pgmq.q_quantum_flow_system where message ->> 'step_name' = 'late'), quantumflow._now() + interval '100 ms',
  'whose turn comes again');
select results_eq('select settled from quantumflow.settle()', 'values (2)', 'two of the others find one');
select results_eq(
  $$select step_slug, output from quantumflow.step_tasks where status = 'completed' and step_slug <> 'before' order by 1$$,
  $$values ('a' collate "C", '1'::jsonb), ('b', '{"signal": "x", "payload": 2}')$$,
  'those that began to wait first, in order of their names, the oldest first');
select is(quantumflow.send_signal('10000000-0000-0000-0000-000000000001', 'x', '"more"'), 'delivered', 'one for the next');
select results_eq(
  $$select step_slug, output from quantumflow.step_tasks where status = 'completed' and step_slug in ('c', 'late') order by 1$$,
  $$values ('c' collate "C", '"more"'::jsonb)$$, 'which has it, and not who began to wait later');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
