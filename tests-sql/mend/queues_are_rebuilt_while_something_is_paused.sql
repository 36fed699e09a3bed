begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flows('w', '{1,2}');
select quantumflow.pause_flow('w');
select quantumflow.claim_tasks(gen_random_uuid(), 10);
select quantumflow.rebuild_queues();

select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'it is not handed out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select is(quantumflow.resume_flow('w'), 2::bigint, 'it comes back');
select is((select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 10)), 2::bigint, 'and is handed out');

select * from finish();
rollback;
