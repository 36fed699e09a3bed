begin;
select plan(6);

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "join": "all"},
    {"name": "b", "type": "map", "depends_on": ["a"], "join": "none"},
    {"name": "c", "otherwise": "skip", "on_error": "fail", "fallback": 1, "tolerate": 0},
    {"name": "d", "depends_on": ["c"], "after": ["a", "c"], "prefer_after": ["c", "a"]},
    {"name": "e", "type": "map", "depends_on": ["c"], "fallback": null},
    {"name": "f", "type": "map", "depends_on": ["a", "e"], "map_over": "e"},
    {"name": "g", "after": ["a"], "join": "any"}]}')$$,
  $$values
    ('QF118', 'steps[0].join', 'step "a" has join and no dependencies'),
    ('QF118', 'steps[1].join', 'map step "b" has join "none", and what it maps over would not have to be there'),
    ('QF118', 'steps[2].fallback', 'map step "e" maps over "c", whose fallback must be an array'),
    ('QF118', 'steps[2].on_error', 'step "c" has on_error and fallback, and only one of them can say what its failure means'),
    ('QF118', 'steps[2].otherwise', 'step "c" has otherwise and no if'),
    ('QF118', 'steps[2].tolerate', 'single step "c" has tolerate'),
    ('QF118', 'steps[3].after[1]', 'step "d" comes after "c", which is among its dependencies already'),
    ('QF118', 'steps[3].prefer_after[0]', 'step "d" comes after "c", which is among its dependencies already'),
    ('QF118', 'steps[3].prefer_after[1]', 'step "d" comes after "a", which is among its after already'),
    ('QF118', 'steps[4].fallback', 'map step "f" maps over "e", whose fallback must be an array'),
    ('QF118', 'steps[6].join', 'step "g" has join and no dependencies')$$,
  'all at once, each with its place');

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "after": ["c"], "prefer_after": ["z", "a", 1]},
    {"name": "b", "depends_on": ["a"]},
    {"name": "c", "prefer_after": ["b"]}]}')$$,
  $$values
    ('QF101', 'steps[0].prefer_after[2]', 'a dependency must be the name of a step, not 1'),
    ('QF105', 'steps[0].prefer_after[0]', 'step "a" depends on unknown step "z"'),
    ('QF106', 'steps[0].prefer_after[1]', 'step "a" depends on itself'),
    ('QF107', 'steps', 'steps depend on each other in a cycle: a -> c -> b -> a')$$,
  'what it comes after must be there, and closes no cycle');

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "otherwise": "stop", "join": "most", "after": "b", "on_error": true, "if": 1, "tolerate": "5"},
    {"name": "m", "type": "map", "tolerate": 1.5}, {"name": "n", "type": "map", "tolerate": "101%"}, {"name": "o", "type": "map", "tolerate": -1},
    {"name": "p", "type": "map", "tolerate": "100%"}, {"name": "q", "type": "map", "tolerate": "0.5%"}]}')
  where code <> 'QF118'$$,
  $$values
    ('QF101', 'steps[0].after', 'after must be an array of step names, not "b"'),
    ('QF101', 'steps[0].if', 'if must be a jsonpath of 1 to 2000 characters, not 1'),
    ('QF101', 'steps[0].join', 'join must be "all", "any" or "none", not "most"'),
    ('QF101', 'steps[0].on_error', 'on_error must be "fail" or "continue", not true'),
    ('QF101', 'steps[0].otherwise', 'otherwise must be "skip" or "fail", not "stop"'),
    ('QF101', 'steps[0].tolerate', 'tolerate must be a whole number of tasks from 0 to 1000000, or a share of them as "5%", not "5"'),
    ('QF101', 'steps[1].tolerate', 'tolerate must be a whole number of tasks from 0 to 1000000, or a share of them as "5%", not 1.5'),
    ('QF101', 'steps[2].tolerate', 'tolerate must be a whole number of tasks from 0 to 1000000, or a share of them as "5%", not "101%"'),
    ('QF101', 'steps[3].tolerate', 'tolerate must be a whole number of tasks from 0 to 1000000, or a share of them as "5%", not -1')$$,
  'each has its values');

select results_eq(
  $$select code, message from quantumflow.validate_flow('{"slug": "w", "steps": [{"name": "a", "needs": ["b"], "When": "$.run.x == 1"}]}')$$,
  $$values ('QF102', 'unknown key "When"; here it is "if"'), ('QF102', 'unknown key "needs"; here it is "dependencies"')$$,
  'what others call so has another name here');

select throws_ok(
  $$insert into quantumflow.workflow_step_edges (workflow_slug, version, step_slug, depends_on_step, order_only)
    values ('w', 1, 'a', 'b', true), ('w', 1, 'b', 'a', false)$$,
  'QF107', null, 'nor can a cycle of both kinds be made by hand');

select quantumflow.create_flow('v');
select quantumflow.add_step('v', 'a');
select quantumflow.add_step('v', 'b', '{a}', options => '{"if": "$.a.x == 1", "otherwise": "fail", "fallback": 0, "after": []}');
select is(
  quantumflow.get_flow('v') #> '{steps,1}',
  '{"name": "b", "type": "single", "dependencies": ["a"], "if": "$.a.x == 1", "otherwise": "fail", "fallback": 0}'::jsonb,
  'add_step takes them as options');

select * from finish();
rollback;
