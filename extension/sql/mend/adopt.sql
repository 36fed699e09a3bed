create function quantumflow.adopt()
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $adopt$
declare
  v_identity text := quantumflow._identity();
begin
  -- As the first start does: it leaves the row to whoever has this lock.
  lock table quantumflow.settings in share update exclusive mode;

  insert into quantumflow.settings (name, value)
  values ('identity', v_identity)
  on conflict (name) do update
  set value = excluded.value;

  perform quantumflow._record_act('adopt', quantumflow._now(), p_detail => jsonb_build_object('identity', v_identity));

  return v_identity;
end
$adopt$;

comment on function quantumflow.adopt() is
'Declares that this database is the one whose runs go on, so that workers may claim from it. Returns its identity.

The first start of a run records which database it is: the server''s system identifier and the database''s oid. A dump that is
restored, or a copy made with CREATE DATABASE ... TEMPLATE, is another database, and claims refuse it (QF404), lest it does the
work of its original once more. Call this in the one that is to go on, after the other has stopped; also after pg_upgrade, which
gives the server a new identifier. A physical copy, a promoted replica for example, has the same identity and needs nothing.

Errors: none.';
