begin;
select plan(12);

select quantumflow.define_flow('{"slug": "w", "max_attempts": 9, "on_failure": "mourn", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "other"}]}');
select quantumflow.define_flow('{"slug": "list", "steps": [{"name": "list"}, {"name": "each", "type": "map", "dependencies": ["list"]}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 2) n;
select quantumflow.start_flow('list', run_id => '20000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10);

select quantumflow.configure('max_output_bytes', '10000');
select quantumflow.configure('max_map_items', '1000');

select results_eq(
  $$
  select right(o.run_id::text, 1), o.step_slug, o.outcome
  from quantumflow.complete_tasks((
    select jsonb_agg(to_jsonb(c) || jsonb_build_object('output',
      repeat('x', case when run_id = '10000000-0000-0000-0000-000000000001' and step_slug = 'a' then 10000 else 9900 end)))
    from claimed c where c.workflow_slug = 'w')) o
  order by 1, 2
  $$,
  $$values ('1', 'a', 'failed'), ('1', 'other', 'completed'), ('2', 'a', 'completed'), ('2', 'other', 'completed')$$,
  'it spoils no other result of the batch');
select results_eq(
  $$select status, output, error_message, attempts, losses from quantumflow.step_tasks
    where (run_id, step_slug) = ('10000000-0000-0000-0000-000000000001', 'a')$$,
  $$values ('failed', null::jsonb, 'the output has 10012 bytes, and 10000 are allowed (QF309)', 1, 0)$$,
  'the task failed, attempts left or not, and does not keep the output');
select results_eq(
  'select step_slug, kind, attempt, worker_id, error_message from quantumflow.task_failures',
  $$values ('a' collate "C", 'error', 1, 'a0000000-0000-0000-0000-00000000000a'::uuid, 'the output has 10012 bytes, and 10000 are allowed (QF309)')$$,
  'it is on record as a failure');
select results_eq(
  'select right(id::text, 1), status, error_message from quantumflow.workflow_runs where workflow_slug = ''w'' order by 1',
  $$values ('1', 'failed', 'step a: the output has 10012 bytes, and 10000 are allowed (QF309)'), ('2', 'started', null)$$,
  'the run ends; another goes on');
select is(
  (select status from quantumflow.step_tasks where step_slug = '_on_failure'), 'queued', 'its on_failure is called');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, '1', lease_token) from claimed
   where (run_id, step_slug) = ('10000000-0000-0000-0000-000000000001', 'a')),
  'duplicate', 'the attempt has reported');

-- A callback fails too, and the run stays as it is.
create temporary table callback on commit drop as
select * from quantumflow.claim_tasks(gen_random_uuid(), 10, commands => '{mourn}');
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, to_jsonb(repeat('x', 10000)), lease_token) from callback),
  'failed', 'a callback');
select results_eq(
  $$select t.status, r.status from quantumflow.step_tasks t join quantumflow.workflow_runs r on r.id = t.run_id where t.step_slug = '_on_failure'$$,
  $$values ('failed', 'failed')$$, 'fails by itself');

-- Items: an array that is small enough, with more than a map may have.
select is(
  (select quantumflow.complete_task(run_id, step_slug, task_index, (select jsonb_agg(1) from generate_series(1, 1001)), lease_token)
   from claimed where workflow_slug = 'list'),
  'failed', 'more items than a map may have');
select is(
  (select error_message from quantumflow.workflow_runs where workflow_slug = 'list'),
  'step list: the output has 12020 bytes, and 10000 are allowed (QF309)', 'bytes come first');

select quantumflow.configure('max_output_bytes', null);
select quantumflow.start_flow('list', run_id => '20000000-0000-0000-0000-000000000002');
select quantumflow.complete_task('20000000-0000-0000-0000-000000000002', 'list', output => (select jsonb_agg(1) from generate_series(1, 1001)));
select is(
  (select error_message from quantumflow.workflow_runs where id = '20000000-0000-0000-0000-000000000002'),
  'step list: the output has 1001 items, and a map may have 1000 (QF309)', 'then items');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
