begin;
select plan(3);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "timeout": 60, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', i)::uuid)
from generate_series(1, 7) i;
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10, lease => '30 s');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000002', 'a');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000003', 'a');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000004');
select quantumflow.release_tasks(jsonb_agg(to_jsonb(c))) from claimed c where right(run_id::text, 1) = '5';
select quantumflow.pause_run('10000000-0000-0000-0000-000000000006');
-- As it is while somebody else, who has stopped the run, has not got to its tasks yet.
update quantumflow.workflow_runs set status = 'cancelled', cancelled_at = quantumflow._now() where right(id::text, 1) = '7';

select results_eq(
  $$select right(c.run_id::text, 1), quantumflow.hold_task(c.run_id, c.step_slug, c.task_index, c.lease_token)
    from claimed c
    order by c.run_id$$,
  $$values ('1', 'held'), ('2', 'lost'), ('3', 'lost'), ('4', 'cancelled'), ('5', 'lost'), ('6', 'held'), ('7', 'cancelled')$$,
  'held, lost or cancelled, as extend_leases says it');

select results_eq(
  $$select quantumflow.hold_task('10000000-0000-0000-0000-000000000001', k.slug, k.i, k.token)
    from (values ('a', 0, 5), ('a', 0, null), ('a', 1, 5), ('b', 0, 5), (null, null, null)) k (slug, i, token)$$,
  $$select 'lost' from generate_series(1, 5)$$,
  'without its token nobody holds a task, and what is not there is lost');

set local quantumflow.now = '2030-01-01 00:01:00+00';
select is(
  quantumflow.hold_task(c.run_id, c.step_slug, c.task_index, c.lease_token), 'lost',
  'at the deadline it is too late, though nobody has noticed yet')
from claimed c
where right(c.run_id::text, 1) = '1';

select * from finish();
rollback;
