begin;
select plan(9);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "max_lost": 1, "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10, commands => '{a}');
set local quantumflow.now = '2030-01-01 00:00:05+00';

select is(
  quantumflow.release_tasks((select jsonb_agg(to_jsonb(c)) || '[{"run_id": "x"}, 5]' from claimed c)), 1, 'one was handed back');
select results_eq(
  'select step_slug, status, attempts, losses, worker_id, lease_token, started_at, queued_at from quantumflow.step_tasks order by 1',
  $$values
    ('a' collate "C", 'queued', 0, 0, null::uuid, null::bigint, null::timestamptz, '2030-01-01 00:00:00+00'::timestamptz),
    ('b', 'queued', 0, 0, null, null, null, '2030-01-01 00:00:00+00')$$,
  'as if it had never been claimed');
select is_empty('select from quantumflow.task_failures', 'it was no failure');
select is(quantumflow.release_tasks((select jsonb_agg(to_jsonb(c)) from claimed c)), 0, 'a second time it is not the caller''s');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from claimed), 'stale', 'nor can it report');

insert into claimed select * from quantumflow.claim_tasks('b0000000-0000-0000-0000-00000000000b', 10, commands => '{a}');
select results_eq('select attempt from claimed order by lease_token = (select lease_token from quantumflow.step_tasks where step_slug = ''a'')',
  'values (1), (1)', 'it can be claimed at once, for its first attempt');
select is(quantumflow.release_tasks((
  select jsonb_agg(to_jsonb(c)) from claimed c
  where lease_token <> (select lease_token from quantumflow.step_tasks where step_slug = 'a'))), 0,
  'an old token does not hand back a new lease');
select is((select status from quantumflow.step_tasks where step_slug = 'a'), 'started', 'which goes on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
