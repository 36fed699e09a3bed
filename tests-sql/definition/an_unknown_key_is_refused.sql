begin;
select plan(2);

select results_eq(
  $$
  select v.code, v.path, v.message
  from quantumflow.validate_flow('{"slug": "order", "max_attempt": 5, "steps": [{"name": "a", "on_complete": "tell", "time_out": 5}]}') v
  $$,
  $$
  values
    ('QF102', 'max_attempt', 'unknown key "max_attempt"'),
    ('QF102', 'steps[0].on_complete', 'unknown key "on_complete"'),
    ('QF102', 'steps[0].time_out', 'unknown key "time_out"')
  $$,
  'a typo does not pass, nor a flow''s key on a step');

select throws_ok(
  $$select quantumflow.define_flow('{"slug": "order", "max_attempt": 5, "steps": [{"name": "a"}]}')$$,
  'QF102', 'unknown key "max_attempt"', 'not in define_flow either');

select * from finish();
rollback;
