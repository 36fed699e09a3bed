-- What pgmq's own upgrades to 1.10 and 1.13 do: types are dropped with all that depends on them, and
-- made anew, and so are pgmq's functions. What depended on them and is not pgmq's is gone.
do $$
declare
  v_type      text;
  v_functions text[];
  v_function  text;
  v_columns   text;
begin
  foreach v_type in array array['pgmq.message_record', 'pgmq.metrics_result']
  loop
    select array_agg(distinct pg_get_functiondef(d.objid))
    into v_functions
    from pg_depend d
    join pg_type t
      on d.refclassid = 'pg_type'::regclass
      and d.refobjid in (t.oid, t.typarray)
    join pg_proc p
      on d.classid = 'pg_proc'::regclass
      and p.oid = d.objid
    where t.oid = v_type::regtype
      and p.pronamespace = 'pgmq'::regnamespace;

    select string_agg(format('%I %s', a.attname, format_type(a.atttypid, a.atttypmod)), ', ' order by a.attnum)
    into v_columns
    from pg_type t
    join pg_attribute a
      on a.attrelid = t.typrelid
    where t.oid = v_type::regtype;

    execute format('drop type %s cascade', v_type);
    execute format('create type %s as (%s)', v_type, v_columns);
    foreach v_function in array v_functions
    loop
      execute v_function;
    end loop;
  end loop;
end
$$;
