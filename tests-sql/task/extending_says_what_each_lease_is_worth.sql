begin;
select plan(1);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "retry_delay": 0, "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', format('"%s"', i)::jsonb, run_id => format('10000000-0000-0000-0000-00000000000%s', i)::uuid)
from generate_series(1, 7) i;
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10, lease => '30 s');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000002', 'a');
select quantumflow.fail_task('10000000-0000-0000-0000-000000000003', 'a');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000004');
select quantumflow.release_tasks(jsonb_agg(to_jsonb(c))) from claimed c where right(run_id::text, 1) = '5';
update quantumflow.workflow_runs set status = 'paused' where right(id::text, 1) = '6';
-- As it is while somebody else, who has stopped the run, has not got to its tasks yet.
update quantumflow.workflow_runs set status = 'cancelled', cancelled_at = quantumflow._now() where right(id::text, 1) = '7';

select results_eq(
  $$select coalesce(right(e.run_id::text, 1), 'none'), e.state, e.lease_expires_at is not null
    from quantumflow.extend_leases('a0000000-0000-0000-0000-00000000000a', (
      select jsonb_agg(to_jsonb(c) order by c.run_id)
        || '[{"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "a", "task_index": 0, "lease_token": 5},
             {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "a", "task_index": 0, "lease_token": null},
             {"run_id": "10000000-0000-0000-0000-000000000001", "step_slug": "b", "task_index": 0, "lease_token": 5},
             "nonsense"]'
      from claimed c), '30 s') e$$,
  $$values
    ('1', 'held', true), ('2', 'lost', false), ('3', 'lost', false), ('4', 'cancelled', false), ('5', 'lost', false),
    ('6', 'held', true), ('7', 'cancelled', false), ('1', 'lost', false), ('1', 'lost', false), ('1', 'lost', false),
    ('none', 'lost', false)$$,
  'a row each, in order: held, lost or cancelled');

select * from finish();
rollback;
