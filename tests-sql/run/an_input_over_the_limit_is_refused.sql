begin;
select plan(10);

select quantumflow.define_flow('{"slug": "single", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "map", "steps": [{"name": "m", "type": "map"}]}');
select quantumflow.configure('max_input_bytes', '20000');
select quantumflow.configure('max_map_items', '1000');

select lives_ok($$select quantumflow.start_flow('single', to_jsonb(repeat('x', 19900)))$$, 'an input within the limit');
select throws_like(
  $$select quantumflow.start_flow('single', to_jsonb(repeat('x', 20000)))$$, 'input 1 has 20% bytes, and 20000 are allowed', 'one over it');
select throws_like(
  $$select quantumflow.start_flows('single', array[to_jsonb(repeat('x', 19900)), to_jsonb(repeat('x', 20000))])$$,
  'input 2 has 20% bytes, and 20000 are allowed', 'one of several');
select lives_ok(
  $$select quantumflow.start_flows('single', array[to_jsonb(repeat('x', 19900)), to_jsonb(repeat('x', 19900))])$$, 'each counts by itself');
select throws_like(
  $$select quantumflow.start_flow('single', headers => jsonb_build_object('h', repeat('x', 8192)))$$,
  'headers have 82% bytes, and 8192 are allowed', 'headers');

create temporary table stored (input jsonb);
insert into stored values (to_jsonb(repeat('x', 20000)));
select throws_like(
  $$select quantumflow.start_flow('single', input) from stored$$, 'input 1 has 20% bytes, and 20000 are allowed',
  'also one that its table keeps compressed');

select lives_ok(
  $$select quantumflow.start_flow('map', (select jsonb_agg(1) from generate_series(1, 1000)))$$, 'as many items as a map may have');
select throws_ok(
  $$select quantumflow.start_flow('map', (select jsonb_agg(1) from generate_series(1, 1001)))$$,
  'QF217', 'input 1 has 1001 items, and a map may have 1000', 'more');
select lives_ok(
  $$select quantumflow.start_flow('single', (select jsonb_agg(1) from generate_series(1, 1001)))$$, 'which is fine where no map maps over them');
select is((select count(*)::int from quantumflow.workflow_runs), 5, 'what was refused started nothing');

select * from finish();
rollback;
