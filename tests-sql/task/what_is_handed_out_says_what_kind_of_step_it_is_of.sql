begin;
select plan(2);

select quantumflow.define_flow('{"slug": "w", "on_complete": "notify", "steps": [
  {"name": "a"}, {"name": "m", "type": "map", "dependencies": ["a"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create temporary table given as
select c.*
from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001') c;
insert into given
select c.*
from (select jsonb_agg(to_jsonb(g) || '{"output": [1]}') as results from given g) r
cross join lateral (
  select (to_jsonb(x)) as task
  from quantumflow.complete_and_claim('20000000-0000-0000-0000-000000000001', r.results) x
  where x.outcome is null
) e
cross join lateral jsonb_populate_record(null::quantumflow.claimed_task, e.task) c;
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'm', 0, '1');
insert into given
select *
from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');

select results_eq(
  'select step_slug, step_type from given order by step_slug collate "C"',
  $$values ('_on_complete', 'callback'), ('a', 'single'), ('m', 'map')$$,
  'claimed or handed over, a task says whether it is of a single step, of a map, or a callback');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
