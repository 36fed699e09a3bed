begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "one", "steps": [{"name": "a"}]}');
select quantumflow.define_flow(jsonb_build_object('slug', 'many', 'steps', (
  select jsonb_agg(jsonb_build_object('name', 's' || n)) from generate_series(1, 9) n)));
create function pg_temp.reads() returns bigint language plpgsql as $$
declare
  v_before bigint := pg_stat_get_xact_numscans('pgmq.q_quantum_flow_queue'::regclass);
begin
  perform from quantumflow.doctor();
  return pg_stat_get_xact_numscans('pgmq.q_quantum_flow_queue'::regclass) - v_before;
end $$;

select quantumflow.start_flow('one');
set local quantumflow.now = '2030-01-01 00:10:00+00';
create table pg_temp.before as select pg_temp.reads() as reads;
select cmp_ok((select reads from pg_temp.before), '>', 0::bigint, 'the messages are read');

set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.start_flow('many');
select quantumflow.register_worker(gen_random_uuid(), 'silent', '{a}', '{quantum_flow_queue}') from generate_series(1, 9);
set local quantumflow.now = '2030-01-01 00:10:00+00';
select is((select count(*) from quantumflow.doctor() d where d.subject like 'command %'), 10::bigint, 'ten commands wait');
select is((select d.fact from quantumflow.doctor() d where d.subject = 'workers'), '0 alive', 'nine workers are silent');
select is(pg_temp.reads(), (select reads from pg_temp.before), 'and the messages are read no oftener for it');

select * from finish();
rollback;
