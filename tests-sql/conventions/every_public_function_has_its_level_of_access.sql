begin;
select plan(2);

select bag_eq(
  $$select distinct proname::text from pg_proc
    where pronamespace = 'quantumflow'::regnamespace and not starts_with(proname, '_')$$,
  $$select function_name from quantumflow._levels()$$,
  'each public function is listed in _levels(), and nothing else is');

select is_empty(
  $$select l.* from quantumflow._levels() l where not l.levels <@ '{viewer,caller,worker,operator,author}'$$,
  'with levels that there are');

select * from finish();
rollback;
