begin;
select plan(19);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "leaf", "max_attempts": 1, "steps": [{"name": "work"}]}');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "list"},
  {"name": "each", "type": "map", "flow": "leaf", "dependencies": ["list"], "max_children": 2, "tolerate": 1,
   "input": {"of": "$.item", "at": "$.index", "for": "$.run.who"}, "output": "$.work"},
  {"name": "sum", "dependencies": ["each"]}]}');
select quantumflow.start_flow('w', '{"who": "ann"}', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'list', 0, '["a", "b", "c", "d", "e", "f"]');
create temporary view child as
select r.id, r.parent_task_index as i, r.status from quantumflow.workflow_runs r where r.parent_run_id is not null;

select results_eq(
  $$select task_index, queued_at = 'infinity' from quantumflow.step_tasks where step_slug = 'each' order by 1$$,
  $$values (0, false), (1, false), (2, true), (3, true), (4, true), (5, true)$$, 'all tasks are there, and two may go');
select quantumflow.settle();
select results_eq(
  $$select parent_task_index, input from quantumflow.workflow_runs where parent_run_id is not null order by 1$$,
  $$values (0, '{"of": "a", "at": 0, "for": "ann"}'::jsonb), (1, '{"of": "b", "at": 1, "for": "ann"}')$$, 'two start');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.complete_task((select id from child where i = 1), 'work', 0, '"B"');
select quantumflow.settle();
select results_eq('select i, status from child order by 1', $$values (0, 'started'), (1, 'completed'), (2, 'started')$$, 'the end of one lets the next one go');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.fail_task((select id from child where i = 0), 'work', 0, 'no');
select quantumflow.settle();
select results_eq('select i, status from child order by 1',
  $$values (0, 'failed'), (1, 'completed'), (2, 'started'), (3, 'started')$$, 'one that is tolerated too');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 4, '"by hand"');
select is_empty('select from quantumflow.settle() where settled > 0', 'what has to wait and is completed by hand lets none go');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'each', 3, '"too"');
select quantumflow.settle();
select results_eq('select i, status from child where i in (3, 5)', $$values (3, 'cancelled'), (5, 'started')$$,
  'and what was completed by hand needs no run, and lets the next one go');
select quantumflow.complete_task((select id from child where i = 5), 'work', 0, '"F"');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.complete_task((select id from child where i = 2), 'work', 0, '"C"');
select results_eq(
  'select step_slug, input from quantumflow.claim_tasks(gen_random_uuid())',
  $$values ('sum', '{"run": {"who": "ann"}, "each": [null, "B", "C", "too", "by hand", "F"]}'::jsonb)$$, 'the outputs are in order');
select results_eq(
  $$select gave_up from quantumflow.workflow_runs where parent_run_id is null$$, 'values (1)', 'what was tolerated is counted');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- One more fails it; a retry goes on with what is left.
select quantumflow.define_flow('{"slug": "v", "steps": [
  {"name": "each", "type": "map", "flow": "leaf", "max_children": 3}]}');
select quantumflow.start_flow('v', '[1, 2, 3, 4, 5, 6]', run_id => '10000000-0000-0000-0000-000000000002');
create temporary view kid as
select r.id, r.parent_task_index as i, r.status, r.input from quantumflow.workflow_runs r where r.parent_run_id = '10000000-0000-0000-0000-000000000002';
select quantumflow.settle();
select quantumflow.complete_task((select id from kid where i = 0), 'work', 0, '1');
select quantumflow.settle();
select quantumflow.fail_task((select id from kid where i = 2), 'work', 0, 'no');
select results_eq('select i, status, input from kid order by 1',
  $$values (0, 'completed', '1'::jsonb), (1, 'cancelled', '2'), (2, 'failed', '3'), (3, 'cancelled', '4')$$, 'a failure ends the others');
select results_eq(
  $$select status, error_message ~ '^step each, task 2: run .* failed: step work: no$' from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000002'$$,
  $$values ('failed', true)$$, 'and says whose it is');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000002');
select quantumflow.settle();
select results_eq('select i, status from kid order by 1',
  $$values (0, 'completed'), (1, 'started'), (2, 'started'), (3, 'started')$$, 'what was completed stays, and three go on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
do $$
begin
  for n in 1 .. 4 loop
    perform quantumflow.complete_task(k.id, 'work', 0, to_jsonb(k.i + 1))
    from kid k where k.status = 'started';
    perform quantumflow.settle();
  end loop;
end
$$;
select results_eq(
  $$select output from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000002'$$,
  $$values ('{"each": [{"work": 1}, {"work": 2}, {"work": 3}, {"work": 4}, {"work": 5}, {"work": 6}]}'::jsonb)$$, 'the outputs are whole ones');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
