begin;
select plan(3);

select is_empty(
  $$
  select *
  from quantumflow.validate_flow('{
    "version": "1.0", "slug": "order", "title": "Order handling", "max_attempts": 3, "max_lost": 2, "retry_delay": 0.5,
    "timeout": 60, "queue": "orders", "on_complete": "tell", "on_failure": "alarm",
    "steps": [
      {"name": "validate", "type": "single", "command": "validate_order", "args": {"strict": [null]}, "max_attempts": 1,
        "max_lost": 1, "retry_delay": 0, "timeout": 1.5, "start_delay": 2, "queue": "other"},
      {"name": "notify", "type": "map", "dependencies": ["validate"], "map_over": "validate"}
    ]
  }')
  $$,
  'every key has its place');

select is_empty(
  $$
  select *
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"slug": "a", "type": "task"},
    {"slug": "b", "depends_on": ["a"]}
  ]}')
  $$,
  'slug, depends_on and task are second names');

select results_eq(
  $$
  select v.code, v.path
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"name": "a", "slug": "a"},
    {"name": "b", "depends_on": ["a"], "dependencies": ["a"]}
  ]}') v
  $$,
  $$values ('QF101', 'steps[0].slug'), ('QF101', 'steps[1].depends_on')$$,
  'both names of one key at once are refused');

select * from finish();
rollback;
