begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "maps", "steps": [{"name": "m", "type": "map", "max_lost": 9}]}');
select quantumflow.start_flow('maps', '[0, 1, 2, 3]');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 2, lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:10+00';
select * from quantumflow.sweep();

select results_eq(
  'select task_index, losses, status from quantumflow.step_tasks order by 1',
  $$values (0, 1, 'queued'), (1, 1, 'queued'), (2, 0, 'queued'), (3, 0, 'queued')$$,
  'two of four were lost');
create temporary table claims on commit drop as
select 1 as claim, * from quantumflow.claim_tasks(gen_random_uuid(), 10);
insert into claims select 2, * from quantumflow.claim_tasks(gen_random_uuid(), 10);
insert into claims select 3, * from quantumflow.claim_tasks(gen_random_uuid(), 10);
select results_eq(
  $$select array_agg(task_index order by task_index) && '{0,1}', count(*)::int from claims group by claim order by 2, 1$$,
  $$values (true, 1), (true, 1), (false, 2)$$,
  'a claim of many gets one of them, and only it, or none of them');
select is((select count(distinct task_index)::int from claims), 4, 'all are handed out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
