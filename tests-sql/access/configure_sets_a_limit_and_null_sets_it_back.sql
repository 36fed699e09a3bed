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

select is_empty(
  'select l.name from quantumflow._limits() l
     where quantumflow.configure(l.name, l.low::text)::bigint <> l.low or quantumflow.configure(l.name, l.high::text)::bigint <> l.high
       or l.usual not between l.low and l.high',
  'every limit can be set to its lowest and its highest value');

select * from finish();
rollback;
