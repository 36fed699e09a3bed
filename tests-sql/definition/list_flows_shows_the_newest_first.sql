begin;
select plan(3);

select is_empty('select * from quantumflow.list_flows()', 'none at first');

insert into quantumflow.settings values ('test_clock', 'on');

select lives_ok(
  $$
  set local quantumflow.now = '2030-01-01 00:00:00+00';
  select quantumflow.define_flow('{"slug": "first", "title": "one", "on_complete": "tell", "steps": [{"name": "a"}, {"name": "b"}]}');
  select quantumflow.start_flow('first');
  set local quantumflow.now = '2030-01-02 00:00:00+00';
  select quantumflow.create_flow('second');
  set local quantumflow.now = '2030-01-03 00:00:00+00';
  select quantumflow.define_flow('{"slug": "third", "steps": [{"name": "a"}]}');
  select quantumflow.start_flow('third');
  select quantumflow.define_flow('{"slug": "first", "title": "two", "on_complete": "tell", "steps": [{"name": "a"}, {"name": "b"}]}')
  $$,
  'three workflows');

select results_eq(
  'select * from quantumflow.list_flows()',
  $$
  values
    ('third', null, 1, 1, 1, true, timestamptz '2030-01-03 00:00:00+00'),
    ('second', null, 1, 1, 0, false, '2030-01-02 00:00:00+00'),
    ('first', 'two', 2, 2, 2, false, '2030-01-01 00:00:00+00')
  $$,
  'by when they were first defined; callbacks are no steps');

select * from finish();
rollback;
