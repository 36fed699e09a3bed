begin;
select plan(3);

-- Prepares each function's call with literals of no type, as a person types them: by place, with as few and as many as it takes.
create function pg_temp.ambiguous()
returns setof text
language plpgsql
as $ambiguous$
declare
  v_call text;
begin
  for v_call in
    select distinct format('select quantumflow.%I(%s)', p.proname, array_to_string(array_fill('null'::text, array[n]), ', '))
    from pg_proc p
    cross join generate_series((p.pronargs - p.pronargdefaults)::int, p.pronargs::int) n
    where p.pronamespace = 'quantumflow'::regnamespace
      and p.proname not like '\_%'
      and p.prorettype <> 'trigger'::regtype
  loop
    begin
      execute 'prepare a_call as ' || v_call;
      deallocate a_call;
    exception
      when ambiguous_function then
        return next v_call;
    end;
  end loop;
end
$ambiguous$;

select is_empty('select * from pg_temp.ambiguous()', 'no call is ambiguous');

select is_empty(
  $$
  select p.proname
  from pg_proc p
  where p.pronamespace = 'quantumflow'::regnamespace
    and p.proname not like '\_%'
  group by p.proname
  having count(*) > 1
  $$,
  'and there is one of each name');

create function quantumflow.add_step(workflow_slug text, step_slug text, depends_on text[] default '{}', something int default null)
returns int
language sql
return 1;
select isnt_empty('select * from pg_temp.ambiguous()', 'a second one would be noticed');

select * from finish();
rollback;
