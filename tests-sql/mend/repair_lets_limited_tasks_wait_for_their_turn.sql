begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.set_limit('api', 2);
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "map", "limit": "api"}]}');
select quantumflow.start_flow('w', '[0, 1, 2, 3, 4]', run_id => '10000000-0000-0000-0000-000000000001');

-- Of one that has been let go, and of two that sleep, the message is gone; of another the note that it sleeps for a reason.
delete from pgmq.q_quantum_flow_queue where msg_id in (select message_id from quantumflow.step_tasks where task_index in (0, 2, 3));
delete from quantumflow._limit_waits where task_index = 4;
select is((select count(*) from quantumflow.check_state() where rule = 2), 4::bigint, 'what is missing is found');
select count(*) from quantumflow.repair(false);
select is_empty('select * from quantumflow.check_state()', 'and mended');
create temporary table got as select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select is((select count(*) from got), 2::bigint, 'no more are handed out than the limit allows');
select is_empty('select * from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'not even when all can be seen');
select count(*) from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g));
insert into got select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select count(*) from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(g) || '{"output": 1}') from got g));
insert into got select * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select is((select count(distinct task_index) from got), 5::bigint, 'and none is forgotten');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
