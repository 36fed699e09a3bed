begin;
select plan(7);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "l"}, {"name": "x"}, {"name": "m", "type": "map", "dependencies": ["l"]}, {"name": "e", "type": "map", "map_over": "l", "dependencies": ["l", "x"]},
  {"name": "z", "dependencies": ["m", "e", "x"]}]}');
create temporary view problems as
select s.run_id, s.step_slug, 'step' as what
from quantumflow.step_states s
where s.remaining_deps <> (
    select count(*) from quantumflow.step_dependencies d
    join quantumflow.step_states o on (o.run_id, o.step_slug) = (d.run_id, d.depends_on_step)
    where (d.run_id, d.step_slug) = (s.run_id, s.step_slug) and o.status not in ('completed', 'skipped'))
  or (s.status in ('started', 'completed') and s.remaining_tasks <> (
    select count(*) from quantumflow.step_tasks t
    where (t.run_id, t.step_slug) = (s.run_id, s.step_slug) and t.status <> 'completed'))
union all
select r.id, null, 'run'
from quantumflow.workflow_runs r
where r.remaining_steps <> (
  select count(*) from quantumflow.step_states s where s.run_id = r.id and s.status not in ('completed', 'skipped'));

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select is_empty('table problems', 'after the start');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'l', output => '[1, 2]');
select is_empty('table problems', 'after a step');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 9);
select outcome from quantumflow.complete_tasks((
  select jsonb_agg(to_jsonb(t) order by n.n)
  from (values (1, 'm', 1), (2, 'x', 0), (3, 'm', 1)) n (n, step_slug, task_index)
  join quantumflow.step_tasks t using (step_slug, task_index)));
select is_empty('table problems', 'after a batch with a duplicate');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', s, i) from (values ('m', 0), ('e', 0), ('e', 1)) t (s, i);
select is_empty('table problems', 'after a join');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'z');
select is_empty('table problems', 'after the end');
select results_eq(
  'select r.remaining_steps, sum(s.remaining_deps)::int, sum(s.remaining_tasks)::int
   from quantumflow.workflow_runs r join quantumflow.step_states s on s.run_id = r.id group by 1',
  'values (0, 0, 0)', 'when all are 0');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
