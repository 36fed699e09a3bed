begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "queue": "mine", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w') from generate_series(1, 100);

select is(
  (select array_agg(what || ' ' || kind order by kind) from quantumflow.list_sizes() where what = 'mine'), '{mine archive,mine queue}',
  'a queue and its archive');
select is(
  (select count(*)::int from quantumflow.list_sizes() where kind = 'table'),
  (select count(*)::int from pg_class where relnamespace = 'quantumflow'::regnamespace and relkind in ('r', 'p')),
  'every table');
select ok((select bytes from quantumflow.list_sizes() where what = 'workflow_runs') >= 16384, 'with its indexes');
select is_empty(
  'select from (select bytes, lag(bytes) over () as before from quantumflow.list_sizes()) s where s.before < s.bytes', 'the largest first');

select * from finish();
rollback;
