begin;
select plan(10);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.define_flow('{"slug": "v", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001', priority => 3, idempotency_key => 'k');
select quantumflow.start_flow('v', run_id => '10000000-0000-0000-0000-000000000002');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000003');
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'a');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000003', 'no need');

select results_eq(
  $$select right(run_id::text, 1), workflow_slug, version, status, done_steps, steps, priority, retries, idempotency_key,
      error_message, ended_at is not null
    from quantumflow.list_runs()$$,
  $$values
    ('3', 'w', 1, 'cancelled', 0, 2, 0, 0, null::text, 'no need', true),
    ('2', 'v', 1, 'started', 0, 1, 0, 0, null, null, false),
    ('1', 'w', 1, 'started', 1, 2, 3, 0, 'k', null, false)$$,
  'the latest first');
select results_eq($$select right(run_id::text, 1) from quantumflow.list_runs('w')$$, $$values ('3'), ('1')$$, 'of one workflow');
select results_eq($$select right(run_id::text, 1) from quantumflow.list_runs(status => 'started')$$, $$values ('2'), ('1')$$, 'of one status');
select results_eq($$select right(run_id::text, 1) from quantumflow.list_runs('w', 'started')$$, $$values ('1')$$, 'of both');
select results_eq($$select right(run_id::text, 1) from quantumflow.list_runs(max_runs => 1)$$, $$values ('3')$$, 'a page');
select results_eq(
  $$select right(run_id::text, 1) from quantumflow.list_runs(max_runs => 1, before => '10000000-0000-0000-0000-000000000003')$$,
  $$values ('2')$$, 'the next page');
select is_empty($$select from quantumflow.list_runs('nothing')$$, 'an unknown workflow has none');
select throws_ok($$select quantumflow.list_runs(max_runs => 0)$$, 'QF211', 'max_runs must be between 1 and 10000', 'a page has at least one');
select throws_ok($$select quantumflow.list_runs(max_runs => null)$$, 'QF211', null, 'and a size');
select throws_ok($$select quantumflow.list_runs(status => 'done')$$, 'QF212', 'status "done" is not one of a run', 'an unknown status');

select * from finish();
rollback;
