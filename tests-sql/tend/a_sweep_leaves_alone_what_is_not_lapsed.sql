begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "queued"}, {"name": "held"}, {"name": "released"}, {"name": "put_back"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{held}');
select quantumflow.release_tasks(jsonb_agg(to_jsonb(c))) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{released}') c;
create temporary table before on commit drop as table quantumflow.step_tasks;
create temporary table messages on commit drop as table pgmq.q_quantum_flow_queue;

select results_eq('select * from quantumflow.sweep()', $$values ('lapsed leases', 0), ('unfinished ends', 0), ('schedules', 0)$$, 'nothing to do');
select set_eq('table quantumflow.step_tasks', 'table before', 'nothing has changed');
select set_eq('table pgmq.q_quantum_flow_queue', 'table messages', 'nor has a message');

select * from finish();
rollback;
