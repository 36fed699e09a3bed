begin;
select plan(11);

create function pg_temp.chain(slug text, steps int) returns jsonb language sql as $chain$
  select jsonb_build_object('slug', slug, 'steps', jsonb_agg(
    jsonb_build_object('name', 's' || i) || case when i > 1 then jsonb_build_object('dependencies', jsonb_build_array('s' || i - 1)) else '{}' end
    order by i))
  from generate_series(1, steps) i
$chain$;

select quantumflow.define_flow(pg_temp.chain('old', 5));
select quantumflow.configure('max_steps', '4');
select lives_ok($$select quantumflow.define_flow(pg_temp.chain('new', 4))$$, 'as many steps as are allowed');
select results_eq(
  $$select * from quantumflow.validate_flow(pg_temp.chain('!', 5))$$,
  $$values ('QF115', 'steps', 'the definition has 5 steps, and 4 are allowed')$$,
  'with more, that is all that is said');
select throws_ok(
  $$select quantumflow.define_flow(pg_temp.chain('old', 6))$$, 'QF115', 'the definition has 6 steps, and 4 are allowed', 'define_flow');
select throws_ok(
  $$select quantumflow.add_step('new', 's5')$$, 'QF115', 'the definition has 5 steps, and 4 are allowed', 'add_step');
select lives_ok($$select quantumflow.start_flow('old')$$, 'what was defined before still runs');
select quantumflow.configure('max_steps', null);

select quantumflow.configure('max_depth', '4');
select lives_ok($$select quantumflow.define_flow(pg_temp.chain('deep', 4))$$, 'as long a chain as is allowed');
select throws_ok(
  $$select quantumflow.define_flow(pg_temp.chain('deep', 5))$$, 'QF116', 'the longest chain has 5 steps, and 4 are allowed', 'a longer one');
select throws_ok(
  $$select quantumflow.add_step('deep', 's5', '{s1,s4}')$$, 'QF116', 'the longest chain has 5 steps, and 4 are allowed', 'also by add_step');
select results_eq(
  $$select * from quantumflow.validate_flow('{"slug": "w", "steps": [
    {"name": "a"}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["b"]}, {"name": "d", "dependencies": ["c", "a"]},
    {"name": "e", "dependencies": ["a"]}, {"name": "f", "dependencies": ["a", "f"]}]}')$$,
  $$values ('QF106', 'steps[5].dependencies[1]', 'step "f" depends on itself')$$,
  'the chain is counted by steps, the longest way, and a step on itself does not lengthen it');
select quantumflow.configure('max_depth', null);

select quantumflow.configure('max_definition_bytes', '1000');
select throws_like(
  $$select quantumflow.create_flow('titled', title => repeat('x', 1000))$$, 'the definition has 1% bytes, and 1000 are allowed', 'bytes');
select results_eq(
  $$select code, path from quantumflow.validate_flow(to_jsonb(repeat('x', 1000)))$$, $$values ('QF115', '')$$, 'whatever they are of');

select * from finish();
rollback;
