begin;
select plan(2);

select results_eq(
  $$
  select v.code, v.path
  from quantumflow.validate_flow('{
    "slug": "run", "verson": "1.0", "timeout": 0, "queue": "Orders",
    "steps": [
      {"name": "a", "dependencies": ["b", "b", "x"]},
      {"name": "b", "dependencies": ["a", "b", 7], "max_attempts": 1.5},
      {"name": "A", "colour": "red"},
      {"name": "1"},
      {"name": "m", "type": "map", "dependencies": ["a", "b"]},
      "last",
      {"command": "nameless"}
    ]
  }') v
  $$,
  $$
  values
    ('QF101', 'timeout'),
    ('QF101', 'steps[1].dependencies[2]'),
    ('QF101', 'steps[1].max_attempts'),
    ('QF101', 'steps[5]'),
    ('QF101', 'steps[6].name'),
    ('QF102', 'verson'),
    ('QF102', 'steps[2].colour'),
    ('QF103', 'slug'),
    ('QF103', 'steps[3].name'),
    ('QF104', 'steps[2].name'),
    ('QF105', 'steps[0].dependencies[2]'),
    ('QF106', 'steps[1].dependencies[1]'),
    ('QF107', 'steps'),
    ('QF108', 'steps[4].map_over'),
    ('QF110', 'queue')
  $$,
  'all of them, in order of code, then of place');

select results_eq(
  $$
  select v.path, v.message
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"name": "a", "max_attempts": "many\nlines"}, {"name": "b", "wide key": 1}
  ]}') v
  $$,
  $$
  values
    ('steps[0].max_attempts', 'max_attempts must be a whole number from 1 to 1000000, not "many\nlines"'),
    ('steps[1]."wide key"', 'unknown key "wide key"')
  $$,
  'a message is one line and shows what was given');

select * from finish();
rollback;
