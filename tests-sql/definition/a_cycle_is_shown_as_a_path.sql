begin;
select plan(5);

select results_eq(
  $$
  select v.code, v.message
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"name": "a", "dependencies": ["b"]}, {"name": "b", "dependencies": ["a"]}
  ]}') v
  $$,
  $$values ('QF107', 'steps depend on each other in a cycle: a -> b -> a')$$,
  'of two steps');

select results_eq(
  $$
  select v.code, v.message
  from quantumflow.validate_flow('{"slug": "order", "steps": [
    {"name": "root"},
    {"name": "a", "dependencies": ["root", "c"]}, {"name": "b", "dependencies": ["a"]}, {"name": "c", "dependencies": ["b"]},
    {"name": "after", "dependencies": ["a"]}
  ]}') v
  $$,
  $$values ('QF107', 'steps depend on each other in a cycle: a -> c -> b -> a')$$,
  'of three, without the steps before and after it; each step depends on the next');

-- A ladder: layers of two steps, each depending on both steps of the layer before. One edge in the middle points back.
create temporary table edge (step text, depends_on text);
insert into edge
select a || layer, b || layer - 1
from generate_series(1, 999) layer, unnest('{a,b}'::text[]) a, unnest('{a,b}'::text[]) b
union all
values ('b500', 'a503');

create temporary table cycle as
select regexp_split_to_table(substring(v.message from 'cycle: (.*)'), ' -> ') as step
from quantumflow.validate_flow((
  select jsonb_build_object('slug', 'ladder', 'steps', jsonb_agg(s.step))
  from (
    select jsonb_build_object('name', n.name, 'dependencies', to_jsonb(array(select e.depends_on from edge e where e.step = n.name))) as step
    from (select step from edge union select depends_on from edge) as n(name)
  ) s
)) v
where v.code = 'QF107';

alter table cycle add place int generated always as identity;

select cmp_ok((select count(*) from cycle), '>=', 5::bigint, 'a cycle hidden in a ladder of 1,000 layers is found');

select is(
  (select step from cycle order by place limit 1),
  (select step from cycle order by place desc limit 1),
  'its path ends where it starts');

select is_empty(
  $$
  select c.step, n.step
  from cycle c
  join cycle n on n.place = c.place + 1
  where (c.step, n.step) not in (select step, depends_on from edge)
  $$,
  'every hop is an edge');

select * from finish();
rollback;
