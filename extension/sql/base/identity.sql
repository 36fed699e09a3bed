create function quantumflow._identity()
returns text
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_identity$
declare
  v_system text := 'unknown';
begin
  -- Immutable, as none of this changes while a session lasts: a plan that is kept then has the answer in it, and the file that the
  -- system identifier stands in is not read by each claim. A setting could remember it, too, but whoever uses the session can set that.
  if has_function_privilege('pg_control_system()', 'execute') then
    v_system := (pg_control_system()).system_identifier::text;
  end if;

  return (
    select format('%s/%s', v_system, d.oid)
    from pg_database d
    where d.datname = current_database()
  );
end
$_identity$;

comment on function quantumflow._identity() is
'Which database this is: the server''s system identifier, "unknown" where we may not ask for it, and the database''s oid.';

create function quantumflow._record_identity()
returns void
language plpgsql
volatile
set search_path = pg_catalog, pg_temp
as $_record_identity$
begin
  if exists (select from quantumflow.settings s where s.name = 'identity') then
    return;
  end if;

  -- To insert it beside somebody's open transaction would be to wait for that. So who cannot have the table leaves it to that one, or
  -- to the next start.
  begin
    lock table quantumflow.settings in share update exclusive mode nowait;
  exception
    when lock_not_available then
      return;
  end;

  insert into quantumflow.settings (name, value)
  values ('identity', quantumflow._identity())
  on conflict do nothing;
end
$_record_identity$;

comment on function quantumflow._record_identity() is
'Remembers which database this is, the first time a run starts. Waits for nobody.';

create function quantumflow._is_copy()
returns boolean
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_is_copy$
begin
  return exists (
    select
    from quantumflow.settings s
    where s.name = 'identity'
      and s.value <> quantumflow._identity()
  );
end
$_is_copy$;

comment on function quantumflow._is_copy() is
'Whether this database is a copy of the one where its runs were started. The original may go on with them: what they wait for is its business.';

create function quantumflow._refuse_copy()
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_copy$
declare
  v_recorded text := (select s.value from quantumflow.settings s where s.name = 'identity');
begin
  if v_recorded <> quantumflow._identity() then
    perform quantumflow._raise_copy(v_recorded);
  end if;
end
$_refuse_copy$;

comment on function quantumflow._refuse_copy() is
'Refuses a database that was copied from the one where its runs were started.

Errors: QF404 when it is a copy.';

create function quantumflow._raise_copy(p_recorded text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_raise_copy$
begin
  raise exception 'this database is a copy of another'
  using
    errcode = 'QF404',
    detail = format('Its runs were started in %s; it is %s (system identifier/database oid).', p_recorded, quantumflow._identity()),
    hint = 'If the other one is not used any more: select quantumflow.adopt(); and, after a restore, '
      'select * from quantumflow.rebuild_queues().';
end
$_raise_copy$;

comment on function quantumflow._raise_copy(text) is
'Refuses to hand out tasks in a database that was copied from the one where their runs were started, p_recorded.

Errors: QF404 always.';
