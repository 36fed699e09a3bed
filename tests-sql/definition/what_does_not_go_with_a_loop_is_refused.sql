begin;
select plan(8);

select set_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "type": "loop"},
    {"name": "b", "type": "loop", "until": "$.last == 1", "while": "$.last == 1", "max_iterations": 3},
    {"name": "c", "until": "$.run.x == 1", "max_iterations": 3, "delay": 1, "keep": 1},
    {"name": "d", "type": "loop", "while": "$.last == 1", "max_iterations": 3, "map_over": "c", "chunk_size": 2, "tolerate": 1},
    {"name": "e", "type": "loop", "while": "$.last == 1", "max_iterations": 100001, "seconds": 1, "signal": "s"}]}')$$,
  $$values
    ('QF108', 'steps[3].chunk_size', 'loop step "d" has chunk_size'),
    ('QF108', 'steps[3].map_over', 'loop step "d" has map_over'),
    ('QF118', 'steps[0].max_iterations', 'loop step "a" has no max_iterations, without which it might have no end'),
    ('QF118', 'steps[0].until', 'loop step "a" has neither until nor while, and one of them says when it ends'),
    ('QF118', 'steps[1].while', 'loop step "b" has until and while, and only one of them can say when it ends'),
    ('QF118', 'steps[2].until', 'single step "c" has until, which is of a loop'),
    ('QF118', 'steps[2].max_iterations', 'single step "c" has max_iterations, which is of a loop'),
    ('QF118', 'steps[2].delay', 'single step "c" has delay, which is of a loop'),
    ('QF118', 'steps[2].keep', 'single step "c" has keep, which is of a loop'),
    ('QF118', 'steps[3].tolerate', 'loop step "d" has tolerate'),
    ('QF118', 'steps[4].max_iterations', 'loop step "e" may have 100001 iterations, and 100000 are allowed'),
    ('QF118', 'steps[4].seconds', 'loop step "e" has seconds, which is of a sleep'),
    ('QF118', 'steps[4].signal', 'loop step "e" has signal, which is of a wait')$$,
  'keys that contradict each other, are missing, or are of another type');

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a"},
    {"name": "b", "type": "loop", "dependencies": ["a"], "until": "$.a.n == $.last && $iteration > 3 && $status.a == \"completed\"", "max_iterations": 3},
    {"name": "c", "type": "loop", "until": "$.last == $.a", "max_iterations": 3},
    {"name": "d", "type": "loop", "while": "$.iteration == $n", "max_iterations": 3},
    {"name": "e", "type": "loop", "while": "$.last", "max_iterations": 3, "dependencies": ["a"], "if": "$.last == $iteration"},
    {"name": "f", "type": "loop", "while": "$.last[*] == $.run[*]", "max_iterations": 3}]}') order by path, message$$,
  $$values
    ('QF117', 'steps[2].until', 'the until of step "c" asks for $.a, and a is neither run nor a dependency, nor last'),
    ('QF117', 'steps[3].while', 'the while of step "d" asks for $.iteration, and iteration is neither run nor a dependency, nor last'),
    ('QF117', 'steps[3].while', 'the while of step "d" asks for the variable $n, and there is only $status and $iteration'),
    ('QF117', 'steps[4].if', 'the condition of step "e" asks for $.last, and last is neither run nor a dependency'),
    ('QF117', 'steps[4].if', 'the condition of step "e" asks for the variable $iteration, and there is only $status'),
    ('QF117', 'steps[5].while', 'the while of step "f" compares many values with many, where one side must be one value; in lax mode each path is many')$$,
  'what the condition asks for: that of a loop more than an "if"');

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "Last"}, {"name": "iteration"},
    {"name": "a", "dependencies": ["Last", "iteration"]},
    {"name": "b", "type": "loop", "dependencies": ["Last", "iteration"], "until": "$.last == 1", "max_iterations": 3},
    {"name": "c", "type": "loop", "after": ["Last"], "until": "$.last == 1", "max_iterations": 3}]}')$$,
  $$values
    ('QF103', 'steps[3].dependencies[0]', 'loop "b" depends on "Last", a name that is reserved there'),
    ('QF103', 'steps[3].dependencies[1]', 'loop "b" depends on "iteration", a name that is reserved there')$$,
  'names that a loop hands its handler of its own');

select throws_ok(
  $$select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "loop", "until": "$.last == 1"}]}')$$,
  'QF118', null, 'define_flow raises it');

select quantumflow.define_flow('{"slug": "w", "timeout": 7, "steps": [
  {"name": "a", "type": "loop", "until": " strict $.last == 1 ", "max_iterations": 3, "delay": 0},
  {"name": "b", "type": "loop", "while": "lax $.last == 1", "max_iterations": 4, "delay": 1.5, "keep": 2, "command": "x", "max_attempts": 9}]}');
select results_eq(
  $$select step_slug, step_type, command, counts, known_tasks, gathers, repeats, plain, loop_until, loop_while, max_iterations, loop_delay, keep,
    max_attempts, timeout
    from quantumflow.workflow_steps order by 1$$,
  $$values
    ('a' collate "C", 'loop', 'a', true, null::int, false, true, true, 'strict $.last == 1', null, 3, interval '0 s', 100, 3, interval '7 s'),
    ('b', 'loop', 'x', true, null, false, true, true, null, 'lax $.last == 1', 4, '1.5 s', 2, 9, '7 s')$$,
  'what is right is compiled');
select is(
  quantumflow.get_flow('w') -> 'steps' -> 0, '{"name": "a", "type": "loop", "until": "$.last == 1", "max_iterations": 3}'::jsonb,
  'what means nothing is not kept');

select results_eq(
  $$select result, saw from quantumflow.test_condition('w', 'a', '{"run": {}, "last": 1}', iteration => 2)$$,
  $$values (true, '{"$.last": [1]}'::jsonb)$$, 'test_condition asks the loop''s with an iteration');
select quantumflow.define_flow('{"slug": "s", "steps": [{"name": "a"}]}');
select throws_ok(
  $$select quantumflow.test_condition('s', 'a', '{}', iteration => 2)$$,
  'QF221', 'step "a" has no iteration 2', 'and nothing else has any');

select * from finish();
rollback;
