create function quantumflow._require_read_committed(p_action text)
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_require_read_committed$
begin
  if current_setting('transaction_isolation') not in ('read committed', 'read uncommitted') then
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
