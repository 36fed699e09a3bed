begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select throws_ok('select quantumflow.prune(null)', 'QF216', 'older_than must be between 0 s and 1000 years', 'null');
select throws_ok('select quantumflow.prune(''-1 s'')', 'QF216', null, 'the future');
select throws_ok('select quantumflow.prune(''100000 years'')', 'QF216', null, 'before all time');
select throws_ok('select quantumflow.prune(''1 s'', 0)', 'QF216', 'max_runs must be between 1 and 100000', 'none');
select throws_ok('select quantumflow.prune(''1 s'', null)', 'QF216', null, 'no number');

select * from finish();
rollback;
