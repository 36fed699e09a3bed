begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.setup();
select quantumflow.register_worker(format('%s0000000-0000-0000-0000-000000000000', n)::uuid, n, null, '{quantum_flow_queue}')
from unnest('{a,b,c}'::text[]) n;
set local quantumflow.now = '2030-01-01 00:30:00+00';
select quantumflow.register_worker('a0000000-0000-0000-0000-000000000000', 'a', null, '{quantum_flow_queue}');
select quantumflow.stop_worker('b0000000-0000-0000-0000-000000000000');
set local quantumflow.now = '2030-01-01 00:59:00+00';

select quantumflow.prune('0 s', 1);
select set_eq('select name from quantumflow.workers', '{a,c}'::text[], 'those that have stopped');
set local quantumflow.now = '2030-01-01 01:01:00+00';
select quantumflow.prune('0 s', 1);
select set_eq('select name from quantumflow.workers', '{a}'::text[], 'and those that were not seen for an hour');
set local quantumflow.now = '2030-01-02 01:00:00+00';
select quantumflow.prune('2 days', 1);
select set_eq('select name from quantumflow.workers', '{a}'::text[], 'or for longer, if that is said');

select * from finish();
rollback;
