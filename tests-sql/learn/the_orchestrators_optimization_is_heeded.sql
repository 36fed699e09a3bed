begin;
select plan(12);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "quick", "timeout": 600}]}');
create function pg_temp.seen(p_step text, p_n int, p_seconds numeric[]) returns void language sql as $$
  insert into quantumflow.step_hours as h
    (hour, workflow_slug, version, step_slug, command, n, retries, waited_seconds, worked_seconds, took_seconds, failures, waited, worked, took, usage)
  select '-infinity', 'w', 1, p_step, p_step, p_n, 0, 0, 0, 0, '{}', '{}', jsonb_object_agg(b.bucket, p_n), jsonb_object_agg(b.bucket, p_n), '{}'
  from (select distinct quantumflow._bucket(s) as bucket from unnest(p_seconds) s) b;
$$;
select pg_temp.seen('_run', 30, '{20}');
select pg_temp.seen('quick', 100, '{0.5,2}');

select is((select count(*) from quantumflow.recommendations('w')), 1::bigint, 'level: basic as usual');
select quantumflow.configure_orchestrator('{"optimization": {"level": "aggressive"}}');
select throws_ok($$select quantumflow.recommendations('w')$$, 'QF611', null, 'as configured, which is too early here');
select throws_ok($$select quantumflow.optimize_flow('w')$$, 'QF611', null, 'for both');
select is((select count(*) from quantumflow.recommendations('w', 'basic')), 1::bigint, 'who says a level has that');

select quantumflow.sweep();
select is_empty('select from quantumflow.workflows where optimized_at is not null', 'enabled: off as usual');
select quantumflow.configure_orchestrator('{"optimization": {"enabled": true, "preserve_structure": false}}');
select lives_ok('select quantumflow.sweep()', 'on, and too early: the sweep goes on');
select is((select optimized_at from quantumflow.workflows), quantumflow._now(), 'and looks at it another day');
select quantumflow.configure_orchestrator('{"optimization": {"level": "basic"}}');
select quantumflow.sweep();
select is_empty('select from quantumflow.policies', 'which is not this one');
set local quantumflow.now = '2030-01-02 00:00:00+00';
select quantumflow.sweep();
select results_eq(
  'select level, preserve_structure, state from quantumflow.policies', $$values ('basic', false, 'proposed')$$, 'then it makes a policy, as the settings say');
select is(quantumflow.configure_orchestrator('{"optimization": {"preserve_structure": null}}') #> '{optimization,preserve_structure}', 'true', 'preserve_structure: true as usual');
delete from quantumflow.policies;
select is((quantumflow.optimize_flow('w', apply => 'propose')).preserve_structure, true, 'which it goes by then');
select is((quantumflow.optimize_flow('w', preserve_structure => false, apply => 'propose')).preserve_structure, false, 'but for who says it');

select * from finish();
rollback;
