begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local client_min_messages = error;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
select pgmq.send(queue_name => 'quantum_flow_queue', msg => message, headers => null::jsonb, delay => '2029-01-01 00:00:00+00'::timestamptz)
from pgmq.q_quantum_flow_queue;

select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nothing to claim');
select results_eq(
  'select t.status, t.attempts, t.losses, t.lease_token = c.lease_token from quantumflow.step_tasks t, claimed c',
  $$values ('started', 1, 0, true)$$,
  'the task is still its claimer''s');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
