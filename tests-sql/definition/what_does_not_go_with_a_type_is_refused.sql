begin;
select plan(3);

select results_eq(
  $$
  select v.code, v.path, v.message
  from quantumflow.validate_flow('{"slug": "w", "queue": "quantum_flow_system", "steps": [
    {"name": "s0", "type": "sleep"},
    {"name": "s1", "type": "sleep", "seconds": 1, "at": "$.run.due", "max_attempts": 2, "timeout": 1},
    {"name": "s2", "type": "sleep", "at": "$.nothing.due"},
    {"name": "w0", "type": "wait", "signal": "x", "signals": ["y"], "command": "c", "seconds": 1},
    {"name": "w1", "type": "wait", "signals": []},
    {"name": "w2", "type": "wait", "signals": ["x", 7]},
    {"name": "a", "signal": "x", "queue": "quantum_flow_system"}]}') v
  $$,
  $$values
    ('QF101', 'steps[5].signals[1]', 'a signal must be text of 1 to 128 characters, not 7'),
    ('QF110', 'queue', 'queue must not be "quantum_flow_system", which is for what waits'),
    ('QF110', 'steps[6].queue', 'queue must not be "quantum_flow_system", which is for what waits'),
    ('QF117', 'steps[2].at', 'the time of step "s2" asks for $.nothing, and nothing is neither run nor a dependency'),
    ('QF118', 'steps[0].seconds', 'sleep step "s0" has neither seconds nor at, and one of them says until when'),
    ('QF118', 'steps[1].at', 'sleep step "s1" has seconds and at, and only one of them can say until when'),
    ('QF118', 'steps[1].max_attempts', 'sleep step "s1" has max_attempts, which is of a flow and what workers do'),
    ('QF118', 'steps[1].timeout', 'sleep step "s1" has timeout, which is of a wait, a flow and what workers do'),
    ('QF118', 'steps[3].command', 'wait step "w0" has command, which is of what workers do'),
    ('QF118', 'steps[3].seconds', 'wait step "w0" has seconds, which is of a sleep'),
    ('QF118', 'steps[3].signals', 'wait step "w0" has signal and signals, and only one of them can say what it waits for'),
    ('QF118', 'steps[4].signals', 'wait step "w1" waits for no signal'),
    ('QF118', 'steps[6].signal', 'single step "a" has signal, which is of a wait')$$,
  'each key has its type');

select quantumflow.define_flow('{"slug": "w", "timeout": 5, "max_attempts": 7, "queue": "other", "run_timeout": 86400.5, "steps": [
  {"name": "s", "type": "sleep", "seconds": 1.50}, {"name": "u", "type": "sleep", "at": " strict $.run.due "},
  {"name": "w1", "type": "wait"}, {"name": "w2", "type": "wait", "signals": ["x", "y", "x"], "timeout": 60}]}');
select is_empty(
  $$select from quantumflow._own_queues where queue <> 'quantum_flow_system'$$, 'the queue is made with the first definition that needs it, and no other');
select throws_ok(
  $$select quantumflow.register_worker(gen_random_uuid(), 'x', '{a}', '{quantum_flow_system}')$$, 'QF407',
  'queue "quantum_flow_system" has nothing for workers', 'no worker serves it');

select * from finish();
rollback;
