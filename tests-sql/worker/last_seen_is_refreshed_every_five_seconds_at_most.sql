begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.setup();
select quantumflow.register_worker('a0000000-0000-0000-0000-00000000000a', 'a', null, '{quantum_flow_queue}');
select quantumflow.register_worker('b0000000-0000-0000-0000-00000000000b', 'b', null, '{quantum_flow_queue}');
create temporary view seen as
select name, extract(epoch from last_seen_at - '2030-01-01 00:00:00+00')::numeric(9, 1) as s from quantumflow.workers;

set local quantumflow.now = '2030-01-01 00:00:05+00';
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a');
select results_eq('select * from seen order by 1', $$values ('a', 0.0), ('b', 0.0)$$, 'not after five seconds');
set local quantumflow.now = '2030-01-01 00:00:05.1+00';
select count(*) from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a');
select results_eq('select * from seen order by 1', $$values ('a', 5.1), ('b', 0.0)$$, 'a claim after that, its own row only');
set local quantumflow.now = '2030-01-01 00:00:09+00';
select count(*) from quantumflow.extend_leases('b0000000-0000-0000-0000-00000000000b', '[]', '1 s');
select results_eq('select * from seen order by 1', $$values ('a', 5.1), ('b', 9.0)$$, 'so does an extension');
select lives_ok('select quantumflow.claim_tasks(gen_random_uuid())', 'a worker need not be registered');
select is((select count(*)::int from quantumflow.workers), 2, 'and is not by claiming');

select * from finish();
rollback;
