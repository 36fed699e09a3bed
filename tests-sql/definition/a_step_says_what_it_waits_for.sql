begin;
select plan(4);

select is(
  (quantumflow.define_flow('{"slug": "w", "run_timeout": 86400.0, "timeout": 5, "max_attempts": 7, "queue": "own", "steps": [
    {"name": "a", "type": "sleep", "seconds": 60.0},
    {"name": "b", "type": "sleep", "at": " strict $.a.until ", "depends_on": ["a"], "if": "exists($.run.x)"},
    {"name": "c", "type": "wait", "after": ["a"], "on_error": "continue"},
    {"name": "d", "type": "wait", "signal": "go", "timeout": 3.50, "fallback": {"by": "nobody"}},
    {"name": "e", "type": "wait", "signals": ["go", "stop", "go"], "depends_on": ["c"], "join": "any"},
    {"name": "f"}]}')).definition,
  '{"version": "1.0", "slug": "w", "run_timeout": 86400, "timeout": 5, "max_attempts": 7, "queue": "own", "steps": [
    {"name": "a", "type": "sleep", "seconds": 60},
    {"name": "b", "type": "sleep", "at": "$.a.until", "dependencies": ["a"], "if": "exists($.run.x)"},
    {"name": "c", "type": "wait", "after": ["a"], "on_error": "continue"},
    {"name": "d", "type": "wait", "signal": "go", "timeout": 3.5, "fallback": {"by": "nobody"}},
    {"name": "e", "type": "wait", "signals": ["go", "stop"], "dependencies": ["c"], "join": "any"},
    {"name": "f", "type": "single"}]}'::jsonb,
  'a path is as it was written, a signal is named once');

select results_eq(
  $$select step_slug collate "default", settled, command, queue, timeout, max_attempts, sleep_for, sleep_until, signals::text collate "default",
    tells_signal, plain
  from quantumflow.workflow_steps
  order by step_index$$,
  $$values
    ('a', true, 'sleep', 'quantum_flow_system', null::interval, 1, interval '60 s', null::text, null::text, false, false),
    ('b', true, 'sleep', 'quantum_flow_system', null, 1, null, 'strict $.a.until', null, false, false),
    ('c', true, 'wait', 'quantum_flow_system', null, 1, null, null, '{c}', false, false),
    ('d', true, 'wait', 'quantum_flow_system', '3.5 s', 1, null, null, '{go}', false, false),
    ('e', true, 'wait', 'quantum_flow_system', null, 1, null, null, '{go,stop}', true, false),
    ('f', false, 'f', 'own', '5 s', 7, null, null, null, false, true),
    ('_run_timeout', true, 'run_timeout', 'quantum_flow_system', '86400 s', 1, null, null, null, false, true)$$,
  'all of it is compiled; what a flow says of attempts is meant for what workers do');

select is(
  (quantumflow.define_flow(quantumflow.get_flow('w'))).version, 1, 'and it is the same content again');

select quantumflow.create_flow('v', options => '{"run_timeout": 60}');
select quantumflow.add_step('v', 'a', step_type => 'wait', timeout => '1 day', options => '{"signals": ["x", "y"]}');
select quantumflow.add_step('v', 'b', '{a}', 'sleep', options => '{"at": "$.a.payload.due"}');
select is(
  quantumflow.get_flow('v') - 'slug',
  '{"version": "1.0", "run_timeout": 60, "steps": [
    {"name": "a", "type": "wait", "timeout": 86400, "signals": ["x", "y"]},
    {"name": "b", "type": "sleep", "dependencies": ["a"], "at": "$.a.payload.due"}]}'::jsonb,
  'create_flow and add_step take them as options');

select * from finish();
rollback;
