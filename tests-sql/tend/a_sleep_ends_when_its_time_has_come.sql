begin;
select plan(11);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local timezone = 'Asia/Tokyo';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "first", "type": "sleep", "seconds": 60},
  {"name": "until", "type": "sleep", "at": "$.run.due", "dependencies": ["first"]},
  {"name": "past", "type": "sleep", "at": "$.run.past", "dependencies": ["until"]},
  {"name": "z", "dependencies": ["past"]}]}');
select quantumflow.start_flow(
  'w', '{"due": "2030-01-01T10:30:00+02:00", "past": "1999-12-31"}', run_id => '10000000-0000-0000-0000-000000000001');

select results_eq(
  'select step_slug, status, queue, queued_at from quantumflow.step_tasks',
  $$values ('first' collate "C", 'queued', 'quantum_flow_system', '2030-01-01 00:01:00+00'::timestamptz)$$,
  'it is a task as any other, due at its end');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid())', 'no worker is given it');
set local quantumflow.now = '2030-01-01 00:00:59.9+00';
select results_eq(
  'select * from quantumflow.settle()', $$values (0, '2030-01-01 00:01:00+00'::timestamptz)$$, 'before its time nothing happens');
set local quantumflow.now = '2030-01-01 00:01:00+00';
select results_eq(
  'select * from quantumflow.settle()', $$values (1, '2030-01-01 08:30:00+00'::timestamptz)$$,
  'when it has come it ends, and what waits for it begins, by the same clock');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid())', 'to sleep until what the input says');
set local quantumflow.now = '2030-01-01 08:30:00+00';
select results_eq('select settled from quantumflow.settle(1)', 'values (1)', 'that may be a moment of another zone');
select results_eq(
  $$select action, tasks from quantumflow.sweep() where tasks > 0$$, $$values ('settled', 1)$$,
  'or one that is over, which a sweep settles as well');
select results_eq(
  $$select step_slug, output from quantumflow.step_tasks where output is not null order by completed_at, step_slug$$,
  $$values
    ('first' collate "C", '{"until": "2030-01-01T00:01:00+00:00"}'::jsonb),
    ('past', '{"until": "1999-12-31T00:00:00+00:00"}'),
    ('until', '{"until": "2030-01-01T08:30:00+00:00"}')$$,
  'each says until when it has slept');
select results_eq('select step_slug from quantumflow.claim_tasks(gen_random_uuid())', $$values ('z')$$, 'then workers go on');
select is_empty('select from pgmq.q_quantum_flow_system', 'and no message is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
