begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map", "chunk_size": 2}]}');
select quantumflow.start_flow('w', '[1, 2, 3]', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid) from generate_series(1, 3) n;

select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, '[1]'), 'type_violation', 'too short');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000002', 'm', 1, '[1, 2]'), 'type_violation', 'too long');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000003', 'm', 1, '"1"'), 'type_violation', 'no array');
select is(quantumflow.complete_task('10000000-0000-0000-0000-000000000003', 'm', 0, '[1, 2]'), 'run_ended', 'too late');
select results_eq(
  'select status, error_message from quantumflow.workflow_runs order by id',
  $$values
    ('failed', 'step m, task 0: the output must be an array of 2, one for each item of the chunk, but is one of 1 (QF305)'),
    ('failed', 'step m, task 1: the output must be an array of 1, one for each item of the chunk, but is one of 2 (QF305)'),
    ('failed', 'step m, task 1: the output must be an array of 1, one for each item of the chunk, but is JSON of type string (QF305)')$$,
  'it says why');
select is_empty('select from pgmq.q_quantum_flow_queue', 'nothing is left');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
