begin;
select plan(16);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "leaf", "steps": [{"name": "work"}]}');
select quantumflow.define_flow('{"slug": "middle", "steps": [{"name": "leaf", "type": "flow", "flow": "leaf"}, {"name": "other", "type": "flow", "flow": "leaf"}]}');
select quantumflow.define_flow('{"slug": "top", "steps": [{"name": "middle", "type": "flow", "flow": "middle", "timeout": 60}, {"name": "x"}]}');

-- Cancelled from the top.
select quantumflow.start_flow('top', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
select results_eq('select workflow_slug, depth from quantumflow.workflow_runs order by depth nulls first, 1',
  $$values ('top' collate "C", null), ('middle', 1), ('leaf', 2), ('leaf', 2)$$, 'a tree of three levels, at once');
select results_eq('select runs from quantumflow._trees', 'values (4)', 'it is counted');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001', 'enough');
select results_eq('select status, count(*) from quantumflow.workflow_runs group by 1', $$values ('cancelled', 4::bigint)$$, 'all of it is cancelled');
select is_empty('select from quantumflow.claim_tasks(gen_random_uuid(), 10)', 'nothing of it is handed out');
select is_empty('select from quantumflow._tree_work', 'nothing is left to be done');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
select results_eq('select status, count(*) from quantumflow.workflow_runs group by 1', $$values ('started', 4::bigint)$$, 'a retry goes on with the same runs');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- Out of time.
set local quantumflow.now = '2030-01-01 00:01:00+00';
select quantumflow.settle();
select results_eq(
  'select workflow_slug, status from quantumflow.workflow_runs order by depth nulls first, 1',
  $$values ('top' collate "C", 'failed'), ('middle', 'cancelled'), ('leaf', 'cancelled'), ('leaf', 'cancelled')$$, 'a child that takes too long ends with its step');
select results_eq(
  $$select kind, error_message ~ '^run .* of workflow "middle" took longer than 00:01:00$' from quantumflow.task_failures where step_slug = 'middle'$$,
  $$values ('timeout', true)$$, 'which has timed out');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- By hand.
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'middle', 0, '"by hand"');
select results_eq(
  'select workflow_slug, status from quantumflow.workflow_runs order by depth nulls first, 1',
  $$values ('top' collate "C", 'started'), ('middle', 'cancelled'), ('leaf', 'cancelled'), ('leaf', 'cancelled')$$, 'what was completed by hand waits for no run');
select throws_ok(
  $$select quantumflow.retry_run(id) from quantumflow.workflow_runs where workflow_slug = 'middle'$$, 'QF227', null,
  'nor can such a run be retried by itself');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- Anew.
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'x');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', from_step => 'middle');
select quantumflow.settle();
select results_eq(
  $$select status, parent_retries from quantumflow.workflow_runs where workflow_slug = 'middle' order by 2$$,
  $$values ('cancelled', 0), ('started', 3)$$, 'from_step starts another');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
