begin;
select plan(7);

-- What a start asks once its runs are written: is the version still what it read?
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
prepare still(text) as select quantumflow._refuse_deleted('w', 1, $1);
create function pg_temp.writes(p_hash text) returns boolean language sql as $$
  select quantumflow._insert_steps(
    'w', jsonb_populate_record(null::quantumflow._start, jsonb_build_object('version', 1, 'content_hash', p_hash)),
    array[gen_random_uuid()], false, now())
$$;
create temporary table content on commit drop as select content_hash as hash from quantumflow.workflow_versions;

select throws_ok(
  format('execute still(%L)', (select hash from content)), '40001', 'workflow "w" was deleted and defined anew',
  'one that no run has frozen is another of the same content');
select is(pg_temp.writes((select hash from content)), false, 'nor are its steps written');
select quantumflow.start_flow('w');
select is(pg_temp.writes((select hash from content)), true, 'the steps of the same are written');
select lives_ok(format('execute still(%L)', (select hash from content)), 'the same it is');
select is(pg_temp.writes('other'), false, 'those of other content are not');
select throws_ok(
  $$execute still('other')$$, '40001', 'workflow "w" was deleted and defined anew', 'one of other content it is not');
select throws_ok(
  $$select quantumflow._refuse_deleted('v', 1, 'any')$$, 'QF111', 'workflow "v" does not exist', 'nor one that is gone');

select * from finish();
rollback;
