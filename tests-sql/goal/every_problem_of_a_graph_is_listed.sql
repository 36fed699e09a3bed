begin;
select plan(26);

create function pg_temp.problems(graph jsonb, commands text[] default null)
returns table (code text, path text, message text)
language sql
as $problems$
  select *
  from quantumflow._task_graph_problems(
    graph, row(commands, '{single,map}', 5, true, '{"timeout": 60, "max_attempts": 3}', '{}')::quantumflow._planned);
$problems$;

select is_empty($$select * from pg_temp.problems('[{"id": "a"}, {"id": "b", "depends_on": ["a"]}]')$$, 'a good one has none');

create function pg_temp.says(graph jsonb, wanted text)
returns text
language sql
as $says$
  select is(
    (select string_agg(format('%s %s: %s', p.code, p.path, p.message), ' | ' order by p.code, p.path) from pg_temp.problems(graph) p), wanted,
    left(coalesce(graph::text, 'null'), 60));
$says$;

select pg_temp.says(null, 'QF610 : a graph is an object with "tasks", or a list of tasks, not null');
select pg_temp.says('3', 'QF610 : a graph is an object with "tasks", or a list of tasks, not 3');
select pg_temp.says('{"task": []}', 'QF610 : a graph is an object with "tasks", or a list of tasks, not an object');
select pg_temp.says('[]', 'QF610 : the graph has no tasks');
select pg_temp.says('{"tasks": []}', 'QF610 : the graph has no tasks');
select pg_temp.says('[1, {"id": ""}, {}]',
  'QF610 tasks[0]: a task must be an object, not 1 | QF610 tasks[1].id: id must be a text, not "" | QF610 tasks[2].id: id is missing');
select pg_temp.says('[{"id": {"x": 1}}]', 'QF610 tasks[0].id: id must be a text, not an object');
select pg_temp.says('[{"id": "a-b"}, {"id": "A_b"}]', 'QF610 tasks[1].id: task "A_b" and another task are both step "A_b"');
select pg_temp.says('[{"id": "a", "name": "b"}]', 'QF610 tasks[0].name: task "a" has id and name, which are the same');
select pg_temp.says('[{"id": "a", "queue": "mine", "signal": "x"}]',
  'QF607 tasks[0].queue: task "a" has the key "queue", which is not for a task | QF607 tasks[0].signal: task "a" has the key "signal", which is not for a task');
select pg_temp.says('[{"id": "a", "goal": "b", "command": "c"}]', 'QF610 tasks[0].command: task "a" is a goal, and has the key command');
select pg_temp.says('[{"id": "a", "goal": "  "}]', 'QF610 tasks[0].goal: the goal of task "a" has no words, or more than 10000 characters');
select pg_temp.says('[{"id": "a", "goal": 1, "critical": "no"}]',
  'QF610 tasks[0].critical: critical of task "a" must be true or false, not "no" | QF610 tasks[0].goal: goal of task "a" must be a text, not 1');
select pg_temp.says('[{"id": "a", "depends_on": "b"}]', 'QF610 tasks[0].depends_on: depends_on of task "a" must be a list of ids, not "b"');
select pg_temp.says('[{"id": "a", "depends_on": [{}]}]', 'QF610 tasks[0].depends_on[0]: an id must be a text, not an object');
select pg_temp.says('[{"id": "a", "type": "sleep"}]', 'QF606 tasks[0].type: task "a" is of type "sleep", and may be single, map');
select pg_temp.says('[{"id": "a", "timeout": 61, "max_attempts": 4}]',
  'QF607 tasks[0].max_attempts: max_attempts of task "a" is 4, and 3 is allowed | QF607 tasks[0].timeout: timeout of task "a" is 61, and 60 is allowed');
select pg_temp.says('[{"id": "a"}, {"id": "b"}, {"id": "c"}, {"id": "d"}, {"id": "e"}, {"id": "f"}]', 'QF603 : the graph has 6 tasks, and 5 are allowed');
select pg_temp.says('[{"id": "a", "depends_on": ["b"]}, {"id": "b", "depends_on": ["a"]}]',
  'QF107 tasks: steps depend on each other in a cycle: a -> b -> a');
select pg_temp.says('[{"id": "a", "depends_on": ["a", "zz"]}]',
  'QF105 tasks[0].depends_on[1]: step "a" depends on unknown step "zz" | QF106 tasks[0].depends_on[0]: step "a" depends on itself');
select pg_temp.says('[{"id": "input"}]', 'QF103 tasks[0].id: name must not be "input", which is reserved');
select pg_temp.says('[{"id": "a", "if": "$.**"}]', (
  select string_agg(format('%s %s: %s', p.code, p.path, p.message), ' | ') from pg_temp.problems('[{"id": "a", "if": "$.**"}]') p));
select is((select min(p.code) from pg_temp.problems('[{"id": "a", "if": "$.**"}]') p), 'QF117', 'a condition that is not linear');
select results_eq(
  $$select code, path from pg_temp.problems('[{"id": "a"}, {"id": "b", "command": "x"}]', '{a}')$$,
  $$values ('QF602', 'tasks[1].command')$$, 'a command that may not be');

select quantumflow.describe_command('a', 'Adds', '{"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "required": ["n"], "additionalProperties": false}');
select results_eq(
  $$select code, path, message from pg_temp.problems('[{"id": "a", "args": {"n": 0, "m": 1}}, {"id": "b", "command": "a"}]')$$,
  $$values
    ('QF602', 'tasks[0].args', 'args of task "a": it has "m", which is not known'),
    ('QF602', 'tasks[0].args.n', 'args of task "a": it is 0, and no less than 1 is allowed'),
    ('QF602', 'tasks[1].args', 'args of task "b": "n" is missing')$$, 'args that the command does not take');

select * from finish();
rollback;
