begin;
select plan(3);

select quantumflow.define_flow('{"slug": "leaf", "steps": [{"name": "work"}]}');
select results_eq(
  $q$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "type": "flow"},
    {"name": "b", "type": "flow", "flow": "leaf", "command": "c", "args": 1, "queue": "q", "max_lost": 2, "retry_delay": 1, "start_delay": 1},
    {"name": "c", "flow": "leaf", "flow_version": 1, "input": 1, "output": 1},
    {"name": "d", "type": "flow", "flow": "none"},
    {"name": "e", "type": "flow", "flow": "leaf", "flow_version": 2},
    {"name": "f", "type": "flow", "flow": "leaf", "dependencies": ["d"], "input": {"x": "$.other", "y": ["$.d", "$$", "$"]}, "output": {"z": "$.any.thing"}},
    {"name": "g", "type": "flow", "flow": "w"},
    {"name": "m", "type": "map", "dependencies": ["g"]},
    {"name": "n", "type": "map", "dependencies": ["h"]},
    {"name": "h", "type": "flow", "flow": "leaf", "output": "$.work"},
    {"name": "o", "type": "map", "flow": "leaf", "command": "c", "chunk_size": 2, "input": "$.item.x", "dependencies": ["h"]},
    {"name": "p", "type": "map", "max_children": 2, "input": 1}]}')$q$,
  $$values
    ('QF117', 'steps[5].input', 'the input of step "f" has "$.other", which asks for $.other, and other is neither run nor a dependency'),
    ('QF118', 'steps[0].flow', 'flow step "a" has no flow, which says of what it starts a run'),
    ('QF118', 'steps[1].args', 'flow step "b" has args, which is of what workers do'),
    ('QF118', 'steps[1].command', 'flow step "b" has command, which is of what workers do'),
    ('QF118', 'steps[1].max_lost', 'flow step "b" has max_lost, which is of what workers do'),
    ('QF118', 'steps[1].queue', 'flow step "b" has queue, which is of what workers do'),
    ('QF118', 'steps[1].retry_delay', 'flow step "b" has retry_delay, which is of what workers do'),
    ('QF118', 'steps[1].start_delay', 'flow step "b" has start_delay, which is of what workers do'),
    ('QF118', 'steps[2].flow', 'single step "c" has flow, which is of what starts runs'),
    ('QF118', 'steps[2].flow_version', 'single step "c" has flow_version, which is of what starts runs'),
    ('QF118', 'steps[2].input', 'single step "c" has input, which is of what starts runs'),
    ('QF118', 'steps[2].output', 'single step "c" has output, which is of what starts runs'),
    ('QF118', 'steps[7].map_over', 'map step "m" maps over "g", whose output is an object, as that of each run, unless its output says otherwise, and no array'),
    ('QF118', 'steps[10].chunk_size', 'map step "o" starts runs, and has chunk_size, which is of what workers do'),
    ('QF118', 'steps[10].command', 'map step "o" starts runs, and has command, which is of what workers do'),
    ('QF118', 'steps[11].input', 'map step "p" has input and no flow, of which it would start runs'),
    ('QF118', 'steps[11].max_children', 'map step "p" has max_children and no flow, of which it would start runs'),
    ('QF119', 'steps[3].flow', 'step "d" starts workflow "none", which does not exist'),
    ('QF119', 'steps[4].flow_version', 'step "e" starts version 2 of workflow "leaf", which does not exist')$$,
  'each problem is told');
select quantumflow.define_flow('{"slug": "v", "timeout": 5, "max_attempts": 7, "steps": [
  {"name": "a", "type": "flow", "flow": "leaf", "flow_version": 1, "input": null, "output": ["$"], "max_attempts": 2, "timeout": 9},
  {"name": "b", "type": "flow", "flow": "v"}]}');
select results_eq(
  $$select step_type, command, queue, settled, plain, max_attempts, timeout, child_flow, child_version, child_input, child_output
    from quantumflow.workflow_steps where workflow_slug = 'v' order by step_slug$$,
  $$values
    ('flow', 'flow', 'quantum_flow_system', true, false, 2, '9 s'::interval, 'leaf' collate "C", 1, 'null'::jsonb, '["$"]'::jsonb),
    ('flow', 'flow', 'quantum_flow_system', true, false, 1, null, 'v', null, null, null)$$,
  'what a flow says is its own, and it may start itself');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
