begin;
select plan(8);

select quantumflow.define_flow('{"slug": "leaf", "steps": [{"name": "a", "max_attempts": 1, "on_error": "continue"}, {"name": "b", "after": ["a"]}]}');
select quantumflow.define_flow('{"slug": "parent", "steps": [{"name": "m", "type": "flow", "flow": "leaf"}, {"name": "z", "dependencies": ["m"]}]}');
create function pg_temp.report(step text, fails boolean) returns text language sql as $$
  select case
    when fails then (select outcome from quantumflow.fail_tasks(jsonb_build_array(to_jsonb(c) || '{"error_message": "no"}')))
    else (select outcome from quantumflow.complete_tasks(jsonb_build_array(to_jsonb(c) || '{"output": 1}')))
  end
  from quantumflow.claim_tasks(gen_random_uuid(), commands => array[step]) c
$$;
create function pg_temp.lost() returns text language sql as $$
  select string_agg(format('%s %s', r.workflow_slug, coalesce(r.gave_up, 0)), ', ' order by r.workflow_slug) from quantumflow.workflow_runs r
$$;

select quantumflow.start_flow('parent', run_id => '10000000-0000-0000-0000-000000000001');
select count(*) from quantumflow.settle();
select is(pg_temp.report('a', true) || pg_temp.report('b', false), 'failedcompleted', 'the child goes on without a step');
select is(pg_temp.lost(), 'leaf 1, parent 1', 'and so its parent does');
select is((select gave_up from quantumflow.step_tasks where step_slug = 'm'), 1, 'the task says how much it took');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

-- Of another parent the task is completed by hand, as its child ends: nothing of that is taken.
select quantumflow.start_flow('parent', run_id => '20000000-0000-0000-0000-000000000002');
select count(*) from quantumflow.settle();
select is(quantumflow.complete_task('20000000-0000-0000-0000-000000000002', 'm', output => '"by hand"'), 'completed', 'by hand');
update quantumflow.workflow_runs
set status = 'completed', completed_at = now(), cancelled_at = null, error_message = null, gave_up = 1
where parent_run_id = '20000000-0000-0000-0000-000000000002';
select is_empty(
  $$select * from quantumflow.check_state('20000000-0000-0000-0000-000000000002') where rule = 15$$, 'what was completed by hand took nothing');

-- Two parents of two children each, settled together: of one parent the first child gave up something, of the other the second.
select quantumflow.define_flow('{"slug": "both", "steps": [{"name": "m", "type": "map", "flow": "leaf"}]}');
select quantumflow.start_flow('both', '[1, 2]', run_id => ('30000000-0000-0000-0000-00000000000' || n)::uuid) from generate_series(1, 2) n;
select count(*) from quantumflow.settle();
update quantumflow.workflow_runs r
set
  status = 'completed', completed_at = now(), output = '1', remaining_steps = 0,
  gave_up = case when right(r.parent_run_id::text, 1)::int = r.parent_task_index + 1 then 1 end
where r.parent_run_id::text like '3%';
delete from quantumflow.step_tasks t using quantumflow.workflow_runs r where r.id = t.run_id and r.parent_run_id::text like '3%';
update quantumflow.step_states s set status = 'completed', remaining_tasks = 0, remaining_deps = 0, completed_at = now()
from quantumflow.workflow_runs r where r.id = s.run_id and r.parent_run_id::text like '3%';
create function pg_temp.settled(p_index int) returns text language plpgsql as $$
begin
  update pgmq.q_quantum_flow_system q set vt = now()
  from quantumflow.step_tasks t
  where t.message_id = q.msg_id and t.run_id::text like '3%' and t.task_index = p_index and t.status = 'started';
  perform quantumflow.settle();
  return (select string_agg(coalesce(r.gave_up::text, 'null'), ', ' order by r.id) from quantumflow.workflow_runs r where r.id::text like '3%');
end $$;
select is(pg_temp.settled(0), '1, null', 'one of two that are settled at once has lost something');
select is(pg_temp.settled(1), '1, 1', 'and keeps it when the other has');

select * from finish();
rollback;
