begin;
select plan(5);

select results_eq(
  $$select code, path, message from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a", "chunk_size": 2}, {"name": "m", "type": "map", "map_over": "a", "dependencies": ["a"], "chunk_size": 0}]}')$$,
  $$values
    ('QF101', 'steps[1].chunk_size', 'chunk_size must be a whole number from 1 to 100000, or "auto", not 0'),
    ('QF108', 'steps[0].chunk_size', 'single step "a" has chunk_size')$$,
  'a single step has none, and a chunk is not empty');

select quantumflow.create_flow('w');
select is(
  (select chunk_size from quantumflow.add_step('w', 'm', step_type => 'map', chunk_size => 50)), 50, 'add_step takes it too');
select is(
  quantumflow.get_flow('w') #> '{steps,0}', '{"name": "m", "type": "map", "chunk_size": 50}', 'it is part of the definition');
select is(
  (select chunk_size from quantumflow.add_step('w', 'n', step_type => 'map')), null, 'without it items come one by one');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
