begin;
select plan(37);

select quantumflow.describe_command('mail', 'Mails', '{"type": "object", "required": ["to"]}');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "order"},
  {"name": "p", "type": "plan", "command": "think", "dependencies": ["order"], "may_use": ["mail", "count"], "max_attempts": 2, "timeout": 7, "args": {"style": "short"}},
  {"name": "end", "dependencies": ["p"]}]}');
create temporary table r as
select quantumflow.start_flow('w', '{"n": 1}') as id;

create function pg_temp.child()
returns uuid
language sql
as $$select id from quantumflow.workflow_runs where parent_run_id = (select id from r) order by id desc limit 1$$;
create function pg_temp.answer(plan jsonb)
returns void
language sql
as $answer$
  select quantumflow.complete_task(pg_temp.child(), 'plan', output => plan);
  select quantumflow.settle();
$answer$;

select quantumflow.complete_task((select id from r), 'order', 0, '"o"');
select quantumflow.settle();
select results_eq(
  $$select command, args, timeout, s.max_attempts, input from quantumflow.workflow_steps s join quantumflow.workflow_runs r using (workflow_slug, version) where r.id = pg_temp.child()$$,
  $$values ('think', '{"style": "short"}'::jsonb, interval '7 s', 2, '{"run": {"n": 1}, "order": "o", "problems": [], "flows": [], "types": ["single", "map"], "max_steps": 1000,
    "commands": [{"name": "mail", "description": "Mails", "args_schema": {"type": "object", "required": ["to"]}}, {"name": "count"}]}'::jsonb)$$,
  'a worker is asked, in a run of its own, and told what it may use');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select pg_temp.answer('[{"id": "mail"}, {"id": "rm"}, {"id": "late", "command": "count", "timeout": 8}, {"id": "away", "command": "count", "queue": "other"}]');
select is(
  (select input -> 'problems' from quantumflow.workflow_runs where id = pg_temp.child()),
  '[{"code": "QF602", "path": "tasks[0].args", "message": "args of task \"mail\": \"to\" is missing"},
    {"code": "QF602", "path": "tasks[1].command", "message": "no step function found for task \"rm\": command \"rm\" is not among those it may have"},
    {"code": "QF607", "path": "tasks[2].timeout", "message": "timeout of task \"late\" is 8, and 7 is allowed"},
    {"code": "QF607", "path": "tasks[3].queue", "message": "task \"away\" has the key \"queue\", which is not for a task"}]'::jsonb,
  'all that is wrong with its plan goes back to it');
select is((select status from quantumflow.workflow_runs, r where workflow_runs.id = r.id), 'started', 'the run goes on');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select pg_temp.answer('{"tasks": [{"id": "mail", "args": {"to": "you"}}, {"id": "n", "command": "count", "depends_on": ["mail"]}]}');
select results_eq(
  $$select step_slug, command, timeout, max_attempts, queue from quantumflow.workflow_steps s join quantumflow.workflow_runs r using (workflow_slug, version) where r.id = pg_temp.child() order by 1$$,
  $$values ('mail' collate "C", 'mail', interval '7 s', 2, 'quantum_flow_queue'), ('n', 'count', '7 s', 2, 'quantum_flow_queue')$$, 'a good one runs, with the settings of the plan');
select is(
  (select input from quantumflow.workflow_runs where id = pg_temp.child()), '{"run": {"n": 1}, "order": "o"}'::jsonb, 'with the input of the step');
select is_empty('select * from quantumflow.list_flows() where workflow_slug <> ''w''', 'what it is a version of is hidden');
select results_eq('select plans, plan_steps from quantumflow._trees', 'values (2, 2)', 'plans and their steps are counted');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select quantumflow.fail_task(pg_temp.child(), 'mail', error_message => 'no post', retryable => false);
select quantumflow.settle();
select matches(
  (select error_message from quantumflow.workflow_runs, r where workflow_runs.id = r.id), '^step p, task 2: run .* failed: step mail: no post$', 'when that fails, the step fails');
select quantumflow.retry_run((select id from r));
select quantumflow.settle();
select is((select count(*) from quantumflow.workflow_runs), 4::bigint, 'a retry makes no new plan');
select quantumflow.complete_task(pg_temp.child(), 'mail', 0, '1');
select quantumflow.complete_task(pg_temp.child(), 'n', 0, '2');
select is(
  (select quantumflow.step_output((select id from r), 'p')), '{"n": 2}'::jsonb, 'the output of the plan is that of the step');
select results_eq(
  $$select input from quantumflow.claim_tasks(gen_random_uuid())$$, $$values ('{"run": {"n": 1}, "p": {"n": 2}}'::jsonb)$$, 'and handed over');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.complete_task((select id from r), 'end', 0, '3');
select is((select count(*) from quantumflow.workflow_versions where workflow_slug like '\_plan\_%'), 2::bigint, 'a question, asked twice, and an answer');
select quantumflow.delete_run((select id from r));
select is_empty($$select from quantumflow.workflows where workflow_slug <> 'w'$$, 'they go with their last run');

-- A planner that never learns.
update r set id = quantumflow.start_flow('w');
select quantumflow.complete_task((select id from r), 'order', 0, '"o"');
select quantumflow.settle();
select pg_temp.answer('"no plan"') from generate_series(1, 2);
select is(
  (select error_message from quantumflow.workflow_runs, r where workflow_runs.id = r.id),
  'step p, task 1: its plan is no good: QF610 at the top: a graph is an object with "tasks", or a list of tasks, not "no plan"', 'after max_attempts it fails');
select results_eq('select kind from quantumflow.task_failures', $$values ('plan')$$, 'with a kind of its own');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');
select quantumflow.retry_run((select id from r));
select quantumflow.settle();
select is(
  (select input #> '{problems,0,code}' from quantumflow.workflow_runs where id = pg_temp.child()), '"QF610"', 'a retry asks once more, and tells of the problems');
select pg_temp.answer('[{"id": "count"}]');
select quantumflow.complete_task(pg_temp.child(), 'count', 0, '1');
select is((select status from quantumflow.step_states, r where (run_id, step_slug) = (r.id, 'p')), 'completed', 'a good plan then is as good');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- One that plans itself for ever.
select quantumflow.define_flow('{"slug": "x", "steps": [
  {"name": "p", "type": "plan", "command": "think", "may_use": ["think", "mail"], "may_use_types": ["plan", "single"], "max_attempts": 1}]}');
create function pg_temp.again(at_most int)
returns int
language plpgsql
as $again$
declare
  v_child uuid;
begin
  for v_n in 1 .. at_most loop
    select run_id into v_child from quantumflow.step_tasks where step_slug = 'plan' and status = 'queued';
    if not found then
      return v_n - 1;
    end if;
    perform quantumflow.complete_task(
      v_child, 'plan', output => '[{"id": "again", "type": "plan", "command": "think", "may_use": ["think", "mail", "rm"], "may_use_types": ["plan", "map"]}]');
    perform quantumflow.settle();
  end loop;
  return at_most;
end
$again$;
update r set id = quantumflow.start_flow('x');
select quantumflow.settle();
select is(pg_temp.again(50), 10, 'it ends where runs are nested too deep');
select is((select status from quantumflow.workflow_runs, r where workflow_runs.id = r.id), 'failed', 'and fails');
select results_eq(
  $$select distinct plan -> 'may_use', plan -> 'may_use_types' from quantumflow.workflow_steps where step_slug = 'again'$$,
  $$values ('["think", "mail"]'::jsonb, '["plan"]'::jsonb)$$, 'none of them may have more than the one above');
select quantumflow.configure('max_plans', '4');
update r set id = quantumflow.start_flow('x');
select quantumflow.settle();
select is(pg_temp.again(50), 4, 'or where its tree has asked for as many plans as it may');
select matches(
  (select error_message from quantumflow.workflow_runs, r where workflow_runs.id = r.id), 'its tree would ask for 5 plans, and max_plans allows 4$', 'which is said');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- One that is paused, cancelled or failed for, in each phase.
select quantumflow.configure('max_plans', '100');
create function pg_temp.reach(phase text)
returns void
language plpgsql
as $reach$
begin
  update r set id = quantumflow.start_flow('w');
  perform quantumflow.complete_task((select id from r), 'order', 0, '1');
  if phase <> 'begun' then
    perform quantumflow.settle();
  end if;
  if phase = 'told' then
    perform pg_temp.answer('[]');
  elsif phase = 'running' then
    perform pg_temp.answer('[{"id": "count"}]');
  end if;
end
$reach$;
create function pg_temp.ends(phase text, act text)
returns text
language plpgsql
as $ends$
begin
  perform pg_temp.reach(phase);
  if act = 'paused' then
    perform quantumflow.pause_run((select id from r));
    perform quantumflow.settle();
    perform quantumflow.resume_run((select id from r));
    perform quantumflow.settle();
    if phase <> 'running' then
      perform pg_temp.answer('[{"id": "count"}]');
    end if;
    perform quantumflow.complete_task(pg_temp.child(), 'count', 0, '1');
    perform quantumflow.complete_task((select id from r), 'end', 0, '1');
  else
    perform quantumflow.cancel_run((select id from r));
    perform quantumflow.settle();
  end if;
  return (
    select concat_ws(' ', (select status from quantumflow.workflow_runs w, r where w.id = r.id),
      (select count(*) from quantumflow.workflow_runs w, r where w.parent_run_id = r.id and w.status in ('started', 'paused')),
      (select count(*) from quantumflow.check_state())));
end
$ends$;
select is(pg_temp.ends(p, 'cancelled'), 'cancelled 0 0', 'cancelled when ' || p) from unnest(array['begun', 'asked', 'told', 'running']) p;
select is(pg_temp.ends(p, 'paused'), 'completed 0 0', 'paused, and resumed, when ' || p) from unnest(array['begun', 'asked', 'told', 'running']) p;

select * from finish();
rollback;
