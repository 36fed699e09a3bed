begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00Z';
set local timezone = 'UTC';

select quantumflow.define_flow('{"slug": "w", "run_timeout": 86400, "on_failure": "tell", "steps": [
  {"name": "s", "type": "sleep", "seconds": 60}, {"name": "t", "type": "wait", "timeout": 90, "fallback": null},
  {"name": "u", "type": "wait", "signals": ["go", "stop"]}, {"name": "z", "dependencies": ["s"]}]}');
select quantumflow.start_flow('w', run_id => '10000000-0000-0000-0000-000000000001');

create function pg_temp.said()
returns table (step_slug text, signals jsonb, until text)
language sql
as $$
  select s ->> 'step_slug', nullif(s -> 'signals', 'null'), s ->> 'until'
  from jsonb_array_elements(quantumflow.status('10000000-0000-0000-0000-000000000001') -> 'steps') s
$$;

select results_eq(
  'select * from pg_temp.said()',
  $$values
    ('s', null::jsonb, '2030-01-01T00:01:00+00:00'),
    ('t', '["t"]', '2030-01-01T00:01:30+00:00'),
    ('u', '["go", "stop"]', null),
    ('z', null, null)$$,
  'while it lasts');
select is(
  (select (s -> 'deadline', s -> 'callbacks')::text from quantumflow.status('10000000-0000-0000-0000-000000000001') s),
  '("""2030-01-02T00:00:00+00:00""",[])', 'the deadline of the run is no callback');

set local quantumflow.now = '2030-01-01 00:02Z';
select quantumflow.settle();
select results_eq(
  $$select step_slug from pg_temp.said() where until is not null$$, $$select ''::text where false$$, 'and no longer');

select quantumflow.retry_run(id) from quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is(
  quantumflow.status('10000000-0000-0000-0000-000000000001') ->> 'deadline', '2030-01-02T00:02:00+00:00', 'a retry has one of its own');
select quantumflow.cancel_run('10000000-0000-0000-0000-000000000001');
select is(quantumflow.status('10000000-0000-0000-0000-000000000001') -> 'deadline', 'null', 'what has ended has none');

select * from finish();
rollback;
