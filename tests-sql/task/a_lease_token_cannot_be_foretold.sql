begin;
select plan(8);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "max_attempts": 9}, {"name": "b", "dependencies": ["a"]}]}');
select quantumflow.start_flows('w', array['1', '2', '3', '4']::jsonb[]);

create temporary table tokens (of text, token bigint, message_id bigint) on commit drop;
do $$
declare
  v_way text;
begin
  foreach v_way in array array['hand-overs', 'hand-overs', 'passed on', 'passed on'] loop
    perform setseed(0.42);
    insert into tokens select 'claims', c.lease_token from quantumflow.claim_tasks(gen_random_uuid()) c;
    perform setseed(0.42);
    insert into tokens
    select v_way, c.lease_token, c.message_id
    from quantumflow.complete_and_claim(
      gen_random_uuid(),
      (
        select jsonb_agg(jsonb_build_object(
          'run_id', t.run_id, 'step_slug', t.step_slug, 'task_index', t.task_index, 'lease_token', t.lease_token))
        from quantumflow.step_tasks t
        where t.status = 'started'
          and t.step_slug = 'a'
      ) || case v_way when 'hand-overs' then '[{}]' else '[]' end::jsonb,
      lease => '10 s',
      held => 1) c
    where c.step_slug = 'b'
      and c.outcome is null;
  end loop;
end
$$;

-- Lost, all of them: each is handed out alone.
set local quantumflow.now = '2030-01-01 00:01:00+00';
select setseed(0.42);
insert into tokens select 'losses', c.lease_token from quantumflow.claim_tasks(gen_random_uuid()) c;
select setseed(0.42);
insert into tokens select 'losses', c.lease_token from quantumflow.claim_tasks(gen_random_uuid()) c;

select results_eq(
  'select of, count(*)::int, count(distinct token)::int from tokens group by of order by of',
  $$values ('claims', 4, 4), ('hand-overs', 2, 2), ('losses', 2, 2), ('passed on', 2, 2)$$,
  'the same seed before claims, hand-overs, or what is passed on, gives other tokens');
create function pg_temp.foretold() returns setof uuid language plpgsql as $$
begin
  perform setseed(0.42);
  return query select md5(random()::text)::uuid from generate_series(1, 100);
end
$$;
select is_empty(
  $$select of, token from tokens where token in (select quantumflow._token_of(s, message_id) from pg_temp.foretold() s)$$,
  'nor does who knows the seed know what they were made of');
select ok((select bool_and(token between 0 and 9007199254740991) from tokens), 'a JSON number holds each');

select quantumflow.start_flows('w', array['5', '6', '7']::jsonb[]);
select results_eq(
  $$select count(*), count(distinct lease_token) from quantumflow.claim_tasks(gen_random_uuid(), 3, commands => '{a}')$$,
  'values (3::bigint, 3::bigint)',
  'each task of a claim has its own');
select ok(
  (select bool_and(lease_token between 0 and 9007199254740991) from quantumflow.step_tasks where lease_token is not null), 'as a number');

-- One task again and again, after the same seed: released, then lost, and lost again.
select quantumflow.define_flow('{"slug": "again", "steps": [{"name": "c", "max_lost": 9}]}');
select quantumflow.start_flow('again');
create function pg_temp.claimed() returns bigint language plpgsql as $$
begin
  perform setseed(0.42);
  return (select c.lease_token from quantumflow.claim_tasks(gen_random_uuid(), lease => '10 s', commands => '{c}') c);
end
$$;
create temporary table again on commit drop as select pg_temp.claimed() as first, null::bigint as second, null::bigint as third;
select quantumflow.release_tasks(jsonb_agg(jsonb_build_object(
  'run_id', t.run_id, 'step_slug', 'c', 'task_index', 0, 'lease_token', t.lease_token)))
from quantumflow.step_tasks t where t.step_slug = 'c';
select isnt(pg_temp.claimed(), first, 'a task that was released has another one') from again;
set local quantumflow.now = '2030-01-01 00:02:00+00';
update again set second = pg_temp.claimed();
set local quantumflow.now = '2030-01-01 00:03:00+00';
update again set third = pg_temp.claimed();
select ok(second <> third, 'so has one that was lost twice') from again;
select is_empty('select * from quantumflow.check_state()', 'no rule is broken');

select * from finish();
rollback;
