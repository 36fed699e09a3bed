begin;
select plan(5);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.define_flow('{"slug": "w", "timeout": 600, "steps": [{"name": "a"}]}');
select quantumflow.define_flow('{"slug": "slow", "timeout": 315360000, "steps": [{"name": "a"}]}');
select quantumflow.start_flow(k) from unnest('{w, slow}'::text[]) k;
create temporary table claimed on commit drop as
select * from quantumflow.claim_tasks('a0000000-0000-0000-0000-00000000000a', 10);
create function pg_temp.limits() returns setof text language sql as $limits$
  select s.name || ' ' || s.setting
  from pg_settings s
  where s.name in ('transaction_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout')
  order by s.name
$limits$;
create function pg_temp.hold(slug text) returns text language sql as $hold$
  select quantumflow.hold_task(c.run_id, c.step_slug, c.task_index, c.lease_token) from claimed c where c.workflow_slug = slug
$hold$;
create temporary table expected on commit drop as
select *
from (values
  ('idle_in_transaction_session_timeout 450000', 'idle_in_transaction_session_timeout 2147483647'),
  ('statement_timeout 450000', 'statement_timeout 2147483647'),
  ('transaction_timeout 450000', 'transaction_timeout 2147483647')) k (soon, never)
where split_part(k.soon, ' ', 1) in (select split_part(l, ' ', 1) from pg_temp.limits() l);

set local quantumflow.now = '2030-01-01 00:02:30+00';
savepoint before;
select pg_temp.hold('w');
select results_eq('select pg_temp.limits()', 'select soon from expected order by soon', 'every limit is the time that is left');

-- On a Unix socket they show 0, whatever is set.
select results_eq(
  $$select name from pg_settings where name like 'tcp%' and source = 'session' order by name collate "C"$$,
  $$values ('tcp_keepalives_count'), ('tcp_keepalives_idle'), ('tcp_keepalives_interval'), ('tcp_user_timeout')$$,
  'and the server asks whether the client''s machine is still there');

rollback to before;
select pg_temp.hold('slow');
select results_eq('select pg_temp.limits()', 'select never from expected order by never', 'or the longest there is, for a task that may take years');

rollback to before;
set local statement_timeout = '449999ms';
set local idle_in_transaction_session_timeout = '1h';
select pg_temp.hold('w');
select is(
  (select array_agg(l) from pg_temp.limits() l where l not like 'transaction%'),
  '{idle_in_transaction_session_timeout 450000,statement_timeout 449999}',
  'a limit that is shorter stays, a longer one does not');

rollback to before;
select is(
  (select array_agg(l) from pg_temp.limits() l where l like '% 450000'),
  null,
  'a rollback brings back what was there');

select * from finish();
rollback;
