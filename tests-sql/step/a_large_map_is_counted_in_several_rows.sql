begin;
select plan(18);

create or replace function quantumflow._counted_apart_from() returns int language sql immutable return 20;
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.start_flow('w', (select jsonb_agg(n) from generate_series(1, 19) n), '10000000-0000-0000-0000-000000000001');
select is_empty('select * from quantumflow._map_counters', 'a map with fewer tasks has one counter');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');

select quantumflow.start_flow('w', (select jsonb_agg(n) from generate_series(1, 20) n), '10000000-0000-0000-0000-000000000002');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid(), 20);
prepare complete(int, int) as
select count(*)::int
from quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(c) || jsonb_build_object('output', c.task_index)) from claimed c where c.task_index between $1 and $2))
where outcome = 'completed';
prepare counters as select counter, remaining_tasks, initial_tasks from quantumflow._map_counters order by 1;
prepare row as select status, remaining_tasks from quantumflow.step_states where run_id::text like '%2';

select results_eq(
  'counters', 'values (0, 3, 3), (1, 3, 3), (2, 3, 3), (3, 3, 3), (4, 2, 2), (5, 2, 2), (6, 2, 2), (7, 2, 2)', 'a large one has eight');

select results_eq('execute complete(0, 1)', 'values (2)', 'two tasks are done');
select is((select count(*)::int from quantumflow._map_counters where remaining_tasks < initial_tasks), 1, 'and taken off one of them');
select results_eq('row', $$values ('started', 20)$$, 'the map''s own row is as it was');
select is_empty('select * from quantumflow.check_state()', 'what is not done is told by both together');

select results_eq('execute complete(2, 4)', 'values (3)', 'as many tasks as the fullest of them has');
select results_eq('row', $$values ('started', 17)$$, 'are taken off the row');
select is((select count(*)::int from quantumflow._map_counters), 7, 'and it is gone');

select results_eq('execute complete(5, 9)', 'values (5)', 'more tasks than any of them has');
select is((select sum(remaining_tasks)::int from quantumflow._map_counters), 10, 'are taken off several');
select is(
  (select s.remaining_tasks - (select sum(c.initial_tasks - c.remaining_tasks)::int from quantumflow._map_counters c)
   from quantumflow.step_states s where s.run_id::text like '%2'),
  10, 'those that have come to nothing are taken off the row');
select is_empty('select * from quantumflow._map_counters where remaining_tasks = 0', 'and gone');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select results_eq('execute complete(10, 19)', 'values (10)', 'the rest');
select is_empty('select * from quantumflow._map_counters', 'leaves no counter');
select is(
  (select output -> 'm' from quantumflow.workflow_runs where id::text like '%2'),
  (select jsonb_agg(n) from generate_series(0, 19) n), 'and ends the map, and its run');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
