begin;
select plan(11);

select quantumflow.register_decomposer('shop', 'rules');
select quantumflow.add_method('shop', '[{"id": "a"}]', pattern => 'a');
select quantumflow.add_method('shop', '[{"id": "b"}]');
create temporary table g as
select n, quantumflow.execute_goal(goal, 'shop') as id
from (values (1, 'a'), (2, 'a'), (3, 'b')) o (n, goal);

create function pg_temp.run(n int) returns uuid language sql as $$select run_id from quantumflow.goals o join g on g.id = o.goal_id where g.n = run.n$$;

select is((quantumflow.cancel_goal((select id from g where n = 1), 'no need')).goal_id, (select id from g where n = 1), 'a goal is cancelled');
select is(quantumflow.goal_status((select id from g where n = 1)) ->> 'status', 'cancelled', 'with its run');
select is(quantumflow.goal_status((select id from g where n = 1)) ->> 'error_message', 'no need', 'which says why');
select lives_ok($$select quantumflow.cancel_goal((select id from g where n = 1))$$, 'twice changes nothing');
select throws_ok($$select quantumflow.cancel_goal('10000000-0000-0000-0000-000000000009')$$, 'QF609', null, 'an unknown one');
select quantumflow.complete_task(pg_temp.run(3), 'b');
select throws_ok($$select quantumflow.cancel_goal((select id from g where n = 3))$$, 'QF207', null, 'one that has completed');
select throws_ok($$select quantumflow.cancel_goal(quantumflow.decompose_goal('a', 'shop'))$$, 'QF615', null, 'one that has no run');

select quantumflow.delete_run(pg_temp.run(1));
select results_eq('select n from g join quantumflow.goals o on o.goal_id = g.id order by 1', 'values (2), (3)', 'a goal is deleted with its run');
select is((select count(*) from quantumflow.workflow_versions), 2::bigint, 'not the version, which another run has');
select quantumflow.delete_run(pg_temp.run(3));
select results_eq('select version from quantumflow.workflow_versions', 'values (1)', 'but with the last run');
select quantumflow.cancel_goal((select id from g where n = 2));
select quantumflow.delete_run(pg_temp.run(2));
select is((select count(*) from (select from quantumflow.workflows union all select from quantumflow.workflow_steps union all select from quantumflow._hidden_runs) x),
  0::bigint, 'and the workflow with the last version');

select * from finish();
rollback;
