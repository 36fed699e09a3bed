begin;
select plan(23);

select is(
  quantumflow.configure_orchestrator('{"max_depth": 10, "timeout": 60000, "optimization": {"enabled": true, "level": "advanced", "preserve_structure": true},
    "notifications": {"enabled": true, "real_time": true}}'),
  '{"max_depth": 10, "timeout": 60000, "optimization": {"enabled": true, "level": "advanced", "preserve_structure": true},
    "notifications": {"enabled": true, "real_time": true}}'::jsonb, 'the block as the source prints it');
select is(
  quantumflow.configure_orchestrator('{"orchestrator": {"max_depth": null, "timeout": null, "optimization": {"enabled": null, "level": null, "preserve_structure": null},
    "notifications": {"enabled": null, "real_time": null}}}'),
  '{"max_depth": 10, "timeout": 60000, "optimization": {"enabled": false, "level": "basic", "preserve_structure": true},
    "notifications": {"enabled": true, "real_time": false}}'::jsonb, 'below its key, and null is as usual');
select is(quantumflow.configure_orchestrator('{"optimization": {"level": ":advanced"}}') #>> '{optimization,level}', 'advanced', 'a level, as an atom');
select is((select count(*) from quantumflow.audit_log where what = 'configure_orchestrator'), 3::bigint, 'who changes it is known');

select throws_ok(format('select quantumflow.configure_orchestrator(%L)', a), 'QF503', null, a)
from unnest(array['[]', '{"max_parallel": 3}', '{"optimization": 3}', '{"notifications": {"types": 1}}']) a;
select throws_ok(format('select quantumflow.configure_orchestrator(%L)', a), 'QF504', null, a)
from unnest(array['{"max_depth": 0}', '{"max_depth": "3"}', '{"timeout": 1.5}', '{"optimization": {"enabled": "yes"}}', '{"optimization": {"level": "wild"}}',
  '{"notifications": {"real_time": 1}}']) a;

-- What changes with them.
select quantumflow.register_decomposer('d', 'rules');
select quantumflow.add_method('d', '[{"id": "a", "goal": "two"}]', pattern => 'one');
select quantumflow.add_method('d', '[{"id": "a", "goal": "three"}]', pattern => 'two');
select quantumflow.add_method('d', '[{"id": "a"}]', pattern => 'three');
select lives_ok($$select quantumflow.decompose('one', 'd')$$, 'max_depth: three deep');
select quantumflow.configure_orchestrator('{"max_depth": 2}');
select throws_ok($$select quantumflow.decompose('one', 'd')$$, 'QF604', null, 'is too deep for two');
select throws_ok($$select quantumflow.execute_goal('two', 'd', options => '{"max_depth": 1}')$$, 'QF604', null, 'and a goal may have less');
select lives_ok($$select quantumflow.execute_goal('two', 'd')$$, 'or just as much');

select quantumflow.add_method('d', (select jsonb_agg(jsonb_build_object('id', 'a' || n, 'goal', 'three')) from generate_series(1, 300) n), pattern => 'many');
select lives_ok($$select quantumflow.decompose('many', 'd')$$, 'timeout: a minute is enough for 300 rules');
select quantumflow.configure_orchestrator('{"timeout": 1}');
select throws_ok($$select quantumflow.decompose('many', 'd')$$, 'QF613', 'decomposer "d" takes longer than it may', 'a millisecond is not');

-- The end of a goal's run is told where real_time says so.
select quantumflow.configure_orchestrator('{"timeout": null, "max_depth": null}');
create temporary table told as
select quantumflow.execute_goal('three', 'd') as id;
select is((select r.announced from quantumflow.workflow_runs r join quantumflow.goals g on g.run_id = r.id join told on told.id = g.goal_id), null, 'real_time: nobody is told as usual');
select quantumflow.configure_orchestrator('{"notifications": {"real_time": true}}');
update told set id = quantumflow.execute_goal('three', 'd');
select is((select r.announced from quantumflow.workflow_runs r join quantumflow.goals g on g.run_id = r.id join told on told.id = g.goal_id), true, 'on: who listens hears of the end');
select quantumflow.configure_orchestrator('{"notifications": {"enabled": false}}');
update told set id = quantumflow.execute_goal('three', 'd');
select is((select r.announced from quantumflow.workflow_runs r join quantumflow.goals g on g.run_id = r.id join told on told.id = g.goal_id), null, 'but not where notifications are off');

select * from finish();
rollback;
