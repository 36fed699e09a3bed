begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select is_empty($$select from quantumflow.claim_tasks(gen_random_uuid())$$, 'before it, anybody may claim');
select is_empty($$select from quantumflow.settings where name = 'identity'$$, 'and nothing is recorded');

select quantumflow.start_flow('w');
select is(
  (select value from quantumflow.settings where name = 'identity'),
  (select format('%s/%s', c.system_identifier, d.oid)
   from pg_control_system() c, pg_database d
   where d.datname = current_database()),
  'the system identifier and the oid of the database');

update quantumflow.settings set value = 'elsewhere' where name = 'identity';
select quantumflow.start_flow('w');
select is((select value from quantumflow.settings where name = 'identity'), 'elsewhere', 'a later start changes nothing');

select * from finish();
rollback;
