begin;
select plan(5);

select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "l", "type": "loop", "until": "$.last == 2", "max_iterations": 9}, {"name": "z", "dependencies": ["l"]}]}');
select quantumflow.start_flow('w', run_id => ('10000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 2) n;
create temporary table got as select c.*, 0 as output from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', 9) c;

create function pg_temp.exchange(p_output int) returns table (run int, outcome text, step_slug text, task_index int, last jsonb) language plpgsql as $$
begin
  create temporary table given on commit drop as
  select *
  from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001', (select jsonb_agg(to_jsonb(g) || jsonb_build_object('output', p_output)) from got g), 9);
  delete from got;
  insert into got
  select c.* from given g, jsonb_populate_record(null::got, to_jsonb(g)) c where g.outcome is null;
  return query
  select right(g.run_id::text, 1)::int, g.outcome, g.step_slug, g.task_index, g.input -> 'last' from given g order by g.outcome, g.run_id;
  drop table given;
end
$$;

select results_eq(
  'select * from pg_temp.exchange(0)',
  $$values (1, 'completed', 'l', 0, null::jsonb), (2, 'completed', 'l', 0, null), (1, null, 'l', 1, '0'), (2, null, 'l', 1, '0')$$,
  'two loops of two runs in one call');
select results_eq(
  'select run_id, task_index, status, attempts from quantumflow.step_tasks where task_index = 1 order by 1',
  $$values ('10000000-0000-0000-0000-000000000001'::uuid, 1, 'started', 1), ('10000000-0000-0000-0000-000000000002', 1, 'started', 1)$$,
  'they are born started');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select results_eq(
  'select * from pg_temp.exchange(2)',
  $$values (1, 'completed', 'l', 1, null::jsonb), (2, 'completed', 'l', 1, null), (1, null, 'z', 0, null), (2, null, 'z', 0, null)$$,
  'and so is what waits for the loop');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
