begin;
select plan(8);

select is(quantumflow.configure('max_steps', '12'), '12', 'it answers the value in force');
select results_eq(
  'select name, value from quantumflow.settings', $$values ('max_steps', '12')$$, 'it is a row of settings');
select is(quantumflow.configure('max_steps', '0013'), '13', 'another value replaces it');
select results_eq(
  'select name, value from quantumflow.settings', $$values ('max_steps', '13')$$, 'the row says it as a number does');
select is(quantumflow.configure('max_steps', null), '10000', 'null sets it back');
select is_empty('select from quantumflow.settings', 'and the row is gone');
select is(quantumflow.configure('max_steps', null), '10000', 'also when it was not set');

select results_eq(
  'select l.name, quantumflow.configure(l.name, l.low::text)::bigint = l.low, quantumflow.configure(l.name, l.high::text)::bigint = l.high,
     l.usual between l.low and l.high from quantumflow._limits() l order by 1',
  $$values
    ('max_condition_bytes', true, true, true),
    ('max_definition_bytes', true, true, true), ('max_depth', true, true, true), ('max_error_bytes', true, true, true),
    ('max_headers_bytes', true, true, true),
    ('max_input_bytes', true, true, true), ('max_iterations', true, true, true), ('max_map_items', true, true, true), ('max_output_bytes', true, true, true),
    ('max_run_depth', true, true, true), ('max_signals', true, true, true), ('max_steps', true, true, true),
    ('max_tree_runs', true, true, true), ('notify', true, true, true)$$,
  'every limit can be set to its lowest and its highest value');

select * from finish();
rollback;
