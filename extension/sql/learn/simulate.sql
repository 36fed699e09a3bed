create function quantumflow._simulated(p_slugs text[], p_waits_for jsonb, p_tasks int[], p_seconds double precision[], p_slots int)
returns double precision
language plpgsql
immutable
set search_path = pg_catalog, pg_temp
as $_simulated$
declare
  v_free    double precision[] := array_fill(0::double precision, array[p_slots]);
  v_ends    jsonb := '{}';
  v_left    int[] := array(select generate_subscripts(p_slugs, 1));
  v_step    int;
  v_ready   double precision;
  v_end     double precision;
  v_slot    int;
  v_seconds double precision;
  v_tasks   int;
begin
  while v_left <> '{}' loop
    -- Of the steps of which all that they wait for has ended, the one that was ready first.
    select l.step, l.ready
    into v_step, v_ready
    from (
      select s.step, coalesce(max((v_ends ->> d.name)::double precision), 0) as ready
      from unnest(v_left) s (step)
      left join lateral jsonb_array_elements_text(p_waits_for -> p_slugs[s.step]) d (name) on true
      group by s.step
      having bool_and(d.name is null or v_ends ? d.name)
    ) l
    order by l.ready, l.step
    limit 1;

    exit when v_step is null;

    -- More tasks than that are taken as if several were one.
    v_tasks := least(p_tasks[v_step], 1000);
    v_seconds := p_seconds[v_step] * p_tasks[v_step] / greatest(v_tasks, 1);
    v_end := v_ready;

    for v_task in 1 .. v_tasks loop
      select f.slot
      into v_slot
      from unnest(v_free) with ordinality f (at, slot)
      order by f.at, f.slot
      limit 1;

      v_free[v_slot] := greatest(v_free[v_slot], v_ready) + v_seconds;
      v_end := greatest(v_end, v_free[v_slot]);
    end loop;

    v_ends := v_ends || jsonb_build_object(p_slugs[v_step], v_end);
    v_left := array_remove(v_left, v_step);
  end loop;

  return (select max(e.value::double precision) from jsonb_each_text(v_ends) e);
end
$_simulated$;

comment on function quantumflow._simulated(text[], jsonb, int[], double precision[], int) is
'How long a run takes whose steps have so many tasks of so many seconds each, with as many slots: each task goes, when its step is ready, to the slot that is free
first (list scheduling; Graham, 1969). p_waits_for: by step, what it waits for, an array of names.';
