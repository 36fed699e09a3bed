begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "list"}, {"name": "each", "type": "map", "dependencies": ["list"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a');
select quantumflow.fail_task(run_id, step_slug, task_index, 'first', lease_token) from claimed;

select is(
  quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', output => '5'), 'type_violation',
  'the queued task is completed by hand');
select results_eq(
  'select attempt, kind, worker_id, error_message from quantumflow.task_failures order by 1',
  $$values
    (1, 'error', 'a0000000-0000-0000-0000-00000000000a'::uuid, 'first'),
    (2, 'error', null, 'the output must be an array, because a map maps over it, but is JSON of type number (QF305)')$$,
  'both failures are on record');
select is((select attempts from quantumflow.step_tasks), 2, 'and counted');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
