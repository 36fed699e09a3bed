begin;
select plan(6);

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "type": "sleep"},
    {"name": "b", "type": "sleep", "seconds": 1, "at": "$.run.due", "timeout": 5, "start_delay": 1},
    {"name": "c", "type": "wait", "signal": "go", "signals": []},
    {"name": "d", "seconds": 1, "signal": "go"},
    {"name": "e", "type": "wait", "seconds": 1, "max_attempts": 2, "max_lost": 2, "retry_delay": 1, "start_delay": 1},
    {"name": "f", "type": "sleep", "seconds": 0, "command": "do", "args": null, "queue": "q", "signals": ["go"]},
    {"name": "g", "type": "wait", "signals": []}]}')$$,
  $$values
    ('QF118', 'steps[0].seconds', 'sleep step "a" has neither seconds nor at, and one of them says until when'),
    ('QF118', 'steps[1].at', 'sleep step "b" has seconds and at, and only one of them can say until when'),
    ('QF118', 'steps[1].start_delay', 'sleep step "b" has start_delay, which is of what workers do'),
    ('QF118', 'steps[1].timeout', 'sleep step "b" has timeout, which is of a wait, a flow and what workers do'),
    ('QF118', 'steps[2].signals', 'wait step "c" has signal and signals, and only one of them can say what it waits for'),
    ('QF118', 'steps[3].seconds', 'single step "d" has seconds, which is of a sleep'),
    ('QF118', 'steps[3].signal', 'single step "d" has signal, which is of a wait'),
    ('QF118', 'steps[4].max_attempts', 'wait step "e" has max_attempts, which is of a flow and what workers do'),
    ('QF118', 'steps[4].max_lost', 'wait step "e" has max_lost, which is of what workers do'),
    ('QF118', 'steps[4].retry_delay', 'wait step "e" has retry_delay, which is of what workers do'),
    ('QF118', 'steps[4].seconds', 'wait step "e" has seconds, which is of a sleep'),
    ('QF118', 'steps[4].start_delay', 'wait step "e" has start_delay, which is of what workers do'),
    ('QF118', 'steps[5].args', 'sleep step "f" has args, which is of what workers do'),
    ('QF118', 'steps[5].command', 'sleep step "f" has command, which is of what workers do'),
    ('QF118', 'steps[5].queue', 'sleep step "f" has queue, which is of what workers do'),
    ('QF118', 'steps[5].signals', 'sleep step "f" has signals, which is of a wait'),
    ('QF118', 'steps[6].signals', 'wait step "g" waits for no signal')$$,
  'all at once, each with its place');

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "type": "sleep", "at": "$.nobody.due"},
    {"name": "b", "type": "sleep", "at": "$.run.*.** ? (@ > 1)"},
    {"name": "c", "type": "sleep", "at": "$.run.due ? ("},
    {"name": "d", "type": "sleep", "at": "$.run.stops[*] ? (@.name == \"end\").due"},
    {"name": "e", "type": "sleep", "at": "$.run.dues ? (@ > 1)"}]}')
  where code = 'QF117'$$,
  $$values
    ('QF117', 'steps[0].at', 'the time of step "a" asks for $.nobody, and nobody is neither run nor a dependency'),
    ('QF117', 'steps[1].at', 'the time of step "b" has .**, which looks at everything below'),
    ('QF117', 'steps[2].at', 'the time of step "c" is no jsonpath: syntax error at end of jsonpath input')$$,
  'a path to a time asks for what the step is given, and takes no longer than that is long; it may end in a filter');

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "run_timeout": 0, "steps": [
    {"name": "a", "type": "nap", "seconds": "1"},
    {"name": "b", "type": "sleep", "seconds": -1},
    {"name": "c", "type": "wait", "signal": "", "timeout": 0},
    {"name": "d", "type": "wait", "signals": ["go", 1, ""]},
    {"name": "e", "type": "sleep", "at": 5}]}')$$,
  $$values
    ('QF101', 'run_timeout', 'run_timeout must be a number of seconds from 0.001 to 315360000, not 0'),
    ('QF101', 'steps[0].seconds', 'seconds must be a number of seconds from 0 to 315360000, not "1"'),
    ('QF101', 'steps[0].type', 'type must be "single" (or "task"), "map", "loop", "sleep", "wait", "flow" or "plan", not "nap"'),
    ('QF101', 'steps[1].seconds', 'seconds must be a number of seconds from 0 to 315360000, not -1'),
    ('QF101', 'steps[2].signal', 'signal must be text of 1 to 128 characters, not ""'),
    ('QF101', 'steps[2].timeout', 'timeout must be a number of seconds from 0.001 to 315360000, not 0'),
    ('QF101', 'steps[3].signals[1]', 'a signal must be text of 1 to 128 characters, not 1'),
    ('QF101', 'steps[3].signals[2]', 'a signal must be text of 1 to 128 characters, not ""'),
    ('QF101', 'steps[4].at', 'at must be a jsonpath of 1 to 2000 characters, not 5')$$,
  'each has its values');

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "type": "sleep", "seconds": 1, "tolerate": 1},
    {"name": "b", "type": "wait", "signals": ["x", "y"], "map_over": "a", "chunk_size": 2},
    {"name": "c", "type": "wait", "fallback": {}},
    {"name": "d", "type": "map", "dependencies": ["a"]},
    {"name": "e", "type": "map", "dependencies": ["a", "b"], "map_over": "b"},
    {"name": "f", "type": "map", "dependencies": ["c"], "seconds": 1}]}')$$,
  $$values
    ('QF108', 'steps[1].chunk_size', 'wait step "b" has chunk_size'),
    ('QF108', 'steps[1].map_over', 'wait step "b" has map_over'),
    ('QF118', 'steps[0].tolerate', 'sleep step "a" has tolerate'),
    ('QF118', 'steps[2].fallback', 'map step "f" maps over "c", whose fallback must be an array'),
    ('QF118', 'steps[3].map_over', 'map step "d" maps over "a", whose output is {"until"}, since it sleeps, and no array'),
    ('QF118', 'steps[4].map_over', 'map step "e" maps over "b", whose output is {"signal", "payload"}, since it waits for several, and no array'),
    ('QF118', 'steps[5].seconds', 'map step "f" has seconds, which is of a sleep')$$,
  'maps have arrays to map over, which what a wait for one signal is sent may be');

select throws_ok(
  $$select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "wait", "max_attempts": 3}]}')$$,
  'QF118', null, 'define_flow raises it');
select is_empty('select from quantumflow.workflows', 'and defines nothing');

select * from finish();
rollback;
