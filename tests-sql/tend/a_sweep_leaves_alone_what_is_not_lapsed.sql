begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
set local client_min_messages = error;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "queued"}, {"name": "held"}, {"name": "released"}, {"name": "put_back"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{held}');
select quantumflow.release_tasks(jsonb_agg(to_jsonb(c))) from quantumflow.claim_tasks(gen_random_uuid(), 1, commands => '{released}') c;
select pgmq.send('quantum_flow_queue', '{"not": "ours"}'::jsonb);
update pgmq.q_quantum_flow_queue set read_ct = 1 where message ? 'not';
create temporary table before on commit drop as table quantumflow.step_tasks;

select results_eq('select * from quantumflow.sweep()', $$values ('lapsed leases', 0), ('unfinished ends', 0)$$, 'nothing to do');
select set_eq('table quantumflow.step_tasks', 'table before', 'nothing has changed');
select is((select count(*)::int from pgmq.q_quantum_flow_queue), 5, 'not even a message that is not ours');

select * from finish();
rollback;
