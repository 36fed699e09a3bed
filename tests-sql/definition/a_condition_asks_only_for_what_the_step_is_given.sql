begin;
select plan(6);

create function pg_temp.problem(p_if text) returns text language sql as $$
  select string_agg(message, '; ')
  from quantumflow.validate_flow(jsonb_build_object('slug', 'w', 'steps', jsonb_build_array(
    '{"name": "a"}'::jsonb, '{"name": "z"}'::jsonb,
    jsonb_build_object('name', 'b', 'depends_on', '["a"]'::jsonb, 'after', '["z"]'::jsonb, 'if', p_if))))
$$;

select is(
  array(select pg_temp.problem(c.text) from unnest(array[
    '$.run.x > 5', 'strict $.a.x.y == "$.q" || $status.a == "skipped"', 'lax $.run.x == 1', ' LAX $.run.x == 1 ', 'strict$.run.vip',
    '$status.z == "failed" /* $.q */', '$."run".x == 1', '$status.* == "skipped"', '1 == 1', '$.run.x like_regex "$.q"']) as c(text)),
  array_fill(null::text, array[10]),
  'the run, its dependencies, and what became of all that it waits for');

select results_eq(
  $$select c.text, pg_temp.problem(c.text) from unnest(array[
    '$.rum.x > 5', '$.z.x > 5', '$.b.x > 5', '$status.q == "x"', '$status.run == "x"', '$x > 1', '$iteration > 1', '$ == 1', '$[*] == 1',
    '$.* == 1', '$.keyvalue().key == "x"', 'exists($ ? (@.x == 1))', '$.run.x == $."q\"\u0041".y']) as c(text)$$,
  $$values
    ('$.rum.x > 5', 'the condition of step "b" asks for $.rum, and rum is neither run nor a dependency'),
    ('$.z.x > 5', 'the condition of step "b" asks for $.z, and z is neither run nor a dependency'),
    ('$.b.x > 5', 'the condition of step "b" asks for $.b, and b is neither run nor a dependency'),
    ('$status.q == "x"', 'the condition of step "b" asks for $status.q, and q is no dependency'),
    ('$status.run == "x"', 'the condition of step "b" asks for $status.run, and run is no dependency'),
    ('$x > 1', 'the condition of step "b" asks for the variable $x, and there is only $status'),
    ('$iteration > 1', 'the condition of step "b" asks for the variable $iteration, and there is only $status'),
    ('$ == 1', 'the condition of step "b" asks for all of $: it may ask for $.run, and for each dependency by name'),
    ('$[*] == 1', 'the condition of step "b" asks for all of $: it may ask for $.run, and for each dependency by name'),
    ('$.* == 1', 'the condition of step "b" asks for all of $: it may ask for $.run, and for each dependency by name'),
    ('$.keyvalue().key == "x"', 'the condition of step "b" asks for all of $: it may ask for $.run, and for each dependency by name'),
    ('exists($ ? (@.x == 1))', 'the condition of step "b" asks for all of $: it may ask for $.run, and for each dependency by name'),
    ('$.run.x == $."q\"\u0041".y', 'the condition of step "b" asks for $.q"A, and q"A is neither run nor a dependency')$$,
  'nothing else');

select results_eq(
  $$select c.text, pg_temp.problem(c.text) from unnest(array[
    '$status.a == "succeeded"', '"Failed" != $status.z', '$status.a == true || 1 == $status.a', '("skipped") == $status.z && $status.a <> "failed"',
    '"x" == $status.a.type()', '$status.a starts with "f"', '$.run.x == "$status.a" && $status.a == $.run.y']) as c(text)$$,
  $$values
    ('$status.a == "succeeded"', 'the condition of step "b" compares $status.a with "succeeded", and it is "completed", "skipped" or "failed"'),
    ('"Failed" != $status.z', 'the condition of step "b" compares $status.z with "Failed", and it is "completed", "skipped" or "failed"'),
    ('$status.a == true || 1 == $status.a',
      'the condition of step "b" compares $status.a with true, and it is "completed", "skipped" or "failed"; '
      'the condition of step "b" compares $status.a with 1, and it is "completed", "skipped" or "failed"'),
    ('("skipped") == $status.z && $status.a <> "failed"', null), ('"x" == $status.a.type()', null), ('$status.a starts with "f"', null),
    ('$.run.x == "$status.a" && $status.a == $.run.y', null)$$,
  'a status is compared with one that there is');

select is(pg_temp.problem('$.run.x ? (@.n > 1)'),
  'the condition of step "b" ends in a filter, which gives items: exists(...) around it is true or false', 'items are no answer');
select matches(pg_temp.problem('$.run.x >'), '^the condition of step "b" is no jsonpath: syntax error', 'it is a jsonpath');
select throws_ok(
  $$select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "if": "$.rom.x == 1"}]}')$$,
  'QF117', 'the condition of step "a" asks for $.rom, and rom is neither run nor a dependency', 'it is refused');

select * from finish();
rollback;
