begin;
select plan(25);

select quantumflow.describe_command('ship', 'Ships', '{"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}');
select quantumflow.register_decomposer('asked', 'command', 'plan_it', may_use => '{ship,mail}', timeout => '7 s');
select throws_ok($$select quantumflow.decompose('x', 'asked')$$, 'QF614', 'decomposer "asked" does not answer at once', 'a worker is to be asked');

create temporary table g as
select quantumflow.execute_goal('Ship it', 'asked', '{"who": "me"}') as id;
create function pg_temp.tell(key text) returns jsonb language sql as $$select quantumflow.goal_status((select id from g)) -> key$$;
create function pg_temp.answer(plan jsonb)
returns void
language sql
as $answer$
  select quantumflow.complete_task((pg_temp.tell('plan_run_id') #>> '{}')::uuid, 'plan', output => plan);
  select quantumflow.settle();
$answer$;

select is(pg_temp.tell('status'), '"decomposing"', 'while it is, the goal is being decomposed');
select results_eq(
  $$select command, timeout, input - 'goal_id' from quantumflow.workflow_steps s join quantumflow.workflow_runs r using (workflow_slug, version) where step_slug = 'plan'$$,
  $$values ('plan_it', interval '7 s', '{"goal": "Ship it", "context": {"who": "me"}, "args": {}, "depth": 1, "problems": [], "commands": [
    {"name": "mail"},
    {"name": "ship", "description": "Ships", "args_schema": {"type": "object", "properties": {"to": {"type": "string"}}, "required": ["to"]}}]}'::jsonb)$$,
  'it is told the goal and what it may use');

select pg_temp.answer('[{"id": "ship"}, {"id": "rm", "depends_on": ["ship"]}]');
select is(pg_temp.tell('status'), '"decomposing"', 'a plan with problems goes back');
select is(pg_temp.tell('plans'), '2', 'it is asked again');
select is(
  (select input -> 'problems' from quantumflow.workflow_runs where id = (pg_temp.tell('plan_run_id') #>> '{}')::uuid),
  '[{"code": "QF602", "path": "tasks[0].args", "message": "args of task \"ship\": \"to\" is missing"},
    {"code": "QF602", "path": "tasks[1].command", "message": "no step function found for task \"rm\": command \"rm\" is not among those it may have"}]'::jsonb,
  'with all problems');
select pg_temp.answer('[{"id": "ship", "args": {"to": "you"}}, {"id": "after", "goal": "tell them", "depends_on": ["ship"]}]');
select is(pg_temp.tell('plans'), '3', 'a task that is a goal is planned in turn');
select is(
  (select (input - 'commands') - 'goal_id' from quantumflow.workflow_runs where id = (pg_temp.tell('plan_run_id') #>> '{}')::uuid),
  '{"goal": "tell them", "context": {"who": "me"}, "args": {}, "depth": 2, "problems": []}'::jsonb, 'one level deeper');
select pg_temp.answer('{"tasks": [{"id": "mail"}]}');
select is(pg_temp.tell('status'), '"running"', 'when no task is a goal, it runs');
select is(pg_temp.tell('graph'), '{"tasks": [{"id": "ship", "args": {"to": "you"}}, {"id": "after__mail", "command": "mail", "depends_on": ["ship"]}]}', 'all of it');
select quantumflow.complete_task((pg_temp.tell('run_id') #>> '{}')::uuid, 'ship', output => '1');
select quantumflow.complete_task((pg_temp.tell('run_id') #>> '{}')::uuid, 'after__mail', output => '2');
select is(pg_temp.tell('outputs'), '{"ship": 1, "after__mail": 2}', 'and completes');

-- A planner that never learns, plans itself for ever, dies, or is not wanted any more.
update g set id = quantumflow.execute_goal('Ship it', 'asked');
select pg_temp.answer('"no plan"') from generate_series(1, 3);
select is(pg_temp.tell('status'), '"failed"', 'it is told three times');
select is(pg_temp.tell('problems') #>> '{}', 'QF610 at the top: a graph is an object with "tasks", or a list of tasks, not "no plan"', 'then the goal fails, and says why');
update g set id = quantumflow.execute_goal('Ship it', 'asked');
select pg_temp.answer('[{"id": "again", "goal": "ship it"}]') from generate_series(1, 12);
select is(pg_temp.tell('status'), '"failed"', 'goals are nested no deeper than they may be');
select is(pg_temp.tell('plans'), '12', 'ten levels, and twice it was told');
update g set id = quantumflow.execute_goal('Ship it', 'asked');
select quantumflow.fail_task((pg_temp.tell('plan_run_id') #>> '{}')::uuid, 'plan', error_message => 'unknown goal', retryable => false);
select quantumflow.settle();
select is(pg_temp.tell('error_message') #>> '{}', 'step plan: unknown goal', 'an error of the planner''s is the goal''s');
update g set id = quantumflow.execute_goal('Ship it', 'asked');
select quantumflow.cancel_goal((select id from g), 'no need');
select is(pg_temp.tell('status'), '"cancelled"', 'it may be cancelled meanwhile');
select is((select status from quantumflow.workflow_runs where id = (pg_temp.tell('plan_run_id') #>> '{}')::uuid), 'cancelled', 'with the run that plans');
select lives_ok($$select quantumflow.cancel_goal((select id from g))$$, 'twice changes nothing');

-- Decomposed only; hybrid; and from the cache.
update g set id = quantumflow.decompose_goal('Ship it', 'asked');
select pg_temp.answer('[{"id": "mail"}]');
select is(pg_temp.tell('status'), '"decomposed"', 'a goal may only be decomposed');
select quantumflow.register_decomposer('hybrid', 'rules', fallback => 'asked');
select quantumflow.add_method('hybrid', '[{"id": "first"}, {"id": "then", "goal": "what no rule fits", "depends_on": ["first"]}]', pattern => 'known');
update g set id = quantumflow.execute_goal('known', 'hybrid');
select pg_temp.answer('[{"id": "mail"}]');
select is(pg_temp.tell('graph'), '{"tasks": [{"id": "first"}, {"id": "then__plan__mail", "command": "mail", "depends_on": ["first"]}]}', 'rules, and a planner for the rest');
select quantumflow.register_decomposer('asked', 'command', 'plan_it', may_use => '{ship,mail}', cache_for => '1 hour');
update g set id = quantumflow.execute_goal('Mail  them', 'hybrid');
select pg_temp.answer('[{"id": "mail"}]');
update g set id = quantumflow.execute_goal('mail them', 'hybrid');
select is(pg_temp.tell('status'), '"running"', 'the same goal again has the plan that was made for it');
update g set id = quantumflow.execute_goal('mail them', 'hybrid', options => '{"cache": false}');
select is(pg_temp.tell('status'), '"decomposing"', 'unless it is not to');
select quantumflow.register_decomposer('asked', 'command', 'plan_it', '2', '{ship,mail}', cache_for => '1 hour');
update g set id = quantumflow.execute_goal('mail them', 'hybrid');
select is(pg_temp.tell('status'), '"decomposing"', 'nor that of another version');

select is_empty('select * from quantumflow.check_state()', 'all is well');

select * from finish();
rollback;
