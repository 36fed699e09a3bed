begin;
select plan(9);

create or replace function quantumflow._counted_apart_from() returns int language sql immutable return 10;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map"}, {"name": "n", "type": "map"}]}');
select quantumflow.start_flow('w', (select jsonb_agg(n) from generate_series(1, 10) n), '10000000-0000-0000-0000-000000000001');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 20);
prepare complete(text, int, int) as
select count(*)::int
from quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(c) || '{"output": 1}') from claimed c where c.step_slug = $1 and c.task_index between $2 and $3))
where outcome = 'completed';
prepare counters as
select step_slug, count(*)::int, sum(initial_tasks - remaining_tasks)::int from quantumflow._map_counters group by 1 order by 1;

select results_eq('execute complete(''m'', 0, 0)', 'values (1)', 'a task is done');
select results_eq('execute complete(''n'', 0, 0)', 'values (1)', 'one of each map');
select is_empty('select * from quantumflow.repair(false)', 'there is nothing to repair');
select results_eq('counters', $$values ('m' collate "C", 8, 1), ('n', 8, 1)$$, 'so both are counted apart');

update quantumflow.step_states s set remaining_tasks = 7 where s.step_slug = 'm';
select isnt_empty('select * from quantumflow.repair(false)', 'a wrong count is repaired');
select results_eq('counters', $$values ('n' collate "C", 8, 1)$$, 'and the map counted in its own row from then on');
select is((select remaining_tasks from quantumflow.step_states where step_slug = 'm'), 9, 'as many as are not done');
select is_empty('select * from quantumflow.check_state()', 'every rule holds again');

do $rest$ begin perform * from quantumflow.complete_tasks((select jsonb_agg(to_jsonb(c) || '{"output": 1}') from claimed c where c.task_index > 0)); end $rest$;
select is((select status from quantumflow.workflow_runs), 'completed', 'and the run gets to its end');

select * from finish();
rollback;
