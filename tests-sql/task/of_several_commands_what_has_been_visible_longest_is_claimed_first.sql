begin;
select plan(6);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "a", "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "b", "steps": [{"name": "b"}]}');
select quantumflow.define_flow('{"slug": "c", "steps": [{"name": "c"}]}');
select quantumflow.define_flow('{"slug": "d", "steps": [{"name": "d"}]}');
-- Three of a, the first and the last of all; those of d last, but for one that goes before others.
create function pg_temp.start(slug text, at int, priority int default 0) returns void language plpgsql as $$
begin
  perform set_config('quantumflow.now', (timestamptz '2030-01-01 00:00:00+00' + make_interval(secs => at))::text, true);
  perform quantumflow.start_flow(slug, to_jsonb(at), priority => priority);
end
$$;
select pg_temp.start(k.slug, k.at, k.priority)
from (values ('a', 1, 0), ('b', 2, 0), ('c', 3, 0), ('b', 4, 0), ('a', 5, 0), ('d', 6, 0), ('d', 7, 0), ('c', 8, 0), ('d', 9, 9), ('a', 10, 0))
  k (slug, at, priority);
create function pg_temp.claimed(quantity int, commands text[]) returns text language sql as $$
  select string_agg(c.step_slug || (c.input ->> 'run'), ' ') from quantumflow.claim_tasks(gen_random_uuid(), quantity, commands => commands) c
$$;

select is(pg_temp.claimed(1, '{a,b,c}'), 'a1', 'one of three commands');
select is(pg_temp.claimed(3, '{c,b,a}'), 'b2 c3 b4', 'three of them, in whichever order they are named');
select is(pg_temp.claimed(2, '{b,d}'), 'd9 d6', 'a priority counts across commands');
select is(pg_temp.claimed(9, null), 'a5 d7 c8 a10', 'of all commands');
set local quantumflow.now = '2030-01-01 00:00:20+00';
select count(*) from quantumflow.start_flows('a', array_fill('1'::jsonb, array[30]));
select count(*) from quantumflow.start_flows('b', array_fill('2'::jsonb, array[30]));
select bag_eq(
  $$select step_slug, count(*) from quantumflow.claim_tasks(gen_random_uuid(), 31, commands => '{a,b,c,d,e,f,g,h}') group by 1$$,
  $$values ('a', 30::bigint), ('b', 1)$$, 'however many of one command come first');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
