begin;
select plan(3);

select lives_ok(
  $$
  select quantumflow.define_flow('{
    "slug": "both", "on_complete": "tell", "on_failure": "alarm", "max_attempts": 7, "timeout": 5, "queue": "calls",
    "steps": [{"name": "a", "max_attempts": 1, "queue": "other", "dependencies": ["b"]}, {"name": "b"}]
  }');
  select quantumflow.define_flow('{"slug": "one", "on_failure": "alarm", "steps": [{"name": "a"}]}')
  $$,
  'on_complete and on_failure are given, or one of them');

select results_eq(
  $$
  select s.step_slug, s.step_index, s.step_type, s.command, s.max_attempts, s.timeout, s.queue,
    s.dependencies::text, s.dependents::text, s.feeds_map
  from quantumflow.workflow_steps s
  where s.workflow_slug = 'both'
    and s.step_type = 'callback'
  order by s.step_index
  $$,
  $$
  values
    ('_on_complete' collate "C", 2, 'callback', 'tell', 7, interval '5 s', 'calls', '{}' collate "C", '{}' collate "C", false),
    ('_on_failure', 3, 'callback', 'alarm', 7, interval '5 s', 'calls', '{}', '{}', false)
  $$,
  'they come after the steps, with the flow''s own limits and queue');

select results_eq(
  $$select s.step_slug from quantumflow.workflow_steps s where s.workflow_slug = 'one' order by s.step_slug$$,
  $$values ('_on_failure' collate "C"), ('a')$$,
  'what was not given is not there');

select * from finish();
rollback;
