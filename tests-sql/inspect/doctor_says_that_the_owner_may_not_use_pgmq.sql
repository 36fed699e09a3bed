begin;
select plan(2);

create role app_owner;
grant usage on schema quantumflow to app_owner;
grant execute on all functions in schema quantumflow to app_owner;
alter function quantumflow.doctor() owner to app_owner;
prepare findings as select * from quantumflow.doctor();

select results_eq(
  'findings',
  $$
  values (
    'pgmq', 'error', 'quantumflow''s owner, role "app_owner", may not use schema pgmq: no run can be started, no task claimed',
    'As its owner or a superuser: grant usage on schema pgmq to app_owner;')
  $$,
  'an owner that has lost schema pgmq is told so, and nothing else');

grant usage on schema pgmq to app_owner;
grant select on all tables in schema quantumflow, pgmq to app_owner;
select isnt_empty('findings', 'and what else there is to say, once it has it again');

select * from finish();
rollback;
