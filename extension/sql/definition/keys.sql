-- Without paths of their own, so that they are inlined where they are called.

create function quantumflow._keys()
returns table (
  place      text,
  key        text,
  same_as    text,
  json_types text[],
  code       text,
  pattern    text,
  low        numeric,
  high       numeric,
  whole      boolean,
  usual      jsonb,
  nothing    jsonb,
  wanted     text)
language sql
immutable
begin atomic
  select *
  from (
    values
      ('flow', 'version', null::text, '{string}'::text[], 'QF101', '^1\.0$', null::numeric, null::numeric, false, null::jsonb, null::jsonb,
        '"1.0"'),
      ('flow', 'slug', null, '{string}', 'QF103', '(?i)^[a-z][a-z0-9_]{0,127}$', null, null, false, null, null,
        'a letter, then letters, digits and underscores, at most 128'),
      ('flow', 'title', null, '{string}', 'QF101', '', null, null, false, null, null, 'text'),
      ('flow', 'on_complete', null, '{string}', 'QF101', '', 1, 256, false, null, null, 'text of 1 to 256 characters'),
      ('flow', 'on_failure', null, '{string}', 'QF101', '', 1, 256, false, null, null, 'text of 1 to 256 characters'),
      ('flow', 'run_timeout', null, '{number}', 'QF101', null, 0.001, 315360000, false, null, null,
        'a number of seconds from 0.001 to 315360000'),
      ('flow', 'one_at_a_time', null, '{object}', 'QF101', null, null, null, false, null, null, '{"key", "when_busy"}'),
      ('flow', 'announce', null, '{boolean}', 'QF101', null, null, null, false, null, 'false', 'true or false'),
      ('flow', 'steps', null, '{array}', 'QF101', null, null, null, false, null, null, 'an array of steps'),
      ('step', 'name', null, '{string}', 'QF103', '(?i)^[a-z][a-z0-9_]{0,127}$', null, null, false, null, null,
        'a letter, then letters, digits and underscores, at most 128'),
      ('step', 'slug', 'name', '{string}', 'QF103', '(?i)^[a-z][a-z0-9_]{0,127}$', null, null, false, null, null,
        'a letter, then letters, digits and underscores, at most 128'),
      ('step', 'type', null, '{string}', 'QF101', '^(single|task|map|loop|sleep|wait|flow|plan)$', null, null, false, null, null,
        '"single" (or "task"), "map", "loop", "sleep", "wait", "flow" or "plan"'),
      ('step', 'command', null, '{string}', 'QF101', '', 1, 256, false, null, null, 'text of 1 to 256 characters'),
      ('step', 'args', null, null, null, null, null, null, false, null, null, 'anything'),
      ('step', 'dependencies', null, '{array}', 'QF101', null, null, null, false, null, '[]', 'an array of step names'),
      ('step', 'depends_on', 'dependencies', '{array}', 'QF101', null, null, null, false, null, '[]', 'an array of step names'),
      ('step', 'map_over', null, '{string}', 'QF101', '', null, null, false, null, null, 'the name of a dependency'),
      ('step', 'chunk_size', null, '{number,string}', 'QF101', '^auto$', 1, 100000, true, null, null,
        'a whole number from 1 to 100000, or "auto"'),
      ('step', 'if', null, '{string}', 'QF117', '', 1, 2000, false, null, null, 'a jsonpath of 1 to 2000 characters'),
      ('step', 'otherwise', null, '{string}', 'QF101', '^(skip|fail)$', null, null, false, null, '"skip"', '"skip" or "fail"'),
      ('step', 'join', null, '{string}', 'QF101', '^(all|any|none)$', null, null, false, null, '"all"', '"all", "any" or "none"'),
      ('step', 'after', null, '{array}', 'QF101', null, null, null, false, null, '[]', 'an array of step names'),
      ('step', 'prefer_after', null, '{array}', 'QF101', null, null, null, false, null, '[]', 'an array of step names'),
      ('step', 'on_error', null, '{string}', 'QF101', '^(fail|continue)$', null, null, false, null, '"fail"',
        '"fail" or "continue"'),
      ('step', 'fallback', null, null, null, null, null, null, false, null, null, 'anything'),
      ('step', 'tolerate', null, '{number,string}', 'QF101', '^(100|[0-9]{1,2}(\.[0-9]{1,4})?)%$', 0, 1000000, true, null, '0',
        'a whole number of tasks from 0 to 1000000, or a share of them as "5%"'),
      ('step', 'until', null, '{string}', 'QF117', '', 1, 2000, false, null, null, 'a jsonpath of 1 to 2000 characters'),
      ('step', 'while', null, '{string}', 'QF117', '', 1, 2000, false, null, null, 'a jsonpath of 1 to 2000 characters'),
      ('step', 'max_iterations', null, '{number}', 'QF101', null, 1, 1000000, true, null, null, 'a whole number from 1 to 1000000'),
      ('step', 'delay', null, '{number}', 'QF101', null, 0, 315360000, false, null, '0', 'a number of seconds from 0 to 315360000'),
      ('step', 'keep', null, '{number}', 'QF101', null, 1, 1000000, true, null, null, 'a whole number from 1 to 1000000'),
      ('step', 'limit', null, '{string,object}', 'QF101', '^[A-Za-z][A-Za-z0-9_.-]{0,127}$', null, null, false, null, null,
        'the name of a limit, or {"name", "key"}'),
      ('step', 'seconds', null, '{number}', 'QF101', null, 0, 315360000, false, null, null,
        'a number of seconds from 0 to 315360000'),
      ('step', 'at', null, '{string}', 'QF117', '', 1, 2000, false, null, null, 'a jsonpath of 1 to 2000 characters'),
      ('step', 'signal', null, '{string}', 'QF101', '', 1, 128, false, null, null, 'text of 1 to 128 characters'),
      ('step', 'signals', null, '{array}', 'QF101', null, null, null, false, null, null, 'an array of signal names'),
      ('step', 'flow', null, '{string}', 'QF101', '(?i)^[a-z][a-z0-9_]{0,127}$', null, null, false, null, null, 'the slug of a workflow'),
      ('step', 'flow_version', null, '{number}', 'QF101', null, 1, 1000000000, true, null, null, 'a whole number from 1 to 1000000000'),
      ('step', 'input', null, null, null, null, null, null, false, null, null, 'anything'),
      ('step', 'output', null, null, null, null, null, null, false, null, null, 'anything'),
      ('step', 'max_children', null, '{number}', 'QF101', null, 1, 100000, true, null, null, 'a whole number from 1 to 100000'),
      ('step', 'may_use', null, '{array}', 'QF101', null, null, null, false, null, null, 'an array of commands'),
      ('step', 'may_use_types', null, '{array}', 'QF101', null, null, null, false, null, null, 'an array of types of steps'),
      ('step', 'may_use_flows', null, '{array}', 'QF101', null, null, null, false, null, '[]', 'an array of workflows'),
      ('step', 'max_steps', null, '{number}', 'QF101', null, 1, 100000, true, null, null, 'a whole number from 1 to 100000'),
      ('step', 'start_delay', null, '{number}', 'QF101', null, 0, 315360000, false, null, '0',
        'a number of seconds from 0 to 315360000'),
      ('both', 'max_attempts', null, '{number}', 'QF101', null, 1, 1000000, true, '3', null, 'a whole number from 1 to 1000000'),
      ('both', 'max_lost', null, '{number}', 'QF101', null, 1, 1000000, true, '3', null, 'a whole number from 1 to 1000000'),
      ('both', 'retry_delay', null, '{number}', 'QF101', null, 0, 315360000, false, '1', null,
        'a number of seconds from 0 to 315360000'),
      ('both', 'timeout', null, '{number}', 'QF101', null, 0.001, 315360000, false, '60', null,
        'a number of seconds from 0.001 to 315360000'),
      ('both', 'queue', null, '{string}', 'QF110', '^[a-z][a-z0-9_]{0,46}$', null, null, false, '"quantum_flow_queue"', null,
        'a lower-case letter, then lower-case letters, digits and underscores, at most 47')
  ) k (place, key, same_as, json_types, code, pattern, low, high, whole, usual, nothing, wanted);
end;

comment on function quantumflow._keys() is
'The keys of a definition, and what each may hold: the only list of them.

place: of the flow, of a step, or of both. same_as: the first name of a key that has two. json_types: null for any. code: of the problem
when pattern, low and high (the length of a string, the value of a number) or whole do not fit, as wanted says in words.
usual: the setting of a step when neither it nor its flow gives it. nothing: a value that means the same as none.';

create function quantumflow._default_settings()
returns jsonb
language sql
immutable
return (
  select jsonb_object_agg(k.key, k.usual)
  from quantumflow._keys() k
  where k.usual is not null);

comment on function quantumflow._default_settings() is
'The settings of a step when neither it nor its flow gives them, as the keys of a definition.';

create function quantumflow._keys_of_flows()
returns text[]
language sql
immutable
return array(
  select k.key
  from quantumflow._keys() k
  where k.place in ('flow', 'both'));

comment on function quantumflow._keys_of_flows() is 'The keys that a flow may have in a definition.';

create function quantumflow._meant_by(p_key text)
returns text
language sql
immutable
return (
  select m.key
  from (
    values
      ('needs', 'dependencies'),
      ('depends', 'dependencies'),
      ('condition', 'if'),
      ('when', 'if'),
      ('trigger_rule', 'join'),
      ('if_fails', 'on_error'),
      ('continue_on_error', 'on_error'),
      ('default', 'fallback'),
      ('retries', 'max_attempts'),
      ('repeat_until', 'until'),
      ('max_loops', 'max_iterations'),
      ('iterations', 'max_iterations'),
      ('interval', 'delay'),
      ('concurrency', 'limit'),
      ('rate_limit', 'limit')
  ) as m(word, key)
  where m.word = lower(p_key));

comment on function quantumflow._meant_by(text) is
'The key that is meant by a word which others have for it; null: nobody knows.';
