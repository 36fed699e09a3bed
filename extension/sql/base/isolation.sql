-- Without a path of its own, so that it is inlined where it is called.
create function quantumflow._is_read_committed()
returns boolean
language sql
stable
return current_setting('transaction_isolation') in ('read committed', 'read uncommitted');

comment on function quantumflow._is_read_committed() is
'Whether each statement of this transaction sees what was committed before it; else the transaction has one snapshot for all.';

create function quantumflow._require_read_committed(p_action text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_require_read_committed$
begin
  if not quantumflow._is_read_committed() then
    raise exception 'could not % at this isolation level', p_action
    using
      errcode = '0A000',
      detail = format('The transaction is %s.', current_setting('transaction_isolation')),
      hint = 'Repeat it in a read committed transaction.';
  end if;
end
$_require_read_committed$;

comment on function quantumflow._require_read_committed(text) is
'Refuses transactions whose snapshot is older than the locks they wait for: they would not see what others did meanwhile.

Errors: 0A000 unless the transaction is read committed.';

create function quantumflow._is_of_the_call(p_sqlstate text)
returns boolean
language sql
immutable
return p_sqlstate ~ '^(40|53|57)';

comment on function quantumflow._is_of_the_call(text) is
'Whether an error says nothing of what was looked at, and so is raised on: a deadlock or a serialization failure, a lack of resources, a shutdown
or a cancelled statement (classes 40, 53, 57).';
