begin;
select plan(5);

select results_eq(
  $$
  select c.workflow_slug, c.version, c.definition, c.frozen_at
  from quantumflow.create_flow('order') c
  $$,
  $$values ('order' collate "C", 1, '{"slug": "order", "steps": [], "version": "1.0"}'::jsonb, null::timestamptz)$$,
  'with the defaults, which stay absent');

select results_eq(
  $$
  select c.definition
  from quantumflow.create_flow(
    'other', title => 'Other', max_attempts => 5, max_lost => 1, retry_delay => '0.5 s', timeout => '2 min', queue => 'others',
    on_complete => 'tell', on_failure => 'alarm') c
  $$,
  $$
  values ('{"slug": "other", "title": "Other", "max_attempts": 5, "max_lost": 1, "retry_delay": 0.5, "timeout": 120,
    "queue": "others", "on_complete": "tell", "on_failure": "alarm", "steps": [], "version": "1.0"}'::jsonb)
  $$,
  'or with settings, durations as seconds');

select results_eq(
  $$select w.workflow_slug, w.current_version from quantumflow.workflows w order by w.workflow_slug$$,
  $$values ('order' collate "C", 1), ('other', 1)$$,
  'they are there');

select results_eq(
  $$select s.workflow_slug, s.step_slug, s.step_index from quantumflow.workflow_steps s order by s.step_index$$,
  $$values ('other' collate "C", '_on_complete' collate "C", 0), ('other', '_on_failure', 1)$$,
  'with no steps but the callbacks');

select throws_ok(
  $$select quantumflow.start_flow('order')$$,
  'QF203', null, 'it cannot be started yet');

select * from finish();
rollback;
