create function quantumflow._refuse_bad_options(p_options jsonb, p_own text[])
returns void
language plpgsql
stable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_options$
declare
  v_problem record;
begin
  if jsonb_typeof(p_options) is distinct from 'object' then
    raise exception 'options must be an object, not %', quantumflow._shown(p_options)
    using
      errcode = 'QF612',
      detail = 'Its keys say how it is to be done.',
      hint = 'For example {}.';
  end if;

  select *
  into v_problem
  from (
    select p.path as key, p.message
    from quantumflow._key_problems(quantumflow._flow_options(p_options)) p
    union all
    select o.key, format('unknown option %s', quantumflow._shown(to_jsonb(o.key)))
    from jsonb_object_keys(p_options - p_own) as o(key)
    where o.key not in (select jsonb_object_keys(quantumflow._flow_options(p_options)))
    union all
    select o.key, format('%s must be %s, not %s', o.key, w.wanted, quantumflow._shown(o.value))
    from jsonb_each(p_options) o
    cross join lateral (
      select *
      from quantumflow._option_rules(o.key, o.value) l
      limit 1
    ) w
    where o.key = any (p_own)
      and w.is_good is not true
  ) p
  limit 1;

  if found then
    raise exception '%', v_problem.message
    using
      errcode = 'QF612',
      detail = format('It is in options. %s are options here.', array_to_string(p_own, ', ')),
      hint = 'Keys of a flow in a definition are, too: queue, timeout, max_attempts, max_lost, retry_delay, on_complete, on_failure, run_timeout and title.';
  end if;
end
$_refuse_bad_options$;

comment on function quantumflow._refuse_bad_options(jsonb, text[]) is
'Refuses options that are none. p_own: those which are no keys of a flow.

Errors: QF612.';

create function quantumflow._option_rules(p_key text, p_value jsonb)
returns table (wanted text, is_good boolean)
language sql
immutable
begin atomic
  select r.wanted, r.is_good
  from (
    values
      ('may_use', 'a list of commands', jsonb_typeof(p_value) = 'array' and not p_value @? 'strict $[*] ? (@.type() != "string")'),
      ('decomposer', 'the name of a decomposer', jsonb_typeof(p_value) = 'string'),
      ('context', 'an object', jsonb_typeof(p_value) = 'object'),
      ('headers', 'an object', jsonb_typeof(p_value) = 'object'),
      ('cache', 'true or false', jsonb_typeof(p_value) = 'boolean'),
      ('max_depth', 'a whole number from 1 to 100', case
        when jsonb_typeof(p_value) = 'number' then p_value::numeric between 1 and 100 and p_value::numeric = trunc(p_value::numeric) end),
      ('priority', 'a whole number from 0 to 2147483647', case
        when jsonb_typeof(p_value) = 'number' then p_value::numeric between 0 and 2147483647 and p_value::numeric = trunc(p_value::numeric) end)
  ) as r(key, wanted, is_good)
  where r.key = p_key;
end;

comment on function quantumflow._option_rules(text, jsonb) is 'What an option of a goal must be, and whether a value is that.';

create function quantumflow._flow_options(p_options jsonb)
returns jsonb
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_flow_options$
begin
  return (
    select coalesce(jsonb_object_agg(o.key, o.value), '{}')
    from jsonb_each(p_options) o
    where o.key = any (quantumflow._keys_of_flows())
      and o.key not in ('version', 'slug', 'steps'));
end
$_flow_options$;

comment on function quantumflow._flow_options(jsonb) is 'Those of some options that are keys of a flow in a definition.';

create function quantumflow._commands_in(p_options jsonb)
returns text[]
language sql
immutable
return case when p_options ? 'may_use' then quantumflow._texts(p_options -> 'may_use') end;

comment on function quantumflow._commands_in(jsonb) is 'The commands that options allow; null: any.';
