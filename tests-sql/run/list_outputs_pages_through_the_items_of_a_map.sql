begin;
select plan(12);

insert into quantumflow.settings values ('test_clock', 'on');
select quantumflow.define_flow('{"slug": "w", "steps": [
  {"name": "one", "type": "map"}, {"name": "some", "type": "map", "chunk_size": 2}, {"name": "single"}]}');
select quantumflow.start_flow('w', '[1, 2, 3, 4, 5]', run_id => '10000000-0000-0000-0000-000000000001');
select is_empty(
  $$select * from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'one')$$, 'nothing, before there is any');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'one', n, to_jsonb(n * 10))
from unnest('{0, 1, 3}'::int[]) n;
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'some', n, o)
from (values (0, '["a", null]'::jsonb), (1, '["c", "d"]'), (2, '["e"]')) c (n, o);
select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'single', 0, 'null');

select results_eq(
  $$select item_index, output from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'one')$$,
  $$values (0, '0'::jsonb), (1, '10'), (3, '30')$$, 'what has completed, with its place');
select results_eq(
  $$select item_index from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'one', 0, 1)$$,
  $$values (1)$$, 'after one, as many as asked for');
select results_eq(
  $$select item_index, output from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'some')$$,
  $$values (0, '"a"'::jsonb), (1, 'null'), (2, '"c"'), (3, '"d"'), (4, '"e"')$$, 'the items of chunks');
select results_eq(
  $$select item_index from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'some', 0, 2)$$,
  $$values (1), (2)$$, 'from the middle of one to the middle of another');
select results_eq(
  $$select item_index from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'some', 3)$$,
  $$values (4)$$, 'to the end');
select is_empty(
  $$select item_index from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'some', 4)$$, 'and then nothing');
select results_eq(
  $$select item_index, output from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'single')$$,
  $$values (0, 'null'::jsonb)$$, 'a single step has one');

select quantumflow.complete_task('10000000-0000-0000-0000-000000000001', 'one', n, (select to_jsonb(string_agg(md5(i::text), '')) from generate_series(1, 400000) i))
from unnest('{2, 4}'::int[]) n;
select results_eq(
  $$select item_index from quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'one', 1)$$,
  $$values (2)$$, 'large ones come alone');

select throws_ok(
  $$select quantumflow.list_outputs('10000000-0000-0000-0000-000000000009', 'one')$$, 'QF201', null, 'unknown run');
select throws_ok(
  $$select quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'two')$$, 'QF307', null, 'unknown step');
select throws_ok(
  $$select quantumflow.list_outputs('10000000-0000-0000-0000-000000000001', 'one', max_items => 0)$$, 'QF211', null,
  'a page of none');

select * from finish();
rollback;
