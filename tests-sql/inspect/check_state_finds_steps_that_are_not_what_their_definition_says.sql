begin;
select plan(7);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}, {"name": "z", "dependencies": ["m"]}]}');

update quantumflow.workflow_steps set timeout = '1 h', max_attempts = 9, retry_delay = '5 s';
select is_empty('select * from quantumflow.check_state()', 'settings are an operator''s to change');

update quantumflow.workflow_steps set feeds_map = false where step_slug = 'a';
update quantumflow.workflow_steps set known_tasks = 2 where step_slug = 'm';
update quantumflow.workflow_steps set gathers = true where step_slug = 'z';
update quantumflow.workflow_steps set counts = true where step_slug = '_on_complete';

select results_eq(
  'select rule, step_slug, problem, remedy from quantumflow.check_state()',
  $$select 0, s, 'its row in version 1 of workflow "w" does not say what the definition does', 'compile it again'
  from unnest(array['_on_complete', 'a', 'm', 'z']) s$$,
  'what a step is comes from its definition');

-- A version that nothing begins with any more, nor goes on with, is not compiled for it.
select quantumflow.start_flow('w', '[]', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
prepare wrong(uuid) as select count(*)::int from quantumflow.check_state($1) where remedy = 'compile it again';
select results_eq('execute wrong(null)', 'values (4)', 'of an older version too, where a run goes on');
select results_eq($$execute wrong('10000000-0000-0000-0000-000000000001')$$, 'values (4)', 'and when one asks for that run');
do $ends$ begin perform quantumflow.cancel_run('10000000-0000-0000-0000-000000000001'); end $ends$;
select results_eq('execute wrong(null)', 'values (0)', 'but not where all have ended');
select results_eq($$execute wrong('10000000-0000-0000-0000-000000000001')$$, 'values (4)', 'unless one asks for one of them');

update quantumflow.workflow_versions set definition = '{"slug": "w", "steps": [{"name": "a", "type": "map", "chunk_size": "x"}]}' where version = 2;
select results_eq(
  $$select rule, problem from quantumflow.check_state()$$,
  $$values (0, 'a stored definition cannot be read: invalid input syntax for type integer: "x"')$$, 'nor is anything of what cannot be read');

select * from finish();
rollback;
