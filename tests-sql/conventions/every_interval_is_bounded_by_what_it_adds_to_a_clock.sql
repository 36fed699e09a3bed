-- Intervals compare otherwise than they add: a month as 30 days, wherever it is. So what compares as a second may be years.
begin;
select plan(18);

select results_eq(
  $$select p.proname::text collate "default"
    from pg_proc p
    where p.pronamespace = 'quantumflow'::regnamespace
      and p.proname !~ '^_'
      and 'interval'::regtype = any (p.proargtypes::oid[])
    order by 1$$,
  $$values ('add_step'), ('advance_clock'), ('claim_tasks'), ('complete_and_claim'), ('create_flow'), ('extend_leases'), ('fail_task'), ('prune'), ('prune_preview'),
    ('register_decomposer'), ('schedule_flow'), ('stats')$$,
  'these are given an interval: what comes is to be tried here');

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-03-01 00:00:00+00';
create function pg_temp.sly() returns interval language sql as $$select interval '1000 mons -30000 days 1 s'$$;

select is(pg_temp.sly() between '1 ms' and '1 day', true, 'it compares as a second');

select quantumflow.create_flow('w', timeout => '50 years', retry_delay => pg_temp.sly()) where false;
select throws_ok($$select quantumflow.create_flow('w', timeout => interval '10000 mons -300000 days 1 s')$$, 'QF101', null, 'create_flow: a timeout');
select throws_ok(
  $$select quantumflow.create_flow('w', retry_delay => interval '10000 mons -300000 days 1 s')$$, 'QF101', null, 'create_flow: a delay');
select quantumflow.create_flow('w', timeout => pg_temp.sly(), retry_delay => pg_temp.sly());
select throws_ok(
  $$select quantumflow.add_step('w', 'a', start_delay => interval '10000 mons -300000 days 1 s')$$, 'QF101', null, 'add_step');
select quantumflow.add_step('w', 'a');
select results_eq(
  'select extract(epoch from timeout) = extract(epoch from pg_temp.sly()), ''2030-03-01''::timestamp + timeout - ''2030-03-01''
   from quantumflow.workflow_steps',
  $$values (true, make_interval(secs => extract(epoch from pg_temp.sly())::double precision))$$,
  'a definition keeps seconds alone');

select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');
select throws_ok($$select quantumflow.claim_tasks(gen_random_uuid(), lease => pg_temp.sly())$$, 'QF303', null, 'claim_tasks');
select throws_ok($$select quantumflow.complete_and_claim(gen_random_uuid(), '[]', lease => pg_temp.sly())$$, 'QF303', null, 'complete_and_claim');
select throws_ok($$select quantumflow.extend_leases(gen_random_uuid(), '[]', pg_temp.sly())$$, 'QF303', null, 'extend_leases');

create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks(gen_random_uuid(), lease => interval '-1 mon 30 days 1 s');
select results_eq(
  'select c.lease_expires_at - quantumflow._now(), q.vt - quantumflow._now() from claimed c, pgmq.q_quantum_flow_queue q',
  $$values (interval '1 s', interval '1 s')$$, 'what is accepted adds what it compares as');

select quantumflow.fail_task(run_id, step_slug, retry_after => interval '1 mon -30 days 2 s') from claimed;
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
-- Now less a month and 30 days more is two days after now, in March.
select is(
  (select quantumflow.prune(interval '1 mon -29 days')), 0::bigint, 'prune: not what ended less than a day ago');
select throws_ok(
  $$select quantumflow.schedule_flow('s', 'w', '@daily', jitter => pg_temp.sly())$$, 'QF220', null, 'schedule_flow: a jitter');
select results_eq(
  $$select jitter from quantumflow.schedule_flow('s', 'w', '@daily', jitter => interval '1 mon -30 days 2 s')$$,
  $$values (interval '2 s')$$, 'which is seconds alone');
select throws_ok(
  $$select quantumflow.register_decomposer('d', 'rules', timeout => interval '10000 mons -300000 days 1 s')$$, 'QF612', null, 'register_decomposer: a timeout');
select results_eq(
  $$select timeout, cache_for from quantumflow.register_decomposer('d', 'rules', timeout => interval '1 mon -30 days 2 s', cache_for => pg_temp.sly())$$,
  $$values (interval '2 s', make_interval(secs => extract(epoch from pg_temp.sly())::double precision))$$, 'which is seconds alone');
select is_empty($$select quantumflow.prune_preview(interval '1 mon -29 days')$$, 'prune_preview: nor does it count that');
select lives_ok($$select quantumflow.stats(since => interval '1 year -365 days')$$, 'stats: these are six hours');

select is(
  quantumflow.advance_clock(pg_temp.sly()) - '2030-03-01 00:00:00+00',
  justify_hours(make_interval(secs => extract(epoch from pg_temp.sly())::double precision)), 'advance_clock: as it adds');

select * from finish();
rollback;
