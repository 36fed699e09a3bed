begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "clean", "after": ["b"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, output => to_jsonb(s)) from unnest('{a,b}'::text[]) s;
select is((select input from quantumflow.claim_tasks(gen_random_uuid())), '{"run": {}}'::jsonb, 'it waits, and is handed nothing');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'clean', output => '0');
select is((select output from quantumflow.workflow_runs), '{"b": "b", "clean": 0}'::jsonb, 'and takes nothing out of the output of the run');

select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
