begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}]}');
select quantumflow.define_flow('{"slug": "v", "on_failure": "tell", "steps": [{"name": "a"}]}');
select quantumflow.cancel_run(quantumflow.start_flow('w')) from generate_series(1, 3);
select quantumflow.cancel_run(quantumflow.start_flow('v', run_id => gen_random_uuid()));
select quantumflow.fail_task(quantumflow.start_flow('v', run_id => '10000000-0000-0000-0000-000000000001'), 'a', 0, 'no', retryable => false);
set local quantumflow.now = '2030-01-02 00:00:00+00';
select quantumflow.cancel_run(quantumflow.start_flow('w'));

create function pg_temp.preview(older_than interval, slug text default null) returns text[] language sql as $$
  select array_agg(concat_ws(' ', workflow_slug, status, runs, tasks, oldest::date) order by workflow_slug, status)
  from quantumflow.prune_preview(older_than, slug)
$$;

select is(
  pg_temp.preview('1 hour'), '{v cancelled 1 1 2030-01-01,w cancelled 3 6 2030-01-01}',
  'by workflow and status; not what ended later, nor a run whose callback is to be done');
select is(pg_temp.preview('1 hour', 'w'), '{w cancelled 3 6 2030-01-01}', 'of one workflow');
select is(quantumflow.prune('1 hour', workflow_slug => 'w'), 3::bigint, 'which prune does');
select is(pg_temp.preview('1 hour'), '{v cancelled 1 1 2030-01-01}', 'and leaves the others');
select throws_ok($$select quantumflow.prune_preview(null)$$, 'QF216', null, 'no age');

select * from finish();
rollback;
