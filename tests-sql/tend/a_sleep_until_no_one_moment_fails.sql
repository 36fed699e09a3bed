begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "sleep", "at": "$.run.due"}, {"name": "z", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "without", "steps": [
  {"name": "a", "type": "sleep", "at": "$.run.due", "fallback": "at once"}, {"name": "z", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', i.input)
from unnest(array[
  '{}', '{"due": null}', '{"due": 1893456000}', '{"due": "tomorrow"}', '{"due": "infinity"}', '{"due": "2030-02-30"}', '{"due": "now"}', '7'
]::jsonb[]) i (input);
select quantumflow.start_flow('without', '{"due": "never"}');

select is((select count(*) from quantumflow.workflow_runs r where r.status = 'started'), 9::bigint, 'to start one raises nothing');
select is((select s.settled from quantumflow.settle() s), 9, 'it is settled at once');
select is_empty(
  $$select r.input, r.error_message
  from quantumflow.workflow_runs r
  where r.workflow_slug = 'w'
    and (r.status <> 'failed' or r.error_message <> 'step a: it sleeps until no one moment: strict $.run.due')$$,
  'and fails, whatever it found in place of a moment');
select results_eq(
  'select distinct kind, reported, attempt from quantumflow.task_failures', $$values ('condition', false, 1)$$, 'for its condition');
select results_eq(
  $$select c.step_slug, c.input from quantumflow.claim_tasks(gen_random_uuid()) c$$,
  $$values ('z', '{"a": "at once", "run": {"due": "never"}}'::jsonb)$$,
  'unless its run goes on without it');

select * from finish();
rollback;
