create type quantumflow.callable as (
  topic text,
  call  text,
  may   text[],
  says  text
);

comment on type quantumflow.callable is 'A function that there is to call.';
comment on column quantumflow.callable.topic is 'What it is for: looking, steering, starting, defining, working, owning.';
comment on column quantumflow.callable.call is 'The function, with its parameters.';
comment on column quantumflow.callable.may is 'Who may call it: the levels of access that do; only the owner, if empty.';
comment on column quantumflow.callable.says is 'What it does, in a sentence or two.';

create function quantumflow.help(topic text default null)
returns setof quantumflow.callable
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $help$
begin
  return query
  select k.topic, format('%s(%s)', l.function_name, pg_get_function_arguments(p.oid)), l.levels, split_part(obj_description(p.oid, 'pg_proc'), E'\n\n', 1)
  from quantumflow._levels() l
  join pg_proc p
    on p.proname = l.function_name
  cross join lateral (
    select case
      when l.levels = '{}' then 'owning'
      when 'viewer' = any (l.levels) then 'looking'
      when l.levels = '{author}' then 'defining'
      when 'author' = any (l.levels) or 'caller' = any (l.levels) then 'starting'
      when l.levels = '{worker}' then 'working'
      else 'steering'
    end as topic
  ) k
  where p.pronamespace = 'quantumflow'::regnamespace
    and (help.topic is null or k.topic = help.topic)
  order by array_position(array['looking', 'steering', 'starting', 'defining', 'working', 'owning'], k.topic), l.function_name;
end
$help$;

comment on function quantumflow.help(text) is
'What there is to call, for people at a prompt, by topic: looking, steering, starting, defining, working, owning. An unknown topic has none.

All that there is to say of one: \df+ of it, or docs/reference.md.';
