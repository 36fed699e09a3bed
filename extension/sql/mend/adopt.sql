create function quantumflow.adopt()
returns text
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $adopt$
declare
  v_now      timestamptz := quantumflow._now();
  v_identity text := quantumflow._identity();
  v_is_copy  boolean;
begin
  -- As the first start does: it leaves the row to whoever has this lock.
  lock table quantumflow.settings in share update exclusive mode;
  v_is_copy := quantumflow._is_copy();

  insert into quantumflow.settings (name, value)
  values ('identity', v_identity)
  on conflict (name) do update
  set value = excluded.value;

  if v_is_copy then
    perform quantumflow._pass_over_due(v_now);
  end if;

  perform quantumflow._record_act('adopt', v_now, p_detail => jsonb_build_object('identity', v_identity));

  return v_identity;
end
$adopt$;

comment on function quantumflow.adopt() is
'Declares that this database is the one whose runs go on, so that workers may claim from it. Returns its identity.

The first start of a run records which database it is: the server''s system identifier and the database''s oid. A dump that is
restored, or a copy made with CREATE DATABASE ... TEMPLATE, is another database, and claims refuse it (QF404), lest it does the
work of its original once more. Call this in the one that is to go on, after the other has stopped; also after pg_upgrade, which
gives the server a new identifier. What schedules would have started until now passes, without a run. A physical copy, a promoted replica for example, has the same identity and needs nothing.

Errors: none.';
