begin;
select plan(6);

select quantumflow.define_flow('{"slug": "round", "max_attempts": 1, "steps": [{"name": "x", "on_error": "continue"}, {"name": "y"}]}');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "l", "type": "loop", "flow": "round", "until": "$iteration == 4", "max_iterations": 9, "keep": 2},
  {"name": "z", "dependencies": ["l"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create function pg_temp.play() returns void language plpgsql as $$
begin
  perform quantumflow.settle();
  perform quantumflow.fail_task(t.run_id, 'x', 0, 'no') from quantumflow.step_tasks t where t.step_slug = 'x' and t.status = 'queued';
  perform quantumflow.complete_task(t.run_id, 'y') from quantumflow.step_tasks t where t.step_slug = 'y' and t.status = 'queued';
  perform quantumflow.settle();
end
$$;
create view pg_temp.parent as select gave_up from quantumflow.workflow_runs where id = '10000000-0000-0000-0000-000000000001';

select pg_temp.play() from generate_series(1, 4);
select is((select count(*) from quantumflow.workflow_runs where workflow_slug = 'round'), 3::bigint, 'the first runs are gone');
select results_eq('select gave_up from pg_temp.parent', 'values (4)', 'and what they gave up is counted');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select pg_temp.play();
select quantumflow.fail_task('10000000-0000-0000-0000-000000000001', 'z', 0, 'no', retryable => false);
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select results_eq('select gave_up from pg_temp.parent', 'values (5)', 'after a retry too');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001', from_step => 'l');
select results_eq('select gave_up from pg_temp.parent', 'values (0)', 'what runs anew has given up nothing yet');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken then');

select * from finish();
rollback;
