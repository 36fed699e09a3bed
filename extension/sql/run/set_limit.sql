create function quantumflow.set_limit(limit_name text, at_once int default null, per_second numeric default null)
returns quantumflow.limits
language plpgsql
volatile
security definer
set search_path = pg_catalog, pg_temp
as $set_limit$
declare
  v_now    timestamptz := quantumflow._now();
  v_before jsonb;
  v_limit  quantumflow.limits;
begin
  perform quantumflow._refuse_bad_limit(set_limit.limit_name, set_limit.at_once, set_limit.per_second);

  perform quantumflow._know_limits(array[set_limit.limit_name]);

  select jsonb_build_object('at_once', l.at_once, 'per_second', l.per_second)
  into v_before
  from quantumflow.limits l
  where l.limit_name = set_limit.limit_name
  for no key update;

  insert into quantumflow.limits as l (limit_name, at_once, per_second, changed_at)
  values (set_limit.limit_name, set_limit.at_once, set_limit.per_second, v_now)
  on conflict on constraint limits_pkey do update
  set
    at_once = excluded.at_once,
    per_second = excluded.per_second,
    changed_at = excluded.changed_at
  returning *
  into v_limit;

  perform quantumflow._record_act(
    'set_limit', v_now,
    p_detail => jsonb_build_object(
      'limit', v_limit.limit_name, 'at_once', v_limit.at_once, 'per_second', v_limit.per_second, 'before', v_before));

  perform quantumflow._put_visible_to_sleep(v_limit.limit_name, v_now);
  perform quantumflow._let_go_of_limit(v_limit.limit_name, v_now);

  return v_limit;
end
$set_limit$;

comment on function quantumflow.set_limit(text, int, numeric) is
'Sets a limit, which steps name in "limit", from the next claim on; also while it holds tasks back, and again. Each key has it for itself.

at_once: how many tasks of a key may be with workers at once, 0 to 10,000; with 0 none goes. What is with workers already stays there, and counts. Null: any
number. per_second: how many of a key may begin in a second, 0.0001 to 100,000, evenly; null: any number. One of them must be given: remove_limit()
lets all go. What is held back sleeps in its queue, and is let go as others end, keys in turn; within a key by priority, then by age.

Errors: QF408 bad name or number, or neither number.';

create function quantumflow._refuse_bad_limit(p_name text, p_at_once int, p_per_second numeric)
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_refuse_bad_limit$
begin
  if (p_name ~ '^[A-Za-z][A-Za-z0-9_.-]{0,127}$') is not true then
    raise exception 'limit_name must be a letter, then letters, digits, _, . and -, at most 128'
    using
      errcode = 'QF408',
      detail = format('It is %s.', coalesce(quantumflow._shown(to_jsonb(p_name)), 'null')),
      hint = 'For example openai: steps name it in "limit".';
  end if;

  if p_at_once not between 0 and 10000 then
    raise exception 'at_once must be between 0 and 10000'
    using
      errcode = 'QF408',
      detail = format('It is %s.', p_at_once),
      hint = 'With 0 nothing of it is handed out; quantumflow.remove_limit() lets all go.';
  end if;

  if p_per_second not between 0.0001 and 100000 or p_per_second = 'NaN' then
    raise exception 'per_second must be between 0.0001 and 100000'
    using
      errcode = 'QF408',
      detail = format('It is %s.', p_per_second),
      hint = 'One in ten minutes is 0.0016667. To hand out nothing, set at_once to 0.';
  end if;

  if num_nonnulls(p_at_once, p_per_second) = 0 then
    raise exception 'limit "%" limits nothing', p_name
    using
      errcode = 'QF408',
      detail = 'Neither at_once nor per_second is given.',
      hint = format('To let all of it go: select quantumflow.remove_limit(%L).', p_name);
  end if;
end
$_refuse_bad_limit$;

comment on function quantumflow._refuse_bad_limit(text, int, numeric) is
'Refuses what set_limit cannot set.

Errors: QF408 bad name or number, or neither number.';
