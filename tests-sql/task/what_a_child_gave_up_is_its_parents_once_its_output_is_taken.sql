begin;
select plan(6);

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

select * from finish();
rollback;
