begin;
select plan(5);

select quantumflow.define_flow('{"slug": "w", "on_complete": "tell", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.define_flow('{"slug": "far", "queue": "far", "steps": [{"name": "x"}]}');
select quantumflow.define_flow('{"slug": "later", "steps": [{"name": "a"}, {"name": "b", "dependencies": ["a"], "start_delay": 60}]}');
create function pg_temp.handed_out(results jsonb, queues text[] default '{quantum_flow_queue}') returns setof text language sql as $$
  select x.workflow_slug || '.' || x.step_slug
  from quantumflow.complete_and_claim(
    '20000000-0000-0000-0000-000000000001', results || '[{}]', 5, queues, commands => '{a,b,x,tell}') x
  where x.outcome is null
  order by 1
$$;
create function pg_temp.claimed(tasks int) returns jsonb language sql as $$
  select jsonb_agg(to_jsonb(c) || '{"output": 1}') from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', tasks) c
$$;
create function pg_temp.looks() returns bigint language sql as $$
  select pg_stat_get_xact_numscans('pgmq.q_quantum_flow_queue_vt_idx'::regclass)
$$;

select quantumflow.start_flow('w');
create temp table done as select pg_temp.claimed(1) as results;
create temp table before as select pg_temp.looks() as looks;
select results_eq('select pg_temp.handed_out(results) from done', array['w.b'], 'a step is handed over');
-- PostgreSQL before 17 counts a list of four as four.
select ok(pg_temp.looks() - looks in (1, 4), 'after one look whether anything is ahead of it') from before;

select quantumflow.start_flow('w');
select quantumflow.start_flow('far');
update done set results = pg_temp.claimed(1);
select results_eq(
  $$select pg_temp.handed_out(results, '{quantum_flow_queue,far}') from done$$, array['far.x', 'w.b'],
  'a queue in which something is visible is claimed from');

select quantumflow.start_flow('later');
update done set results = pg_temp.claimed(1) || (
  select jsonb_agg(to_jsonb(t) || '{"output": 1}') from quantumflow.step_tasks t
  where t.status = 'started' and t.step_slug = 'b');
select bag_eq(
  'select pg_temp.handed_out(results) from done', array['w._on_complete', 'w._on_complete'],
  'where nothing was handed over, callbacks of runs that end are claimed');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
