begin;
select plan(8);

create or replace function quantumflow._counted_apart_from() returns int language sql immutable return 10;
select quantumflow.define_flow('{"slug": "w", "max_attempts": 1, "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', (select jsonb_agg(n) from generate_series(1, 20) n), '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 20);
do $some$ begin
  perform * from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c) || '{"output": 1}') from claimed c where c.task_index < 5));
  perform * from quantumflow.fail_tasks((select jsonb_agg(to_jsonb(c) || '{"error_message": "no"}') from claimed c where c.task_index = 5));
end $some$;

select is((select status from quantumflow.workflow_runs), 'failed', 'a run fails');
select is_empty('select * from quantumflow.check_state()', 'what was counted apart of it is still told');
select quantumflow.retry_run('10000000-0000-0000-0000-000000000001');
select is((select sum(initial_tasks)::int from quantumflow._map_counters), 15, 'a retry counts the tasks that it makes');
select is((select sum(remaining_tasks)::int from quantumflow._map_counters), 15, 'all of them');
select is_empty('select * from quantumflow.check_state()', 'and keeps the others');

select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is_empty('select * from quantumflow.check_state()', 'a run that is cancelled keeps its counters');
select quantumflow.delete_run('10000000-0000-0000-0000-000000000001');
select is_empty('select * from quantumflow._map_counters', 'one that is deleted does not');

insert into quantumflow._map_counters values ('10000000-0000-0000-0000-000000000001', 'm', 0, 1, 1);
select results_eq(
  'select rule, step_slug, problem from quantumflow.check_state()', $$values (0, 'm', 'counter 0 belongs to no step')$$, 'and one that is left is found');

select * from finish();
rollback;
