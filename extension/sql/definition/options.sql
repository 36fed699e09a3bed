create function quantumflow._with_options(p_given jsonb, p_options jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_with_options$
declare
  v_key text;
begin
  if jsonb_typeof(p_options) is distinct from 'object' then
    raise exception 'options must be an object, not %', quantumflow._shown(p_options)
    using
      errcode = 'QF101',
      detail = 'Its keys are those of a definition that the function has no argument for.',
      hint = 'For example {}.';
  end if;

  select o.key
  into v_key
  from jsonb_object_keys(p_options) as o(key)
  left join quantumflow._keys() as k
    on k.key = o.key
    and k.same_as is not null
  where p_given ?| array[o.key, k.same_as]
  order by o.key
  limit 1;

  if found then
    raise exception 'options has the key "%", which is given already', v_key
    using
      errcode = 'QF102',
      detail = 'There is an argument for it that has not its default, or it is not for this function to change.',
      hint = 'Leave it out of options.';
  end if;

  return p_given || p_options;
end
$_with_options$;

comment on function quantumflow._with_options(jsonb, jsonb) is
'What a call gives of a flow or a step, as the keys of a definition, and the options beside it. Whether these are right is for
validate_flow to say.

Errors: QF101 when options is no object; QF102 when it has a key that is given already.';
