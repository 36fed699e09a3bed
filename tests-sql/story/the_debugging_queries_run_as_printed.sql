begin;
select plan(8);

-- The statements of the guide's chapter on debugging, but for read_at, which pgmq does not have: read_ct = 0.
insert into quantumflow.settings values ('test_clock', 'on');
select set_config('quantumflow.now', (now() - interval '2 hours')::text, true);
select quantumflow.define_flow('{"slug": "ladder", "steps": [
  {"name": "top"}, {"name": "left", "dependencies": ["top"]}, {"name": "right", "dependencies": ["top"]},
  {"name": "bottom", "dependencies": ["left", "right"]}]}');
select quantumflow.start_flow('ladder', run_id => '10000000-0000-0000-0000-000000000001');
select set_config('quantumflow.now', (quantumflow._now() + interval '1 s')::text, true);
select quantumflow.start_flow('ladder', run_id => '10000000-0000-0000-0000-000000000003');
create temporary table claimed on commit drop as select * from quantumflow.claim_tasks(gen_random_uuid());
select set_config('quantumflow.now', (quantumflow._now() + interval '8 s')::text, true);
select quantumflow.complete_task(run_id, step_slug, task_index, null, lease_token) from claimed;
truncate claimed;
insert into claimed select * from quantumflow.claim_tasks(gen_random_uuid());
select set_config('quantumflow.now', (quantumflow._now() + interval '2 s')::text, true);
select quantumflow.complete_task(run_id, step_slug, task_index, null, lease_token) from claimed;
select set_config('quantumflow.now', '', true);
select quantumflow.start_flow('ladder', run_id => '10000000-0000-0000-0000-000000000002');

set local search_path = quantumflow, public;

prepare slow_tasks as
SELECT
  step_slug,
  COUNT(*) as task_count,
  AVG(EXTRACT(EPOCH FROM (completed_at - started_at))) as avg_duration_s
FROM step_tasks
WHERE status = 'completed'
GROUP BY step_slug
ORDER BY avg_duration_s DESC;
select results_eq(
  'execute slow_tasks', $$values ('top' collate "C", 2::bigint, 5.0)$$, 'slow tasks');

prepare stuck_workflows as
SELECT
  id, workflow_slug, started_at,
  (NOW() - started_at) as duration
FROM workflow_runs
WHERE status = 'started'
  AND started_at < NOW() - INTERVAL '1 hour'
ORDER BY started_at ASC;
select results_eq(
  'execute stuck_workflows',
  $$values
    ('10000000-0000-0000-0000-000000000001'::uuid, 'ladder' collate "C", now() - interval '2 hours', interval '2 hours'),
    ('10000000-0000-0000-0000-000000000003', 'ladder', now() - interval '01:59:59', interval '01:59:59')$$,
  'stuck workflows');

prepare dependency_graph as
WITH RECURSIVE deps AS (
  SELECT run_id, step_slug, depends_on_step, ARRAY[step_slug] as path
  FROM step_dependencies
  WHERE run_id = $1

  UNION ALL

  SELECT d.run_id, d.step_slug, d.depends_on_step,
         deps.path || d.step_slug
  FROM step_dependencies d
  JOIN deps ON d.depends_on_step = deps.step_slug
  WHERE d.run_id = $1 AND NOT d.step_slug = ANY(deps.path)
)
SELECT DISTINCT step_slug, depends_on_step, path
FROM deps
WHERE run_id = $1
ORDER BY step_slug, depends_on_step;
select results_eq(
  $$execute dependency_graph('10000000-0000-0000-0000-000000000001')$$,
  $$values
    ('bottom' collate "C", 'left' collate "C", '{bottom}'::text[] collate "C"),
    ('bottom', 'left', '{left,bottom}'),
    ('bottom', 'right', '{bottom}'),
    ('bottom', 'right', '{right,bottom}'),
    ('left', 'top', '{left}'),
    ('right', 'top', '{right}')$$,
  'the dependency graph');
select is_empty($$execute dependency_graph('10000000-0000-0000-0000-000000000009')$$, 'of a run that is not there: nothing');

prepare queue_depth as
SELECT COUNT(*) as total,
       SUM(CASE WHEN read_ct = 0 THEN 1 ELSE 0 END) as unread
FROM pgmq.q_quantum_flow_queue;
select results_eq('execute queue_depth', 'values (5::bigint, 5::bigint)', 'the depth of the queue');
select count(*) from quantumflow.claim_tasks(gen_random_uuid(), 2);
select results_eq('execute queue_depth', 'values (5::bigint, 3::bigint)', 'what was claimed has been read');

prepare oldest_unread as
SELECT * FROM pgmq.q_quantum_flow_queue
WHERE read_ct = 0
ORDER BY msg_id ASC LIMIT 1;
create temporary table oldest on commit drop as execute oldest_unread;
select results_eq(
  'select msg_id, read_ct = 0 from oldest', 'select min(msg_id), true from pgmq.q_quantum_flow_queue where read_ct = 0',
  'the oldest unread message');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
