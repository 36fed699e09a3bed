create function quantumflow.remove_limit(limit_name text)
returns boolean
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $remove_limit$
declare
  v_now    timestamptz := quantumflow._now();
  v_before jsonb;
begin
  delete from quantumflow.limits l
  where l.limit_name = remove_limit.limit_name
  returning jsonb_build_object('limit', l.limit_name, 'at_once', l.at_once, 'per_second', l.per_second)
  into v_before;

  if not found then
    return false;
  end if;

  perform quantumflow._record_act('remove_limit', v_now, p_detail => v_before);
  perform quantumflow._let_go_of_limit(remove_limit.limit_name, v_now);

  return true;
end
$remove_limit$;

comment on function quantumflow.remove_limit(text) is
'Removes a limit: what it held back is let go, a hundred of each key at once, and the others as these end. The steps that name it stay as they are, and
set_limit() limits them again. Returns whether there was one.

Errors: none.';
