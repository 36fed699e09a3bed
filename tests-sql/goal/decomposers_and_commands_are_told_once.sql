begin;
select plan(27);

select results_eq(
  $$select name::text collate "default", kind, command, version, may_use, max_depth, timeout, cache_for, fallback::text collate "default"
    from quantumflow.register_decomposer('d', 'command', 'plan_it', '2', '{b,a,b}', 3, '5 s', '1 hour')$$,
  $$values ('d', 'command', 'plan_it', '2', '{a,b}'::text[], 3, interval '5 s', interval '1 hour', null::text)$$, 'a decomposer is what it was told to be');
select quantumflow.register_decomposer('d', 'command', 'plan_it', '2', '{a,b}', 3, '5 s', '1 hour');
select is((select count(*) from quantumflow.audit_log where what = 'register_decomposer'), 1::bigint, 'the same again changes nothing');
select is((quantumflow.register_decomposer('d', 'rules')).kind, 'rules', 'something else changes it');

select throws_ok(format('select quantumflow.register_decomposer(%s)', a), 'QF612', null, a)
from unnest(array[
  'null, ''rules''', '''1a'', ''rules''', '''d'', null', '''d'', ''llm''', '''d'', ''command''', '''d'', ''command'', ''x''', '''d'', ''rules'', ''x''',
  '''d'', ''rules'', version => ''''', '''d'', ''command'', ''x'', may_use => ''{}''', '''d'', ''rules'', max_depth => 0', '''d'', ''rules'', timeout => ''0''',
  '''d'', ''rules'', cache_for => ''0''']) a;
select throws_ok($$select quantumflow.register_decomposer('d', 'rules', fallback => 'nobody')$$, 'QF608', null, 'an unknown fallback');
select throws_ok($$select quantumflow.register_decomposer('d', 'rules', fallback => 'd')$$, 'QF608', 'decomposer "d" would fall back on itself', 'itself');
select quantumflow.register_decomposer('e', 'rules', fallback => 'd');
select throws_ok($$select quantumflow.register_decomposer('d', 'rules', fallback => 'e')$$, 'QF608', 'decomposer "d" would fall back on itself', 'itself in the end');

select throws_ok($$select quantumflow.add_method('d', '[{"id": "a"}]', pattern => '(')$$, 'QF612', null, 'no pattern');
select throws_ok($$select quantumflow.add_method('d', '[{"id": "a"}]', condition => '$.secret == 1')$$, 'QF612', null, 'no condition');
select throws_ok($$select quantumflow.add_method('d', '[{"id": "a"}]', pattern => 'x', task => 'y')$$, 'QF612', null, 'for a goal or for a task');
select throws_ok($$select quantumflow.add_method('d', '[{"id": "a", "depends_on": ["b"]}]')$$, 'QF105', null, 'no graph');
select throws_ok($$select quantumflow.add_method('d', null)$$, 'QF612', 'graph is null', 'none');

select is((quantumflow.describe_command('c', 'Does it', '{"type": "object"}')).description, 'Does it', 'a command is described');
select quantumflow.describe_command('c', 'Does it', '{"type": "object"}');
select is((select count(*) from quantumflow.audit_log where what = 'describe_command'), 1::bigint, 'once');
select throws_ok($$select quantumflow.describe_command('c', 'x', '{"type": "object", "$ref": "#"}')$$, 'QF612', null, 'in words that are known');
select throws_ok($$select quantumflow.describe_command('c', null)$$, 'QF612', null, 'with a description');

select * from finish();
rollback;
