begin;
select plan(3);

create temporary view settings as
select s.workflow_slug, s.step_slug, s.command, s.max_attempts, s.max_lost, s.retry_delay, s.timeout, s.start_delay, s.queue, s.args
from quantumflow.workflow_steps s
order by s.workflow_slug, s.step_index;

select lives_ok(
  $$
  select quantumflow.define_flow('{"slug": "plain", "steps": [{"name": "a"}]}');
  select quantumflow.define_flow('{
    "slug": "set", "max_attempts": 5, "max_lost": 1, "retry_delay": 0.5, "timeout": 90, "queue": "slow",
    "steps": [
      {"name": "inherits"},
      {"name": "one_of_its_own", "timeout": 7.25},
      {"name": "all_of_its_own", "command": "do", "max_attempts": 1, "max_lost": 9, "retry_delay": 0, "timeout": 315360000,
        "start_delay": 3600, "queue": "fast", "args": {"a": [1, null]}}
    ]
  }')
  $$,
  'two flows are defined');

select results_eq(
  $$select * from settings where workflow_slug = 'plain'$$,
  $$
  values ('plain' collate "C", 'a' collate "C", 'a', 3, 3, interval '1 s', interval '60 s', interval '0', 'quantum_flow_queue', null::jsonb)
  $$,
  'the defaults: 3 attempts, 3 losses, 1 s, 60 s, the common queue, the step''s name as command');

select results_eq(
  $$select * from settings where workflow_slug = 'set'$$,
  $$
  values
    ('set' collate "C", 'inherits' collate "C", 'inherits', 5, 1, interval '0.5 s', interval '90 s', interval '0', 'slow', null::jsonb),
    ('set', 'one_of_its_own', 'one_of_its_own', 5, 1, interval '0.5 s', interval '7.25 s', interval '0', 'slow', null),
    ('set', 'all_of_its_own', 'do', 1, 9, interval '0', interval '87600 h', interval '1 h', 'fast', '{"a": [1, null]}')
  $$,
  'a step''s own values come before the flow''s, each by itself');

select * from finish();
rollback;
