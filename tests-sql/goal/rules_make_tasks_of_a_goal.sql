begin;
select plan(17);

select quantumflow.register_decomposer('shop', 'rules');
select is(
  (quantumflow.add_method('shop', '{"tasks": [
    {"id": "check"},
    {"id": "pack", "goal": "pack the order", "depends_on": ["check"]},
    {"id": "mail", "depends_on": ["pack"]}]}', pattern => '^ship order (\d+)$')).number, 1, 'rules are counted');
select quantumflow.add_method('shop', '[{"id": "pick"}, {"id": "wrap", "depends_on": ["pick"]}, {"id": "label", "depends_on": ["pick"], "if": "$.pick.fragile == true"}]',
  pattern => 'pack');
select is(
  (quantumflow.add_method('shop', '[{"id": "pick"}, {"id": "wrap", "depends_on": ["pick"]}, {"id": "label", "depends_on": ["pick"], "if": "$.pick.fragile == true"}]',
    pattern => 'pack')).number, 2, 'the same again is the same rule');

select is(
  quantumflow.decompose(E'  Ship\n order 17 ', 'shop'),
  '{"tasks": [
    {"id": "check"},
    {"id": "pack__pick", "command": "pick", "depends_on": ["check"]},
    {"id": "pack__wrap", "command": "wrap", "depends_on": ["pack__pick"]},
    {"id": "pack__label", "command": "label", "depends_on": ["pack__pick"], "if": "$.pack__pick.fragile == true"},
    {"id": "mail", "depends_on": ["pack__wrap", "pack__label"]}]}'::jsonb,
  'a task that is a goal has what it comes to in its place, and so have those that wait for it');
select is_empty('select from quantumflow.goals', 'nothing is kept');
select throws_ok($$select quantumflow.decompose('make tea', 'shop')$$, 'QF601', 'decomposer "shop" has no rule for goal "make tea"', 'an unknown goal');
select throws_ok($$select quantumflow.decompose('make tea', 'nobody')$$, 'QF608', 'decomposer "nobody" is not registered', 'an unknown decomposer');
select throws_ok($$select quantumflow.decompose(' ', 'shop')$$, 'QF612', 'a goal must have words', 'no goal');
select throws_ok($$select quantumflow.decompose('x', 'shop', '[]')$$, 'QF612', null, 'no context');

-- Conditions, and the next rule where one comes to nothing.
select quantumflow.add_method('shop', '[{"id": "fly", "goal": "fly to the moon"}]', pattern => '^deliver', condition => '$.context.express == true');
select quantumflow.add_method('shop', '[{"id": "drive"}]', pattern => '^deliver (.*)', condition => '$.match[0] starts with "the"');
select is(quantumflow.decompose('deliver the parcel', 'shop', '{"express": true}'), '{"tasks": [{"id": "drive"}]}'::jsonb,
  'a rule that cannot be followed to the end is left for the next');
select throws_ok($$select quantumflow.decompose('deliver a parcel', 'shop', '{"express": true}')$$, 'QF601',
  'decomposer "shop" has no rule for goal "fly to the moon"', 'and the first to go wrong is told');
select quantumflow.add_method('shop', '[{"id": "launch"}]', pattern => 'moon$', number => 9);
select is(quantumflow.decompose('deliver the parcel', 'shop', '{"express": true}'),
  '{"tasks": [{"id": "fly__launch", "command": "launch", "depends_on": []}]}'::jsonb, 'the first that fits counts');

-- A task that rules are for.
select quantumflow.add_method('shop', '[{"id": "count"}]', task => 'check', condition => '$.args.all == true');
select quantumflow.add_method('shop', '[{"id": "look"}, {"id": "note", "depends_on": ["look"]}]', task => 'check');
select is(quantumflow.decompose('ship order 1', 'shop') #> '{tasks,1}', '{"id": "check__note", "command": "note", "depends_on": ["check__look"]}'::jsonb,
  'a task whose command rules are for is decomposed, too');

-- Bounds.
select quantumflow.add_method('shop', '[{"id": "again", "goal": "for ever"}]', pattern => 'for ever');
select throws_ok($$select quantumflow.decompose('for ever', 'shop')$$, 'QF604', 'goal "for ever" is nested deeper than 10 times', 'depth is bounded');
select quantumflow.add_method('shop', '[{"id": "a", "goal": "twice"}, {"id": "b", "goal": "twice"}]', pattern => 'twice', condition => '$.context.n == 1');
select quantumflow.add_method('shop', '[{"id": "a", "goal": "twice"}, {"id": "b", "goal": "twice"}]', pattern => 'twice', condition => '$.context.n >= 1');
select quantumflow.add_method('shop', '[{"id": "a", "goal": "twice"}, {"id": "b", "goal": "twice"}, {"id": "c"}]', pattern => 'twice');
select throws_ok($$select quantumflow.decompose('twice', 'shop', '{"n": 1}')$$, 'QF605', '1000 rules were tried, and 1000 may be', 'and so is how many rules are tried');
select quantumflow.configure('max_plan_steps', '3');
select throws_ok($$select quantumflow.decompose('ship order 1', 'shop')$$, 'QF603', null, 'and how many tasks there may be');
select quantumflow.configure('max_plan_steps', null);

select quantumflow.register_decomposer('strict', 'rules', may_use => '{drive}', fallback => 'shop');
select throws_ok($$select quantumflow.decompose('ship order 1', 'strict')$$, 'QF602', null, 'a decomposer has the commands that it may use, also where it falls back');
select is(quantumflow.decompose('deliver the parcel', 'strict'), '{"tasks": [{"id": "drive"}]}'::jsonb, 'where no rule fits, another one is asked');

select * from finish();
rollback;
