-- Until the end of the transaction, so that names and operators below mean the same, whoever updates.
set local search_path = pg_catalog, pg_temp;

-- A plain-SQL installation has nobody else to see that the script fits. And whoever waits for a table makes everybody else
-- wait behind it: rather than that, give up, change nothing, and be tried again.
do $guard$
begin
  if quantumflow.version() operator(pg_catalog.<>) '@from@' then
    raise exception 'this script updates quantumflow @from@ to @to@, and here is %', quantumflow.version()
    using errcode = 'object_not_in_prerequisite_state';
  end if;

  if current_setting('lock_timeout') operator(pg_catalog.=) '0' then
    set local lock_timeout = '3 s';
  end if;
end
$guard$;
