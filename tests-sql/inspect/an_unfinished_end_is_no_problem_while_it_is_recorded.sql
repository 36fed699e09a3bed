begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
update quantumflow.workflow_runs set status = 'cancelled', cancelled_at = now();

select results_eq(
  'select rule from quantumflow.check_state()', 'values (1), (9)', 'a live task and a live step in a cancelled run');
insert into quantumflow._unfinished_ends values ('10000000-0000-0000-0000-000000000001', now());
select is_empty('select * from quantumflow.check_state()', 'somebody will finish it');

select * from finish();
rollback;
