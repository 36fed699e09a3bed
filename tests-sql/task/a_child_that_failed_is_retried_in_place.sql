begin;
select plan(14);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "payment", "max_attempts": 1, "on_failure": "moan", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "order", "steps": [{"name": "paid", "type": "flow", "flow": "payment", "max_attempts": 2}]}');
select quantumflow.start_flow('order', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
create temporary table child as
select id from quantumflow.workflow_runs where parent_run_id is not null;

select quantumflow.complete_task((select id from child), 'a', 0, '1');
select quantumflow.fail_task((select id from child), 'b', 0, 'no money');
select results_eq('select status, retries from quantumflow.workflow_runs, child where workflow_runs.id = child.id', $$values ('failed', 0)$$, 'it failed');
select results_eq(
  $$select status, error_message from quantumflow.step_tasks where step_slug = 'paid'$$,
  $$select 'queued', format('run %s of workflow "payment" failed: step b: no money', id) from child$$, 'the step is to try again');
select is_empty($$select from quantumflow.step_tasks where step_slug = '_on_failure'$$, 'and nobody is told of a failure that is not final');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select results_eq('select settled from quantumflow.settle()', 'values (1)', 'settle retries it');
select results_eq('select status, retries from quantumflow.workflow_runs, child where workflow_runs.id = child.id', $$values ('started', 1)$$, 'the same run');
select results_eq(
  'select step_slug, attempt from quantumflow.claim_tasks(gen_random_uuid())', $$values ('b', 1)$$, 'what it had finished stays');
select quantumflow.fail_task((select id from child), 'b', 0, 'still none');

select results_eq(
  $$select status, error_message from quantumflow.workflow_runs where parent_run_id is null$$,
  $$select 'failed', format('step paid: run %s of workflow "payment" failed: step b: still none', id) from child$$,
  'its last failure is the step''s');
select results_eq(
  $$select attempt, kind, error_message like '%no money', reported from quantumflow.task_failures where step_slug = 'paid' order by 1$$,
  $$values (1, 'child', true, false), (2, 'child', false, false)$$, 'each is in the history, of a kind of its own');
select results_eq(
  $$select run_id, task_index, status from quantumflow.step_tasks where step_slug = '_on_failure'$$, 'select id, 1, ''queued'' from child',
  'now its callback is made');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select quantumflow.settle();
select results_eq(
  'select status, retries from quantumflow.workflow_runs, child where workflow_runs.id = child.id', $$values ('started', 2)$$,
  'a retry of the parent retries it too');
select quantumflow.complete_task((select id from child), 'b', 0, '2');
select results_eq(
  $$select output from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000001'$$, $$values ('{"paid": {"b": 2}}'::jsonb)$$,
  'and then it has its output');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
