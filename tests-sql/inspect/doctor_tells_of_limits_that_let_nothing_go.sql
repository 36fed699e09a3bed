begin;
select plan(4);

insert into quantumflow.settings values ('test_clock', 'on');
set local quantumflow.now = '2030-01-01 00:00:00+00';
select quantumflow.set_limit('api', 0);
select quantumflow.define_flow('{"slug": "w", "steps": [{"name": "a", "type": "map", "limit": "api"}]}');
select is_empty('select * from quantumflow.doctor() where subject like ''limit%''', 'a limit of which nothing waits is well');
select quantumflow.start_flow('w', '[0, 1, 2]', run_id => '10000000-0000-0000-0000-000000000001');
select results_eq(
  'select fact from quantumflow.doctor() where subject = ''limit api''',
  $$values ('it lets nothing go, and 3 tasks wait for it')$$, 'one that lets nothing go');
update quantumflow.limits set at_once = 2;
set local quantumflow.now = '2030-01-01 00:02:00+00';
select results_eq(
  'select fact from quantumflow.doctor() where subject = ''limit api''',
  $$values ('tasks wait for it although slots are free, of 1 keys, and nobody has let them go for a minute')$$, 'nobody sweeps');
select count(*) from quantumflow.sweep();
select is_empty('select * from quantumflow.doctor() where subject like ''limit%''', 'somebody has');

select * from finish();
rollback;
