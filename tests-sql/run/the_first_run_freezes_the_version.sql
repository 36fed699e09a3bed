begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select is(
  (select frozen_at from quantumflow.workflow_versions), null::timestamptz, 'not frozen before the first run');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}, {"name": "b"}]}');
select is((select max(version) from quantumflow.workflow_versions), 1, 'so a change replaces it');

select quantumflow.start_flow('w');
set local quantumflow.now = '2030-01-01 00:00:05+00';
select quantumflow.start_flow('w');

select results_eq(
  'select version, frozen_at from quantumflow.workflow_versions',
  $$values (1, '2030-01-01 00:00:00+00'::timestamptz)$$,
  'the first run freezes it, the second changes nothing');
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "c"}]}');
select results_eq(
  'select version, frozen_at is not null from quantumflow.workflow_versions order by 1',
  $$values (1, true), (2, false)$$,
  'a change after that is the next version');
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
