begin;
select plan(3);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
prepare problems as select rule, split_part(problem, ':', 1) from quantumflow.check_state();
prepare repairs as select split_part(problem, ':', 1) from quantumflow.repair();

update quantumflow.workflow_versions set definition = '5';
select results_eq(
  'problems', $$values (0, 'a stored definition cannot be read')$$, 'a definition that is no object is a problem, and no error');

update quantumflow.workflow_versions set definition = '{"slug": "w", "steps": 5}';
select results_eq('problems', $$values (0, 'a stored definition cannot be read')$$, 'nor is one whose steps are none');

select results_eq(
  'repairs', $$values ('a stored definition cannot be read')$$, 'repair() says it too, and leaves it');

select * from finish();
rollback;
