begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a"}]}');
select quantumflow.start_flows('w', '{1,2}');
select quantumflow.start_flow('v');
select quantumflow.pause_flow('w');
select quantumflow.pause_flow('v');
select quantumflow.claim_tasks(gen_random_uuid(), 10);

select quantumflow.sweep();
select results_eq(
  'select workflow_slug collate "default", count(*) from quantumflow._parked group by 1 order by 1', $$values ('v', 1::bigint), ('w', 2)$$,
  'what is paused stays where it is');

-- As if whoever resumed it had died before it had brought back anything.
delete from quantumflow.pauses where name = 'w';
select quantumflow.sweep();
select results_eq('select workflow_slug collate "default" from quantumflow._parked', $$values ('v')$$, 'what is resumed comes back');
select results_eq('select workflow_slug from quantumflow.claim_tasks(gen_random_uuid(), 10)', $$values ('w'), ('w')$$, 'and is handed out');

delete from quantumflow.workflow_runs where workflow_slug = 'v';
delete from quantumflow.step_tasks where step_slug = 'a' and run_id not in (select id from quantumflow.workflow_runs);
select is(quantumflow.resume_flow('v'), 0::bigint, 'of a run that is gone nothing does');
select is_empty('select * from quantumflow._parked', 'and nothing is left of it');

select * from finish();
rollback;
