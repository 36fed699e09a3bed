create type quantumflow._cron as (
  minutes      int[],
  hours        int[],
  days         int[],
  months       int[],
  weekdays     int[],
  is_any_day   boolean,
  is_fixed     boolean
);

comment on type quantumflow._cron is
'What a cron text means: the minutes, hours, days of a month, months and weekdays (0 is Sunday) at which it is time, each in order.

is_any_day: both days and weekdays are restricted, and one of them is enough. is_fixed: the hours are certain ones, its field does not begin
with an asterisk.';

create function quantumflow._cron_of(p_cron text)
returns quantumflow._cron
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_cron_of$
declare
  v_fields text[] := regexp_split_to_array(quantumflow._spelled_out(btrim(lower(p_cron), E' \t\n\r')), E'\\s+');
  v_cron   quantumflow._cron;
begin
  if p_cron is null or cardinality(v_fields) <> 5 then
    raise exception 'cron % has not five fields', quantumflow._shown(to_jsonb(p_cron))
    using
      errcode = 'QF220',
      detail = format('It has %s.', case when p_cron is null then 'none' else cardinality(v_fields)::text end),
      hint = 'Write minute, hour, day of month, month and weekday, "30 2 * * mon-fri" for example; or @hourly, @daily, @weekly, @monthly, @yearly. There are no seconds.';
  end if;

  v_cron := row(
    quantumflow._cron_field(p_cron, 'minute', v_fields[1], 0, 59, null),
    quantumflow._cron_field(p_cron, 'hour', v_fields[2], 0, 23, null),
    quantumflow._cron_field(p_cron, 'day of month', v_fields[3], 1, 31, null),
    quantumflow._cron_field(p_cron, 'month', v_fields[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'),
    array(
      select distinct w % 7
      from unnest(quantumflow._cron_field(p_cron, 'weekday', v_fields[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}')) w
      order by 1),
    not starts_with(v_fields[3], '*') and not starts_with(v_fields[5], '*'),
    not starts_with(v_fields[2], '*'))::quantumflow._cron;

  if not v_cron.is_any_day and v_cron.days[1] > (
    select max((array[31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])[m])
    from unnest(v_cron.months) m)
  then
    raise exception 'cron % never comes', quantumflow._shown(to_jsonb(p_cron))
    using
      errcode = 'QF220',
      detail = format('No month that it names has a day %s.', v_cron.days[1]),
      hint = 'For the last day of a month let it come on days 28-31, and the workflow look at the date first.';
  end if;

  return v_cron;
end
$_cron_of$;

comment on function quantumflow._cron_of(text) is
'What a cron text means, as Vixie''s cron reads it. Of day of month and weekday one is enough where neither field begins with an asterisk.

Errors: QF220 it has not five fields, one of them is none, or no day is one that it names.';

create function quantumflow._spelled_out(p_cron text)
returns text
language sql
immutable
return case p_cron
  when '@yearly' then '0 0 1 1 *'
  when '@annually' then '0 0 1 1 *'
  when '@monthly' then '0 0 1 * *'
  when '@weekly' then '0 0 * * 0'
  when '@daily' then '0 0 * * *'
  when '@midnight' then '0 0 * * *'
  when '@hourly' then '0 * * * *'
  else p_cron
end;

comment on function quantumflow._spelled_out(text) is 'A cron text with its five fields, where it is one of the short forms.';

create function quantumflow._cron_field(p_cron text, p_name text, p_field text, p_low int, p_high int, p_names text[])
returns int[]
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_cron_field$
declare
  v_values int[] := '{}';
  v_part   text;
  v_bits   text[];
  v_from   int;
  v_to     int;
  v_step   int;
begin
  foreach v_part in array string_to_array(p_field, ',') loop
    v_bits := regexp_match(v_part, E'^(?:(\\*)|([0-9]{1,4}|[a-z]{3})(?:-([0-9]{1,4}|[a-z]{3}))?)(?:/([0-9]{1,4}))?$');
    v_step := coalesce(v_bits[4]::int, 1);
    v_from := case when v_bits[1] is null then quantumflow._cron_value(v_bits[2], p_low, p_names) else p_low end;
    v_to := case
      when v_bits[3] is not null then quantumflow._cron_value(v_bits[3], p_low, p_names)
      when v_bits[1] is not null or v_bits[4] is not null then p_high
      else v_from
    end;

    -- Of weekdays a range may end with Sunday, which is 0 and 7.
    if v_to = 0 and v_from > 0 and p_high = 7 then
      v_to := 7;
    end if;

    if (p_low <= v_from and v_from <= v_to and v_to <= p_high and v_step between 1 and p_high - p_low + 1) is not true then
      perform quantumflow._raise_bad_field(p_cron, p_name, v_part, p_low, p_high, p_names);
    end if;

    v_values := v_values || array(select g from generate_series(v_from, v_to, v_step) g);
  end loop;

  return array(select distinct v from unnest(v_values) v order by v);
end
$_cron_field$;

comment on function quantumflow._cron_field(text, text, text, int, int, text[]) is
'The values that a field of a cron text stands for, in order: *, numbers or names from p_low to p_high, ranges, steps, lists of these. A step
behind one value goes on to the highest.

Errors: QF220 it stands for none.';

create function quantumflow._cron_value(p_text text, p_low int, p_names text[])
returns int
language sql
immutable
return case
  when p_text ~ '^[0-9]+$' then p_text::int
  else array_position(p_names, p_text) + p_low - 1
end;

comment on function quantumflow._cron_value(text, int, text[]) is
'A number, or the place of a name, from p_low; null when it is neither.';

create function quantumflow._raise_bad_field(
  p_cron text, p_name text, p_part text, p_low int, p_high int, p_names text[])
returns void
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_raise_bad_field$
begin
  raise exception 'cron % has a bad %: "%"', quantumflow._shown(to_jsonb(p_cron)), p_name, p_part
  using
    errcode = 'QF220',
    detail = format(
      'A %s is %s to %s%s, a range from a lower to a higher one, or steps of 1 to %s.',
      p_name, p_low, p_high, ' or ' || p_names[1] || ' to ' || p_names[cardinality(p_names)], p_high - p_low + 1),
    hint = 'For example *, 5, 1-5, */15, 10-50/20, and lists of these with commas and no spaces. L, W, # and ? mean nothing here.';
end
$_raise_bad_field$;

comment on function quantumflow._raise_bad_field(text, text, text, int, int, text[]) is
'Raises QF220.

Errors: QF220 always.';
