begin;
select plan(10);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [
  {"name": "a"},
  {"name": "m", "type": "map", "map_over": "a", "dependencies": ["a"], "tolerate": 1},
  {"name": "f", "fallback": 0},
  {"name": "c", "on_error": "continue"},
  {"name": "behind_c", "dependencies": ["c"]},
  {"name": "sum", "dependencies": ["m", "f"]},
  {"name": "skipped", "if": "1 == 2"},
  {"name": "alone"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a', output => '[1, 2]');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'alone', output => '1');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, output => '10');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', s, i) from (values ('m', 1), ('f', 0), ('c', 0)) t (s, i);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'sum', output => '1');
select results_eq('select status, gave_up, output from quantumflow.workflow_runs', $$values ('completed', 3, '{"sum": 1, "alone": 1}'::jsonb)$$, 'before');

select throws_ok($$select quantumflow.retry_run('10000000-0000-0000-0000-000000000001')$$, 'QF214', 'run 10000000-0000-0000-0000-000000000001 has nothing to run again');
select results_eq(
  $$select * from quantumflow.retry_preview('10000000-0000-0000-0000-000000000001', given_up => true)$$,
  $$values ('m', 'completed', 1, 1), ('f', 'completed', 1, 0), ('c', 'failed', 1, 0), ('behind_c', 'skipped', 1, 0), ('sum', 'completed', 1, 0)$$,
  'what was skipped because of it is asked again, other skipped steps are kept, and so are finished tasks');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', given_up => true);
select results_eq(
  $$select status, gave_up, remaining_steps from quantumflow.workflow_runs$$, $$values ('started', 0, 5)$$, 'the run goes on');
select results_eq(
  $$select step_slug, status, output, skip_reason, failed_tasks from quantumflow.step_states order by 1$$,
  $$values
    ('a' collate "C", 'completed', null::jsonb, null, null::int), ('alone', 'completed', null, null, null), ('behind_c', 'created', null, null, null),
    ('c', 'started', null, null, null), ('f', 'started', null, null, null), ('m', 'started', null, null, null),
    ('skipped', 'skipped', null, 'condition', null), ('sum', 'created', null, null, null)$$,
  'with just these');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, i, output => '5') from (values ('m', 1), ('f', 0), ('c', 0)) t (s, i);
select is((select input - 'run' from quantumflow.claim_tasks(gen_random_uuid(), commands => '{sum}')), '{"m": [10, 5], "f": 5}'::jsonb, 'and their new outputs are handed over');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, output => '6') from unnest('{behind_c,sum}'::text[]) s;
select results_eq(
  'select status, gave_up, output from quantumflow.workflow_runs',
  $$values ('completed', 0, '{"sum": 6, "alone": 1, "behind_c": 6}'::jsonb)$$, 'nothing is given up any more');
select throws_ok($$select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', given_up => true)$$, 'QF214');
select throws_ok($$select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', 'a', 3)$$, 'QF221', 'step "a" has no iteration 3');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
