create function quantumflow.list_methods(decomposer text default null)
returns setof quantumflow.methods
language plpgsql
stable
security definer
set search_path = pg_catalog, pg_temp
as $list_methods$
begin
  perform quantumflow._decomposer(list_methods.decomposer)
  where list_methods.decomposer is not null;

  return query
  select m.*
  from quantumflow.methods m
  where list_methods.decomposer is null
    or m.decomposer = list_methods.decomposer
  order by m.decomposer, m.number;
end
$list_methods$;

comment on function quantumflow.list_methods(text) is
'The rules of a decomposer, or of all, in the order in which they are tried.

Errors: QF608 unknown decomposer.';
