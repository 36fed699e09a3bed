begin;
select plan(4);

select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a"}]}');
select quantumflow.start_flow('w');
\ir ../fixtures/queues_are_no_members.sql

create role stranger;
create schema stranger authorization stranger;
create table stranger.ran (as_whom text);
grant insert on stranger.ran to public;
grant usage on schema stranger to public;
grant usage, create on schema pgmq to stranger;
grant all on pgmq.meta to stranger;
set local role stranger;
create function stranger.spy() returns trigger language plpgsql as
$$begin insert into stranger.ran values (current_user); return coalesce(new, old); end$$;
create function stranger.peek(bigint) returns bigint language plpgsql as
$$begin insert into stranger.ran values (current_user); return $1; end$$;
reset role;

create function pg_temp.refusals(make text, out claim text, out setup text) language plpgsql as $$
declare
  v_owner text := current_user;
begin
  -- What it does is undone in the end.
  begin
    drop table pgmq.q_quantum_flow_queue, pgmq.a_quantum_flow_queue cascade;
    execute make;
    perform set_config('role', v_owner, true);
    begin
      perform quantumflow.claim_tasks(gen_random_uuid());
    exception when sqlstate 'QF403' then
      get stacked diagnostics claim = pg_exception_detail;
    end;
    begin
      perform quantumflow.setup();
    exception when sqlstate 'QF403' then
      get stacked diagnostics setup = pg_exception_detail;
    end;
    perform quantumflow.sweep();
    perform quantumflow.doctor();
    perform quantumflow.check_state();
    if exists (select from stranger.ran r where r.as_whom <> 'stranger') then
      claim := 'somebody else''s code ran';
    end if;
    raise exception using errcode = 'UNDO1';
  exception when sqlstate 'UNDO1' then
    null;
  end;
end
$$;

create temporary table things (n int generated always as identity, make text, why text) on commit drop;
insert into things (make, why) values
  (
    $$set local role stranger;
    create table pgmq.q_quantum_flow_queue (
      msg_id bigint, read_ct int, enqueued_at timestamptz, vt timestamptz, message jsonb, headers jsonb)$$,
    'pgmq.q_quantum_flow_queue belongs to role "stranger"'),
  (
    $$set local role stranger;
    create table pgmq.lair as select 1::bigint as msg_id, 0 as read_ct, now() as enqueued_at, now() as vt, '{}'::jsonb as message;
    create view pgmq.q_quantum_flow_queue as select * from pgmq.lair where stranger.peek(msg_id) > 0$$,
    'pgmq.q_quantum_flow_queue is no table'),
  (
    $$create view pgmq.q_quantum_flow_queue as select stranger.peek(1) as msg_id, now() as vt, '{}'::jsonb as message$$,
    'pgmq.q_quantum_flow_queue is no table'),
  (
    $$select pgmq.create('quantum_flow_queue'); grant trigger on pgmq.q_quantum_flow_queue to stranger; set local role stranger;
    create trigger spy before update on pgmq.q_quantum_flow_queue for each row execute function stranger.spy()$$,
    'a trigger on pgmq.q_quantum_flow_queue, "spy", calls a function of role "stranger"'),
  (
    $$select pgmq.create('quantum_flow_queue');
    create rule spy as on update to pgmq.q_quantum_flow_queue do also select stranger.peek(1)$$,
    'pgmq.q_quantum_flow_queue has a rule, "spy"'),
  (
    $$create table pgmq.q_quantum_flow_queue (
      msg_id bigint, read_ct int, enqueued_at timestamptz, vt timestamptz, message jsonb, headers jsonb) partition by range (msg_id);
    create table pgmq.q_part partition of pgmq.q_quantum_flow_queue default;
    alter table pgmq.q_part owner to stranger$$,
    'pgmq.q_part belongs to role "stranger"');

select results_eq(
  'select t.n, r.claim, r.setup from things t cross join lateral pg_temp.refusals(t.make) r order by t.n',
  $$select n, f.fact, f.fact from things
    cross join lateral (select 'In pgmq''s schema ' || why || ': what it calls would run with the rights of quantumflow''s owner.' as fact) f order by n$$,
  'neither a worker nor setup() touches it, and both say why');
select is_empty('select * from stranger.ran', 'nothing of a stranger ran');

drop table pgmq.a_quantum_flow_queue;
set local role stranger;
create table pgmq.a_quantum_flow_queue (msg_id bigint, archived_at timestamptz);
create trigger spy before insert on pgmq.a_quantum_flow_queue for each row execute function stranger.spy();
reset role;
select throws_ok(
  'select quantumflow.setup()', 'QF403', 'queue "quantum_flow_queue" cannot be trusted', 'it is the same with an archive');
insert into quantumflow.queues values ('quantum_flow_queue', true);
select is(
  (
    select (quantumflow.complete_tasks(jsonb_agg(to_jsonb(c) || '{"output": 1}'))).outcome
    from quantumflow.claim_tasks(gen_random_uuid()) c
  ) || (select count(*) from stranger.ran),
  'completed0',
  'and what is there goes on, without it');

select * from finish();
rollback;
