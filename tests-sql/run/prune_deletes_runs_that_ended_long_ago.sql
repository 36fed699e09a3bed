begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w', run_id => format('10000000-0000-0000-0000-00000000000%s', n)::uuid) from generate_series(1, 5) n;
select quantumflow.complete_task(id, 'a') from quantumflow.workflow_runs where id::text ~ '[12]$';
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000003');
insert into quantumflow.workers values ('20000000-0000-0000-0000-000000000001', 'old', null, null, now(), '2030-01-01');
insert into quantumflow.workers values ('20000000-0000-0000-0000-000000000002', 'new', null, null, now(), '2030-01-03');
set local quantumflow.now = '2030-01-02 00:00:00+00';
select quantumflow.complete_task('10000000-0000-0000-0000-000000000004', 'a');

set local quantumflow.now = '2030-01-02 12:00:00+00';
select is(quantumflow.prune(interval '1 day', max_runs => 2), 2::bigint, 'no more than it may');
select is(quantumflow.prune(interval '1 day'), 1::bigint, 'then the rest');
select results_eq(
  'select right(id::text, 1), status from quantumflow.workflow_runs order by 1',
  $$values ('4', 'completed'), ('5', 'started')$$,
  'what ended lately and what goes on stays');
select results_eq('select name from quantumflow.workers', $$values ('new')$$, 'a worker not seen since is forgotten');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
