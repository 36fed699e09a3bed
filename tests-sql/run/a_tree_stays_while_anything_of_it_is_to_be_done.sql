begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "leaf", "on_complete": "tell", "steps": [{"name": "work"}]}');
select quantumflow.define_flow('{"slug": "top", "steps": [{"name": "leaf", "type": "flow", "flow": "leaf"}]}');
select quantumflow.start_flow('top', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
select quantumflow.complete_task(id, 'work') from quantumflow.workflow_runs where workflow_slug = 'leaf';
set local quantumflow.now = '2030-01-01 00:01:00+00';

select results_eq(
  'select workflow_slug, status from quantumflow.workflow_runs order by 1',
  $$values ('leaf' collate "C", 'completed'), ('top', 'completed')$$, 'a tree has ended, and somebody below is still to be told');
select throws_ok(
  $$select quantumflow.delete_run('10000000-0000-0000-0000-000000000001')$$, 'QF213', null, 'it is not deleted');
select is(quantumflow.prune('0 s'), 0::bigint, 'nor pruned');
select is_empty($$select from quantumflow.prune_preview('0 s')$$, 'nor foretold');
select quantumflow.complete_task(id, '_on_complete') from quantumflow.workflow_runs where workflow_slug = 'leaf';
select is(quantumflow.prune('0 s'), 2::bigint, 'until that is done');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
