-- One result may go a shorter way (task/pass_on.sql). Each case is tried twice, as it is, and with a report beside it that names nothing, which
-- makes it go the long way; all that is there afterwards must be the same. is_passed_on: whether its message is the next task's. ends: whether
-- it goes the shorter way because it ends its run.
begin;
set local track_functions = 'pl';
insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';

create temporary table cases (
  n            int generated always as identity,
  what         text,
  is_passed_on boolean,
  steps        jsonb default '[{"name": "a"}, {"name": "b", "dependencies": ["a"], "args": {"x": 1}}, {"name": "c", "dependencies": ["b"]}]',
  before       text default 'select',
  report       jsonb default '{"output": {"ok": true}}',
  quantity     int default 1,
  queues       text[] default '{quantum_flow_queue}',
  commands     text[],
  input        jsonb default '{"in": 1}',
  priority     int default 0,
  ends         boolean default false,
  callbacks    jsonb default '{}'
);

insert into cases (what, is_passed_on, steps) values
  ('a chain', true, default),
  ('a step beside that others have', true, '[{"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "z"}]'),
  ('two that wait', false, '[{"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["a"]}]'),
  ('one that waits for another too', false, '[{"name": "a"}, {"name": "z"}, {"name": "b", "dependencies": ["a", "z"]}]'),
  ('a delay', false, '[{"name": "a"}, {"name": "b", "dependencies": ["a"], "start_delay": 5}]'),
  ('a map over no array', false, '[{"name": "a"}, {"name": "b", "type": "map", "dependencies": ["a"]}]'),
  ('several that end a run', false, '[{"name": "a"}, {"name": "z"}]'),
  ('a timeout shorter than the lease', true, '[{"name": "a"}, {"name": "b", "dependencies": ["a"], "timeout": 7}]');
insert into cases (what, is_passed_on, steps, queues) values
  ('a queue of its own', true, '[{"name": "a", "queue": "q2"}, {"name": "b", "dependencies": ["a"], "queue": "q2"}]', '{q2}'),
  ('another queue', false, '[{"name": "a", "queue": "q2"}, {"name": "b", "dependencies": ["a"]}]', '{quantum_flow_queue,q2}'),
  ('two queues', true, '[{"name": "a", "queue": "q2"}, {"name": "b", "dependencies": ["a"], "queue": "q2"}]', '{quantum_flow_queue,q2}'),
  ('a queue that is not asked for', false, default, '{q2}');
insert into cases (what, is_passed_on, steps, report, input) values
  ('a map of one item', false, '[{"name": "a", "type": "map"}, {"name": "b", "dependencies": ["a"]}]', default, '[1]'),
  ('a map over an array', false, '[{"name": "a"}, {"name": "b", "type": "map", "dependencies": ["a"]}]', '{"output": [1, 2]}', default),
  ('a large input', false, default, default, (select jsonb_agg(md5(n::text)) from generate_series(1, 9000) n));
insert into cases (what, is_passed_on, report) values
  ('no output', true, '{}'),
  ('what it used, and for how long', true, '{"output": 1, "seconds": 1.5, "usage": {"tokens": 3}}'),
  ('seconds from before the claim', true, '{"output": 1, "seconds": 100}'),
  ('a key that nobody knows', false, '{"outptu": 1}'),
  ('another token', false, '{"output": 1, "lease_token": 1}'),
  ('no token', false, '{"output": 1, "lease_token": null}'),
  ('another index', false, '{"output": 1, "task_index": 1}'),
  ('a large output', false, jsonb_build_object('output', repeat('x', 120000)));
insert into cases (what, is_passed_on, before, report) values
  ('an output that is too large', false, 'select quantumflow.configure(''max_output_bytes'', ''1000'')', jsonb_build_object('output', repeat('x', 2000)));
insert into cases (what, is_passed_on, before) values
  ('the run is paused', false, 'select quantumflow.pause_run(id) from quantumflow.workflow_runs where workflow_slug = ''w'''),
  ('the run is cancelled', false, 'select quantumflow.cancel_run(id) from quantumflow.workflow_runs where workflow_slug = ''w'''),
  ('the task was reported', false, 'select quantumflow.complete_tasks(jsonb_build_array(to_jsonb(c) || ''{"output": 1}'')) from claimed c'),
  ('finished messages are archived', false, 'insert into quantumflow.queues (queue, archive) values (''quantum_flow_queue'', true)'),
  ('a run whose end is unfinished', false, $$insert into quantumflow._unfinished_ends values ('99999999-0000-0000-0000-000000000001', now())$$),
  ('a worker that was not seen for 5 s', false,
    $$select quantumflow.register_worker('20000000-0000-0000-0000-000000000001', 'w', '{a}', '{quantum_flow_queue}'); set local quantumflow.now = '2030-01-01 00:00:06+00'$$),
  ('a worker that was seen', true,
    $$select quantumflow.register_worker('20000000-0000-0000-0000-000000000001', 'w', '{a}', '{quantum_flow_queue}'); set local quantumflow.now = '2030-01-01 00:00:04+00'$$),
  ('a step that is not plain', false, 'update quantumflow.workflow_steps set plain = false where step_slug = ''b'''),
  ('a lease that has run out', false, 'set local quantumflow.now = ''2030-01-01 00:00:40+00'''),
  ('the message is gone', null, 'delete from pgmq.q_quantum_flow_queue'),
  ('the run counts wrongly', false, 'update quantumflow.workflow_runs set remaining_steps = 1 where workflow_slug = ''w'''),
  ('somebody else''s work, a second ahead', false, 'select quantumflow.start_flow(''other''); set local quantumflow.now = ''2030-01-01 00:00:01+00'''),
  ('somebody else''s work, less ahead', true, 'select quantumflow.start_flow(''other''); set local quantumflow.now = ''2030-01-01 00:00:00.9+00'''),
  ('work that is delayed', true, 'select quantumflow.start_flow(''other'', start_at => ''2030-01-01 00:01:00+00'')'),
  ('the run was retried', false,
    $$
    select quantumflow.fail_tasks(jsonb_build_array(to_jsonb(c) || '{"retryable": false}')) from claimed c;
    select quantumflow.retry_run(id) from quantumflow.workflow_runs where workflow_slug = 'w';
    delete from claimed;
    insert into claimed select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', lease => '30 s', commands => '{a}')
    $$),
  ('the task was lost before', true,
    $$
    set local quantumflow.now = '2030-01-01 00:00:40+00';
    delete from claimed;
    insert into claimed select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001', lease => '30 s', commands => '{a}')
    $$);
insert into cases (what, is_passed_on, before, priority) values
  ('somebody else''s work, less ahead than its priority', true,
    'select quantumflow.start_flow(''other''); set local quantumflow.now = ''2030-01-01 00:00:03+00''', 5);
insert into cases (what, is_passed_on, before, quantity) values
  ('room for more, and nothing to claim', true, 'select', 5),
  ('room for more, and something to claim', false, 'select quantumflow.start_flow(''other'')', 5);
insert into cases (what, is_passed_on, before, commands) values
  ('a command that is asked for', true, 'select quantumflow.start_flow(''other''); set local quantumflow.now = ''2030-01-01 00:00:09+00''', '{a,b}'),
  ('a command that is not', false, 'select', '{a,c}');
insert into cases (what, is_passed_on, quantity, queues) values
  ('room for more, and another queue', false, 5, '{quantum_flow_queue,q2}');

-- What ends its run.
insert into cases (what, ends, report, before, quantity) values
  ('the end', true, default, default, default),
  ('the end, without an output', true, '{}', default, 5),
  ('the end, with much output', false, jsonb_build_object('output', repeat('x', 3000)), default, default),
  ('the end, with another token', false, '{"output": 1, "lease_token": 1}', default, default),
  ('the end, paused', false, default, 'select quantumflow.pause_run(id) from quantumflow.workflow_runs where workflow_slug = ''w''', default),
  ('the end, counted wrongly', false, default, 'update quantumflow.workflow_runs set remaining_steps = 2 where workflow_slug = ''w''', default),
  ('the end, archived', false, default, 'insert into quantumflow.queues (queue, archive) values (''quantum_flow_queue'', true)', default),
  ('the end, the message is gone', true, default, 'delete from pgmq.q_quantum_flow_queue', default),
  ('the end, and something to claim', true, default,
    'select quantumflow.start_flow(''other'', run_id => ''12000000-0000-0000-0000-000000000001'')', 3);
update cases
set
  steps = '[{"name": "a"}]',
  is_passed_on = false
where what like 'the end%';
insert into cases (what, is_passed_on, ends, steps, callbacks) values
  ('the end, of which somebody is told', false, false, '[{"name": "a"}]', '{"on_complete": "done"}'),
  ('the end, of whose failure somebody would be told', false, true, '[{"name": "a"}]', '{"on_failure": "failed"}');
insert into cases (what, is_passed_on, ends, steps, queues) values
  ('the end, in a queue of its own', false, true, '[{"name": "a", "queue": "q2"}]', '{q2}'),
  ('the end, and two queues', false, true, '[{"name": "a"}]', '{quantum_flow_queue,q2}');
insert into cases (what, is_passed_on, steps, input) values
  ('a map that ends its run', false, '[{"name": "a", "type": "map"}]', '[1]');

select quantumflow.define_flow('{"slug": "other", "steps": [{"name": "x"}]}');
select quantumflow.define_flow('{"slug": "far", "queue": "q2", "steps": [{"name": "x"}]}');
create temporary table claimed (like quantumflow.step_tasks);
drop table claimed;
create temporary table claimed as select * from quantumflow.claim_tasks('20000000-0000-0000-0000-000000000001');

-- All that is there, without tokens and ids that are made.
create function pg_temp.everything() returns jsonb language sql as $$
  select jsonb_build_object(
    'runs', (select jsonb_agg(to_jsonb(r) order by r.workflow_slug) from (select l.* from quantumflow.workflow_runs l where l.workflow_slug = 'w') r),
    'steps', (select jsonb_agg(to_jsonb(s) order by s.step_slug) from quantumflow.step_states s where s.run_id::text like '1%'),
    'tasks', (
      select jsonb_agg(to_jsonb(t) - '{message_id,lease_token}'::text[] order by t.step_slug, t.task_index)
      from quantumflow.step_tasks t where t.run_id::text like '1%'),
    'failures', (select jsonb_agg(to_jsonb(f) - 'lease_token') from quantumflow.task_failures f),
    'messages', (
      select jsonb_agg(jsonb_build_object('vt', q.vt, 'read', q.read_ct > 0, 'headers', q.headers, 'message', q.message) order by q.message ->> 'step_name')
      from (select * from pgmq.q_quantum_flow_queue union all select * from pgmq.q_q2) q
      where q.message ->> 'workflow_run_id' like '1%'),
    'archived', (select jsonb_agg(q.message) from pgmq.a_quantum_flow_queue q),
    'unfinished', (select count(*) from quantumflow._unfinished_ends),
    'seen', (select jsonb_agg(w.last_seen_at) from quantumflow.workers w),
    'problems', (select jsonb_agg(to_jsonb(p) - '{message_id}'::text[]) from quantumflow.check_state() p))
$$;

create function pg_temp.times_long() returns bigint language sql as $$
  select coalesce(sum(f.calls), 0) from pg_stat_xact_user_functions f where (f.schemaname, f.funcname) = ('quantumflow', '_complete')
$$;

create function pg_temp.tried(p_case cases, p_beside jsonb) returns jsonb language plpgsql as $$
declare
  v_answer jsonb;
  v_passed boolean;
  v_long   bigint;
begin
  begin
    perform quantumflow.define_flow(jsonb_build_object('slug', 'w', 'steps', p_case.steps) || p_case.callbacks);
    perform quantumflow.start_flow(
      'w', p_case.input, run_id => '10000000-0000-0000-0000-000000000001', priority => p_case.priority, headers => '{"h": 1}');
    insert into claimed
    select c.* from quantumflow.claim_tasks(
      '20000000-0000-0000-0000-000000000001', queues => '{quantum_flow_queue,q2}', lease => '30 s', commands => '{a}') c;
    perform quantumflow.claim_tasks('20000000-0000-0000-0000-000000000002', 9, commands => '{z}');
    execute p_case.before;
    v_long := pg_temp.times_long();

    select jsonb_agg(to_jsonb(x) - '{message_id,lease_token}'::text[] order by x.outcome, x.step_slug)
    into v_answer
    from quantumflow.complete_and_claim(
      '20000000-0000-0000-0000-000000000001',
      (select jsonb_agg(to_jsonb(c) - 'input' || p_case.report) || p_beside from claimed c),
      p_case.quantity, p_case.queues, '30 s', p_case.commands) x
    where x.run_id is not null
      and (x.run_id::text like '1%' or x.outcome is not null);

    v_passed := exists (
      select from quantumflow.step_tasks t, quantumflow.step_tasks o
      where (t.run_id, t.step_slug, t.message_id) = (o.run_id, 'a', o.message_id) and o.step_slug = 'b');
    raise exception using errcode = 'QFEND', message = jsonb_build_object(
      'answer', v_answer, 'there', pg_temp.everything(), 'passed on', v_passed, 'long', pg_temp.times_long() > v_long);
  exception
    when sqlstate 'QFEND' then
      return sqlerrm::jsonb;
  end;
end
$$;

create temporary table tried as
select c.*, pg_temp.tried(c, '[]') as alone, pg_temp.tried(c, '[{"run_id": "none"}]') as beside
from cases c;

select plan(3 * count(*)::int + 1) from cases;
select is(t.alone - '{passed on,long}'::text[], t.beside - '{passed on,long}'::text[], t.what || ': the same')
from tried t
order by t.n;
select is((t.alone -> 'passed on')::boolean, coalesce(t.is_passed_on, false), t.what || case when t.is_passed_on then ': passed on' else ': not passed on' end)
from tried t
order by t.n;
select is(not (t.alone -> 'long')::boolean, coalesce(t.is_passed_on, true) or t.ends, t.what || ': which way')
from tried t
order by t.n;
select is_empty($$select what from tried where (beside -> 'passed on')::boolean or not (beside -> 'long')::boolean$$, 'what is beside others never goes the shorter way');

select * from finish();
rollback;
