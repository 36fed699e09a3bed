begin;
select plan(2);

select is_empty(
  $$
  select p.oid::regprocedure
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and p.proname like '\_%'
    and p.prosecdef
  order by 1
  $$,
  'a private function is security invoker, so it lends nobody its rights');

select is_empty(
  $$
  select p.oid::regprocedure
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and p.proname not like '\_%'
    and p.provolatile = 'v'
    and not p.prosecdef
  order by 1
  $$,
  'a public function that changes state is security definer, so its callers need no rights on tables');

select * from finish();
rollback;
