begin;
select plan(3);

select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');
create temporary table started (n int, id uuid) on commit drop;
insert into started values (1, quantumflow.start_flow('one'));
insert into started values (2, quantumflow.start_flow('one'));
insert into started values (3, (select quantumflow.start_flows('one', array['1'::jsonb])));
insert into started values (4, quantumflow.start_flow('one'));

select results_eq('select n from started order by id', 'values (1), (2), (3), (4)', 'later ids sort later');
select is_empty(
  $$select id from started where id::text !~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'$$,
  'version 7, variant 1');
select is_empty(
  $$select id from started
    where abs(('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint / 1000.0
      - extract(epoch from clock_timestamp())) > 60$$,
  'the first 48 bits are the time in milliseconds');

select * from finish();
rollback;
