begin;
select plan(12);

select results_eq(
  $$select workflow_slug::text collate "default", version from quantumflow.create_flow_from_graph('{"tasks": [
      {"id": "check-order", "description": "Is it all there?"},
      {"id": "charge", "depends_on": ["check-order"], "args": {"amount": 42}, "timeout": 5, "max_attempts": 2, "retry_delay": 3},
      {"id": "mail", "depends_on": ["charge"], "command": "send_mail", "critical": false, "goal": null}]}', 'from_graph', '{"queue": "graphs"}')$$,
  $$values ('from_graph', 1)$$, 'it is a version of a workflow');
select results_eq(
  $$select step_slug::text collate "default", step_type, command, dependencies::text[] collate "default", args, goes_on, timeout, max_attempts, retry_delay, queue
    from quantumflow.workflow_steps where workflow_slug = 'from_graph' order by step_index$$,
  $$values
    ('check_order', 'single', 'check-order', '{}'::text[], '{"description": "Is it all there?"}'::jsonb, false, interval '60 s', 3, interval '1 s', 'graphs'),
    ('charge', 'single', 'charge', '{check_order}', '{"amount": 42}', false, '5 s', 2, '3 s', 'graphs'),
    ('mail', 'single', 'send_mail', '{charge}', null, true, '60 s', 3, '1 s', 'graphs')$$,
  'with a step for each task: what its id, its description and "critical" mean');
select results_eq(
  $$select version from quantumflow.create_flow_from_graph('[{"id": "a"}]', 'from_graph')$$, 'values (1)', 'other content replaces what no run has used');

select ok(
  (select workflow_slug ~ '^graph_[0-9a-f]{24}$' from quantumflow.create_flow_from_graph('[{"id": "a"}, {"id": "b", "depends_on": ["a"]}]')),
  'a graph without a name has one of its own');
select results_eq(
  $$select workflow_slug::text collate "default", version from quantumflow.create_flow_from_graph(
      '{"tasks": [{"name": "b", "dependencies": ["a"]}, {"slug": "a", "type": "single", "command": null}]}')$$,
  $$select workflow_slug::text collate "default", version from quantumflow.create_flow_from_graph('[{"id": "a"}, {"id": "b", "depends_on": ["a"]}]')$$,
  'which is the same for the same graph, in whatever words');
select isnt(
  (quantumflow.create_flow_from_graph('[{"id": "a"}, {"id": "b", "depends_on": ["a"]}]', options => '{"max_attempts": 5}')).workflow_slug::text collate "default",
  (quantumflow.create_flow_from_graph('[{"id": "a"}, {"id": "b", "depends_on": ["a"]}]')).workflow_slug::text collate "default",
  'and another with other settings');
select quantumflow.create_flow_from_graph('{"steps": [
  {"name": "list"}, {"name": "each", "type": "map", "dependencies": ["list"], "map_over": "list", "chunk_size": 5, "if": "$.run.all == true"}]}', 'a_definition');
select quantumflow.create_flow_from_graph('[{"id": 1}, {"id": 2, "depends_on": [1]}, {"id": "ü 3", "depends_on": [2]}]', 'odd');
select results_eq(
  $$select step_slug::text collate "default", step_type, map_over::text collate "default", chunk_size, command from quantumflow.workflow_steps s
    where workflow_slug = 'a_definition'
    order by 1$$,
  $$values ('each', 'map', 'list', 5, 'each'), ('list', 'single', null, null, 'list')$$, 'a definition is a graph, too');
select results_eq(
  $$select step_slug::text collate "default", dependencies::text[] collate "default", command from quantumflow.workflow_steps s
    where workflow_slug = 'odd'
    order by step_index$$,
  $$values ('t_1', '{}'::text[], '1'), ('t_2', '{t_1}', '2'), ('t___3', '{t_2}', 'ü 3')$$, 'odd ids have names, too');

select throws_ok(
  $$select quantumflow.create_flow_from_graph('[{"id": "a"}, {"id": "b", "command": "rm"}]', options => '{"may_use": ["a"]}')$$,
  'QF602', 'no step function found for task "b": command "rm" is not among those it may have', 'only commands that may be');
select throws_ok($$select quantumflow.create_flow_from_graph('[{"id": "a", "goal": "b"}]')$$, 'QF610', null, 'a goal needs a decomposer');
select throws_ok($$select quantumflow.create_flow_from_graph('[{"id": "a"}]', options => '{"max_parallel": 3}')$$, 'QF612', 'unknown option "max_parallel"', 'options are known');
select throws_ok($$select quantumflow.create_flow_from_graph('[{"id": "a"}]', options => '{"queue": "BAD"}')$$, 'QF612', null, 'and right');

select * from finish();
rollback;
