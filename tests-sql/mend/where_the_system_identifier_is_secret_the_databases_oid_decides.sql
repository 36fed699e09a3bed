begin;
select plan(1);

create role plain;
grant usage on schema quantumflow to plain;
grant execute on function quantumflow._identity() to plain;
revoke execute on function pg_control_system() from public;

set local role plain;
select is(
  quantumflow._identity(), (select 'unknown/' || oid from pg_database where datname = current_database()),
  'a role that may not ask for the identifier does not fail');
reset role;

select * from finish();
rollback;
