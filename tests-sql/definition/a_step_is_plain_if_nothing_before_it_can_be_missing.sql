begin;
select plan(4);

create function pg_temp.not_plain(p_steps jsonb) returns text language plpgsql as $$
begin
  perform quantumflow.define_flow(jsonb_build_object('slug', 'w', 'steps', p_steps));
  return (select string_agg(s.step_slug, ' ' order by s.step_index) from quantumflow.workflow_steps s where not s.plain);
end
$$;

select is(
  pg_temp.not_plain('[{"name": "a", "fallback": 1}, {"name": "b", "depends_on": ["a"]},
    {"name": "m", "type": "map", "tolerate": 1}, {"name": "c", "depends_on": ["b", "m"], "on_error": "continue"}]'),
  null, 'a step that always ends well, or ends its run, leaves those behind it plain');
select is(
  pg_temp.not_plain('[{"name": "a", "if": "$.run.x == 1"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "depends_on": ["b"]},
    {"name": "d"}, {"name": "e", "depends_on": ["d"]}, {"name": "f", "depends_on": ["e", "c"]}]'),
  'a b c f', 'one that can be skipped does not, however far behind it they are');
select is(
  pg_temp.not_plain('[{"name": "a", "on_error": "continue"}, {"name": "b", "depends_on": ["a"]}, {"name": "c", "after": ["b"]},
    {"name": "d", "depends_on": ["c"]}, {"name": "e", "depends_on": ["b"]}]'),
  'b c e', 'nor one that can fail without its run; who only comes after it is not skipped with it');
select is(
  pg_temp.not_plain('[{"name": "a", "if": "$.run.x == 1"}, {"name": "b", "depends_on": ["a"], "join": "none"}, {"name": "c", "depends_on": ["b"]},
    {"name": "d", "if": "$.run.x == 1", "otherwise": "fail"}, {"name": "e", "depends_on": ["d"]},
    {"name": "f", "depends_on": ["a", "d"], "join": "any"}, {"name": "g", "depends_on": ["f"]}]'),
  'a b d f g', 'what asks for none of them, or fails its run, is never skipped');

select * from finish();
rollback;
