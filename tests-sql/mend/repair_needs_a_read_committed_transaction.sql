begin transaction isolation level repeatable read;
select plan(2);

select is_empty('select * from quantumflow.repair()', 'a dry run may be of any isolation level');
select throws_ok('select * from quantumflow.repair(false)', '0A000', 'could not repair at this isolation level', 'others not');

select * from finish();
rollback;
