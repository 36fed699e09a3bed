begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_lost": 1, "steps": [{"name": "a"}, {"name": "b", "queue": "second"}]}');
select quantumflow.start_flow('w');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), queues => '{second}', lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';

-- The first queue has a task of the run; in the second the claim finds one lost, which was the last attempt.
select is_empty(
  $$select * from quantumflow.claim_tasks(gen_random_uuid(), 2, queues => '{quantum_flow_queue,second}')$$, 'it has been cancelled meanwhile');
select results_eq(
  'select step_slug, status from quantumflow.step_tasks order by 1', $$values ('a' collate "C", 'cancelled'), ('b', 'failed')$$, 'with its run');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
