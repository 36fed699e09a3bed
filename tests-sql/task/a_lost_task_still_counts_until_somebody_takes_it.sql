begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "unnoticed"}, {"name": "swept"}, {"name": "taken"}, {"name": "failed_late", "retry_delay": 0}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10, lease => '10 s');
set local quantumflow.now = '2030-01-01 00:00:30+00';

select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"late"', lease_token) from claimed where step_slug = 'unnoticed'),
  'completed', 'a lapsed lease that nobody noticed is accepted');
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'late', lease_token) from claimed where step_slug = 'failed_late'),
  'retrying', 'for a failure too');
select is((select count(*)::int from quantumflow.task_failures where kind = 'lost'), 0, 'and counts as no loss');

select * from quantumflow.sweep();
select is((select lease_token from quantumflow.step_tasks where step_slug = 'swept'), null::bigint, 'a sweep takes the token away');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"late"', lease_token) from claimed where step_slug = 'swept'),
  'stale', 'so the result comes too late');
select is(
  (select quantumflow.fail_task(run_id, step_slug, task_index, 'late', lease_token) from claimed where step_slug = 'swept'),
  'stale', 'and the failure');

create temporary table others on commit drop as
select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 1, commands => '{taken}');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"late"', lease_token) from claimed where step_slug = 'taken'),
  'stale', 'what somebody else has taken is theirs');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '"in time"', lease_token) from others), 'completed', 'who may report it');
select results_eq(
  'select step_slug, output from quantumflow.step_tasks where status = ''completed'' order by 1',
  $$values ('taken' collate "C", '"in time"'::jsonb), ('unnoticed', '"late"')$$,
  'the outputs are those that were accepted');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
