begin;
select plan(3);

create temporary view raised as
select distinct code[1] as code, p.oid::regprocedure as function
from pg_proc p
cross join regexp_matches(p.prosrc, '''(QF[0-9]{3})''', 'g') code
where p.pronamespace = 'quantumflow'::regnamespace;

create temporary view documented as
select distinct code[1] as code, p.oid::regprocedure as function
from pg_proc p
cross join substring(obj_description(p.oid, 'pg_proc') from '(?n)^Errors:.*') line
cross join regexp_matches(
  substr(obj_description(p.oid, 'pg_proc'), strpos(obj_description(p.oid, 'pg_proc'), line)),
  'QF[0-9]{3}', 'g') code
where p.pronamespace = 'quantumflow'::regnamespace
  and p.proname not like '\_%';

select isnt_empty('select from raised', 'codes are found at all');

select is_empty(
  'select * from raised where code not in (select code from documented) order by 1, 2',
  'every raised code is in the "Errors:" of a public function''s comment');

select is_empty(
  'select * from documented where code not in (select code from raised) order by 1, 2',
  'every documented code is raised somewhere');

select * from finish();
rollback;
